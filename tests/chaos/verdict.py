"""Whether the program came out of a campaign as it should, and what each kind of fault cost meanwhile."""

import bisect
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from infra.checks import check_all
from infra.clock import system_clock
from infra.ledger.moves import PORTION, release
from tests.chaos.business import Business
from tests.chaos.provider import Answers
from tests.chaos.schedule import Kind
from tests.simulation.playing import BOOKED, histories_that_differ
from tests.stage import Stage

_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it was done, in monotonic seconds."""

    kind: Kind
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What all faults of a kind came to, from the beginning of each to the beginning of the next of any kind."""

    fault: str
    times: int
    #: Deliveries that the provider had to send again.
    refused: int
    #: The longest time without a 200.
    silent_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged campaign; nothing is `off` in a good one."""

    seed: int
    faults: int
    acked: int
    rows: int
    duplicates: int
    refused: dict[str, int]
    commissions: int
    #: Of those, what was approved or paid in the middle of it, and what adjusts that.
    settled: int
    adjusting: int
    #: From the end of the faults to everything done; None: it never was.
    quiet_s: float | None
    #: From the commit of an event to that of its effects; refunds, which may wait for their payment, are left out.
    lag_max_s: float
    lag_median_s: float
    #: The events that took longest: key, when received and finished, how often begun.
    slowest: list[tuple[str, str, str, int]]
    costs: list[Cost]
    #: How often the processes logged each warning.
    warnings: dict[str, int]
    off: list[str]

    @property
    def is_good(self) -> bool:
        """Whether everything held."""
        return not self.off

    def document(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {"verdict": "good" if self.is_good else "off", **asdict(self)}

    def lines(self) -> Iterator[str]:
        """All of it for people."""
        yield f"{'fault':24} {'times':>5} {'sent again':>10} {'silent, s':>10}"
        for cost in self.costs:
            yield f"{cost.fault:24} {cost.times:5} {cost.refused:10} {cost.silent_s:10.1f}"
        refused = ", ".join(f"{count} {name}" for name, count in self.refused.items()) or "none"
        quiet = "never quiet" if self.quiet_s is None else f"quiet after {self.quiet_s:.1f} s"
        yield f"{self.acked} acknowledged, {self.rows} rows, {self.duplicates} duplicates absorbed, refused: {refused}"
        yield f"{self.commissions} commissions, {self.settled} approved or paid, {self.adjusting} adjusting such"
        yield f"lag {self.lag_median_s:.2f} s, at most {self.lag_max_s:.1f} s; {quiet}"
        yield "warnings: " + (", ".join(f"{count} {name}" for name, count in sorted(self.warnings.items())) or "none")
        yield from (f"OFF: {each}" for each in self.off[:_SHOWN_MAX])
        if len(self.off) > _SHOWN_MAX:
            yield f"... and {len(self.off) - _SHOWN_MAX} more"
        yield f"verdict: {'good' if self.is_good else 'OFF'} (seed {self.seed})"


def judge(
    stage: Stage,
    business: Business,
    answers: Answers,
    *,
    seed: int,
    done: Sequence[Done],
    quiet_s: float | None,
    quiet_within_s: float,
    output: str,
) -> Verdict:
    """Everything that must hold once the dust has settled."""
    rows = {key for (key,) in stage.ask("select event_key from inbox where provider = 'stripe'")}
    is_in_time = quiet_s is not None and quiet_s <= quiet_within_s
    off = [] if is_in_time else [f"it did not come to rest within {quiet_within_s:.0f} s"]
    off += _what_is_off_at_the_door(business, answers, rows)
    off += [f"event {row[0]} is {row[1]}: {row[2]}" for row in stage.ask(_UNSETTLED)]
    off += _what_is_off_in_the_books(stage, business)
    off += [f"logged: {line[:300]}" for line in output.splitlines() if _is_a_complaint(line)]
    ((lag_max, lag_median, commissions, settled, adjusting),) = stage.ask(_LAGS)
    return Verdict(
        seed=seed,
        faults=len(done),
        acked=len(answers.acked),
        rows=len(rows),
        duplicates=answers.duplicates_count,
        refused=dict(answers.refusals),
        commissions=commissions,
        settled=settled,
        adjusting=adjusting,
        quiet_s=quiet_s,
        lag_max_s=float(lag_max or 0),
        lag_median_s=float(lag_median or 0),
        slowest=[(key, str(came), str(done_at), attempts) for key, came, done_at, attempts in stage.ask(_SLOWEST)],
        costs=list(_costs(done, answers)),
        warnings=dict(Counter(_warnings(output))),
        off=off,
    )


_UNSETTLED = "select event_key, state, reason from inbox where state <> 'processed' order by id"
_LAGS = """
    select extract(epoch from max(finished_at - received_at)),
        extract(epoch from percentile_disc(0.5) within group (order by finished_at - received_at)),
        (select count(*) from commissions where amount_minor <> 0),
        (select count(*) from commissions where state in ('approved', 'paid')),
        (select count(*) from commissions where amount_minor <> 0 and adjusts is not null)
    from inbox where provider = 'stripe' and event_type <> 'charge.refunded'
