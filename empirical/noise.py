"""Reproducible noise: every query's draw is fixed by the seed, the stream's name and its number.

Queries come in blocks of a fixed size, each from a Philox generator of its own. The block size is
part of the definition, not a tuning knob: however many queries are asked for, and however the
blocks are spread over processes or reordered, query k sees the same draw.
"""

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

BLOCK = 256


class Block(NamedTuple):
    """``BLOCK`` consecutive queries: the first's number, the point each one noises, the noise."""

    start: int
    indices: NDArray[np.int64]
    noise: NDArray[np.float64]


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The counter-based generator of one block of a named stream."""
    sequence = np.random.SeedSequence([seed, crc32(stream.encode()), block])
    return np.random.Generator(np.random.Philox(sequence))


def blocks(seed: int, stream: str, n: int, dimension: int, population: int = 1) -> Iterator[Block]:
    """Yield ``n`` queries in blocks: a uniform index below ``population`` and N(0, I) noise each.

    ``noise`` is (BLOCK, dimension) float64. A larger ``n`` continues the same queries. The last
    block is whole too, and callers drop what lies beyond ``n`` from their results: the last bits of
    a matrix product depend on its number of rows, so a cut block would change them.
    """
    for number, start in enumerate(range(0, n, BLOCK)):
        rng = generator(seed, stream, number)
        # The noise first: how much of the stream the indices use up depends on the population.
        noise = rng.standard_normal((BLOCK, dimension))
        yield Block(start, rng.integers(population, size=BLOCK), noise)
