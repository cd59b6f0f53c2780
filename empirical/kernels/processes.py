"""Several processes on one estimate: each takes a share of the queries; then all get all results.

They communicate by torch.distributed; one process alone does not need it. Noise is drawn block by
block, so that the shares together are the queries that one process would draw.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def rank() -> int:
    """Number of this process, from 0; 0 where there is only one."""
    return distributed.get_rank() if _several() else 0


@contextmanager
def join(device: str = "auto") -> Iterator[None]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    With nccl on GPUs, each process on its own, else with gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share(items: Sequence[T]) -> Sequence[T]:
    """The consecutive items that fall to this process."""
    if not _several():
        return items
    own, all_ = distributed.get_rank(), distributed.get_world_size()
    return items[len(items) * own // all_ : len(items) * (own + 1) // all_]


def combine_rows(values: torch.Tensor, own: slice) -> torch.Tensor:
    """Rows of all processes put together: each has filled its ``own`` rows of ``values``."""
    if not _several():
        return values
    whole = torch.zeros_like(values, dtype=torch.uint8 if values.dtype == torch.bool else None)
    whole[own] = values[own].to(whole.dtype)
    distributed.all_reduce(whole)
    return whole.to(values.dtype)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
