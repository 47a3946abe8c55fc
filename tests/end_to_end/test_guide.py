"""docs/guide.md, typed in by nobody: each of its commands is run, and what the page shows is what they print."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.program import Program, eventually, free_port, is_ready

SECRET = "whsec_guide_0123456789"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Where the page's commands are, this Python's folder first.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
_NEEDED = ("bash", "curl", "openssl")
#: Printed between blocks, to tell their outputs apart.
_MARK = "--- end of block ---"


def guide() -> str:
    """The page."""
    return (REPOSITORY / "docs/guide.md").read_text(encoding="utf-8")


@pytest.fixture
def ports(folder: Path) -> Iterator[tuple[int, int]]:
    """The program of the first terminal, on two free ports: the receiver's and the API's."""
    port, dashboard_port = free_port(), free_port()
    settings = {
        "DATA_DIR": str(folder / "data"),
        "PORT": str(port),
        "DASHBOARD_PORT": str(dashboard_port),
        "STRIPE_WEBHOOK_SECRETS": SECRET,
    }
    program = Program(["up"], folder, settings)
    try:
        assert eventually(lambda: is_ready(port) and is_ready(dashboard_port), 90), program.output
        yield port, dashboard_port
    finally:
        program.stop()


def test_the_guide_names_the_secret_it_signs_with() -> None:
    """The program is started with the secret that the page's deliveries are signed with."""
    assert guide().count(SECRET) == len(["started with", "signed with"])


@pytest.mark.skipif(not all(shutil.which(name, path=_PATH) for name in _NEEDED), reason=f"needs {_NEEDED}")
def test_every_command_of_the_guide_does_what_the_page_says(folder: Path, ports: tuple[int, int]) -> None:
    """No command fails, none is refused, and each output shown is what is printed."""
    blocks = [(kind, text) for kind, text in _BLOCK.findall(guide()) if kind]
    script = "".join(f"{text}\necho; echo '{_MARK}'\n" for kind, text in blocks if kind == "bash")
    for ours, theirs in zip(("localhost:8000", "localhost:8001"), ports, strict=True):
        script = script.replace(ours, f"127.0.0.1:{theirs}")
    script = script.replace(".venv/bin/attribution", _attribution())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": _PATH, "DATA_DIR": str(folder / "data"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout.split(_MARK)
    refused = re.findall(r'\{"message":.*?"status":[45]\d\d.*', done.stdout)
    assert not refused, refused
    shown = 0
    outputs = iter(printed)
    output = ""
    for kind, text in blocks:
        if kind == "bash":
            output = next(outputs)
        else:
            assert text.strip() in output, (text, output)
            shown += 1
    assert shown > 0


def _attribution() -> str:
    return f"{sys.executable} -c 'import sys; from worker.cli import main; sys.exit(main())'"
