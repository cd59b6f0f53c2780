"""A folder is held by one run at a time, and freed when that run ends, however it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from wildmiddle.empirical.locks import LOCK, FolderInUse, hold_folder

HOLD = """
import sys, time
from pathlib import Path
from wildmiddle.empirical.locks import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_holds_it_and_a_kill_frees_it(tmp_path) -> None:
    folder = tmp_path / "made" / "for" / "it"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        who = rf"in use by process {other.pid} on {socket.gethostname()} since 2\d{{3}}-"
        with pytest.raises(FolderInUse, match=who) as refused, hold_folder(folder):
            pass
        assert "\n" not in str(refused.value)
        other.send_signal(signal.SIGKILL)
    with hold_folder(folder):
        assert f"process {os.getpid()} " in (folder / LOCK).read_text()
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_threads_of_one_process_are_told_too(tmp_path) -> None:
    refused: list[Exception] = []

    def second() -> None:
        try:
            with hold_folder(tmp_path):
                pass
        except FolderInUse as error:
            refused.append(error)

    with hold_folder(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        with pytest.raises(FolderInUse), hold_folder(tmp_path):
            pass
    assert len(refused) == 1
    assert f"process {os.getpid()} " in str(refused[0])
    second()
    assert len(refused) == 1


def test_an_error_frees_the_folder(tmp_path) -> None:
    with pytest.raises(ZeroDivisionError), hold_folder(tmp_path):
        _ = 1 / 0
    with hold_folder(tmp_path):
        pass
