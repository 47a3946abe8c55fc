"""The house rules hold everywhere, and each of them is able to fail."""

import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from tests import house_rules
from tests.house_rules import Complaints, SourceFile

REPOSITORY = Path(__file__).resolve().parent.parent
LONG_FUNCTION = "def f() -> None:\n" + "    f()\n" * house_rules.FUNCTION_LINES_MAX

Rule = Callable[[SourceFile], Complaints]

#: Each rule with a file that breaks it.
RULES: list[tuple[Rule, SourceFile]] = [
    (
        house_rules.only_the_clock_asks_the_time,
        SourceFile("worker/drain.py", "import datetime\nnow = datetime.datetime.utcnow()"),
    ),
    (house_rules.only_the_clock_asks_the_time, SourceFile("tests/t.py", "now = datetime.now(UTC)")),
    (house_rules.only_settings_reads_the_environment, SourceFile("worker/app.py", "import os\nx = os.environ['X']")),
    (house_rules.only_settings_reads_the_environment, SourceFile("worker/app.py", "from os import getenv")),
    (house_rules.no_float_near_money, SourceFile("domain/money.py", "TENTH = 0.1")),
    (house_rules.no_float_near_money, SourceFile("domain/money.py", "def f(x: int) -> int:\n    return float(x)")),
    (house_rules.the_domain_imports_only_the_standard_library, SourceFile("domain/decide.py", "import sqlalchemy")),
    (house_rules.the_domain_imports_only_the_standard_library, SourceFile("domain/decide.py", "import infra.clock")),
    (house_rules.the_domain_imports_only_the_standard_library, SourceFile("domain/decide.py", "from os import path")),
    (house_rules.only_the_unit_of_work_commits, SourceFile("infra/ledger.py", "connection.commit()")),
    (house_rules.functions_are_short, SourceFile("domain/decide.py", LONG_FUNCTION)),
    (house_rules.files_are_short, SourceFile("domain/decide.py", "x = 1\n" * (house_rules.FILE_LINES_MAX + 1))),
    (house_rules.modules_say_what_they_hold, SourceFile("domain/decide.py", "x = 1")),
    (
        house_rules.tests_say_what_holds_and_assert_it,
        SourceFile("tests/t.py", 'def test_it() -> None:\n    """It works."""\n    run()'),
    ),
    (house_rules.tests_say_what_holds_and_assert_it, SourceFile("tests/t.py", "def test_it() -> None:\n    assert 1")),
    (house_rules.names_say_something, SourceFile("infra/date_utils.py", "")),
    (house_rules.names_say_something, SourceFile("infra/inbox.py", "class InboxManager: ...")),
    (house_rules.events_have_static_names, SourceFile("worker/drain.py", "log.info(f'event {key} received')")),
    (house_rules.events_have_static_names, SourceFile("worker/drain.py", "self.log.warning('It broke')")),
    (house_rules.events_have_static_names, SourceFile("worker/drain.py", "log.error(message)")),
    (house_rules.nothing_is_mocked, SourceFile("tests/t.py", "from unittest import mock")),
    (house_rules.nothing_is_left_to_do, SourceFile("worker/drain.py", "# TO" + "DO: the rest")),
    (house_rules.no_place_of_one_machine, SourceFile("docs/operations.md", "see /ro" + "ot/notes")),
    (house_rules.no_place_of_one_machine, SourceFile("requirements.lock", "--extra-index" + "-url x")),
    (house_rules.the_top_level_is_the_plan, SourceFile("scripts/run.py", "")),
]


def tracked_files() -> list[SourceFile]:
    """Every text file that is, or is about to be, part of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    paths = [path for path in listed.stdout.splitlines() if (REPOSITORY / path).is_file()]
    return [SourceFile(path, text) for path in paths if (text := _text(REPOSITORY / path)) is not None]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@pytest.fixture(scope="module")
def files() -> list[SourceFile]:
    """The tree as it is now."""
    return tracked_files()


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in RULES), ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Rule, files: list[SourceFile]) -> None:
    """No file of the project breaks this rule."""
    broken = [f"{file.path}:{complaint}" for file in files for complaint in rule(file)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("rule", "file"), RULES, ids=lambda value: getattr(value, "__name__", None))
def test_each_rule_is_able_to_fail(rule: Rule, file: SourceFile) -> None:
    """A file made to break the rule is complained about."""
    assert list(rule(file))


def test_the_rules_are_all_used() -> None:
    """No rule is written and then forgotten."""
    written = {
        name
        for name, value in vars(house_rules).items()
        if getattr(value, "__annotations__", {}).get("return") == Complaints and not name.startswith("_")
    }
    assert written == {rule.__name__ for rule, _ in RULES}


def test_allowances_are_for_files_that_use_them(files: list[SourceFile]) -> None:
    """An exception made for a file that no longer needs it is withdrawn."""
    by_path = {file.path: file for file in files}
    for path in house_rules.ENVIRONMENT_READERS:
        assert path not in by_path or "os.environ" in by_path[path].text, path


def unused_payloads(files: list[SourceFile]) -> list[str]:
    """Recorded bodies under tests/ that no test names, neither themselves nor by a glob over their folder."""
    sources = [file.text for file in files if file.is_python and file.is_under("tests")]
    payloads = [
        PurePosixPath(file.path)
        for file in files
        if file.is_under("tests")
        and {"golden", "payloads"} & set(PurePosixPath(file.path).parts)
        and not file.is_python
    ]
    return [
        str(payload)
        for payload in payloads
        if not any(payload.stem in text or (payload.parent.name in text and "glob(" in text) for text in sources)
    ]


def test_every_payload_is_used(files: list[SourceFile]) -> None:
    """Each recorded body kept under tests/ is read by some test, and one that is not is found."""
    assert unused_payloads(files) == []
    forgotten = SourceFile("tests/golden/read.json", "{}")
    assert unused_payloads([forgotten]) == ["tests/golden/read.json"]


def test_each_decision_has_a_number_of_its_own(files: list[SourceFile]) -> None:
    """Decisions are counted from 0001 without a gap or a repetition, and each one's heading has its number."""
    decisions = sorted((file for file in files if file.is_under("docs/decisions")), key=lambda file: file.path)
    numbers = [PurePosixPath(file.path).name[:4] for file in decisions]
    assert numbers == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    assert [file.text[2:6] for file in decisions] == numbers
