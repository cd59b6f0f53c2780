"""Flow matching: when the optimal field points where the conditional one does (Section A.2).

``x_t = (1 - t) Z + t x`` with ``sigma = (1 - t)/t``; ``u_t = (x - x_t)/(1 - t) = x - Z`` (Eq. 20).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from wildmiddle.theory.domain import require, require_distance, require_positive
from wildmiddle.theory.posterior import log_odds, margin, weights
from wildmiddle.theory.schedules import flow_time_to_sigma
from wildmiddle.theory.shells import noncentrality

Array = NDArray[np.float64]


def conditional_field(y: ArrayLike, x: ArrayLike, t: ArrayLike) -> Array:
    """Conditional field ``u_t(y | x) = (x - y)/(1 - t)``, which is ``x - Z`` at ``y = x_t``.

    ``y`` and ``x`` (..., d), ``t`` a scalar or (...,); returns (..., d). Raises ValueError unless
    0 <= t < 1. Source: Eq. 20.
    """
    t = np.asarray(t, np.float64)
    require((t >= 0) & (t < 1), "t", t, "must be at least 0 and below 1")
    return (np.asarray(x, np.float64) - np.asarray(y, np.float64)) / (1 - t[..., None])


def flow_denoiser(y: ArrayLike, points: ArrayLike, t: float) -> Array:
    """Empirical optimal denoiser in flow time, ``m_t(y) = sum_i w_i x_i``.

    ``w = softmax(-|y - t x_i|^2 / (2 (1-t)^2))``. ``y`` (..., d), ``points`` (N, d); returns
    (..., d). At t = 0 it is the mean of the points. Raises ValueError unless 0 <= t < 1.
    Source: Eq. 22.
    """
    require((t >= 0) & (t < 1), "t", t, "must be at least 0 and below 1")
    points = np.asarray(points, np.float64)
    return weights(y, t * points, 1 - t) @ points


def optimal_field(y: ArrayLike, points: ArrayLike, t: float) -> Array:
    """Empirical optimal field ``u*_t(y) = sum_i w_i (x_i - y)/(1 - t)``.

    Arguments as in :func:`flow_denoiser`; returns (..., d). Source: Eq. 21.
    """
    return conditional_field(y, flow_denoiser(y, points, t), t)


def concentration_failure(d_min: ArrayLike, sigma: ArrayLike, n: ArrayLike, w: ArrayLike) -> Array:
    """Probability ``(N - 1)(1 - Phi(tau))`` that Lemma A.1 leaves open, capped at 1.

    But for that probability ``w_i >= w`` and ``|m_sigma(x_sigma) - x_i| <= (1 - w) diam``, given
    x_i whose nearest other training point is ``d_min`` away. Broadcasts. Raises ValueError unless
    d_min >= 0, sigma > 0, N >= 2 and 1/N < w < 1. Equality at N = 2. Source: Lemma A.1.
    """
    tau = margin(d_min, sigma, log_odds(n, w))
    # In logs: N - 1 may lift a tail that underflows back into view.
    others = np.asarray(n, np.float64) - 1
    return np.exp(np.minimum(0, np.log(others) + log_ndtr(-tau)))


def denoiser_reach(w: ArrayLike, diameter: ArrayLike) -> Array:
    """Distance ``(1 - w) diam`` within which the denoiser lies of a point of weight w or more.

    ``|sum_j w_j (x_j - x_i)| <= (1 - w_i) diam``. Broadcasts; units of the diameter. Raises
    ValueError unless 0 <= w <= 1 and diameter >= 0. Source: Lemma A.1, Eq. 18.
    """
    w, diameter = np.asarray(w, np.float64), np.asarray(diameter, np.float64)
    require((w >= 0) & (w <= 1), "w", w, "must be a weight, from 0 to 1")
    require_distance("diameter", diameter)
    return (1 - w) * diameter


class CosineBound(NamedTuple):
    """What Corollary A.2 says of one training point: a cosine and the chance that it is reached."""

    cosine: Array
    """The paper's ``(B - e)/(B + e)``; -1 where B <= e, since nothing is claimed there."""
    sharp_cosine: Array
    """``sqrt(1 - (e/B)^2)``, on the same event and never below the paper's."""
    probability: Array
    """At least ``1 - Phi(-a) - e^-b - (N - 1)(1 - Phi(tau))``, floored at 0."""
    exact_probability: Array
    """The same with the exact chance that ``|x_i - Z| >= B``: :func:`exact_shortfall`."""


