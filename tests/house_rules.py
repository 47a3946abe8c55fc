"""The house's rules as functions: each takes one file and yields what is wrong with it, `line: complaint`.

`tests/test_tidy.py` runs them over the whole tree, and proves that each can fail.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400

TOP_LEVEL = {
    *("domain", "infra", "webhooks", "worker", "dashboard", "tests", "docs"),
    *("pyproject.toml", "README.md", "Procfile", "Makefile", "requirements.lock"),
}
#: Beside infra/settings.py: who reads the environment, and why that is no setting.
ENVIRONMENT_READERS = {
    "infra/settings.py": "the one place",
    "infra/crashpoint.py": "names a line to die at, for the fault campaign",
    "infra/embedded/parent_watch.py": "who started this process, said by the supervisor to its children alone",
    "infra/embedded/servers.py": "builds the environment of a server it starts",
    "worker/processes.py": "builds the environment of the processes it starts",
    "tests/conftest.py": "which servers the suite runs on",
}
#: Words that say nothing about what a thing is.
EMPTY_WORDS = {"helper", "helpers", "util", "utils", "common", "manager", "service", "base", "data", "info"}

Complaints = Iterator[str]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceFile:
    """One tracked file. `path` is relative to the repository, with forward slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text, self.path)

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    def is_under(self, *folders: str) -> bool:
        """Whether it lies in one of these folders, at any depth."""
        return self.path.startswith(tuple(f"{folder}/" for folder in folders))

    def functions(self) -> Iterator[FunctionNode]:
        """Every function and method, nested ones included."""
        yield from (node for node in ast.walk(self.tree) if isinstance(node, FunctionNode))


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of names; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value)}.{attr}"
    return ""


def _imported(file: SourceFile) -> Iterator[tuple[int, str]]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def only_the_clock_asks_the_time(file: SourceFile) -> Complaints:
    if not file.is_python or file.path == "infra/clock.py":
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute) and re.search(
            r"(^|\.)(datetime\.(now|utcnow|today)|date\.today)$", _dotted(node)
        ):
            yield f"{node.lineno}: {_dotted(node)} is infra.clock's alone; take a Clock or a `now`"


def only_settings_reads_the_environment(file: SourceFile) -> Complaints:
    if not file.is_python or file.path in ENVIRONMENT_READERS:
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in ("os.environ", "os.getenv", "os.environb"):
            yield f"{node.lineno}: {_dotted(node)} is infra.settings' alone; take Settings or a value of it"
    for line, name in _imported(file):
        if name in ("os.environ", "os.getenv", "os.environb"):
            yield f"{line}: import of {name} hides who reads the environment"


def no_float_near_money(file: SourceFile) -> Complaints:
    if not (file.is_python and file.is_under("domain")):
        return
    asked_about = {
        id(part)
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call) and _dotted(node.func) == "isinstance"
        for part in ast.walk(node)
    }
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: the literal {node.value} is a float"
        if isinstance(node, ast.Name) and node.id == "float" and id(node) not in asked_about:
            yield f"{node.lineno}: float has no place in the domain"


def the_domain_imports_only_the_standard_library(file: SourceFile) -> Complaints:
    if not (file.is_python and file.is_under("domain")):
        return
    for line, name in _imported(file):
        if name.partition(".")[0] not in {"domain", *sys.stdlib_module_names}:
            yield f"{line}: {name} is not in the standard library"
        if name.partition(".")[0] in {"random", "logging", "os", "time", "secrets", "socket", "subprocess"}:
            yield f"{line}: {name} reaches outside; the domain is pure"


def only_the_unit_of_work_commits(file: SourceFile) -> Complaints:
    # It leaves that to a `with connection.begin()` block.
    if not file.is_python or file.is_under("tests"):
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield f"{node.lineno}: a commit outside the unit of work tears effects from their mark"


