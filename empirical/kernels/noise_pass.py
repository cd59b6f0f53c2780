"""One pass over noise and training points, which feeds the accumulators of several estimates.

The products ``<z, x_j>`` of a query's noise z with the training points x_j are the same for the
posterior weight, for the coverage and for every sigma, so they are computed once. The outer loop is
over batches of queries whose noise fits into memory, the inner one over tiles of training points.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.processes import share
from wildmiddle.empirical.kernels.products import (
    Tile,
    groups,
    plan,
    product,
    product_dtype,
    stack_noise,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK, Block, batches, require_queries
from wildmiddle.theory.domain import require_positive

AddQueries = Callable[[slice, torch.Tensor, torch.Tensor], None]
"""Adds one group of queries: takes their numbers, noise z (R, d) and ``<z, x_j>`` (R, T)."""


@dataclass(frozen=True)
class Accumulator:
    """One estimate's share in a pass: the number of its queries, and its sums over the points.

    ``prepare(queries, tile)`` is called once for each batch and tile. It returns the function that
    adds a group of the batch's queries, which several threads call; or None where the tile is
    needed in float64, and the tile is then passed again in that precision.
    """

    queries: int
    prepare: Callable[[slice, Tile], AddQueries | None]


def noise_levels(sigmas: ArrayLike) -> NDArray[np.float64]:
    """Noise levels as (K,); ValueError for another shape, none, or one that is not above 0."""
    levels = np.atleast_1d(np.asarray(sigmas, np.float64))
    if levels.ndim > 1 or len(levels) == 0:
        raise ValueError(f"sigmas of shape {levels.shape}; give (K,), at least one noise level")
    require_positive("sigma", levels)
    return levels


def whole_blocks(queries: int) -> int:
    """The number of queries rounded up to whole blocks; ValueError for none."""
    require_queries(queries)
    return -(-queries // BLOCK) * BLOCK


def run_pass(
    rows: torch.Tensor,
    origin: torch.Tensor,
    drawn: Iterable[Block],
    accumulators: Sequence[Accumulator],
    memory: int,
) -> slice:
    """Feed the noise of the ``drawn`` blocks and the training ``rows`` (N, d) to ``accumulators``.

    Returns the queries that were done: all, or the share of this process where there are several
    (:mod:`wildmiddle.empirical.kernels.processes`). ``memory`` bounds the buffers in bytes; raises
    ValueError where it is too small.
    """
    sizes = plan(memory, *rows.shape)
    best = product_dtype(rows.shape[1], rows.device)
    own = share(list(drawn))
    for shared in batches(own, sizes.queries // BLOCK):
        batch = [replace(block) for block in shared]  # whose noise goes with the batch
        for ends in tiles(len(rows), sizes.columns):
            for dtype in (best, working_dtype(rows.device)):
                tile = tile_of(rows, ends, origin, dtype, sizes.threads)
                if _feed(batch, tile, accumulators):
                    break
    return slice(own[0].start, own[-1].start + BLOCK) if own else slice(0, 0)


def _feed(batch: Sequence[Block], tile: Tile, accumulators: Sequence[Accumulator]) -> bool:
    # Whether the precision of the tile is enough for all.
    first, last = batch[0].start, batch[-1].start + BLOCK
    ready: list[tuple[int, AddQueries]] = []
    for accumulator in accumulators:
        end = whole_blocks(accumulator.queries)
        if first < end:
            add = accumulator.prepare(slice(first, min(last, end)), tile)
            if add is None:
                return False
            ready.append((end, add))

    def work(group: list[Block]) -> None:
        z, start = stack_noise(group, tile.points), group[0].start
        inner = product(z, tile.points)
        for end, add in ready:
            queries = slice(start, min(start + len(z), end))
            count = queries.stop - queries.start
            if count > 0:
                add(queries, z[:count], inner[:count])

    for_each(work, groups(batch, max(tile.points.shape)), tile.points.device, tile.threads)
    return True
