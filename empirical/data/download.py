"""Download one published file: resume where a transfer stopped, verify before the file is named.

What has arrived stands in a file `.part` beside the target, which never becomes shorter: where a
server begins anew, its bytes go into a `.new` beside it, which takes its place once it is longer.
It is renamed only when its size and its MD5 sum are the published ones. Nothing else in the project
opens a connection. The library `pooch` (1.9) cannot resume: when a transfer stops it deletes what
has arrived and starts again.
"""

import http.client
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wildmiddle.empirical.data.cifar import BINARY, md5_sum, verify_md5
from wildmiddle.empirical.data.source import DataError

_BLOCK = 1 << 16
_TIMEOUT = 30.0  # seconds without an answer


@dataclass(frozen=True)
class Remote:
    """A published file: where it is, how many bytes it has, and their MD5 sum."""

    url: str
    size: int
    md5: str

    @property
    def name(self) -> str:
        """The file's own name, the last part of its address."""
        return self.url.rpartition("/")[2]


CIFAR10 = Remote(
    f"https://www.cs.toronto.edu/~kriz/{BINARY.archive}", size=170_052_171, md5=BINARY.md5
)


def download(remote: Remote, folder: Path, *, progress: bool = False) -> Path:
    """Fetch a published file into a folder, made if missing, and return its path.

    A file that is there already is verified, not fetched again; a `.part` is gone on with, from
    its end where the server can do that and from the start where not. `progress` shows a bar on a
    terminal. Raises `DataError` without a connection (what to put where), for a transfer that
    stops or a folder that cannot be written (what has arrived is kept) and for a wrong size or MD5
    sum (what has arrived is deleted).
    """
    target = folder / remote.name
    if target.exists():
        verify_md5(target, remote.md5, str(target), f"delete it and download {remote.name} again")
        return target
    part = target.with_name(target.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _keep_longer(part, _new(part))  # of a run that was killed
        if _size(part) > remote.size:
            part.unlink()
        if _size(part) < remote.size:
            _fetch(remote, part, _size(part), target, progress)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{folder}: cannot be written ({reason}); make room there or name another folder; what "
            "has arrived is kept"
        ) from error
    if _size(part) < remote.size:
        raise DataError(
            f"{remote.url}: stopped after {_size(part)} of {remote.size} bytes, kept in {part}; "
            "give the command again to go on"
        )
    found = md5_sum(part)
    if _size(part) > remote.size or found != remote.md5:
        why = f"MD5 {found}, officially {remote.md5}"
        if _size(part) > remote.size:
            why = f"more than the official {remote.size} bytes"
        part.unlink()
        raise DataError(f"{remote.url}: {why}; deleted what had arrived, give the command again")
    os.replace(part, target)
    return target


def _fetch(remote: Remote, part: Path, start: int, target: Path, progress: bool) -> None:
    try:
        response = _open(remote, start)
    except urllib.error.HTTPError as error:
        error.close()
        if not (start and error.code == 416):  # a range that the server does not have
            raise DataError(_unreachable(remote, target, f"HTTP {error.code}")) from error
        _fetch(remote, part, 0, target, progress)
        return
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(_unreachable(remote, target, str(reason))) from error
    with response:
        if response.status == 206 and _range_start(response) == start:
            with part.open("ab") as file:
                _copy(response, file, remote, start, progress)
            return
        if response.status != 206:  # the whole file, from its first byte
            try:
                with _new(part).open("wb") as file:
                    _copy(response, file, remote, 0, progress)
            finally:
                _keep_longer(part, _new(part))
            return
    if not start:
        raise DataError(_unreachable(remote, target, "it sends a range that was not asked for"))
    _fetch(remote, part, 0, target, progress)


def _new(part: Path) -> Path:
    return part.with_name(part.name + ".new")


def _keep_longer(part: Path, new: Path) -> None:
    if _size(new) > _size(part):
        os.replace(new, part)
    else:
        new.unlink(missing_ok=True)


def _open(remote: Remote, start: int) -> http.client.HTTPResponse:
    # A Remote is ours: no user gives its address.
    request = urllib.request.Request(remote.url, headers={"User-Agent": "wildmiddle"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310
        request, timeout=_TIMEOUT
    )
    return response


def _range_start(response: http.client.HTTPResponse) -> int | None:
    # "bytes 100-199/200"
    span = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(span) if span.isdecimal() else None


def _copy(
    response: http.client.HTTPResponse, file: IO[bytes], remote: Remote, start: int, progress: bool
) -> None:
    from tqdm import tqdm

    bar = tqdm(
        initial=start,
        total=remote.size,
        unit="B",
        unit_scale=True,
        leave=False,
        file=sys.stderr,
        disable=None if progress else True,
    )
    arrived = start
    with bar:
        while arrived <= remote.size:
            try:
                block = response.read(_BLOCK)
            except (OSError, http.client.HTTPException):
                return  # what has arrived is kept; the caller sees that it is not all
            if not block:
                return
            file.write(block)
            arrived += len(block)
            bar.update(len(block))


def _unreachable(remote: Remote, target: Path, reason: str) -> str:
    return (
        f"cannot download {remote.url} ({reason}); fetch it on another machine ({remote.size} "
        f"bytes, MD5 {remote.md5}), put it at {target} and give --data {target}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
