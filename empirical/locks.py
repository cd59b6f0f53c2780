"""One run at a time in a folder: a second one is told who holds it.

The lock is the system's own (``flock``, by the library filelock), so it ends with the process that
holds it, however that ends. The file ``.lock`` stays, and says who held the folder last.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

LOCK = ".lock"


class FolderInUse(ValueError):
    """Another run holds the folder: one line that says who and since when."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, made if missing, until the context ends.

    Raises FolderInUse, a ValueError, where another process, or another thread, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUse(
            f"{folder} is in use by {_read_holder(path)}; wait until it ends or give another folder"
        ) from None
    try:
        if not isinstance(lock, SoftFileLock):  # without flock filelock needs the file for itself
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            with suppress(OSError):  # a full disk: the lock holds without
                path.write_text(
                    f"process {os.getpid()} on {socket.gethostname()} since {since}\n", "utf-8"
                )
        yield
    finally:
        lock.release()


def _read_holder(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        lines = path.read_text("utf-8").splitlines()
        if lines and lines[0].startswith("process "):
            return lines[0][:200]
    return "another run"
