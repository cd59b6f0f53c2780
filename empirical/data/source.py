"""What every reader returns, a `Source`, and what it raises, a `DataError` of one line.

A source holds the pixels as stored, neither scaled nor split. A reader writes nothing, and never
unpickles anything. What it reads may come from anyone: it opens regular files alone, and refuses
what would take more memory than `memory_limit` before it asks for that memory.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wildmiddle.theory.constants import DEFAULT_MEMORY

Pixels = NDArray[Any]


class DataError(ValueError):
    """A data source that cannot be used: one line that names the value and the remedy.

    Names come from files: what a terminal would not print as it stands is written as an escape.
    """

    def __init__(self, message: str) -> None:
        # A file name that is not UTF-8 has lone surrogates in Python, which cannot be printed.
        text = message.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        line = " ".join(text.splitlines())
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


@dataclass(frozen=True, eq=False)
class Part:
    """Images (N, *shape); their labels, (N,) integers or strings, and file names where known."""

    images: Pixels
    labels: Pixels | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """All images of a source; `test` is None where it does not set test images apart.

    `class_names` are the names of the integer labels 0, 1, ..., empty where they have none.
    `stored` is the number of bytes on disk, None where the reader itself bounds what it reads.
    `doubts` say what may not be as a user expects.
    """

    train: Part
    test: Part | None = None
    class_names: tuple[str, ...] = ()
    stored: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """`train`, and `test` where there is one."""
        return (self.train,) if self.test is None else (self.train, self.test)


@contextmanager
def data_errors(path: Path | str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into a `DataError` that names the file."""
    try:
        yield
    except (DataError, ImportError):
        raise
    # On corrupt bytes the decoders raise OSError, EOFError, SyntaxError, struct.error, zlib.error
    # and others, none of them promised: a list would miss some.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise DataError(f"{path}: cannot be read ({reason}); {remedy}") from error


def memory_limit(stored: int) -> int:
    """Bytes that the pixels read from `stored` bytes of files may take, as stored and as float64.

    `DEFAULT_MEMORY`, or 64 times what is stored where that is more: images of real data sets are
    packed less tightly, and those of a small file fit all the same.
    """
    return max(DEFAULT_MEMORY, 64 * stored)


def require_memory(path: Path | str, needed: int, stored: int) -> None:
    """Raise `DataError` where `needed` bytes are more than `memory_limit` allows."""
    limit = memory_limit(stored)
    if needed > limit:
        raise DataError(
            f"{path}: {stored} bytes that would take {needed} in memory, more than the limit of "
            f"{limit}; give fewer or smaller images, or save them uncompressed"
        )


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to read; `DataError` for a pipe, socket or device, which could block."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(irregular(path))
        yield file


def irregular(path: Path) -> str:
    """What to say of a path that is no regular file."""
    return f"{path}: a pipe, a device, a socket or a broken link; give regular files and folders"