"""


_SLOWEST = """
    select event_key, received_at, finished_at, attempts from inbox
    where provider = 'stripe' and event_type <> 'charge.refunded'
    order by finished_at - received_at desc nulls first limit 5
"""


def _what_is_off_at_the_door(business: Business, answers: Answers, rows: set[str]) -> Iterator[str]:
    sent = {delivery.event_key for delivery in business.deliveries}
    yield from (f"acknowledged, and no row: {key}" for key in sorted(answers.acked - rows))
    yield from (f"never acknowledged: {key}" for key in sorted(sent - answers.acked))
    yield from (f"a row of nobody's: {key}" for key in sorted(rows - sent))
    yield from (f"accepted {count} times: {key}" for key, count in answers.accepted.items() if count > 1)
    yield from (f"answered {status}, {count} times" for status, count in answers.unexpected.items())


def _what_is_off_in_the_books(stage: Stage, business: Business) -> Iterator[str]:
    known, wanted = business.understood(), business.expected()
    booked = {tuple(row) for row in stage.ask(BOOKED) if row[0] in known}
    yield from (f"booked, and not expected: {row}" for row in sorted(booked - wanted, key=repr))
    yield from (f"expected, and not booked: {row}" for row in sorted(wanted - booked, key=repr))
    # What beat would do within a minute: histories lie in the past, so that every instalment is due.
    moved = PORTION
    while moved >= PORTION:
        with stage.engine.begin() as connection:
            moved = release(connection, system_clock(), None)
    for breach in check_all(stage.engine, system_clock).breaches:
        yield f"{breach.invariant}: {breach.subject}: {breach.message}"
    yield from histories_that_differ(stage)


def _is_a_complaint(line: str) -> bool:
    """What no fault of the world explains."""
    return any(word in line for word in ('"event.died"', '"worker.failed"', '"flusher.failed"', '"invariant.broken"'))


def _warnings(output: str) -> Iterator[str]:
    """Events of the program's own, by name; what libraries say in words is left out."""
    for line in output.splitlines():
        if line.startswith("{") and '"level": "info"' not in line:
            with suppress(ValueError):  # what a killed process did not finish
                event = json.loads(line)["event"]
                if re.fullmatch(r"[a-z_]+\.[a-z_]+", event):
                    yield event


def _costs(done: Sequence[Done], answers: Answers) -> Iterator[Cost]:
    refused, good = sorted(answers.refused_at), sorted(answers.good_at)
    spans: dict[str, list[tuple[float, float]]] = {}
    for fault, following in zip(done, [*done[1:], None], strict=False):
        last = max([*good[-1:], *refused[-1:], fault.began_s])
        spans.setdefault(fault.kind, []).append((fault.began_s, following.began_s if following else last))
    for kind in sorted(spans):
        counts = [bisect.bisect(refused, end) - bisect.bisect(refused, begin) for begin, end in spans[kind]]
        yield Cost(kind, len(spans[kind]), sum(counts), max(_silence(good, *span) for span in spans[kind]))


def _silence(good: Sequence[float], begin: float, end: float) -> float:
    """The longest time without a 200 that began in a span, however long it lasted."""
    first, last = bisect.bisect(good, begin), bisect.bisect(good, end)
    moments = [begin, *good[first : last + 1]]
    return max((after - before for before, after in pairwise(moments)), default=0.0)
