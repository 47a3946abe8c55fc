"""One campaign: load, faults and changes of the program at the same time, then quiet, then the judgement."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from infra.inbox import due_count
from tests.chaos.breaking import begin_of, end_of
from tests.chaos.business import draw_business
from tests.chaos.people import managing
from tests.chaos.program import SECRET, Program, running_program
from tests.chaos.provider import Provider
from tests.chaos.schedule import Fault, draw_faults
from tests.chaos.verdict import Done, Verdict, judge
from tests.stage import Stage

#: From the end of the last fault to everything done.
QUIET_WITHIN_S = 30.0
#: What is late is waited for so long, so that being late is not taken for being wrong.
_PATIENCE_S = 150.0

Told = Callable[[str], None]


def run_campaign(
    seed: int,
    duration_s: float,
    rate: float,
    *,
    told: Told = lambda line: None,
    log: Path | None = None,
    quiet_within_s: float = QUIET_WITHIN_S,
) -> Verdict:
    """Break the program for so long under so many deliveries a second, and judge what became of it.

    What its processes said is kept in `log`. It is to be at rest `quiet_within_s` after the last fault.
    """
    business = draw_business(seed, round(duration_s * rate))
    faults = draw_faults(seed, duration_s)
    told(f"seed {seed}: {len(business.deliveries)} deliveries of {len(business.customers)} customers, "
         f"{len(faults)} faults in {duration_s:.0f} s")  # fmt: skip
    with running_program() as program:
        stage = Stage(program.engine)
        for change in business.set_up:
            change.play(stage)
        provider = Provider(program.port, SECRET, business.deliveries, rate)
        began_s = time.monotonic()
        with provider.delivering(), managing(stage, business.changes, duration_s):
            done = _break(program, faults, began_s, told)
            _sleep_until(began_s + duration_s)
            quiet_s = _wait_for_quiet(stage, provider)
        output = program.output.read_text()
        if log is not None:
            log.write_text(output)
        return judge(
            stage,
            business,
            provider.answers,
            seed=seed,
            done=done,
            quiet_s=quiet_s,
            quiet_within_s=quiet_within_s,
            output=output,
        )


def _break(program: Program, faults: Sequence[Fault], began_s: float, told: Told) -> list[Done]:
    """Do the faults at their times; each ends at its time whatever else has begun meanwhile."""
    acts: list[tuple[float, Callable[[], None], str]] = []
    for fault in faults:
        acts.append((fault.at_s, begin_of(program, fault), f"{fault.at_s:6.1f} s  {fault.kind}"))
        if (end := end_of(program, fault)) is not None:
            acts.append((fault.at_s + fault.lasts_s, end, ""))
    for at_s, act, line in sorted(acts, key=lambda each: each[0]):
        _sleep_until(began_s + at_s)
        act()
        if line:
            told(line)
    return [Done(fault.kind, began_s + fault.at_s, began_s + fault.at_s + fault.lasts_s) for fault in faults]


def _sleep_until(until_s: float) -> None:
    time.sleep(max(0.0, until_s - time.monotonic()))


def _wait_for_quiet(stage: Stage, provider: Provider) -> float | None:
    """Seconds until everything was answered and done; None where it never was."""
    began_s = time.monotonic()
    while (waited_s := time.monotonic() - began_s) < _PATIENCE_S:
        if provider.open_count == 0 and _is_idle(stage):
            return waited_s
        time.sleep(0.2)
    return None


def _is_idle(stage: Stage) -> bool:
    """Neither due nor held, nor only postponed: what still waits then for a named thing will not be given it."""
    try:
        with stage.engine.connect() as connection:
            due = due_count(connection)
        return due == 0 and stage.ask("select 1 from inbox where state = 'received' limit 1") == []
    except DBAPIError:  # it recovers from its crash
        return False
