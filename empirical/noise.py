"""Reproducible noise: every query's draw is fixed by the seed, the stream's name and its number.

Queries come in blocks of a fixed size, each from Philox generators of its own. The block size is
part of the definition, not a tuning knob: however many queries are asked for, and however the
blocks are spread over threads and processes or reordered, query k sees the same draw.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK = 256


@dataclass(frozen=True, eq=False)
class Block:
    """``BLOCK`` consecutive queries: the first's number, and the point each one noises."""

    start: int
    indices: NDArray[np.int64]
    draw: Callable[[], NDArray[Any]]

    @cached_property
    def noise(self) -> NDArray[Any]:
        """N(0, I), (BLOCK, dimension): drawn when first asked for, in the thread that needs it."""
        return self.draw()


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

    The noise is the same for every ``population`` and ``dtype``. A larger ``n`` continues the same
    queries. The last block is whole too, and callers drop what lies beyond ``n`` from their
    results: the last bits of a matrix product depend on its number of rows, so a cut block would
    change them.
    """

    def draw(number: int) -> NDArray[Any]:
        # float32 numbers in either type, so that both see the same draws.
        rng = generator(seed, stream, number)
        return rng.standard_normal((BLOCK, dimension), np.float32).astype(dtype, copy=False)

    for number, start in enumerate(range(0, n, BLOCK)):
        indices = generator(seed, f"{stream}/point", number).integers(population, size=BLOCK)
        yield Block(start, indices, partial(draw, number))


def batches(drawn: Iterable[Block], size: int) -> Iterator[list[Block]]:
    """Lists of up to ``size`` consecutive blocks, at least one."""
    drawn = iter(drawn)
    while batch := list(islice(drawn, max(1, size))):
        yield batch
