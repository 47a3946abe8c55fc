"""Which operating system account the servers run as, and what that account can reach.

As an ordinary user they run as that user. PostgreSQL refuses to run as root, so as root they run as `postgres` or
`nobody`, and everything they need must be reachable by that account.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.errors import ServersUnavailable
from infra.embedded.launch import probe_command

_ACCOUNTS_FOR_ROOT = ("postgres", "nobody")
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the servers run as; `is_other` when that is not the user who runs this program, who is root then."""

    name: str
    uid: int
    gid: int
    is_other: bool

    @property
    def switch(self) -> tuple[int, int] | None:
        """(uid, gid) to change to, or None to stay who we are."""
        return (self.uid, self.gid) if self.is_other else None

    def own_folder(self, folder: Path) -> None:
        """Make `folder` if it is missing, with nobody but this account and root let in."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.is_other:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)


def user_name() -> str:
    """Name of the user this process runs as. PostgreSQL knows its peers by it, so there has to be one."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ServersUnavailable(
            f"user id {os.geteuid()} has no name on this machine, which PostgreSQL needs; add the account or set"
            " DATABASE_URL and REDIS_URL"
        ) from None


def server_account(cluster: Path) -> Account:
    """The account for the servers; a `cluster` that exists already keeps its owner."""
    if os.geteuid() != _ROOT:
        return Account(user_name(), os.geteuid(), os.getegid(), is_other=False)
    found = (_by_owner(cluster), *map(_by_name, _ACCOUNTS_FOR_ROOT))
    for entry in found:
        if entry is not None and entry.pw_uid != _ROOT:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, is_other=True)
    raise ServersUnavailable(
        "PostgreSQL refuses to run as root, and this machine has no account `postgres` or `nobody`; run the program"
        " as an ordinary user, or set DATABASE_URL"
    )


def _by_owner(folder: Path) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(folder.stat().st_uid)
    except (OSError, KeyError):
        return None


def _by_name(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def closed_part(account: Account, path: Path) -> Path | None:
    """The first folder on the way to `path` that the account may not enter, or `path` itself; None: all is open.

    Tried out in a process of that account, so that access lists and odd file systems count too.
    """
    if not account.is_other:
        return None
    command = probe_command((account.uid, account.gid), path.resolve())
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env={}, timeout=30)  # noqa: S603
    return Path(answer.stdout) if answer.stdout else None
