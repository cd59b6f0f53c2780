"""Mutation testing of the code itself: ``python benchmarks/code_mutation.py --count 500``.

A mutant is the package with one place of its source changed: a constant, a comparison, a sign, an
operator, a term dropped, a guard removed. It is killed where a test fails, where ``wildmiddle
verify`` on the digits does not end with exit code 0, or where either takes several times as long
as without the change. Tests are chosen by a coverage map that says which line is run by which
test: those that run the changed line, quickest first, up to ``--budget`` seconds of them.

The repository is never edited: each worker has a copy of the package in a temporary folder, ahead
of the installed one on the path of its tests and of the processes that those start. A mutant runs
in a process forked from this one, which has imported the libraries but nothing of `wildmiddle`.
Results go to a CSV file as they come; a run that was stopped goes on from there.

Needs `coverage` beside the extras `verify`, `train` and `test`, and a system that can fork.
(mutmut knows modules by their folders, so it does not find a package built from five of them, and
does not change constants outside of functions; cosmic-ray edits the tree and chooses no tests.)
"""

import argparse
import ast
import contextlib
import csv
import hashlib
import importlib
import json
import os
import pkgutil
import py_compile
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
EXPLAINED = Path(__file__).with_name("equivalent_mutants.toml")

ROOMS = ("theory", "empirical", "models", "checks")
STRATA = {
    "theory": ["theory/*.py"],
    "theory: claims and proofs": ["theory/claims/*.py", "theory/proofs/*.py"],
    "empirical": ["empirical/*.py", "empirical/*/*.py"],
    "models": ["models/*.py"],
    "checks: statistics": ["checks/statistics.py", "checks/records.py"],
    "checks": ["checks/*.py", "checks/*/*.py"],
}
"""Files of each row of the table; a file belongs to the first that names it."""

LEFT_OUT = {
    "checks/report/drawing.py": "the style of figures",
    "checks/report/figures.py": "where figures put lines and words",
    "checks/report/image_grids.py": "where grids of images put their tiles",
    "checks/mutants/*.py": "wrong on purpose",
}
"""Files that are not changed, and why. Nor are functions that draw on matplotlib's axes."""

VERIFY = ["verify", "--train-size=200", "--test-size=100", "--samples=400", "--quiet"]
SLOW = 0.2
"""Seconds from which on a test is run after the quick ones."""


# Changes to the source.


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of the source: where, of which kind, from what to what."""

    path: str
    """Below the repository, with slashes."""
    line: int
    column: int
    """Both as in Python's syntax tree: from 1, and in bytes from 0."""
    kind: str
    source: str
    """The part that is changed, on one line."""
    change: str
    function: str
    """The lines ``first-last`` of the innermost function around it; empty outside of functions."""
    last: int
    """Last line of the part that is changed."""
    statement: str
    """First line of the statement."""


