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


def require_launcher() -> None:
    """Raise ValueError where ``WORLD_SIZE`` asks for several processes and nobody starts them.

    So a scheduler may leave it; this process would wait for the others. ``accelerate launch`` on
    GPUs is torchrun.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1" and not (distributed.is_torchelastic_launched() or _several()):
        raise ValueError(
            f"WORLD_SIZE = {size} is set, but torchrun did not start this process; unset "
            "WORLD_SIZE for one process, or start several with torchrun --nproc-per-node 2 -m "
            "wildmiddle"
        )


@contextmanager
def join(device: str = "auto") -> Iterator[None]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    With nccl on GPUs, each process on its own, else with gloo. Raises ValueError as
    :func:`require_launcher` does.
    """
    require_launcher()
    if os.environ.get("WORLD_SIZE", "1") == "1":
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
