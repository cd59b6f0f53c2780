"""What is random in a training step, as a function of the seed and the step's number alone.

So nothing random needs saving, a resumed run draws what an uninterrupted one would have drawn, and
every process of several draws the whole batch and takes its share.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.noise import generator

Levels = NDArray[np.float32] | NDArray[np.int64]


class Batch(NamedTuple):
    """Images by number (B,), which of them to mirror (B,), levels (B,) and noise (B, C, H, W)."""

    indices: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    levels: Levels
    noise: NDArray[np.float32]

    def share(self, rank: int, processes: int) -> "Batch":
        """The part of one process of several."""
        size = len(self.indices) // processes
        own = slice(rank * size, (rank + 1) * size)
        return Batch(self.indices[own], self.mirrored[own], self.levels[own], self.noise[own])


def draw_batch(
    seed: int,
    step: int,
    size: int,
    population: int,
    shape: tuple[int, ...],
    draw_levels: Callable[[np.random.Generator, int], NDArray[Any]],
) -> Batch:
    """The batch of one step, counted from 0; ``draw_levels(rng, n)`` draws its levels."""
    rng = generator(seed, "training step", step)
    noise = rng.standard_normal((size, *shape), np.float32)
    mirrored = rng.random(size) < 0.5
    levels = draw_levels(rng, size)  # last: how much of the stream they use up depends on the gap
    if levels.dtype.kind == "f":
        levels = levels.astype(np.float32)
    return Batch(draw_order(seed, step, size, population), mirrored, levels, noise)


def draw_order(seed: int, step: int, size: int, population: int) -> NDArray[np.int64]:
    """Numbers of the images of one step: each pass over all images is in an order of its own."""
    first, last = step * size, (step + 1) * size
    passes = range(first // population, (last - 1) // population + 1)
    numbers = np.concatenate([_permutation(seed, number, population) for number in passes])
    start = first - passes[0] * population
    return numbers[start : start + size]


@lru_cache(maxsize=4)
def _permutation(seed: int, number: int, population: int) -> NDArray[np.int64]:
    return generator(seed, "training order", number).permutation(population)


def noise_images(
    seed: int, count: int, shape: tuple[int, ...], mean: float, std: float
) -> NDArray[np.float32]:
    """``count`` images of independent Gaussian pixels: the dummy class (Yoon et al. 2023)."""
    pixels = generator(seed, "dummy images").standard_normal((count, *shape), np.float32)
    return np.float32(mean) + np.float32(std) * pixels