SWAPPED_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
PAIRS = [
    ("min", "max"),
    ("minimum", "maximum"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("fmin", "fmax"),
    ("any", "all"),
    ("floor", "ceil"),
    ("sum", "mean"),
    ("cdf", "sf"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("sin", "cos"),
    ("log", "log1p"),
    ("exp", "expm1"),
]
SWAPPED_NAMES = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
SWAPPED_WORDS = {"<=": ">=", ">=": "<=", "==": "<=", "left": "right", "right": "left"}
DROPPED_FUNCTIONS = {"sqrt", "abs", "square"}


def alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every change of one node: its kind, and what stands there instead."""
    match node:
        case ast.Constant(value=bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int() as value):
            for other in {value + 1, value - 1, 2 * value} - {value}:
                yield "constant", ast.Constant(other)
        case ast.Constant(value=float() as value):
            for factor in (2, 0.5, 1.1) if value else ():
                yield "constant", ast.Constant(value * factor)
            yield "constant", ast.Constant(value + 1)
        case ast.Constant(value=str() as value) if value in SWAPPED_WORDS:
            yield "constant", ast.Constant(SWAPPED_WORDS[value])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", operand
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield "negation dropped", operand
        case ast.BinOp(left=left, op=op, right=right):
            if other := SWAPPED_OPERATORS.get(type(op)):
                yield "operator", ast.BinOp(left, other(), right)
            yield "term dropped", left
            if isinstance(op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
                yield "term dropped", right
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in SWAPPED_OPERATORS:
            yield "operator", ast.AugAssign(target, SWAPPED_OPERATORS[type(op)](), value)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for i, op in enumerate(ops):
                changed = [*ops[:i], SWAPPED_OPERATORS[type(op)](), *ops[i + 1 :]]
                yield "comparison", ast.Compare(left, changed, comparators)
        case ast.BoolOp(op=op, values=values):
            yield "connective", ast.BoolOp(SWAPPED_OPERATORS[type(op)](), values)
            for i in range(len(values)):
                rest = [*values[:i], *values[i + 1 :]]
                yield "condition dropped", ast.BoolOp(op, rest) if len(rest) > 1 else rest[0]
        case ast.Call(func=ast.Name() | ast.Attribute() as function, args=arguments):
            name = function.id if isinstance(function, ast.Name) else function.attr
            if name in SWAPPED_NAMES:
                other_name = SWAPPED_NAMES[name]
                if isinstance(function, ast.Name):
                    swapped: ast.expr = ast.Name(other_name)
                else:
                    swapped = ast.Attribute(function.value, other_name)
                yield "function swapped", ast.Call(swapped, arguments, node.keywords)
            if name in DROPPED_FUNCTIONS and arguments:
                yield "function dropped", arguments[0]
            if name == "range" and arguments:
                end = 0 if len(arguments) == 1 else 1
                shorter = ast.BinOp(arguments[end], ast.Sub(), ast.Constant(1))
                changed_arguments = [*arguments[:end], shorter, *arguments[end + 1 :]]
                yield "off by one", ast.Call(function, changed_arguments, [])


class Sites(ast.NodeVisitor):
    """The nodes of a module that may be changed, each with the function and statement it is in.

    Left out: strings and what builds messages (f-strings, `raise`, `warn`), annotations,
    decorators, `__all__`, imports, `zip`'s `strict`, and functions that draw on axes.
    """

    def __init__(self) -> None:
        self.found: list[tuple[ast.AST, str, ast.stmt]] = []
        self.function = ""
        self.statement: ast.stmt = ast.Pass(lineno=1)

    def visit(self, node: ast.AST) -> None:
        """Keep the node, the function and the statement around it."""
        if isinstance(node, ast.stmt):
            self.statement = node
        if hasattr(node, "lineno"):
            self.found.append((node, self.function, self.statement))
        super().visit(node)

    def _skip(self, node: ast.AST) -> None:
        """Nothing below is changed."""

    visit_JoinedStr = visit_Raise = visit_Import = visit_ImportFrom = _skip

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value, not the annotation."""
        if node.value:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        """The test also as a whole: a guard dropped, a condition turned round."""
        if len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse:
            self.found.append((Guard(node.test), self.function, self.statement))
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            self.found.append((Condition(node.test), self.function, self.statement))
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Not messages, and not `strict`."""
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in {"warn", "print", "TypeVar"}:
            return
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg != "strict":
                self.visit(keyword.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and body."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        annotations = [ast.unparse(a.annotation) for a in named if a.annotation]
        if any(name in text for text in annotations for name in ("Axes", "Figure")):
            return
        outer, self.function = self.function, f"{node.body[0].lineno}-{node.end_lineno}"
        for default in [*arguments.defaults, *filter(None, arguments.kw_defaults)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)
        self.function = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """The body."""
        for statement in node.body:
            self.visit(statement)


class Guard(ast.AST):
    """The test of an `if` that only raises."""

    def __init__(self, test: ast.expr) -> None:
        self.test = test


class Condition(Guard):
    """The test of an `if` that is no comparison."""


def mutants(path: str, text: str) -> Iterator[list[Mutant]]:
    """For each place of a module: the changes of one kind that are possible there."""
    lines = text.splitlines()
    sites = Sites()
    sites.visit(ast.parse(text))
    for found, function, statement in sites.found:
        node = found.test if isinstance(found, Guard) else found
        if isinstance(found, Condition):
            changes = [("condition", ast.UnaryOp(ast.Not(), node))]
        elif isinstance(found, Guard):
            changes = [("guard dropped", ast.Constant(False))]
        else:
            changes = list(alternatives(found))
        kinds: dict[str, list[Mutant]] = {}
        for kind, other in changes:
            change = ast.unparse(ast.fix_missing_locations(other))
            at = (path, node.lineno, node.col_offset, kind, ast.unparse(node), change)
            mutant = Mutant(
                *at, function, node.end_lineno or node.lineno, lines[statement.lineno - 1].strip()
            )
            kinds.setdefault(kind, []).append(mutant)
        yield from kinds.values()


def apply(mutant: Mutant, text: str) -> str:
    """The module with the change made; lines keep their numbers from the next statement on."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    start = starts[mutant.line - 1] + mutant.column
    for node in ast.walk(ast.parse(text)):
        place = (getattr(node, "lineno", 0), getattr(node, "col_offset", -1))
        if place == (mutant.line, mutant.column) and ast.unparse(node) == mutant.source:
            end = starts[node.end_lineno - 1] + node.end_col_offset
            break
    else:
        raise ValueError(f"{mutant.path}:{mutant.line} has no {mutant.source}: another version?")
    whole = mutant.kind == "operator" and isinstance(node, ast.AugAssign)
    change = mutant.change if whole else f"({mutant.change})"
    changed = (data[:start] + change.encode() + data[end:]).decode()
    ast.parse(changed)
    return changed


def population(patterns: list[str]) -> dict[str, list[list[Mutant]]]:
    """The places that may be changed, by stratum."""
    strata: dict[str, list[list[Mutant]]] = {name: [] for name in STRATA}
    seen: set[str] = set()
    for name, globs in STRATA.items():
        for path in sorted({p for glob in globs for p in REPOSITORY.glob(glob)}):
            relative = path.relative_to(REPOSITORY).as_posix()
            left_out = any(PurePosixPath(relative).match(glob) for glob in LEFT_OUT)
            wanted = not patterns or any(PurePosixPath(relative).match(p) for p in patterns)
            if relative in seen or left_out or not wanted:
                continue
            seen.add(relative)
            strata[name] += mutants(relative, path.read_text(encoding="utf-8"))
    return {name: places for name, places in strata.items() if places}


def sample(strata: dict[str, list[list[Mutant]]], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, as many of each stratum as of every other, in turn."""
    chosen = []
    for name, places in strata.items():
        rng = random.Random(f"{seed} {name}")
        drawn = rng.sample(places, min(len(places), -(-count // len(strata))))
        chosen.append([rng.choice(place) for place in drawn])
    longest = max(map(len, chosen))
    turns = [row[i] for i in range(longest) for row in chosen if i < len(row)]
    return turns[:count]


# The package in a folder of its own, and processes that see it.


class Overlay:
    """A copy of the package that goes before the installed one on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
        top = settings["tool"]["setuptools"]["package-dir"]
        ignored = shutil.ignore_patterns("__pycache__")
        self.rooms = {folder: package.replace(".", "/") for package, folder in top.items()}
        # `wildmiddle` itself first: the others are folders in it.
        for room, package in sorted(self.rooms.items(), key=lambda item: len(item[1])):
            shutil.copytree(REPOSITORY / room, self.folder / package, ignore=ignored)
        for path in self.folder.rglob("*.py"):
            self._compile(path)

    def path(self, relative: str) -> Path:
        """Where the file of the repository stands here."""
        room, _, rest = relative.partition("/")
        return self.folder / self.rooms[room] / rest

    def relative(self, path: str) -> str:
        """The file of the repository that stands at ``path`` here."""
        inner = Path(path).relative_to(self.folder).as_posix()
        rooms = sorted(self.rooms.items(), key=lambda item: -len(item[1]))
        room, package = next(item for item in rooms if inner.startswith(item[1] + "/"))
        return f"{room}/{inner.removeprefix(package + '/')}"

    def write(self, relative: str, text: str) -> None:
        """Put another text in the place of one file."""
        self.path(relative).write_text(text, encoding="utf-8")
        self._compile(self.path(relative))

    def _compile(self, path: Path) -> None:
        # Unchecked: two texts of one size within one second would be taken for the same.
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), doraise=True, invalidation_mode=mode)


@dataclass
class Process:
    """A forked process that runs one function and writes what it returns into a file."""

    pid: int
    answer: Path
    log: Path
    deadline: float


def start(overlay: Overlay, limit: float, work: Callable[[], Any]) -> Process:
    """Run ``work`` in a process of its own that sees the overlay's package."""
    scratch = overlay.folder.parent
    answer, log = scratch / "answer.json", scratch / "log"
    answer.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Process(pid, answer, log, time.monotonic() + limit)
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        temporary = scratch / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        os.environ["PYTHONPATH"] = str(overlay.folder)
        sys.path.insert(0, str(overlay.folder))
        os.chdir(REPOSITORY)
        answer.write_text(json.dumps(work()), encoding="utf-8")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(process: Process) -> bool:
    """Whether it has ended; past its limit it is killed with all processes of its group."""
    done = bool(os.waitpid(process.pid, os.WNOHANG)[0])
    if not done and time.monotonic() < process.deadline:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if not done:
        os.waitpid(process.pid, 0)
    return True


def wait(process: Process) -> Iterator[None]:
    """Yield until the process has ended; end it where the caller gives up."""
    try:
        while not ended(process):
            yield None
    except GeneratorExit:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def import_libraries(names: Iterable[str]) -> None:
    """Import what the tests import, so that forked processes need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            # What cannot be imported by its name is left to the tests.
            with contextlib.suppress(Exception):
                importlib.import_module(name)


# Tests, and which lines they run.


@dataclass(eq=False)
class Session:
    """A pytest plugin: runs the chosen tests in their order, without shrinking of examples."""

    chosen: list[str] | None = None
    """Test ids; all that are collected where it is None."""
    failed: str = ""
    """The first test that failed."""
    passed: set[str] = field(default_factory=set)

    def pytest_sessionstart(self) -> None:
        """A failing example of hypothesis is not made smaller: that takes long."""
        from hypothesis import Phase, settings
        from hypothesis.configuration import set_hypothesis_home_dir

        set_hypothesis_home_dir(tempfile.gettempdir())
        settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the chosen tests, in their order."""
        if self.chosen is not None:
            by_name: dict[str, list[pytest.Item]] = {}
            for item in items:
                by_name.setdefault(item.nodeid, []).append(item)
                by_name.setdefault(item.nodeid.partition("[")[0], []).append(item)
            # Where a change renamed a test's parameters, all of that test's cases.
            found = [by_name.get(n) or by_name.get(n.partition("[")[0], []) for n in self.chosen]
            items[:] = list(dict.fromkeys(item for case in found for item in case))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A test file that cannot be imported."""
        if report.failed:
            self.failed = self.failed or f"{report.nodeid} (import)"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that failed or passed."""
        if report.failed:
            self.failed = self.failed or report.nodeid
            self.passed.discard(report.nodeid)
        elif report.passed and report.when == "call":
            self.passed.add(report.nodeid)

    def run(self, paths: Iterable[str], *options: str) -> "Session":
        """Run the tests in these files; returns itself."""
        # Some libraries are imported before pytest starts, so it cannot rewrite their assertions.
        imported = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
        options = ("-p", "no:cacheprovider", "-q", "--tb=no", "--no-header", *imported, *options)
        code = pytest.main([*options, *paths], plugins=[self])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self.failed = self.failed or f"pytest: exit code {int(code)}"
        return self


@dataclass(eq=False)
class Recorder(Session):
    """Also records which test or fixture runs which line, and how long each test takes."""

    coverage: Any = None
    seconds: dict[str, float] = field(default_factory=dict)
    setups: dict[str, float] = field(default_factory=dict)
    """Seconds that the fixtures take, which the first test that asks for one pays."""
    fixtures: dict[str, list[str]] = field(default_factory=dict)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Time one test, and name it as the context of the lines that it runs."""
        # A cached result would hide what the later tests run.
        for name, module in list(sys.modules.items()):
            if name.startswith("wildmiddle"):
                for value in vars(module).values():
                    if hasattr(value, "cache_clear"):
                        value.cache_clear()
        definitions = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
        self.fixtures[item.nodeid] = [f"{d[-1].baseid}::{n}" for n, d in definitions.items()]
        self.coverage.switch_context(item.nodeid)
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.perf_counter() - started
            self.coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Name the fixture as the context: all tests that ask for it depend on its lines."""
        name = f"{fixturedef.baseid}::{fixturedef.argname}"
        self.coverage.switch_context(name)
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            self.setups[name] = time.perf_counter() - started
            self.coverage.switch_context(request._pyfuncitem.nodeid)


def record(overlay: Overlay, work: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` returns, with the contexts of every line of the package that ran."""
    from coverage import Coverage

    package = str(overlay.folder / "wildmiddle")
    coverage = Coverage(data_file=None, source=[package], config_file=False, messages=False)
    coverage.start()
    # All modules first, so that no test seems to run what runs at import.
    for module in pkgutil.walk_packages([package], "wildmiddle."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    result = work(coverage)
    coverage.stop()
    data = coverage.get_data()
    lines = {
        overlay.relative(path): data.contexts_by_lineno(path) for path in data.measured_files()
    }
    modules = [m for m in sys.modules if not m.startswith(("wildmiddle", "tests", "__", "conf"))]
    return {"lines": lines, "modules": modules, **result}


def record_tests(overlay: Overlay, file: str) -> dict[str, Any]:
    """Run one file of tests without a change: seconds by test that passed, lines by test."""

    def work(coverage: Any) -> dict[str, Any]:
        recorder = Recorder(coverage=coverage)
        recorder.run([file])
        if recorder.failed:
            print(f"{recorder.failed} fails without a change and is left out", file=sys.stderr)
        seconds = {name: recorder.seconds[name] for name in recorder.passed}
        fixtures = {name: recorder.fixtures[name] for name in recorder.passed}
        return {"seconds": seconds, "fixtures": fixtures, "setups": recorder.setups}

    return record(overlay, work)


def verify() -> int:
    """The exit code of ``wildmiddle verify`` on some digits."""
    from wildmiddle.checks.cli import main

    with tempfile.TemporaryDirectory() as folder:
        try:
            return main([*VERIFY, f"--output={folder}"]) or 0
        except SystemExit as stopped:
            return int(stopped.code or 0)


def record_verify(overlay: Overlay) -> dict[str, Any]:
    """The same for ``wildmiddle verify``, as a single test of that name."""

    def work(coverage: Any) -> dict[str, Any]:
        started = time.perf_counter()
        coverage.switch_context("verify")
        if verify() != 0:
            raise RuntimeError("wildmiddle verify fails without a change")
        return {
            "seconds": {"verify": time.perf_counter() - started},
            "fixtures": {"verify": []},
            "setups": {},
        }

    return record(overlay, work)


class Map:
    """Which tests run which line, from the records of all test files."""

    def __init__(self, records: dict[str, dict[str, Any]]) -> None:
        self.seconds: dict[str, float] = {}
        self.setups: dict[str, float] = {}
        self.fixtures: dict[str, list[str]] = {}
        self.modules: list[str] = []
        self.lines: dict[str, dict[int, set[str]]] = {}
        for part in records.values():
            self.seconds |= part["seconds"]
            self.setups |= part["setups"]
            self.fixtures |= part["fixtures"]
            self.modules += part["modules"]
            tests_of: dict[str, set[str]] = {}
            for test, fixtures in part["fixtures"].items():
                for context in (test, *fixtures):
                    tests_of.setdefault(context, set()).add(test)
            for path, lines in part["lines"].items():
                here = self.lines.setdefault(path, {})
                for line, contexts in lines.items():
                    tests = [tests_of.get(context, set()) for context in contexts]
                    here.setdefault(int(line), set()).update(*tests)

    def tests(self, mutant: Mutant, bodies: list[tuple[int, int]]) -> set[str]:
        """The tests that run a mutant's lines.

        What runs at import runs once, whoever asks for it: then these are the tests that run any
        function of the module, and all tests of its room.
        """
        lines = self.lines.get(mutant.path, {})
        first, last = mutant.line, mutant.last
        if mutant.function:
            start, end = map(int, mutant.function.split("-"))
            if first < start:  # a default argument
                first, last = start, end
            found = self._in(lines, first, last)
            if found or not any(first <= line <= last for line in lines):
                return found
        room = mutant.path.partition("/")[0]
        found = {test for test in self.seconds if test.startswith(f"tests/{room}/")}
        return found.union(*(self._in(lines, *body) for body in bodies))

    @staticmethod
    def _in(lines: dict[int, set[str]], first: int, last: int) -> set[str]:
        found = (tests for line, tests in lines.items() if first <= line <= last)
        return set().union(*found)

    def limit(self, tests: list[str]) -> float:
        """Seconds after which these tests are taken to hang: two minutes and ten times as long."""
        fixtures = {name for test in tests for name in self.fixtures[test]}
        whole = sum(self.seconds[test] for test in tests)
        return 120 + 10 * (whole + sum(self.setups.get(name, 0) for name in fixtures))

    def order(self, tests: set[str], path: str, budget: float) -> list[str]:
        """Quick tests first, then by file, those of the same subject first, up to the budget."""
        total: Counter[str] = Counter()
        for test in tests:
            total[test.partition("::")[0]] += self.seconds[test]

        def key(test: str) -> tuple[Any, ...]:
            file = test.partition("::")[0]
            return (
                self.seconds[test] > SLOW,
                not near(test, path),
                total[file],
                file,
                self.seconds[test],
                test,
            )

        chosen, spent = [], 0.0
        for test in sorted(tests, key=key):
            if spent + self.seconds[test] <= budget:
                chosen.append(test)
                spent += self.seconds[test]
        return chosen


def near(test: str, path: str) -> bool:
    """Whether a test is in a file of the module's room and subject."""
    return test.startswith(f"tests/{path.partition('/')[0]}/") and Path(path).stem in test


def bodies_of(text: str) -> list[tuple[int, int]]:
    """First and last line of the body of every function."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, functions)]
    return [(node.body[0].lineno, node.end_lineno or node.lineno) for node in found]


# One campaign.


@dataclass(frozen=True)
class Result:
    """What became of one mutant; a row of the CSV file."""

    stratum: str
    path: str
    line: int
    column: int
    kind: str
    source: str
    change: str
    fate: str
    """``test``, ``verify`` or ``time`` for what killed it; else ``survived``."""
    killer: str
    """The test that failed, or the exit code of verify."""
    tests: int
    """How many tests were to be run."""
    seconds: float
    statement: str
    because: str = ""
    """Why a survivor is no fault, from :data:`EXPLAINED`."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a mutant different from others."""
        return self.path, self.line, self.column, self.kind, self.change


def batches(tests: list[str]) -> list[list[str]]:
    """Few tests first: importing all files that run a line takes longer than most tests."""
    files: dict[str, None] = {}
    first = [
        test
        for test in tests
        if len(files | {test.partition("::")[0]: None}) <= 3
        and not files.update({test.partition("::")[0]: None})
    ]
    rest = [test for test in tests if test not in set(first)]
    return [batch for batch in (first, rest) if batch]


def judge(
    mutant: Mutant, overlay: Overlay, known: Map, budget: float, original: str
) -> Iterator[tuple[Process, Callable[[], tuple[str, str] | None]]]:
    """The processes that try to kill a mutant, each with the reading of its answer."""
    tests = known.tests(mutant, bodies_of(original))
    ordered = known.order(tests - {"verify"}, mutant.path, budget)
    for batch in batches(ordered):
        limit = known.limit(batch)
        paths = list(dict.fromkeys(test.partition("::")[0] for test in batch))
        process = start(
            overlay, limit, lambda batch=batch, paths=paths: Session(batch).run(paths, "-x").failed
        )

        def killed_by(process: Process = process) -> tuple[str, str] | None:
            if not process.answer.exists():
                return ("time", "") if time.monotonic() > process.deadline else ("test", "crash")
            failed = json.loads(process.answer.read_text(encoding="utf-8"))
            return ("test", failed) if failed else None

        yield process, killed_by
    if "verify" in tests:
        process = start(overlay, known.limit(["verify"]), verify)

        def refused(process: Process = process) -> tuple[str, str] | None:
            if not process.answer.exists():
                late = time.monotonic() > process.deadline
                return ("time", "verify") if late else ("verify", "crash")
            code = json.loads(process.answer.read_text(encoding="utf-8"))
            return ("verify", f"exit code {code}") if code else None

        yield process, refused


def run_one(
    mutant: Mutant, overlay: Overlay, known: Map, budget: float, stratum: str
) -> Iterator[Result | None]:
    """Judge one mutant; None as long as a process runs, at last its result."""
    original = (REPOSITORY / mutant.path).read_text(encoding="utf-8")
    started = time.monotonic()
    fate = None
    tests = len(known.order(known.tests(mutant, bodies_of(original)), mutant.path, budget))
    overlay.write(mutant.path, apply(mutant, original))
    try:
        for process, answer in judge(mutant, overlay, known, budget, original):
            yield from wait(process)
            if fate := answer():
                break
    finally:
        overlay.write(mutant.path, original)
    common = {
        name: getattr(mutant, name)
        for name in ("path", "line", "column", "kind", "source", "change", "statement")
    }
    found, killer = fate or ("survived", "")
    yield Result(
        stratum=stratum,
        fate=found,
        killer=killer,
        tests=tests,
        seconds=round(time.monotonic() - started, 1),
        **common,
    )


def in_parallel(
    jobs: Iterable[Any], workers: list[Overlay], begin: Callable[[Any, Overlay], Iterator[Any]]
) -> Iterator[Any]:
    """Run the jobs, one on each worker at a time; yields results as they come."""
    waiting = iter(jobs)
    running: dict[int, Iterator[Any]] = {}
    try:
        while True:
            for number, overlay in enumerate(workers):
                if number not in running and (job := next(waiting, None)) is not None:
                    running[number] = begin(job, overlay)
            if not running:
                return
            for number, work in list(running.items()):
                if (result := next(work)) is not None:
                    del running[number]
                    yield result
            time.sleep(0.02)
    finally:
        for work in running.values():
            work.close()


def make_map(globs: list[str], workers: list[Overlay], folder: Path | None) -> Map:
    """The map of the tests in these files and of verify, kept in ``folder`` for the next run."""
    package = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            package.update(path.read_bytes())
    for path in sorted(REPOSITORY.glob("tests/**/conftest.py")):
        package.update(path.read_bytes())
    files = [
        path.relative_to(REPOSITORY).as_posix()
        for glob in globs
        for path in sorted(REPOSITORY.glob(glob))
    ]
    kept = folder or Path(tempfile.mkdtemp(dir=workers[0].folder.parent))
    kept.mkdir(parents=True, exist_ok=True)
    places = {}
    for file in [*files, "verify"]:
        content = package.copy()
        if file != "verify":
            content.update((REPOSITORY / file).read_bytes())
        places[file] = kept / f"{file.replace('/', '-')}-{content.hexdigest()[:16]}.json"

    def begin(file: str, overlay: Overlay) -> Iterator[str | None]:
        work = record_verify if file == "verify" else record_tests
        arguments = (overlay,) if file == "verify" else (overlay, file)
        process = start(overlay, 1800, lambda: work(*arguments))
        yield from wait(process)
        if not process.answer.exists():
            raise RuntimeError(f"no map of {file}:\n{process.log.read_text(errors='replace')}")
        shutil.copy(process.answer, places[file])
        yield file

    missing = [file for file, place in places.items() if not place.exists()]
    for file in in_parallel(missing, workers, begin):
        part = json.loads(places[file].read_text(encoding="utf-8"))
        print(f"map: {file}, {len(part['seconds'])} tests", flush=True)
    return Map({file: json.loads(p.read_text(encoding="utf-8")) for file, p in places.items()})


def control(known: Map, overlay: Overlay, budget: float) -> None:
    """Run quick tests of all files without a change: they must pass, or every mutant is killed."""
    quick = known.order(set(known.seconds) - {"verify"}, "", budget)
    files = list(dict.fromkeys(test.partition("::")[0] for test in quick))
    process = start(overlay, 600, lambda: Session(quick).run(files, "-x").failed)
    for _ in wait(process):
        time.sleep(0.1)
    if not process.answer.exists() or json.loads(process.answer.read_text(encoding="utf-8")):
        log = process.log.read_text(encoding="utf-8", errors="replace")
        sys.exit(f"without a change, tests fail in a forked process:\n{log}")


def explain(mutant: Mutant | Result, entries: list[dict[str, Any]]) -> str:
    """Why a survivor is no fault: the first of :data:`EXPLAINED` that names it."""
    for entry in entries:
        named = all(
            getattr(mutant, key) in (value if isinstance(value, list) else [value])
            for key, value in entry.items()
            if key not in ("path", "because")
        )
        if named and PurePosixPath(mutant.path).match(entry["path"]):
            return str(entry["because"])
    return ""


def read(path: Path) -> dict[tuple[Any, ...], Result]:
    """The results of a CSV file."""
    if not path.exists():
        return {}
    types = {f.name: f.type for f in fields(Result)}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Result(**{name: types[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]
    return {row.key: row for row in rows}


def write(path: Path, results: Iterable[Result]) -> None:
    """All results as CSV, in the place of the file at once."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Result)])
        writer.writeheader()
        writer.writerows(map(asdict, results))
    part.replace(path)


def table(results: list[Result]) -> str:
    """Counts by stratum, in Markdown."""
    lines = [
        "| part | mutants | killed by tests | by time | by verify | explained | survived "
        "| killed | killed of those not explained |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in [*STRATA, "all"]:
        rows = [r for r in results if name in (r.stratum, "all")]
        if not rows:
            continue
        fates = Counter("explained" if r.because else r.fate for r in rows)
        killed = fates["test"] + fates["time"] + fates["verify"]
        shares = killed / len(rows), killed / max(1, len(rows) - fates["explained"])
        columns = [fates[key] for key in ("test", "time", "verify", "explained", "survived")]
        cells = [name, len(rows), *columns, *(f"{share:.1%}" for share in shares)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run one campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--count", type=int, default=500, help="number of mutants")
    add("--seed", type=int, default=0, help="of the sample")
    add("--paths", nargs="+", default=[], metavar="GLOB", help="change these files alone")
    add(
        "--tests",
        nargs="+",
        default=[f"tests/{room}/**/test_*.py" for room in ROOMS],
        metavar="GLOB",
        help="files of tests",
    )
    add("--budget", type=float, default=60, help="seconds of tests for one mutant")
    add("--workers", type=int, default=2, help="mutants at one time")
    add("--map", type=Path, help="folder that keeps the coverage map for the next run")
    add("--results", type=Path, help="CSV file of the results; a stopped run goes on from it")
    add("--again", action="store_true", help="try the survivors in --results again")
    add("--least", type=float, default=0, help="exit code 1 where a smaller share is killed")
    options = parser.parse_args()
    # So that the temporary folder goes and what runs is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="Agg")
    strata = population(options.paths)
    of_path = {places[0].path: name for name, found in strata.items() for places in found}
    chosen = sample(strata, options.count, options.seed)
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["mutant"]
    with tempfile.TemporaryDirectory() as temporary:
        workers = []
        for number in range(options.workers):
            folder = Path(temporary, str(number))
            folder.mkdir()
            workers.append(Overlay(folder / "package"))
        known = make_map(options.tests, workers, options.map)
        import_libraries(dict.fromkeys(known.modules))
        control(known, workers[0], options.budget)
        path = options.results or Path(temporary, "results.csv")
        results = read(path)
        if options.again:
            results = {key: r for key, r in results.items() if r.fate != "survived"}
        keys = {(m.path, m.line, m.column, m.kind, m.change): m for m in chosen}

        def begin(mutant: Mutant, overlay: Overlay) -> Iterator[Result | None]:
            stratum = of_path[mutant.path]
            return run_one(mutant, overlay, known, options.budget, stratum)

        waiting = [mutant for key, mutant in keys.items() if key not in results]
        for done, result in enumerate(in_parallel(waiting, workers, begin), 1):
            results[result.key] = result
            write(path, results.values())
            print(
                f"{done}/{len(waiting)} {result.fate:8} {result.path}:{result.line} "
                f"{result.source} -> {result.change}  {result.killer}",
                flush=True,
            )
    found = [
        replace(r, because=explain(r, explained) if r.fate == "survived" else "")
        for r in map(results.__getitem__, keys)
    ]
    print("\n" + table(found))
    for r in sorted(found, key=lambda r: r.key):
        if r.fate == "survived" and not r.because:
            print(f"survived: {r.path}:{r.line}: {r.source} -> {r.change}")
    counted = [r for r in found if not r.because]
    share = sum(r.fate != "survived" for r in counted) / len(counted)
    if share < options.least:
        print(f"killed {share:.1%}, fewer than {options.least:.1%}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
