"""Population: what the held-out images say of the coverage of all that their source could give.

Definition 4.6 averages over the population p of the data; the held-out images are M independent
draws of it. For each, bounds in [0, 1] enclose the chance to lie in a shell, and a limit of the
mean that holds for every law in [0, 1] turns what is certain of the given images into what is
certain of the population, with a stated error rate. The training set is as it is given.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.coverage import overlap_probability
from wildmiddle.theory.domain import require

Array = NDArray[np.float64]


def least_mean(mean: ArrayLike, m: ArrayLike, alpha: float) -> Array:
    """Lower confidence limit of the expectation of variables in [0, 1], from the mean of m draws.

    The smallest q below the ``mean`` with ``m KL(mean | q) <= log(1 / alpha)``, KL that of two
    coins: by Chernoff's bound for any law in [0, 1] the expectation lies below it with probability
    at most ``alpha``. Rises with the mean. At mean 1 it is ``alpha^(1/m)``, as Clopper and
    Pearson's, where the rate is exactly alpha. Broadcasts. Raises ValueError unless 0 <= mean <= 1,
    m >= 1 and 0 < alpha < 1. Source: Hoeffding 1963, Theorem 1.
    """
    mean, m = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(m, np.float64))
    require((mean >= 0) & (mean <= 1), "mean", mean, "must lie in [0, 1]")
    require(m >= 1, "m", m, "must be at least 1 held-out image")
    require(0 < alpha < 1, "alpha", alpha, "must lie strictly between 0 and 1")
    goal = -np.log(alpha) / m
    low, high = np.zeros_like(mean), mean.copy()
    for _ in range(60):
        middle = (low + high) / 2
        kept = rel_entr(mean, middle) + rel_entr(1 - mean, 1 - middle) <= goal
        low, high = np.where(kept, low, middle), np.where(kept, middle, high)
    return low


def coverage_lower(
    nearest: ArrayLike, sigma: ArrayLike, d: int, alpha: float, c: float = SHELL_WIDTH
) -> Array:
    """Lower confidence limit of the population's coverage C_sigma(p, D) of one training set D.

    ``nearest`` (..., M) from each held-out image to its nearest training image, ``sigma``
    broadcasts against (...,), which is returned. ``p_sigma(r_nn)`` is at most the chance that an
    image is covered (Theorem 4.8), and its mean over independent held-out images is within
    :func:`least_mean` of its expectation. Each limit is above the coverage with probability at most
    ``alpha``. Both rise with sigma, so the sigma at which the limit passes a level is too small
    with probability at most ``alpha`` as well: no union over sigma is needed. Source: ours, for
    Definition 4.6.
    """
    nearest = np.asarray(nearest, np.float64)
    overlaps = overlap_probability(nearest, np.asarray(sigma)[..., None], d, c)
    return least_mean(np.minimum(overlaps.mean(-1), 1), nearest.shape[-1], alpha)


def coverage_upper(
    nearest: ArrayLike, sigma: ArrayLike, n: int, d: int, alpha: float, c: float = SHELL_WIDTH
) -> Array:
    """Upper confidence limit of the population's coverage of one training set of N images.

    As :func:`coverage_lower`, with ``min(1, N p_sigma(r_nn))``, which is at least the chance that
    an image is covered: no shell is nearer than the nearest. Each limit is below the coverage with
    probability at most ``alpha``. Source: ours, for Definition 4.6.
    """
    nearest = np.asarray(nearest, np.float64)
    require(n >= 1, "n", n, "must be at least 1 training point")
    overlaps = overlap_probability(nearest, np.asarray(sigma)[..., None], d, c)
    hits = np.minimum(1, n * overlaps).mean(-1)
    return 1 - least_mean(1 - np.minimum(hits, 1), nearest.shape[-1], alpha)
