"""Reproducible noise: every query's draw is fixed by the seed, the stream's name and its number.

Queries come in blocks of a fixed size, each from a Philox generator of its own. The block size is
part of the definition, not a tuning knob: however many queries are asked for, and however the
blocks are spread over processes or reordered, query k sees the same draw.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK = 256

_WORTH_THREADS = 1000


class Block(NamedTuple):
    """``BLOCK`` consecutive queries: the first's number, the point each one noises, the noise."""

    start: int
    indices: NDArray[np.int64]
    noise: NDArray[Any]


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The counter-based generator of one block of a named stream."""
    sequence = np.random.SeedSequence([seed, crc32(stream.encode()), block])
    return np.random.Generator(np.random.Philox(sequence))


def blocks(
    seed: int,
    stream: str,
    n: int,
    dimension: int,
    population: int = 1,
    dtype: DTypeLike = np.float64,
) -> Iterator[Block]:
    """Yield ``n`` queries in blocks: a uniform index below ``population`` and N(0, I) noise each.

    ``noise`` is (BLOCK, dimension). Its values are float32 numbers in either ``dtype``: both give
    the same draws. A larger ``n`` continues the same queries. The last block is whole too, and
    callers drop what lies beyond ``n`` from their results: the last bits of a matrix product
    depend on its number of rows, so a cut block would change them.
    """

    def draw(start: int) -> Block:
        rng = generator(seed, stream, start // BLOCK)
        # The noise first: how much of the stream the indices use up depends on the population.
        noise = rng.standard_normal((BLOCK, dimension), dtype=np.float32)
        indices = rng.integers(population, size=BLOCK)
        return Block(start, indices, noise.astype(dtype, copy=False))

    starts = range(0, n, BLOCK)
    if dimension * len(starts) < _WORTH_THREADS:
        yield from map(draw, starts)
        return
    # numpy lets go of the interpreter while it draws. A window at a time: no more memory than that.
    width = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(width) as pool:
        for first in range(0, len(starts), width):
            yield from pool.map(draw, starts[first : first + width])


def batches(drawn: Iterable[Block], size: int) -> Iterator[list[Block]]:
    """Lists of up to ``size`` consecutive blocks, at least one."""
    drawn = iter(drawn)
    while batch := list(islice(drawn, max(1, size))):
        yield batch
