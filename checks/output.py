"""Where output goes: checked before the work begins, and written whole or not at all.

A folder of ``verify``, ``audit`` or ``zone`` holds one report and nothing else. It is written
beside the old one and takes its place in one step, so that a reader sees the old report or the new
one. Its mark is a ``report.json``, ``audit.json`` or ``zone.json`` that begins as ours do. A folder
of ``reproduce`` grows: the files of an experiment and the page of all are put into it together, and
where a process is killed while it does that, the next one goes on. Its marks are the first line of
each ``NAME.json`` and a line of ``index.html``.
What bears no mark is somebody else's: it is neither overwritten nor deleted.
"""

import ctypes
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of report: its files, the first of which bears the mark in its ``schema``."""

    files: tuple[str, ...]
    schema: bytes

    def owns(self, folder: Path) -> bool:
        """Whether a report of this kind lies in the folder."""
        mark = rb'\s*\{\s*"schema":\s*"' + re.escape(self.schema)
        return _begins(folder / self.files[0], re.compile(mark))


VERIFY = Kind(("report.json", "index.html", "report.md"), b"wildmiddle-report/")
AUDIT = Kind(
    (
        "audit.json",
        "index.html",
        "samples.csv",
        "samples-features.csv",
        "copied.csv",
        "thresholds.csv",
        "levels.csv",
        "exchanges.csv",
        "samples.npy",
        "pairs.svg",
    ),
    b"wildmiddle-audit/",
)
ZONE = Kind(("zone.json", "index.html", "gap.json", "images.csv"), b"wildmiddle-zone/")

_PAGE = re.compile(rb'.*<p class="eyebrow">wildmiddle reproduce</p>', re.DOTALL)
_NEW, _READY, _OLD = ".wildmiddle-new", ".wildmiddle-ready", ".wildmiddle-old"
_PROBE = ".wildmiddle-try"
_DROPPINGS = (".DS_Store", "Thumbs.db", "desktop.ini", _PROBE)
"""What file managers leave in any folder, and what is left of a look whether one can write."""


def require_report_folder(folder: Path, kind: Kind = VERIFY) -> None:
    """Raise ValueError, in one line, where a report cannot be written into ``folder``.

    It must be missing, empty or hold an older report alone, and be replaceable by another folder.
    """
    with _refusals(folder):
        real = folder.resolve()
        if real.is_dir():
            held = {path.name for path in real.iterdir()}.difference(_DROPPINGS)
            if kind.owns(real):
                held -= set(kind.files)
            if held:
                raise ValueError(
                    f"--output {folder} holds {min(held)}, which is no part of a report; name a "
                    "new folder, an empty one, or one with an older report and nothing else"
                )
            if os.path.ismount(real):
                raise ValueError(
                    f"--output {folder} is a mount point and cannot be replaced as a whole; name a "
                    f"folder inside of it, such as {folder / 'report'}"
                )
            _require_writable(real)
        elif real.exists():
            raise ValueError(f"--output {folder} is a file; name a folder")
        _require_writable(real.parent, f".{real.name}{_PROBE}")


def require_experiments_folder(folder: Path, names: Iterable[str]) -> None:
    """Raise ValueError, in one line, where the experiments ``names`` cannot be written there.

    What a process that was killed had ready is put in place first.
    """
    with _refusals(folder):
        folder = folder.resolve()
        if folder.is_dir():
            with _alone(folder):
                _put_in_place(folder)
            _require_own(folder / "index.html", _begins(folder / "index.html", _PAGE))
            for name in names:
                first = rb'\s*\{\s*"name":\s*"' + re.escape(name.encode()) + b'"'
                own = _begins(folder / f"{name}.json", re.compile(first))
                for suffix in ("csv", "json", "md", "svg"):
                    _require_own(folder / f"{name}.{suffix}", own)
        _require_writable(folder)


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
def replace_folder(folder: Path, kind: Kind = VERIFY) -> Iterator[Path]:
    """Give an empty folder to write a report into; at the end it takes the place of ``folder``.

    ``folder`` is made if missing, and stays as it is where an error is raised. Where the system
    cannot exchange two folders in one step, as outside of Linux, it is missing for a moment; a
    process killed in that moment leaves it beside, hidden, and the next one puts it back.
    Raises what :func:`require_report_folder` raises.
    """
    require_report_folder(folder, kind)
    folder = folder.resolve()
    new, old, probe = (folder.with_name(f".{folder.name}{e}") for e in (_NEW, _OLD, _PROBE))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent):
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (new, old, probe):
            _delete(left)
        new.mkdir()
        try:
            yield new
            _sync(new)
            if not folder.exists():
                new.rename(folder)
            else:
                require_report_folder(folder, kind)  # it may have changed since
                shutil.copymode(folder, new)
                if not _exchange(new, folder):
                    _rename_both(new, folder, old)
        finally:
            for left in (new, old):
                _delete(left)


@contextmanager
def replace_files(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write files into; at the end all of them are moved to ``folder``.

    Files of the same names are replaced, others stay. Where an error is raised before the end,
    nothing changes. A process killed while it moves them leaves the rest to the next one.
    """
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
            new.rename(folder / _READY)  # from here on they win
        finally:
            _delete(new)
        _put_in_place(folder)


def _put_in_place(folder: Path) -> None:
    ready = folder / _READY
    if ready.is_dir():
        for path in sorted(ready.iterdir()):
            os.replace(path, folder / path.name)
        ready.rmdir()


def _exchange(one: Path, other: Path) -> bool:
    # Linux can exchange two names in one step: renameat2 with RENAME_EXCHANGE = 2, paths as from
    # the working directory, AT_FDCWD = -100.
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(-100, names[0], -100, names[1], ctypes.c_uint(2)) == 0)


def _rename_both(new: Path, folder: Path, old: Path) -> None:
    folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


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
    if os.path.lexists(path) and not own:
        raise ValueError(
            f"--output: {path} was not written by wildmiddle reproduce; move it, or name another "
            "folder"
        )


def _require_writable(folder: Path, probe: str = _PROBE) -> None:
    """Make a folder there and delete it again, with those above it that are missing."""
    path = folder / probe
    made = [path, *(each for each in (folder, *folder.parents) if not each.exists())]
    try:
        for each in reversed(made):
            each.mkdir(exist_ok=True)
    finally:
        for each in made:
            with suppress(OSError):  # not made, or another process is there as well
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
