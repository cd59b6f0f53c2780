"""Gaussian shell coverage: how much of what inference meets lies where training supervised it.

Everything rests on one number, ``p_sigma(r)``: the chance that a point noised at distance r from
a training image falls into that image's shell.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chndtr

from theory.domain import require, require_distance, require_positive
from theory.shells import radii

Array = NDArray[np.float64]


def overlap_probability(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = 5.0
) -> Array:
    """``p_sigma(r) = P(sigma r_in <= |sigma Z + r e| <= sigma r_out)``, exactly.

    With ``lambda = (r/sigma)^2`` this is ``F(r_out^2; d, lambda) - F(r_in^2; d, lambda)``, F the
    noncentral chi-square CDF. Broadcasts; distance and sigma share the data's units. Values below
    1e-60 may come out as 0. Raises ValueError unless distance >= 0, sigma > 0 and 0 < c <= d/4.
    Source: Def 4.7, Lemmas B.4 and B.5; the closed form is ours.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    r_in, r_out = radii(d, c)
    noncentrality = (distance / sigma) ** 2
    return chndtr(r_out**2, d, noncentrality) - chndtr(r_in**2, d, noncentrality)


def lower_bound(nearest: ArrayLike, sigma: ArrayLike, d: int, c: float = 5.0) -> Array:
    """Lower bound on the coverage from each held-out point's nearest training point.

    ``nearest`` (M,), ``sigma`` (K,); returns (K,), the mean over points of ``p_sigma(r_nn)``.
    It holds for every fixed pair of sets, so in expectation too: the nearest shell is one of the
    union, chosen without looking at Z. Source: Theorem 4.8, left.
    """
    nearest, sigma = np.asarray(nearest, np.float64), np.asarray(sigma, np.float64)
    return overlap_probability(nearest, sigma[:, None], d, c).mean(axis=1)


def upper_bound(mean_overlap: ArrayLike, n: ArrayLike) -> Array:
    """Upper bound ``min(1, N E p_sigma(|X - X'|))`` on the coverage.

    ``mean_overlap`` is the mean of ``p_sigma`` over all pairs of a training and a held-out point;
    a few random pairs will not do, since rare close pairs carry it at small sigma. Broadcasts.
    Raises ValueError unless the mean lies in [0, 1] and N >= 1. Equality at N = 1.
    Source: Theorem 4.8, right (the union bound).
    """
    mean_overlap, n = np.asarray(mean_overlap, np.float64), np.asarray(n, np.float64)
    inside = (mean_overlap >= 0) & (mean_overlap <= 1)
    require(inside, "mean_overlap", mean_overlap, "must be a probability")
    require(n >= 1, "n", n, "must be at least 1 training point")
    return np.minimum(1, n * mean_overlap)


def expected_coverage(hit_probability: ArrayLike, n: ArrayLike) -> Array:
    """Coverage of a noisy point y by N i.i.d. training points, ``1 - (1 - q(y))^N``.

    ``hit_probability`` is ``q(y)``, the chance that y lies in the shell of one random training
    point; average over y for the exact coverage. Broadcasts; no cancellation at small q. Raises
    ValueError unless 0 <= q <= 1 and N >= 1. Source: Lemma B.3; the identity is ours.
    """
    q, n = np.asarray(hit_probability, np.float64), np.asarray(n, np.float64)
    require((q >= 0) & (q <= 1), "hit_probability", q, "must be a probability")
    require(n >= 1, "n", n, "must be at least 1 training point")
    with np.errstate(divide="ignore"):
        return -np.expm1(n * np.log1p(-q))


def half_coverage_sigma(nearest: ArrayLike, d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Noise level about which a point at ``nearest`` becomes covered, p near 1/2.

    ``r / sqrt(r_out^2 - d) = r / sqrt(2 sqrt(cd) + 2c)``: where the noncentral chi-square's mean
    passes the outer radius. An approximation (the median lies below the mean by O(1)), no bound.
    Broadcasts; raises as :func:`overlap_probability`. Source: ours.
    """
    nearest = np.asarray(nearest, np.float64)
    require_distance("nearest", nearest)
    d, c = np.asarray(d, np.float64), np.asarray(c, np.float64)
    radii(d, c)
    return nearest / np.sqrt(2 * np.sqrt(c * d) + 2 * c)
