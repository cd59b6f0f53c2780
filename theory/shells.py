"""Gaussian shells: where almost all of a noised point lies (Lemma 4.5, Lemma B.1, Eq. 6)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtr, chdtrc

from theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]


def _checked(d: ArrayLike, c: ArrayLike) -> tuple[Array, Array]:
    d, c = np.asarray(d, np.float64), np.asarray(c, np.float64)
    require(d >= 1, "d", d, "must be at least 1 dimension")
    require((c > 0) & (c <= d / 4), "c", c, "must lie in (0, d/4]; take a smaller c")
    return d, c


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

    A chi-square CDF difference, ``1 - P(|Z|^2 < r_in^2) - P(|Z|^2 > r_out^2)``. Broadcasts. Raises
    ValueError unless 0 < c <= d/4. Source: Lemma 4.5, whose bound is :func:`shell_bound`.
    """
    return 1 - outside_probability(d, c)


def outside_probability(d: ArrayLike, c: ArrayLike = 5.0) -> Array:
    """Probability that a standard normal vector lies outside the shell, exactly.

    The two chi-square tails, summed without cancellation; at d = 3072, c = 5 it is 1.25e-3 where
    Lemma 4.5 allows 1.35e-2. Broadcasts; raises as :func:`radii`.
    """
    d, c = _checked(d, c)
    r_in, r_out = radii(d, c)
    return chdtr(d, r_in**2) + chdtrc(d, r_out**2)


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
    require(d >= 1, "d", d, "must be at least 1 dimension")
    require_positive("t", t)
    width = 2 * np.sqrt(d * t)
    return d - width, d + width + 2 * t, np.exp(-t)


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
