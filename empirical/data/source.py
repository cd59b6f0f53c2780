"""What every reader returns, a `Source`, and what it raises, a `DataError` of one line.

A source holds the pixels as stored, neither scaled nor split. A reader writes nothing, and never
unpickles anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Pixels = NDArray[Any]


class DataError(ValueError):
    """A data source that cannot be used: one line that names the value and the remedy."""

    def __init__(self, message: str) -> None:
        # A file name that is not UTF-8 has lone surrogates in Python, which cannot be printed.
        text = message.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        super().__init__(" ".join(text.splitlines()))


@dataclass(frozen=True, eq=False)
class Part:
    """Images of shape (N, *shape), and their labels, (N,) integers or strings, where known."""

    images: Pixels
    labels: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """All images of a source; `test` is None where it does not set test images apart.

    `class_names` are the names of the integer labels 0, 1, ..., empty where they have none.
    """

    train: Part
    test: Part | None = None
    class_names: tuple[str, ...] = ()

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
