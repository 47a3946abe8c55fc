"""What lies where in DATA_DIR, and making DATA_DIR so that the servers' account can reach it.

run/<server>/   locks, status and secrets of the program itself (closed)
log/            what guardians and servers say, bounded (closed)
config/         PostgreSQL's configuration, written at each start
postgres/       the cluster; redis/ and sockets/: theirs too (closed, owned by the servers' account)
programs/       copies of the servers' programs, only where their account cannot reach the originals
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.embedded.accounts import Account, closed_part, server_account
from infra.embedded.errors import ServersUnavailable


@dataclass(frozen=True, slots=True)
class Folders:
    """Paths below one DATA_DIR, which is absolute and without symbolic links."""

    data: Path

    def run(self, server: str) -> Path:
        """Locks and status of one server."""
        return self.data / "run" / server

    @property
    def log(self) -> Path:
        """Log files of guardians and servers."""
        return self.data / "log"

    @property
    def config(self) -> Path:
        """PostgreSQL's configuration files."""
        return self.data / "config"

    @property
    def postgres(self) -> Path:
        """The cluster."""
        return self.data / "postgres"

    @property
    def redis(self) -> Path:
        """Redis' working folder; nothing is kept in it."""
        return self.data / "redis"

    @property
    def sockets(self) -> Path:
        """PostgreSQL's socket, unless the path is too long for one."""
        return self.data / "sockets"

    @property
    def programs(self) -> Path:
        """Copies of programs."""
        return self.data / "programs"


def open_folders(data_dir: Path, servers: tuple[str, ...]) -> Folders:
    """Make what is missing of DATA_DIR. Raises `ServersUnavailable`, before anything is made, where it cannot serve."""
    data = data_dir.absolute().resolve()
    folders = Folders(data)
    account = server_account(folders.postgres)
    _check_reachable(account, data)
    try:
        _make(data, account)
        for folder in (folders.log, data / "run", *map(folders.run, servers)):
            folder.mkdir(mode=0o700, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(folder))
    except OSError as error:
        raise ServersUnavailable(
            f"DATA_DIR {data} cannot be used: {error.strerror} ({error.filename}); make it writable for"
            f" `{account.name}`, choose another DATA_DIR, or set DATABASE_URL and REDIS_URL"
        ) from None
    return folders


def _check_reachable(account: Account, data: Path) -> None:
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    closed = closed_part(account, existing)
    if closed is not None:
        raise ServersUnavailable(
            f"DATA_DIR {data} cannot be used: the folder {closed} is closed to `{account.name}`, the account that"
            " PostgreSQL runs as because it refuses to run as root. Choose another DATA_DIR, such as the system default"
            " /var/lib/product-attribution, or set DATABASE_URL and REDIS_URL"
        )


def _make(data: Path, account: Account) -> None:
    """Make DATA_DIR and its missing parents. Permissions are set on folders made here, and on no others."""
    missing = [folder for folder in (*reversed(data.parents), data) if not folder.exists()]
    for folder in missing:
        try:
            folder.mkdir(mode=0o700 if folder == data else 0o755)
        except FileExistsError:  # another starter was faster, and opens it too
            continue
        if account.is_other:
            folder.chmod(0o755)
    if not data.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(data))


def write_whole(path: Path, content: str, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` at once: a reader sees the old content or the new, never a part. `owner` is (uid, gid)."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours; empty where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
