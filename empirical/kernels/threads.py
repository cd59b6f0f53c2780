"""Blocks of queries spread over threads, one thread to an operation.

Many small operations on one core each lose less than the same ones split over all cores, each with
its wait for the slowest; and the last bits of a product no longer depend on the number of threads.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(
    work: Callable[[T], None], items: Iterable[T], device: torch.device, threads: int
) -> None:
    """Call ``work`` on every item, on a number of threads; in turn on a GPU.

    The calls must not write to the same place. An error of one is raised.
    """
    if device.type != "cpu":
        for item in items:
            work(item)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "block", torch.set_num_threads, (1,)) as pool:
            for _ in pool.map(work, items):
                pass
    finally:
        # The setting is a thread's own, but new threads take over the last one made anywhere.
        torch.set_num_threads(before)
