"""Named places where a test may kill this process, to prove what survives there.

`CRASHPOINT=<name>` in the environment arms one, `<name>:3` from the third time it is reached; without it a place costs
one comparison.
"""

import itertools
import os
from typing import Literal

CrashPoint = Literal[
    "before_commit",
    "after_commit",
    "after_claim",
    "after_effect_before_done",
    "after_send",
    "before_page_commit",
    "after_page",
]

#: What a process killed by SIGKILL reports.
KILLED_EXIT_CODE = 137

_armed, _, _times = os.environ.get("CRASHPOINT", "").partition(":")
_left = itertools.count(int(_times or 1) - 1, -1)


def reach(name: CrashPoint) -> None:
    """Die here, at once and without clean-up, if this place is armed and its time has come."""
    if _armed == name and next(_left) <= 0:
        os._exit(KILLED_EXIT_CODE)
