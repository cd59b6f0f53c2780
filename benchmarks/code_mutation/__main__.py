"""Mutation testing of the code itself: ``python benchmarks/code_mutation --count 500``.

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
import csv
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from changes import REPOSITORY, ROOMS, STRATA, Mutant, apply, population, sample
from coverage_map import Map, Session, bodies_of, make_map, verify
from processes import Overlay, Process, import_libraries, in_parallel, start, wait

EXPLAINED = Path(__file__).with_name("equivalent_mutants.toml")


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
