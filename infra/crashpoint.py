"""Named places where a test may kill this process, to prove what survives there.

`CRASHPOINT=<name>` in the environment arms one; without it a place costs one comparison.
"""

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

_armed = os.environ.get("CRASHPOINT")


def reach(name: CrashPoint) -> None:
    """Die here, at once and without clean-up, if this place is armed."""
    if _armed == name:
        os._exit(KILLED_EXIT_CODE)
