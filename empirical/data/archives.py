"""Read the files in a tar archive, gzipped or not, in bounded memory and time.

Python's `tarfile` reads a long name or a record of attributes whole, whatever length its header
states: 2 MB of zeros, packed, become gigabytes, and some records take minutes to parse
(CVE-2024-6232). Here every header is 512 bytes as POSIX ustar has them, which all writers share;
records of long names and attributes (GNU, pax) are passed over unread. So a file whose name stands
in such a record, because it is longer than 100 characters, goes by its shortened name here.
"""

import gzip
import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

_BLOCK = 512
_CHUNK = 1 << 20  # bytes passed over at a time
_MEMBERS = 10_000
_REGULAR = (b"0", b"\0", b"7")


class ArchiveError(ValueError):
    """An archive that is no ustar archive, or too large, in a few words."""


@dataclass(frozen=True)
class Member:
    """A regular file of an archive: its name without ``./``, its bytes, and how they are read."""

    name: str
    size: int
    read: Callable[[], bytes]


def members(file: BinaryIO, limit: int) -> Iterator[Member]:
    """The regular files of a gzipped tar archive, each to be read before the next is asked for.

    At most `limit` bytes are unpacked. Raises `ArchiveError` for more, for a header that is none,
    and for an archive that is cut; gzip's own errors for what is wrong with the packing, whose
    checksum is verified at the end.
    """
    with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
        stream = _Bounded(unpacked, limit)
        count = 0
        while (block := stream.read(_BLOCK)).strip(b"\0"):
            count += 1
            if count > _MEMBERS:
                raise ArchiveError(f"more than {_MEMBERS} files")
            name, size, kind = _parse(block)
            end = stream.position + size
            stream.require(end)
            if kind in _REGULAR:
                yield Member(name, size, partial(stream.read_whole, size))
            stream.skip_to(end + -end % _BLOCK)
        stream.skip_to(None)


def index_tar(file: BinaryIO) -> list[tuple[str, int, int]]:
    """Name, place and size of the regular files of an unpacked tar archive, in their order.

    Raises `ArchiveError` for a header that is none, and for an archive that is cut.
    """
    end_of_file = file.seek(0, os.SEEK_END)
    found: list[tuple[str, int, int]] = []
    position = 0
    while True:
        file.seek(position)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            raise ArchiveError("cut: its end is missing")
        if not block.strip(b"\0"):
            return found
        name, size, kind = _parse(block)
        position += _BLOCK
        if position + size > end_of_file:
            raise ArchiveError("cut inside a file")
        if kind in _REGULAR:
            found.append((name, position, size))
        position += size + -size % _BLOCK


class _Bounded:
    """A stream of which no more than a limit is read."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.position = 0

    def read(self, size: int) -> bytes:
        """As many bytes, fewer at the end."""
        content = self._stream.read(size)
        self.position += len(content)
        self.require(self.position)
        return content

    def require(self, position: int) -> None:
        """Raise `ArchiveError` for a position beyond the limit."""
        if position > self._limit:
            raise ArchiveError(f"more than {self._limit} bytes when unpacked")

    def read_whole(self, size: int) -> bytes:
        """As many bytes; `ArchiveError` where the stream ends before."""
        content = self.read(size)
        if len(content) != size:
            raise ArchiveError("cut inside a file")
        return content

    def skip_to(self, end: int | None) -> None:
        """Pass over the bytes before a position, or all there are."""
        while end is None or self.position < end:
            wanted = _CHUNK if end is None else min(_CHUNK, end - self.position)
            if not self.read(wanted):
                if end is None:
                    return
                raise ArchiveError("cut inside a file")


def _parse(block: bytes) -> tuple[str, int, bytes]:
    """Name, size and type of a member from its header of 512 bytes (POSIX.1-1988)."""
    # The sum of all bytes, those of the sum itself taken for blanks.
    if len(block) < _BLOCK or _octal(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
        raise ArchiveError("not a tar archive, or changed: the sum of a header is wrong")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    return (
        posixpath.normpath(name.decode("utf-8", "replace")),
        _octal(block[124:136]),
        block[156:157],
    )


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0") or b"0"
    if digits.strip(b"01234567"):  # also GNU's binary form, for files of 8 GB and more
        raise ArchiveError("not a tar archive, or with a file of 8 GB or more")
    return int(digits, 8)
