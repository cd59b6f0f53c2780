"""One pass over noise and training points, shared by all that is estimated from both.

The noise z of a query serves whatever is asked of it: ``<z, x_j>`` with the training points x_j is
one matrix product, for the posterior weight, for the coverage, and for every sigma. Batches of
queries whose noise fits into memory go by, and past each the training points tile by tile.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.processes import share
from wildmiddle.empirical.kernels.products import (
    Tile,
    groups,
    joined,
    plan,
    product,
    product_dtype,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK, Block, batches

Add = Callable[[slice, torch.Tensor, torch.Tensor], None]
"""Takes the queries' numbers, their noise z (R, d) and ``<z, x_j>`` (R, T)."""


@dataclass(frozen=True)
class Part:
    """One estimate: how many queries it wants, and what it does with a tile.

    ``prepare(queries, tile)`` is called once for each batch and tile and returns what is to be
    called with each group of the batch's queries, by several threads; or None where float32 will
    not do for this tile, which then comes again in float64.
    """

    queries: int
    prepare: Callable[[slice, Tile], Add | None]


def whole(queries: int) -> int:
    """Number of queries in the blocks that ``queries`` queries take."""
    return -(-queries // BLOCK) * BLOCK


def sweep(
    rows: torch.Tensor,
    origin: torch.Tensor,
    drawn: Iterable[Block],
    parts: Sequence[Part],
    memory: int,
) -> slice:
    """Pass the noise of the ``drawn`` blocks and the training ``rows`` (N, d) by all ``parts``.

    Returns the queries that were done: all, or the share of this process where there are several
    (:mod:`wildmiddle.empirical.kernels.processes`). ``memory`` bounds the buffers in bytes; raises
    ValueError where it is too small.
    """
    sizes = plan(memory, *rows.shape)
    best = product_dtype(rows.shape[1], rows.device)
    own = share(list(drawn))
    for batch in batches(own, sizes.queries // BLOCK):
        for ends in tiles(len(rows), sizes.columns):
            for dtype in (best, working_dtype(rows.device)):
                tile = tile_of(rows, ends, origin, dtype, sizes.threads)
                if _pass(batch, tile, parts):
                    break
    return slice(own[0].start, own[-1].start + BLOCK) if own else slice(0, 0)


def _pass(batch: Sequence[Block], tile: Tile, parts: Sequence[Part]) -> bool:
    first, last = batch[0].start, batch[-1].start + BLOCK
    ready: list[tuple[int, Add]] = []
    for part in parts:
        if first < whole(part.queries):
            add = part.prepare(slice(first, min(last, whole(part.queries))), tile)
            if add is None:
                return False
            ready.append((whole(part.queries), add))

    def work(group: list[Block]) -> None:
        z, start = joined(group, tile.points), group[0].start
        inner = product(z, tile.points)
        for end, add in ready:
            queries = slice(start, min(start + len(z), end))
            count = queries.stop - queries.start
            if count > 0:
                add(queries, z[:count], inner[:count])

    for_each(work, groups(batch, max(tile.points.shape)), tile.points.device, tile.threads)
    return True
