"""One run at a time in a folder: a second one is told who holds it.

The lock is the system's own (``flock``, by the library filelock), so it ends with the process that
holds it, however that ends. The file ``.lock`` stays; ``.holder`` says who holds the folder.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".holder"


class FolderInUse(ValueError):
    """Another run holds the folder: one line that says who and since when."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, made if missing, until the context ends.

    Raises FolderInUse, a ValueError, where another process, or another thread, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUse(
            f"{folder} is in use by {_read_holder(holder)}; wait until it ends or give another "
            "folder"
        ) from None
    try:
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        text = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        holder.write_text(text + "\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8").strip() or "another run"
    except (OSError, UnicodeDecodeError):  # just ended, or just begun
        return "another run"
