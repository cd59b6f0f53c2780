"""How processes share the work; and of two of which one is lost, the other ends and says so."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from wildmiddle.empirical.kernels import processes

SHARED = """
import time
import torch
from wildmiddle.empirical.kernels import processes

processes.BEAT = 0.2
with processes.join("cpu"):
    for count in range(10_000):
        processes.combine_rows(torch.ones(2), slice(0, 1))
        if count == 100:
            print("at work", flush=True)
        time.sleep(0.005)
"""


def start() -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, "-c", SHARED],
            env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]


@pytest.mark.parametrize(
    ("stopped", "how", "who"),
    [
        (1, signal.SIGSTOP, "process 1 of 2 has not been heard of for 2.4 s"),
        (0, signal.SIGSTOP, "the process that keeps the store of all, 0 or torchrun, has not"),
        (1, signal.SIGKILL, "another process does not answer ("),
    ],
    ids=["one stopped", "the first stopped", "one killed"],
)
def test_a_lost_process_ends_the_other_in_one_line(stopped, how, who) -> None:
    both = start()
    try:
        for each in both:
            assert each.stdout is not None
            assert each.stdout.readline() == "at work\n"
        both[stopped].send_signal(how)
        _, said = both[1 - stopped].communicate(timeout=60)
    finally:
        for each in both:
            each.kill()
            each.communicate()
    assert both[1 - stopped].returncode == 3
    line = [line for line in said.splitlines() if line.startswith("wildmiddle: ")]
    assert len(line) == 1
    assert who in line[0]


def be_each_of(monkeypatch, world: int) -> Iterator[int]:
    """Be process 0, 1 and so on of ``world``, in turn."""
    monkeypatch.setattr(processes, "_sharing", True)
    monkeypatch.setattr(processes.distributed, "get_world_size", lambda: world)
    for rank in range(world):
        monkeypatch.setattr(processes.distributed, "get_rank", lambda rank=rank: rank)
        yield rank


@pytest.mark.parametrize(("items", "world"), [(7, 3), (2, 3), (12, 4), (5, 1)])
def test_shares_are_consecutive_and_hold_every_item_once(monkeypatch, items, world) -> None:
    shares = []
    for _ in be_each_of(monkeypatch, world):
        shares.append(list(processes.share(range(items))))
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("items", "world"), [(7, 3), (4, 4), (2, 3)])
def test_rows_of_shared_items_are_those_of_one_process(monkeypatch, items, world) -> None:
    def work(item: int) -> np.ndarray:
        # Were this shared once more, the processes would wait for each other in different places.
        assert list(processes.share(range(9))) == list(range(9))
        return np.full((5, 2), item)

    expected = np.repeat(np.arange(items), 5)[:, None] * np.ones((1, 2))
    np.testing.assert_array_equal(processes.map_rows(work, range(items)), expected)
    filled = []
    monkeypatch.setattr(processes, "add_up", lambda values: filled.append(values) or values)
    found = [processes.map_rows(work, range(items)) for _ in be_each_of(monkeypatch, world)]
    if items < world:
        assert all((rows == expected).all() for rows in found)
    else:
        np.testing.assert_array_equal(torch.stack(filled).sum(0).numpy(), expected)


def test_processes_that_did_not_join_do_not_wait_for_each_other(monkeypatch) -> None:
    monkeypatch.setattr(processes, "_several", lambda: True)
    rows = torch.arange(3)
    assert processes.share(range(3)) == range(3)
    assert processes.combine_rows(rows, slice(0, 1)) is rows


def test_more_processes_than_gpus_are_refused_with_the_remedy(monkeypatch) -> None:
    shared = {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "3", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (shared | {"MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ValueError, match=r"process 3 .* there are 2; .* --nproc-per-node 2"),
        processes.join(),
    ):
        pass