def functions_are_short(file: SourceFile) -> Complaints:
    # A migration is a listing, written once.
    if not file.is_python or file.is_under("infra/migrations/versions"):
        return
    for function in file.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{function.lineno}: {function.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"


def files_are_short(file: SourceFile) -> Complaints:
    lines = file.text.count("\n")
    if file.is_python and not file.is_under("infra/migrations/versions") and lines > FILE_LINES_MAX:
        yield f"{lines}: {lines} lines, more than {FILE_LINES_MAX}"


def modules_say_what_they_hold(file: SourceFile) -> Complaints:
    if file.is_python and file.tree.body and not ast.get_docstring(file.tree):
        yield "1: no module docstring"


def tests_say_what_holds_and_assert_it(file: SourceFile) -> Complaints:
    if not (file.is_python and file.is_under("tests")):
        return
    for function in file.functions():
        if not function.name.startswith("test_"):
            continue
        docstring = ast.get_docstring(function) or ""
        if not re.match(r"[A-Z0-9`*].*[.:]\)?$", docstring.split("\n\n")[0], re.DOTALL):
            yield f"{function.lineno}: {function.name} does not open with a sentence"
        if not any(map(_is_assertion, ast.walk(function))):
            yield f"{function.lineno}: {function.name} asserts nothing"


def _is_assertion(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = _dotted(node.func)
    return called in ("pytest.raises", "pytest.warns", "pytest.fail") or called.split(".")[-1].startswith("assert_")


def names_say_something(file: SourceFile) -> Complaints:
    if not file.is_python:
        return
    for part in PurePosixPath(file.path).with_suffix("").parts:
        if EMPTY_WORDS & set(part.lower().split("_")):
            yield f"1: the name {part} says nothing"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z][a-z]+", node.name)}
            if EMPTY_WORDS & words:
                yield f"{node.lineno}: the name {node.name} says nothing"


def events_have_static_names(file: SourceFile) -> Complaints:
    if not file.is_python or file.is_under("tests"):
        return
    for node in ast.walk(file.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        logger, _, level = _dotted(node.func).rpartition(".")
        if logger.split(".")[-1] not in ("log", "_log", "logger") or level not in (
            *("debug", "info", "warning", "error", "exception", "critical"),
        ):
            continue
        if not _is_event_name(node.args[0], file):
            yield f"{node.lineno}: a log event is a literal noun.past_verb, values go beside it"


def _is_event_name(node: ast.AST, file: SourceFile) -> bool:
    """A literal, a choice between literals, or a name that the file only ever gives such a value."""
    match node:
        case ast.Constant(value=str(event)):
            return re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event) is not None
        case ast.IfExp(body=body, orelse=orelse):
            return _is_event_name(body, file) and _is_event_name(orelse, file)
        case ast.Name(id=name):
            given = [
                assignment.value
                for assignment in ast.walk(file.tree)
                if isinstance(assignment, ast.Assign) and name in map(_dotted, assignment.targets)
            ]
            return bool(given) and all(_is_event_name(value, file) for value in given)
    return False


def nothing_is_mocked(file: SourceFile) -> Complaints:
    if not file.is_python:
        return
    for line, name in _imported(file):
        if name.startswith(("unittest.mock", "mock.", "pytest_mock")):
            yield f"{line}: {name}; use the real part, or a port with an adapter in memory"


def nothing_is_left_to_do(file: SourceFile) -> Complaints:
    if file.path.endswith(".lock"):
        return
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3))
    for number, line in enumerate(file.text.splitlines(), start=1):
        if re.search(rf"\b({words})\b", line):
            yield f"{number}: unfinished"


def no_place_of_one_machine(file: SourceFile) -> Complaints:
    # Written in pieces, so that this file may be looked at like any other.
    machine = "|".join(f"(?<![\\w.~*])/{folder}/" for folder in ("work", "root", "home", "Users", "opt"))
    registry = "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "index" + "-url", "registry" + r"\.npm"))
    for number, line in enumerate(file.text.splitlines(), start=1):
        if not (file.path == "Makefile" and "--no-emit-" in line) and re.search(f"{machine}|{registry}", line):
            yield f"{number}: a path or registry of one machine"


def the_top_level_is_the_plan(file: SourceFile) -> Complaints:
    top = file.path.partition("/")[0]
    if top not in TOP_LEVEL and not top.startswith("."):
        yield f"1: {top} is not in the plan; put it into a folder that is"
