"""Where output goes: checked before the work begins, and written whole or not at all.

One folder may hold what several commands wrote, beside other files. The files of a report are put
into it together, and where a process is killed while it does that, the next one goes on. A report
is known by its JSON file, which begins as ours do, and a page by the line that names its command.
What bears no such mark is somebody else's: it is neither overwritten nor deleted.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

FIGURES = (
    *("curves", "regimes", "zone-by-size", "weight-bounds", "coverage"),
    *("self", "thresholds", "large-noise", "sensitivity"),
)
"""Figures of ``verify``, in the order of its page."""


class Kind(NamedTuple):
    """A kind of report: its files, the first of which bears the mark as its first key."""

    files: tuple[str, ...]
    key: str
    mark: str

    def owns(self, folder: Path) -> bool:
        """Whether a report of this kind lies in the folder."""
        mark = rf'\s*\{{\s*"{self.key}":\s*"{re.escape(self.mark)}'
        return _begins(folder / self.files[0], re.compile(mark.encode()))


def experiment(name: str) -> Kind:
    """The kind of an experiment's report."""
    files = tuple(f"{name}.{suffix}" for suffix in ("json", "csv", "md", "svg", "png"))
    return Kind(files, "name", f'{name}"')


VERIFY = Kind(
    (
        *("report.json", "report.html", "report.md"),
        *(f"report-{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png", "csv")),
    ),
    "schema",
    "wildmiddle-report/",
)
AUDIT = Kind(
    (
        *("audit.json", "audit.html", "samples.csv", "samples-features.csv", "samples.npy"),
        *("copied.csv", "exchanges.csv", "levels.csv", "levels.svg", "levels.png"),
        *("pairs.svg", "pairs.png", "thresholds.csv", "thresholds.svg", "thresholds.png"),
    ),
    "schema",
    "wildmiddle-audit/",
)
ZONE = Kind(
    ("zone.json", "zone.html", "gap.json", "images.csv", "images.svg", "images.png"),
    "schema",
    "wildmiddle-zone/",
)
COMPARISON = Kind(("comparison.json", "comparison.html"), "schema", "wildmiddle-comparison/")

INDEX, EXPERIMENTS_PAGE = "index.html", "experiments.html"
_PAGE = re.compile(rb'.*<p class="eyebrow">wildmiddle', re.DOTALL)
_NEW, _READY, _PROBE = ".wildmiddle-new", ".wildmiddle-ready", ".wildmiddle-try"


def require_output(folder: Path, *kinds: Kind) -> None:
    """Raise ValueError, in one line, where reports of these kinds cannot be written there.

    What a process that was killed had ready is put in place first.
    """
    with _refusals(folder):
        real = folder.resolve()
        if real.is_dir():
            with _alone(real):
                _put_in_place(real)
            for page in (INDEX, EXPERIMENTS_PAGE):
                _require_own(real / page, _begins(real / page, _PAGE))
            for kind in kinds:
                own = kind.owns(real)
                for name in kind.files:
                    _require_own(real / name, own)
        elif real.exists():
            raise ValueError(f"--output {folder} is a file; name a folder")
        _require_writable(real)


def require_folder(option: str, folder: Path) -> None:
    """Raise ValueError, in one line, where nothing can be written into ``folder``."""
    with _refusals(folder, option):
        _require_writable(folder.resolve())


def require_outside(option: str, folder: Path, source: str | Path) -> None:
    """Raise ValueError where ``folder`` lies among the images that are read from ``source``.

    The next run could not read them again.
    """
    if source == "digits" or not os.path.isdir(source):
        return
    images = Path(source).resolve()
    if folder.resolve().is_relative_to(images):
        raise ValueError(
            f"{option} {folder} lies in the folder of the images, {source}, where it would be "
            "taken for one of them; name a folder outside"
        )


@contextmanager
def replace_files(folder: Path, *kinds: Kind) -> Iterator[Path]:
    """Give an empty folder to write files into; at the end all of them are moved to ``folder``.

    Files of the same names are replaced, those of ``kinds`` that were not written are deleted, and
    others stay. Where an error is raised before the end, nothing changes. A process killed while it
    moves them leaves the rest to the next one. Raises what :func:`require_output` raises.
    """
    require_output(folder, *kinds)
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / _NEW
    with _alone(folder):
        _put_in_place(folder)
        for left in (new, folder / _PROBE):
            _delete(left)
        new.mkdir()
        try:
            yield new
            _sync(new)
            for name in (name for kind in kinds for name in kind.files):
                if (folder / name).exists() and not (new / name).exists():
                    (new / name).mkdir()  # an empty folder says that the file is to go
            new.rename(folder / _READY)  # from here on they win
        finally:
            _delete(new)
        _put_in_place(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text that ends in one newline, in UTF-8 on every system."""
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, a line each, in UTF-8 on every system."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _put_in_place(folder: Path) -> None:
    ready = folder / _READY
    if ready.is_dir():
        for path in sorted(ready.iterdir()):
            if path.is_dir():
                (folder / path.name).unlink(missing_ok=True)
                path.rmdir()
            else:
                os.replace(path, folder / path.name)
        ready.rmdir()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing there meanwhile, where the system has such locks."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _sync(folder: Path) -> None:
    """Have the files on the disk before a name points at them."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _delete(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def _begins(path: Path, mark: re.Pattern[bytes]) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return mark.match(file.read(1 << 16)) is not None


def _require_own(path: Path, own: bool) -> None:
    if os.path.lexists(path) and (path.is_dir() or not own):
        raise ValueError(
            f"--output: {path} was not written by wildmiddle; move it, or name another folder"
        )


def _require_writable(folder: Path) -> None:
    """Make a folder of that name and delete it again, apart from where it is to be.

    Processes that start together all do so: none deletes what another takes to be there.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    parts = folder.relative_to(there).parts
    made = [there.joinpath(_PROBE, *parts[:depth]) for depth in range(len(parts) + 1)]
    with _alone(there):
        try:
            for each in made:
                each.mkdir(exist_ok=True)
        finally:
            for each in reversed(made):
                with suppress(OSError):  # not made
                    each.rmdir()


@contextmanager
def _refusals(folder: Path, option: str = "--output") -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise ValueError(
            f"{option} {folder} cannot be written ({error}); name a folder that can be made and "
            "written"
        ) from error
