"""Gaussian shells: where almost all of a noised point lies (Lemma 4.5, Lemma B.1, Eq. 6)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtr, chdtrc

from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]

_NEGLIGIBLE = 17.0
"""Standard deviations beyond which a normal tail is below 1e-64."""


def _thresholds(d: ArrayLike, level: ArrayLike, name: str) -> tuple[Array, Array]:
    # d - 2 sqrt(dt), negative from t = d/4 on, and d + 2 sqrt(dt) + 2t, at t = level.
    d, level = np.asarray(d, np.float64), np.asarray(level, np.float64)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    require_positive(name, level)
    # (d - 4t) / (1 + 2 sqrt(t/d)) does not cancel as t nears d/4.
    below = (d - 4 * level) / (1 + 2 * np.sqrt(level / d))
    return below, d + 2 * np.sqrt(d * level) + 2 * level


def radii(d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> tuple[Array, Array]:
    """Inner and outer radius of the unit shell, ``(r_in, r_out)``.

    ``r_in^2 = d - 2 sqrt(c d)``, ``r_out^2 = d + 2 sqrt(c d) + 2c``; multiply by sigma for the
    shell at that noise level. From c = d/4 on r_in is 0 and the shell is a ball: no normal vector
    is shorter than 0, so the lemma stays true. Broadcasts. Raises ValueError unless d >= 1 and
    c > 0, both finite. Source: Lemma 4.5; for c > d/4 ours.
    """
    below, above = _thresholds(d, c, "c")
    return np.sqrt(np.maximum(0, below)), np.sqrt(above)


def shell_probability(d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> Array:
    """Probability that a standard normal vector lies in the shell, exactly.

    A chi-square CDF difference, ``1 - P(|Z|^2 < r_in^2) - P(|Z|^2 > r_out^2)``. Broadcasts; its
    error is absolute, 1e-13: where c is so small that the shell is all but empty, few digits are
    left. Raises ValueError as :func:`radii`. Source: Lemma 4.5, whose bound is
    :func:`shell_bound`.
    """
    return 1 - outside_probability(d, c)


def shifted_probability(shift: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> Array:
    """Probability that a standard normal vector moved by ``shift`` lies in the shell, exactly.

    ``F(r_out^2; d, lambda) - F(r_in^2; d, lambda)``, F the noncentral chi-square CDF and lambda the
    square of ``shift``, a length. Strictly falling in the shift: the derivative in lambda is
    ``f(r_in^2) - f(r_out^2)``, f the density with ``d + 2`` degrees. For c >= d/4 the first term
    is 0. Below, the ratio of the first to the second falls with lambda from ``exp(d h(q))`` at 0,
    ``q = sqrt(c/d) < 1/2``, ``h(q) = (log(1 - 2q) - log(1 + 2q + 2q^2)) / 2 + 2q + q^2``, which is
    below 1 since h(0) = 0 and h' is ``-2q^2 - 12q^3 - 8q^4`` over a positive number.

    Broadcasts. For c >= 0.01 the relative error is below 1e-9, and below 1e-11 for d <= 3072, down
    to probabilities of 1e-60, or 1e-35 where d < 5. Smaller ones lose their digits; below 1e-63
    they may be 0, as they are from ``r_out + 17`` on. A thinner shell is a difference of near
    numbers, with an error relative to F. Raises ValueError unless shift >= 0 and as :func:`radii`.
    Source: Def 4.7, Lemmas B.4 and B.5; the closed form and its monotonicity are ours.
    """
    from scipy.stats import ncx2  # here, as it doubles the time to import the theory

    shift = np.asarray(shift, np.float64)
    require_distance("shift", shift)
    r_in, r_out = radii(d, c)
    # Farther out, the shell is reached only where one coordinate of Z is below -17.
    end = r_out + _NEGLIGIBLE
    away = noncentrality(np.minimum(shift, end))
    probability = ncx2.cdf(r_out**2, d, away) - ncx2.cdf(r_in**2, d, away)
    return np.where(shift < end, np.maximum(0, probability), 0)


def noncentrality(shift: ArrayLike) -> Array:
    """``shift^2``, the lambda of the noncentral chi-square law of a length, broadcast.

    0 where float64 has no normal number for it: scipy loses its digits there, up to 0.06 of a
    probability, and at 0 probabilities differ by less than lambda.
    """
    squared = np.square(np.asarray(shift, np.float64))
    return np.where(squared < np.finfo(np.float64).tiny, 0.0, squared)


def outside_probability(d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> Array:
    """Probability that a standard normal vector lies outside the shell, exactly.

    The two chi-square tails, summed without cancellation; at d = 3072, c = 5 it is 1.25e-3 where
    Lemma 4.5 allows 1.35e-2. Broadcasts. Relative error below 1e-11 down to 1e-60 and
    1e-10 down to 1e-300. Raises ValueError as :func:`radii`.
    """
    r_in, r_out = radii(d, c)
    return np.asarray(chdtr(d, r_in**2) + chdtrc(d, r_out**2))


def shell_bound(c: ArrayLike = SHELL_WIDTH) -> Array:
    """Lemma 4.5's lower bound ``1 - 2 e^-c`` on the shell probability. Broadcasts."""
    c = np.asarray(c, np.float64)
    require_positive("c", c)
    return 1 - 2 * np.exp(-c)


def tail_bounds(d: ArrayLike, t: ArrayLike) -> tuple[Array, Array, Array]:
    """Laurent-Massart's lower and upper chi-square thresholds and the bound on both tails.

    Returns ``(d - 2 sqrt(dt), d + 2 sqrt(dt) + 2t, e^-t)``: a chi-square variable of d degrees lies
    below the first, or above the second, with probability at most the third each. Broadcasts.
    Raises ValueError unless d >= 1 and t > 0, both finite. Source: Lemma B.1.
    """
    below, above = _thresholds(d, t, "t")
    return below, above, np.exp(-np.asarray(t, np.float64))


def tails(d: ArrayLike, t: ArrayLike) -> tuple[Array, Array]:
    """Exact probabilities of the lower and the upper tail that Laurent-Massart bound by ``e^-t``.

    ``P(U <= d - 2 sqrt(dt))``, 0 from t = d/4 on, and ``P(U >= d + 2 sqrt(dt) + 2t)``, U chi-square
    of d degrees. Broadcasts. Precision as :func:`outside_probability`; raises ValueError as
    :func:`tail_bounds`. Source: Lemma B.1.
    """
    below, above = _thresholds(d, t, "t")
    return np.asarray(chdtr(d, np.maximum(0, below))), np.asarray(chdtrc(d, above))


def inside(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH
) -> NDArray[np.bool_]:
    """Whether a point at ``distance`` from the centre lies in the shell at noise ``sigma``.

    Both ends included; for c >= d/4 the shell is a ball and holds its centre. Broadcasts. Raises
    ValueError as :func:`radii`, and unless distance >= 0 and sigma > 0. Source: Eq. 6.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    r_in, r_out = radii(d, c)
    return (sigma * r_in <= distance) & (distance <= sigma * r_out)
