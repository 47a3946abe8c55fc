"""How each fault is begun and ended."""

import signal
from collections.abc import Callable

from tests.chaos.program import Program
from tests.chaos.schedule import Fault, Kind

Act = Callable[[], None]


def begin_of(program: Program, fault: Fault) -> Act:
    """What breaks it."""
    worker = f"worker-{fault.worker}"
    acts: dict[Kind, Act] = {
        Kind.RECEIVER_KILLED: lambda: program.tell("web", signal.SIGKILL),
        Kind.WORKER_KILLED: lambda: program.tell(worker, signal.SIGKILL),
        Kind.BEAT_KILLED: lambda: program.tell("beat", signal.SIGKILL),
        Kind.RECEIVER_TERMINATED: lambda: program.tell("web", signal.SIGTERM),
        Kind.RECEIVER_STALLED: lambda: program.tell("web", signal.SIGSTOP),
        Kind.WORKER_STALLED: lambda: program.tell(worker, signal.SIGSTOP),
        Kind.DATABASE_CUT: lambda: program.database.fail("cut"),
        Kind.DATABASE_HELD: lambda: program.database.fail("held"),
        Kind.DATABASE_MUTE: lambda: program.database.fail("mute"),
        # What `pg_ctl -m immediate` sends.
        Kind.DATABASE_CRASHED: lambda: program.tell_server("postgres", signal.SIGQUIT),
        Kind.BROKER_WIPED: program.wipe_broker,
        Kind.BROKER_CUT: lambda: program.broker.fail("cut"),
        Kind.BROKER_HELD: lambda: program.broker.fail("held"),
        Kind.BROKER_STALLED: lambda: program.tell_server("redis", signal.SIGSTOP),
        Kind.BROKER_KILLED: lambda: program.tell_server("redis", signal.SIGKILL),
    }
    return acts[fault.kind]


def end_of(program: Program, fault: Fault) -> Act | None:
    """What mends it; None where nothing has to."""
    match fault.kind:
        case Kind.RECEIVER_STALLED:
            return lambda: program.tell("web", signal.SIGCONT)
        case Kind.WORKER_STALLED:
            return lambda: program.tell(f"worker-{fault.worker}", signal.SIGCONT)
        case Kind.DATABASE_CUT | Kind.DATABASE_HELD | Kind.DATABASE_MUTE:
            return program.database.heal
        case Kind.BROKER_CUT | Kind.BROKER_HELD:
            return program.broker.heal
        case Kind.BROKER_STALLED:
            return lambda: program.tell_server("redis", signal.SIGCONT)
        case _:
            return None
