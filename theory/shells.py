"""Gaussian shells: where almost all of a noised point lies (Lemma 4.5, Lemma B.1, Eq. 6)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.theory.chi_square import tail
from wildmiddle.theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]


def _checked(d: ArrayLike, c: ArrayLike) -> tuple[Array, Array]:
    d, c = np.asarray(d, np.float64), np.asarray(c, np.float64)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    require((c > 0) & (c <= d / 4), "c", c, "must lie in (0, d/4]; take a smaller c")
    return d, c


def _excesses(d: Array, c: Array) -> tuple[Array, Array]:
    # r_in^2 - d and r_out^2 - d: not by subtraction, the tails need all their digits.
    width = 2 * np.sqrt(c * d)
    return -width, width + 2 * c


def radii(d: ArrayLike, c: ArrayLike = 5.0) -> tuple[Array, Array]:
    """Inner and outer radius of the unit shell, ``(r_in, r_out)``.

    ``r_in^2 = d - 2 sqrt(c d)``, ``r_out^2 = d + 2 sqrt(c d) + 2c``; multiply by sigma for the
    shell at that noise level. Broadcasts. Raises ValueError unless 0 < c <= d/4.
    Source: Lemma 4.5.
    """
    d, c = _checked(d, c)
    # d - 2 sqrt(cd) = (d - 4c) / (1 + 2 sqrt(c/d)): no cancellation as c nears d/4.
    r_in = np.sqrt((d - 4 * c) / (1 + 2 * np.sqrt(c / d)))
    r_out = np.sqrt(d + 2 * np.sqrt(c * d) + 2 * c)
    return r_in, r_out


def shell_probability(d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Probability that a standard normal vector lies in the shell, exactly.

    A chi-square CDF difference, ``1 - P(|Z|^2 < r_in^2) - P(|Z|^2 > r_out^2)``. Broadcasts; its
    error is absolute, 1e-13: where c is so small that the shell is all but empty, few digits are
    left. Raises ValueError unless 0 < c <= d/4. Source: Lemma 4.5, whose bound is
    :func:`shell_bound`.
    """
    return 1 - outside_probability(d, c)


def shifted_probability(shift: ArrayLike, d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Probability that a standard normal vector moved by ``shift`` lies in the shell, exactly.

    ``F(r_out^2; d, lambda) - F(r_in^2; d, lambda)``, F the noncentral chi-square CDF and lambda the
    square of ``shift``, a length. Strictly falling in the shift: the derivative in lambda is
    ``f(r_in^2) - f(r_out^2)``, f the density with ``d + 2`` degrees, and the ratio of the first
    to the second falls with lambda from ``exp(d h(q))`` at 0, ``q = sqrt(c/d) <= 1/2``,
    ``h(q) = (log(1 - 2q) - log(1 + 2q + 2q^2)) / 2 + 2q + q^2``, which is below 1 since h(0) = 0
    and h' is ``-2q^2 - 12q^3 - 8q^4`` over a positive number. Broadcasts. Relative error below
    1e-12 down to values of 1e-300 for c >= 0.01; a thinner shell is a difference of near numbers,
    with an error relative to F. Raises ValueError unless shift >= 0 and 0 < c <= d/4.
    Source: Def 4.7, Lemmas B.4 and B.5; the closed form and its monotonicity are ours.
    """
    shift = np.asarray(shift, np.float64)
    require_distance("shift", shift)
    d, c = _checked(d, c)
    r_in, r_out = radii(d, c)
    low, high = _excesses(d, c)
    noncentrality = np.minimum(shift, 1e100) ** 2  # farther, it is 0 all the same
    outer = tail(r_out**2, high, d, noncentrality)
    below = np.where(noncentrality <= high, 1 - outer, outer)
    return np.maximum(0, below - tail(r_in**2, low, d, noncentrality))


def outside_probability(d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Probability that a standard normal vector lies outside the shell, exactly.

    The two chi-square tails, summed without cancellation; at d = 3072, c = 5 it is 1.25e-3 where
    Lemma 4.5 allows 1.35e-2. Broadcasts; raises as :func:`radii`.
    """
    d, c = _checked(d, c)
    r_in, r_out = radii(d, c)
    low, high = _excesses(d, c)
    return tail(r_in**2, low, d) + tail(r_out**2, high, d)


def shell_bound(c: ArrayLike = 5.0) -> Array:
    """Lemma 4.5's lower bound ``1 - 2 e^-c`` on the shell probability. Broadcasts."""
    c = np.asarray(c, np.float64)
    require_positive("c", c)
    return 1 - 2 * np.exp(-c)


def tail_bounds(d: ArrayLike, t: ArrayLike) -> tuple[Array, Array, Array]:
    """Laurent-Massart's lower and upper chi-square thresholds and the bound on both tails.

    Returns ``(d - 2 sqrt(dt), d + 2 sqrt(dt) + 2t, e^-t)``: a chi-square variable of d degrees lies
    below the first, or above the second, with probability at most the third each. Broadcasts.
    Raises ValueError unless d >= 1 and t > 0. Source: Lemma B.1.
    """
    d, t = np.asarray(d, np.float64), np.asarray(t, np.float64)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    require_positive("t", t)
    width = 2 * np.sqrt(d * t)
    # d - 2 sqrt(dt), without cancellation as t nears d/4
    below = (d - 4 * t) / (1 + 2 * np.sqrt(t / d))
    return below, d + width + 2 * t, np.exp(-t)


def tails(d: ArrayLike, t: ArrayLike) -> tuple[Array, Array]:
    """Exact probabilities of the lower and the upper tail that Laurent-Massart bound by ``e^-t``.

    ``P(U <= d - 2 sqrt(dt))``, 0 from t = d/4 on, and ``P(U >= d + 2 sqrt(dt) + 2t)``, U chi-square
    of d degrees. Broadcasts; raises as :func:`tail_bounds`. Source: Lemma B.1.
    """
    lower, upper, _ = tail_bounds(d, t)
    d, t = np.asarray(d, np.float64), np.asarray(t, np.float64)
    low, high = _excesses(d, t)
    return tail(np.maximum(lower, 0), np.maximum(low, -d), d), tail(upper, high, d)


def inside(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = 5.0
) -> NDArray[np.bool_]:
    """Whether a point at ``distance`` from the centre lies in the shell at noise ``sigma``.

    Both ends included. Broadcasts. Raises ValueError as :func:`radii`, and unless distance >= 0
    and sigma > 0. Source: Eq. 6.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    r_in, r_out = radii(d, c)
    return (sigma * r_in <= distance) & (distance <= sigma * r_out)
