"""Where noised points fall around a centre, simulated with whole vectors (Lemma 4.5, Def 4.7)."""

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.noise import blocks, generator

Array = NDArray[np.float64]


def squared_radii(
    dimension: int, offset: float, *, queries: int, seed: int = 0, stream: str = "shell"
) -> Array:
    """``|Z + offset e|^2`` for standard normal Z and one random unit vector e, shape (queries,).

    Offset 0 gives the chi-square distribution of Lemma 4.5; ``offset = r / sigma`` the noncentral
    one of Def 4.7, in units of sigma. Drawn as vectors, so that the closed form is not used.
    """
    direction = generator(seed, stream + "/direction").standard_normal(dimension)
    shift = offset * direction / np.linalg.norm(direction)
    drawn = list(blocks(seed, stream, queries, dimension))
    return map_rows(lambda block: np.square(block.draw() + shift).sum(1), drawn)[:queries]
