"""The command line on a test's own database."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.command_line import Answer, Attribution
from worker.cli import main


@pytest.fixture
def attribution(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Attribution]:
    """Run `attribution ...` on this test's database, in a folder without `.env`; keywords are further settings."""

    def run(*arguments: str, **settings: str) -> Answer:
        named = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path / "data"), **settings}
        with monkeypatch.context() as patch:
            for name, value in named.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            capfd.readouterr()  # what was printed until here was not this command
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        printed = capfd.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Answer(int(ended.value.code or 0), printed.out, printed.err)

    handlers, level = logging.root.handlers[:], logging.root.level
    yield run
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