def cosine_bound(
    norm: ArrayLike,
    d_min: ArrayLike,
    diameter: ArrayLike,
    *,
    n: ArrayLike,
    d: ArrayLike,
    t: ArrayLike,
    w: ArrayLike,
    a: ArrayLike = 3.0,
    b: ArrayLike = 5.0,
) -> CosineBound:
    """Lower bound on ``cos(u*_t, u_t)`` at a noised training point, with its probability.

    ``norm`` is |x_i|, ``d_min`` its distance to the nearest other training point, ``diameter`` the
    largest distance in the set, d the dimension. With ``B^2 = |x_i|^2 - 2a|x_i| + d - 2 sqrt(db)``
    and ``e = (1 - w) diam / (1 - t)``: ``|x_i - Z| >= B`` but for ``Phi(-a) + e^-b``, the fields
    differ by at most e, and two vectors within e of each other, one of norm >= B, enclose at most
    the angle ``arcsin(e/B)``. The last term of the probability is Lemma A.1's. Broadcasts. Raises
    ValueError unless 0 < t < 1, a, b > 0 and as :func:`concentration_failure`.
    Source: Corollary A.2; the arcsine and the exact probability are ours.
    """
    diameter = np.asarray(diameter, np.float64)
    t, w = np.asarray(t, np.float64), np.asarray(w, np.float64)
    require_distance("diameter", diameter)
    require((t > 0) & (t < 1), "t", t, "must lie strictly between 0 and 1")
    big = shortest_target(norm, d, a, b)  # the paper's B
    small = denoiser_reach(w, diameter) / (1 - t)  # the paper's e
    stated = big > small
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(stated, (big - small) / (big + small), -1.0)
        sharp = np.where(stated, np.sqrt(np.maximum(1 - (small / big) ** 2, 0)), -1.0)
    unclear = concentration_failure(d_min, flow_time_to_sigma(t), n, w)
    paper, exact = (
        np.maximum(0, 1 - short - unclear)
        for short in (shortfall(a, b), exact_shortfall(big, norm, d))
    )
    return CosineBound(cosine, sharp, paper, exact)


def shortest_target(norm: ArrayLike, d: ArrayLike, a: ArrayLike = 3.0, b: ArrayLike = 5.0) -> Array:
    """``B``, a length that ``|x_i - Z|`` keeps but for the probability :func:`shortfall`.

    ``B^2 = |x_i|^2 - 2a|x_i| + d - 2 sqrt(d b)``, or 0 where that is negative. Broadcasts. Raises
    ValueError unless norm >= 0, d >= 1 and a, b > 0. Source: Corollary A.2, Eq. 26.
    """
    norm, d = np.asarray(norm, np.float64), np.asarray(d, np.float64)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    require_distance("norm", norm)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    require_positive("a", a)
    require_positive("b", b)
    return np.sqrt(np.maximum(norm**2 - 2 * a * norm + d - 2 * np.sqrt(d * b), 0))


def shortfall(a: ArrayLike, b: ArrayLike) -> Array:
    """Probability ``Phi(-a) + e^-b`` that the conditional field may be shorter than B.

    The first term is for the part of Z along x_i, the second, Lemma B.1's, for its length.
    Broadcasts. Raises ValueError unless a, b > 0. Source: Corollary A.2.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    require_positive("a", a)
    require_positive("b", b)
    return ndtr(-a) + np.exp(-b)


def exact_shortfall(length: ArrayLike, norm: ArrayLike, d: ArrayLike) -> Array:
    """Probability ``F(B^2; d, |x_i|^2)`` that the conditional field is shorter than B, exactly.

    ``length`` is B, ``norm`` |x_i|; F is the noncentral chi-square CDF, the law of ``|x_i - Z|^2``.
    :func:`shortfall` bounds it by two events: at d = 3072, |x_i| = 30, a = 3 and b = 5 it is 4e-6
    where that is 8e-3. Broadcasts. Raises ValueError unless length, norm >= 0 and d >= 1.
    Source: ours, for Corollary A.2.
    """
    from scipy.stats import ncx2  # here, as it doubles the time to import the theory

    length, norm = np.asarray(length, np.float64), np.asarray(norm, np.float64)
    d = np.asarray(d, np.float64)
    require_distance("length", length)
    require_distance("norm", norm)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    found = np.asarray(ncx2.cdf(length**2, d, noncentrality(norm)))
    # Far out, where scipy gives nan, the length is normal: 1 along x_i, and what lies across it.
    return np.where(np.isnan(found), ndtr(length - _far_mean(norm, d)), found)


def _far_mean(norm: Array, d: Array) -> Array:
    # Of |x_i - Z| where |x_i| is large: the error is of the order of d / |x_i|^2.
    return np.asarray(norm + (d - 1) / (2 * np.maximum(norm, 1)))


def exact_target(failure: ArrayLike, norm: ArrayLike, d: ArrayLike) -> Array:
    """The length B that the conditional field keeps but for exactly the probability ``failure``.

    The inverse of :func:`exact_shortfall`: at the paper's own ``Phi(-a) + e^-b`` never below
    :func:`shortest_target`. Broadcasts. Raises ValueError unless 0 < failure < 1 and as there.
    Source: ours, for Corollary A.2.
    """
    from scipy.stats import ncx2

    failure, norm = np.asarray(failure, np.float64), np.asarray(norm, np.float64)
    d = np.asarray(d, np.float64)
    require((failure > 0) & (failure < 1), "failure", failure, "must lie strictly between 0 and 1")
    require_distance("norm", norm)
    require((d >= 1) & np.isfinite(d), "d", d, "must be at least 1 dimension")
    found = np.sqrt(ncx2.ppf(failure, d, noncentrality(norm)))
    return np.where(np.isnan(found), ndtri(failure) + _far_mean(norm, d), found)
