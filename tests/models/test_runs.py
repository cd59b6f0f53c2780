"""Two runs at once, and a disk that is full: nothing is mixed and nothing is lost."""

import errno
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="needs the extra train")
pytest.importorskip("accelerate", reason="needs the extra train")

from wildmiddle.empirical.locks import LOCK, FolderInUse
from wildmiddle.models import checkpoints
from wildmiddle.models.training import LOG, Training, train

HOLD = """
import sys, time
from pathlib import Path
from wildmiddle.empirical.locks import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def settings(tiny) -> Training:
    return Training(network=tiny, steps=4, batch_size=4, warmup=2, checkpoint_every=2)


@pytest.fixture(scope="module")
def whole(images, settings, tmp_path_factory) -> dict[str, bytes]:
    """The files of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(images, settings, folder)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_training_of_another_process_is_not_disturbed(images, settings, tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse, match=f"in use by process {other.pid} on "):
            train(images, settings, tmp_path)
        other.kill()
    assert checkpoints.steps(tmp_path) == []
    train(images, settings, tmp_path)


def test_of_two_threads_in_one_folder_one_trains(
    images, settings, whole, tmp_path, monkeypatch
) -> None:
    draw = sys.modules["wildmiddle.models.training"].draw_batch
    at_work, go_on = threading.Event(), threading.Event()

    def waiting(*arguments):
        at_work.set()
        assert go_on.wait(60)
        return draw(*arguments)

    monkeypatch.setattr("wildmiddle.models.training.draw_batch", waiting)
    thread = threading.Thread(target=train, args=(images, settings, tmp_path))
    thread.start()
    assert at_work.wait(60)
    for other in (settings, replace(settings, seed=1)):
        with pytest.raises(FolderInUse, match="in use by process"):
            train(images, other, tmp_path)
    go_on.set()
    thread.join()
    assert files(tmp_path) == whole


def test_threads_in_two_folders_take_turns(images, settings, whole, tmp_path) -> None:
    threads = [
        threading.Thread(target=train, args=(images, replace(settings, seed=k), tmp_path / str(k)))
        for k in (1, 0)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(tmp_path / "0") == whole
    assert checkpoints.steps(tmp_path / "1") == [2, 4]


@pytest.fixture
def disk(monkeypatch) -> dict[str, int]:
    """Counts what asks for room on the disk, and finds none at the number ``full``."""
    state = {"count": 0, "full": 0}

    def is_full() -> bool:
        state["count"] += 1
        return state["count"] == state["full"]

    opened, replaced = Path.open, {name: getattr(Path, name) for name in ("rename", "replace")}

    def open_(path, mode="r", *rest, **options):
        # On Linux whatever is written to /dev/full fails as on a full disk.
        full = mode[0] in "wa" and is_full()
        return opened(Path("/dev/full") if full else path, mode, *rest, **options)

    def rename(name):
        def renamed(path, target):
            if is_full():
                raise OSError(errno.ENOSPC, "No space left on device")
            return replaced[name](path, target)

        return renamed

    monkeypatch.setattr(Path, "open", open_)
    for name in replaced:
        monkeypatch.setattr(Path, name, rename(name))
    return state


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_loses_nothing_at_any_write(images, settings, whole, tmp_path, disk) -> None:
    train(images, settings, tmp_path / "count")
    writes = disk["count"]
    assert writes >= 16  # lock, log twice, its rename; for two checkpoints five files, a rename
    for full in range(2, writes + 1):  # who holds the lock need not be written
        folder = tmp_path / str(full)
        disk.update(count=0, full=full)
        with pytest.raises(OSError, match="No space left on device") as refused:
            train(images, settings, folder)
        assert "\n" not in str(refused.value)
        disk["full"] = 0
        left = files(folder)
        saved = {name for name in whole if name.startswith("step-00000002")}
        assert set(left) <= {LOG} | saved
        assert all(left[name] == whole[name] for name in saved.intersection(left))
        assert saved <= set(left) or not saved.intersection(left)
        train(images, settings, folder)
        assert files(folder) == whole


def test_a_file_over_the_limit_of_the_system_loses_nothing(
    images, settings, whole, tmp_path
) -> None:
    train(images, settings, tmp_path, stop_after=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(len(content) for content in whole.values())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, hard))
    try:
        with pytest.raises(
            OSError, match="the checkpoint of step 2 is whole: make room"
        ) as refused:
            train(images, settings, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path) in str(refused.value)
    assert {name for name in files(tmp_path) if name != LOG} == {
        name for name in whole if name.startswith("step-00000002")
    }
    train(images, settings, tmp_path)
    assert files(tmp_path) == whole
