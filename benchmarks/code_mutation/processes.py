"""The package in a folder of its own, and forked processes that see it."""

import contextlib
import importlib
import json
import os
import py_compile
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changes import REPOSITORY


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
