"""What was measured, beside what DESIGN section 10 asks for: a table for people, a document for programs."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """One number. Without `target` it only says what another one cost."""

    what: str
    measured: float
    unit: str
    target: float | None = None
    #: Whether more is better.
    more: bool = True
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """1 is the target; above it is better, whichever way the number goes."""
        if self.target is None or not self.measured or not self.target:
            return None
        return self.measured / self.target if self.more else self.target / self.measured


def machine() -> dict[str, Any]:
    """Where this was measured, and what else was going on."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "load_before": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
    }


def cpu_s_of(*pids: int) -> float:
    """CPU seconds that these processes have used so far."""
    stats = (Path(f"/proc/{pid}/stat").read_text(errors="replace") for pid in pids)
    ticks = sum(int(each) for stat in stats for each in stat.rpartition(")")[2].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def table(results: Sequence[Result]) -> str:
    """`what   measured   target   ratio   note`, one line each."""
    rows = [("what", "measured", "target", "ratio", "")]
    for each in results:
        sign = ">=" if each.more else "<="
        wanted = "" if each.target is None else f"{sign} {_plain(each.target)} {each.unit}"
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        rows.append((each.what, f"{_plain(each.measured)} {each.unit}", wanted, ratio, each.note))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def document(results: Sequence[Result], where: dict[str, Any]) -> dict[str, Any]:
    """The same for JSON."""
    return {"machine": where, "results": [{**asdict(each), "ratio": each.ratio} for each in results]}


def _plain(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
