"""Several processes on one estimate: each takes a share of the queries; then all get all results.

They communicate by torch.distributed; one process alone does not need it. Noise is drawn block by
block, so that the shares together are the queries that one process would draw. Only processes that
:func:`join` share; where there is another process group, as in training, one of them may call an
estimate alone. A process that was killed ends the others by itself; of one that was stopped they
would hear nothing and wait, so each shows every few seconds that it is alive.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

T = TypeVar("T")

BEAT = 5.0
"""Seconds between two signs of life of a process."""
MISSED = 12
"""Signs of life in a row that another process may miss before it ends the run."""
LOST = 3
"""Exit code of a process that ends because another one is lost."""

_AWAY = "away"

_sharing = False


def rank() -> int:
    """Number of this process, from 0; 0 where there is only one."""
    return distributed.get_rank() if _several() else 0


def require_launcher() -> None:
    """Raise ValueError where ``WORLD_SIZE`` asks for several processes and nobody starts them.

    So a scheduler may leave it; this process would wait for the others. Whoever starts several says
    to each which of them it is and where they meet: torchrun, and ``accelerate launch``, do.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    complete = all(name in os.environ for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"))
    if size != "1" and not (complete or _several()):
        raise ValueError(
            f"WORLD_SIZE = {size} is set, but torchrun did not start this process; unset "
            "WORLD_SIZE for one process, or start several with torchrun --nproc-per-node 2 -m "
            "wildmiddle"
        )


@contextmanager
def join(device: str = "auto") -> Iterator[None]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    With nccl on GPUs, each process on its own, else with gloo. Raises ValueError as
    :func:`require_launcher` does, and for more processes than GPUs.
    """
    require_launcher()
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    if on_gpus:
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(
                f"process {local} of this machine has no GPU of its own, there are {gpus}; give "
                f"torchrun --nproc-per-node {gpus}, or --device cpu"
            )
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if on_gpus else "gloo")
    try:
        with watch_ranks(), _share_work(True):
            yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def _share_work(shared: bool) -> Iterator[None]:
    global _sharing
    before, _sharing = _sharing, shared
    try:
        yield
    finally:
        _sharing = before


@contextmanager
def watch_ranks() -> Iterator[None]:
    """Show the other processes that this one is alive, and end it with exit code 3 if one is lost.

    For the time of the context; a process that is outside of it is not missed. With one process,
    nothing.
    """
    if not _several() or "MASTER_ADDR" not in os.environ:
        yield
        return
    # A connection of its own: that of the process group may be busy waiting for the lost one.
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        wait_for_workers=False,
    )
    signs = dict.fromkeys(range(distributed.get_world_size()), _AWAY)
    for rank in signs:  # so that each has a value: `get` would wait for one
        store.compare_set(_name(rank), "", _AWAY)
    store.set(_name(distributed.get_rank()), "0")  # from here on this one would be missed
    left = threading.Event()
    exchange = threading.Thread(target=_exchange_signs, args=(store, signs, left), daemon=True)
    watch = threading.Thread(target=_watch, args=(signs, left), daemon=True)
    exchange.start()
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join()
        exchange.join(BEAT)  # not for ever: it may wait for a store that does not answer


def _exchange_signs(store: Any, signs: dict[int, str], left: threading.Event) -> None:
    """Show a sign of life that changes, and note those of the others; the own one last of all."""
    own = distributed.get_rank()
    beat = 0
    try:
        while not left.is_set():
            beat += 1
            store.set(_name(own), str(beat))
            signs.update({rank: store.get(_name(rank)).decode() for rank in signs if rank != own})
            signs[own] = str(beat)
            left.wait(BEAT)
        store.set(_name(own), _AWAY)
    except distributed.DistError:  # the store has ended with its process, which the others notice
        signs.update(dict.fromkeys(signs, _AWAY))


def _watch(signs: dict[int, str], left: threading.Event) -> None:
    own, silent_for = distributed.get_rank(), f"has not been heard of for {BEAT * MISSED:g} s"
    last, missed = dict(signs), dict.fromkeys(signs, 0)
    # Looks are counted, not seconds: where all processes were stopped and go on, none is lost.
    while not left.wait(BEAT):
        for rank, sign in signs.copy().items():
            silent = sign == last[rank] != _AWAY
            last[rank], missed[rank] = sign, missed[rank] + 1 if silent else 0
        if missed[own] >= MISSED:  # then nothing is heard of the others either
            _end(f"the process that keeps the store of all, 0 or torchrun, {silent_for}")
        if missed[own] == 0 and max(missed.values()) >= MISSED:
            _end(f"process {max(missed, key=missed.__getitem__)} of {len(signs)} {silent_for}")


def _name(rank: int) -> str:
    return f"wildmiddle/alive/{rank}"


def _end(what: str) -> NoReturn:
    print(
        f"wildmiddle: {what}: it was stopped, or its machine is lost; this run ends, give the "
        "command again",
        file=sys.stderr,
        flush=True,
    )
    os._exit(LOST)  # the main thread may wait for the lost process for ever


def share(items: Sequence[T]) -> Sequence[T]:
    """The consecutive items that fall to this process."""
    if not _sharing:
        return items
    own, all_ = distributed.get_rank(), distributed.get_world_size()
    return items[len(items) * own // all_ : len(items) * (own + 1) // all_]


def own_rows(count: int) -> slice:
    """Which of so many rows fall to this process."""
    own = share(range(count))
    return slice(own[0], own[-1] + 1) if own else slice(0, 0)


def combine_rows(values: torch.Tensor, own: slice) -> torch.Tensor:
    """Rows of all processes put together: each has filled its ``own`` rows of ``values``."""
    return gather_rows(values[own], own, len(values)) if _sharing else values


def gather_rows(part: torch.Tensor, own: slice, count: int) -> torch.Tensor:
    """All ``count`` rows, of which each process gives its ``own`` ones."""
    if not _sharing:
        return part
    whole = part.new_zeros(count, *part.shape[1:])
    whole[own] = part
    return add_up(whole)


def add_up(values: torch.Tensor) -> torch.Tensor:
    """The sum of the ``values`` of all processes; of booleans one may be true."""
    if not _sharing:
        return values
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    dtype = torch.uint8 if values.dtype == torch.bool else values.dtype
    total = values.to(device, dtype, copy=True)
    try:
        distributed.all_reduce(total)
    except RuntimeError as error:  # gloo raises no class of its own
        why = next(iter(str(error).splitlines()), "")
        _end(f"another process does not answer ({why})")
    return total.to(values)


def map_rows(work: Callable[[T], NDArray[Any]], items: Sequence[T]) -> NDArray[Any]:
    """Rows that ``work`` gives for each item, as many for each, in their order: (rows, ...).

    Several processes share the items, unless these are fewer; within ``work`` nothing is shared
    once more.
    """
    several = _sharing and len(items) >= distributed.get_world_size()
    own = own_rows(len(items)) if several else slice(len(items))
    with _share_work(False):
        found = np.concatenate([work(item) for item in items[own]])
    if not several:
        return found
    each = len(found) // (own.stop - own.start)
    rows = slice(own.start * each, own.stop * each)
    return gather_rows(torch.from_numpy(found), rows, len(items) * each).numpy()


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
