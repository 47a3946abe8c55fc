"""How fast a draft is previewed over recorded history, and in how much memory: in a process that does nothing else.

python -m tests.benchmarks.previewing postgresql+psycopg://...     a database that has a past; prints JSON
"""

import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from infra.database import make_engine
from infra.long_lived import spare_what_is_loaded
from infra.previews import document, preview
from infra.settings import load_settings
from infra.unit_of_work import unit_of_work_on
from tests.benchmarks.results import Result
from tests.stage import Stage

#: A million lines in a minute.
TARGET_PER_S = 1_000_000 / 60
TARGET_MB = 300
DRAFT: dict[str, Any] = {
    "name": "More of Inbox",
    "event": "transaction_created",
    "rules": {"field": "product.name", "op": "is_any_of", "value": ["Inbox"]},
    "action": {"type": "percent", "percent": "12.5"},
}


def measure(engine: Engine, url: str) -> list[Result]:
    """Preview over all there is; `engine` and `url` lead to the same database."""
    ((lines,),) = Stage(engine).ask("select count(*) from transaction_lines")
    ran = subprocess.run([sys.executable, "-m", __name__, url], capture_output=True, check=True)
    said = json.loads(ran.stdout)
    assert said["earned"] > 0
    note = f"{lines:,} lines, {said['cpu_s'] / lines * 1e6:.0f} us CPU each, without PostgreSQL's"
    return [
        Result("preview", lines / said["wall_s"], "lines/s", TARGET_PER_S, note=note),
        Result("  memory at most", said["peak_mb"], "MB", TARGET_MB, more=False),
    ]


def main() -> None:
    """Preview once, and say what it took."""
    engine = make_engine(sys.argv[1], application_name="benchmark", pool_size=1)
    spare_what_is_loaded()  # as the dashboard does
    began_s, cpu_s = time.monotonic(), time.process_time()
    with unit_of_work_on(engine) as connection:
        found = preview(connection, DRAFT, None, datetime(2030, 1, 1, tzinfo=UTC), load_settings({}, env_file=None))
    said = {
        "wall_s": time.monotonic() - began_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "earned": document(found)["totals"][0]["amount"],
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
