"""Which tests run which line of the package, and the tests of a change in their order."""

import ast
import hashlib
import importlib
import json
import pkgutil
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from changes import REPOSITORY, ROOMS, Mutant
from processes import Overlay, in_parallel, start, wait

VERIFY = ["verify", "--train-size=200", "--test-size=100", "--samples=400", "--quiet"]
SLOW = 0.2
"""Seconds from which on a test is run after the quick ones."""


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
