"""Reproducible noise: every query's draw is fixed by the seed, the stream's name and its number.

Queries come in blocks of a fixed size, each from generators of its own. The block size is part of
the definition, not a tuning knob: however many queries are asked for, and however the blocks are
spread over threads and processes or reordered, query k sees the same draw.

The noise is torch's float32 normals on the CPU, whatever the device: numpy's cost three times as
much, a sixth of the time of the curves. Their generator is seeded with 32 bits, so the seeds of
the blocks of a stream are consecutive: no two are the same. The normals end at 5.8, beyond which
the distribution has a probability of 1e-8.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray

from wildmiddle.theory.domain import require

BLOCK = 256


@dataclass(frozen=True, eq=False)
class Block:
    """``BLOCK`` consecutive queries: the first's number, and the point each one noises."""

    start: int
    indices: NDArray[np.int64]
    draw: Callable[[], NDArray[Any]]
    generator: Callable[[str], np.random.Generator]
    """``generator(name)`` is for what else the block's queries draw, under a name of its own."""

    @cached_property
    def noise(self) -> NDArray[Any]:
        """N(0, I), (BLOCK, dimension): drawn when first asked for, in the thread that needs it."""
        return self.draw()


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The counter-based generator of one block of a named stream."""
    sequence = np.random.SeedSequence([seed, crc32(stream.encode()), block])
    return np.random.Generator(np.random.Philox(sequence))


def require_queries(n: int) -> None:
    """Raise ValueError unless there is a query."""
    require(n >= 1, "queries", n, "must be at least 1")


def require_numbers(index: ArrayLike, count: int) -> None:
    """Raise ValueError unless each ``index`` is the number of one of so many points, from 0."""
    given = np.asarray(index)
    whole = (given.dtype.kind in "iu") & (given >= 0) & (given < count)
    require(whole, "index", given, f"must be the number of a point, 0 to {count - 1}")


def indices(seed: int, stream: str, n: int, population: int) -> NDArray[np.int64]:
    """Uniform indices below ``population`` for ``n`` queries, in whole blocks of ``BLOCK``.

    Raises ValueError for none.
    """
    require_queries(n)
    return np.concatenate(
        [
            generator(seed, f"{stream}/point", number).integers(population, size=BLOCK)
            for number in range(-(-n // BLOCK))
        ]
    )


class Beyond(NamedTuple):
    """Noise in dimensions in which only its length counts."""

    dimensions: int
    squared: NDArray[np.float64]
    """``|z|^2`` of each query's noise in them, chi-squared, (queries,) in whole blocks."""


def beyond(seed: int, stream: str, n: int, dimensions: int) -> Beyond:
    """Lengths, in more ``dimensions``, of the noise of ``n`` queries of :func:`blocks`."""
    squared = [
        generator(seed, f"{stream}/beyond", number).chisquare(dimensions, BLOCK)
        for number in range(-(-n // BLOCK))
    ]
    return Beyond(dimensions, np.concatenate(squared))


def blocks(
    seed: int,
    stream: str,
    n: int,
    dimension: int,
    population: int = 1,
    dtype: DTypeLike = np.float64,
) -> Iterator[Block]:
    """Yield ``n`` queries in blocks: a uniform index below ``population`` and N(0, I) noise each.

    The noise is the same for every ``population`` and ``dtype``; of a single point there is none to
    choose. A larger ``n`` continues the same queries. The last block is whole too, and callers drop
    what lies beyond ``n`` from their results: the last bits of a matrix product depend on its
    number of rows, so a cut block would change them.
    """
    first = generator(seed, stream).integers(2**32)

    def draw(number: int) -> NDArray[Any]:
        source = torch.Generator().manual_seed(int(first + number) % 2**32)
        return torch.randn(BLOCK, dimension, generator=source).numpy().astype(dtype, copy=False)

    def more(number: int, name: str) -> np.random.Generator:
        return generator(seed, f"{stream}/{name}", number)

    for number, start in enumerate(range(0, n, BLOCK)):
        if population == 1:
            point = np.zeros(BLOCK, np.int64)
        else:
            point = more(number, "point").integers(population, size=BLOCK)
        yield Block(start, point, partial(draw, number), partial(more, number))


def batches(drawn: Iterable[Block], size: int) -> Iterator[list[Block]]:
    """Lists of up to ``size`` consecutive blocks, at least one."""
    drawn = iter(drawn)
    while batch := list(islice(drawn, max(1, size))):
        yield batch
