"""Gaussian shell coverage: how much of what inference meets lies where training supervised it.

Everything rests on one number, ``p_sigma(r)``: the chance that a point noised at distance r from
a training image falls into that image's shell.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from wildmiddle.theory.constants import SHELL_WIDTH
from wildmiddle.theory.domain import require, require_distance, require_positive
from wildmiddle.theory.shells import inside, noncentrality, radii, shifted_probability, tails

Array = NDArray[np.float64]


def is_covered(
    distances: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH
) -> NDArray[np.bool_]:
    """Whether a noisy point lies in the union of the training points' shells.

    ``distances`` (..., N) from it to every training point; ``sigma``, ``d`` and ``c`` broadcast
    against (...,). All N shells are tried: the nearest point alone does not decide. Raises
    ValueError as :func:`wildmiddle.theory.shells.inside`. Source: Def 4.6, whose coverage is the
    mean of this.
    """
    sigma, d, c = (np.asarray(value, np.float64)[..., None] for value in (sigma, d, c))
    return np.asarray(inside(distances, sigma, d, c).any(-1))


def overlap_probability(
    distance: ArrayLike, sigma: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH
) -> Array:
    """``p_sigma(r) = P(sigma r_in <= |sigma Z + r e| <= sigma r_out)``, exactly.

    With ``lambda = (r/sigma)^2`` this is ``F(r_out^2; d, lambda) - F(r_in^2; d, lambda)``, F the
    noncentral chi-square CDF. Strictly falling in r and rising in sigma, from 0 to the shell's own
    probability, which it has at r = 0. Broadcasts; distance and sigma share the data's units. For
    its precision see :func:`wildmiddle.theory.shells.shifted_probability`. Raises ValueError unless
    distance >= 0, sigma > 0, d >= 1 and c > 0. Source: Def 4.7, Lemmas B.4 and B.5; the closed form
    is ours.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    with np.errstate(over="ignore"):
        shift = np.minimum(distance / sigma, 1e100)  # so far off that p is 0
    return shifted_probability(shift, d, c)


def lower_bound(nearest: ArrayLike, sigma: ArrayLike, d: int, c: float = SHELL_WIDTH) -> Array:
    """Lower bound on the coverage from each held-out point's nearest training point.

    ``nearest`` (M,), ``sigma`` (K,); returns (K,), the mean over points of ``p_sigma(r_nn)``.
    It holds for every fixed pair of sets, so in expectation too: the nearest shell is one of the
    union, chosen without looking at Z. Source: Theorem 4.8, left.
    """
    nearest, levels = np.atleast_1d(nearest), np.atleast_1d(sigma)
    return overlap_probability(nearest, levels[:, None], d, c).mean(axis=1)


def upper_bound(mean_overlap: ArrayLike, n: ArrayLike) -> Array:
    """Upper bound ``min(1, N E p_sigma(|X - X'|))`` on the coverage.

    ``mean_overlap`` is the mean of ``p_sigma`` over all pairs of a training and a held-out point;
    a few random pairs will not do, since rare close pairs carry it at small sigma. Broadcasts.
    Raises ValueError unless the mean lies in [0, 1] and N >= 1. Equality at N = 1.
    Source: Theorem 4.8, right (the union bound).
    """
    mean_overlap, n = np.asarray(mean_overlap, np.float64), np.asarray(n, np.float64)
    probability = (mean_overlap >= 0) & (mean_overlap <= 1)
    require(probability, "mean_overlap", mean_overlap, "must be a probability")
    require((n >= 1) & np.isfinite(n), "n", n, "must be at least 1 training point")
    return np.minimum(1, n * mean_overlap)


def expected_coverage(hit_probability: ArrayLike, n: ArrayLike) -> Array:
    """Coverage of a noisy point y by N i.i.d. training points, ``1 - (1 - q(y))^N``.

    ``hit_probability`` is ``q(y)``, the chance that y lies in the shell of one random training
    point; average over y for the exact coverage. Broadcasts; no cancellation at small q. Raises
    ValueError unless 0 <= q <= 1 and N >= 1. Source: Lemma B.3; the identity is ours.
    """
    q, n = np.asarray(hit_probability, np.float64), np.asarray(n, np.float64)
    require((q >= 0) & (q <= 1), "hit_probability", q, "must be a probability")
    require((n >= 1) & np.isfinite(n), "n", n, "must be at least 1 training point")
    with np.errstate(divide="ignore"):
        return -np.expm1(n * np.log1p(-q))


def conditional_mean(phi: ArrayLike, probability: ArrayLike) -> Array:
    """``g(x) = E phi(x, Y)``, which is ``E[phi(X, Y) | X = x]`` for independent X and Y.

    ``phi`` (..., K) over the K values of Y, ``probability`` (K,) theirs; returns (...,). Raises
    ValueError unless the probabilities are not below 0 and sum to 1. Source: Lemma B.2.
    """
    phi, probability = np.asarray(phi, np.float64), np.asarray(probability, np.float64)
    require(probability >= 0, "probability", probability, "must not be below 0")
    total = probability.sum(-1)
    require(np.abs(total - 1) <= 1e-12, "sum of probability", total, "must be 1")
    return phi @ probability


def bonferroni_lower(s1: ArrayLike, s2: ArrayLike) -> Array:
    """Bonferroni's lower bound ``max(0, S1 - S2)`` on the coverage.

    ``S1 = sum_i P(A_i)`` is the mean number V of shells that hold the noisy point and ``S2 =
    sum_{i<j} P(A_i A_j) = E V(V - 1)/2``; for N i.i.d. training points ``S1 = N E q(Y)`` and
    ``S2 = N(N - 1)/2 E q(Y)^2``. Proof: ``1[V >= 1] >= V - V(V - 1)/2`` for whole V >= 0.
    Broadcasts. Raises ValueError unless s1 >= 0 and s2 >= 0. Source: Bonferroni 1936; for
    Theorem 4.8 ours.
    """
    s1, s2 = _moments(s1, s2)
    return np.maximum(0, s1 - s2)


def dawson_sankoff_lower(s1: ArrayLike, s2: ArrayLike) -> Array:
    """Dawson and Sankoff's lower bound on the coverage from S1 and S2.

    ``2 S1 / (k + 1) - 2 S2 / (k (k + 1))`` at ``k = 1 + floor(2 S2 / S1)``. Proof: for whole V and
    k the mean of ``f(V) = 2V/(k + 1) - V(V - 1)/(k (k + 1))`` is that bound, f(0) = 0 and
    ``1 - f(V) = (V - k)(V - k - 1)/(k (k + 1)) >= 0``. This k is the best one, and k = 1 is
    Bonferroni's: never weaker than it. Equality where V is 0, k or k + 1; neither above nor below
    the nearest-neighbour bound in general. Arguments, broadcasting and errors as
    :func:`bonferroni_lower`. Source: Dawson and Sankoff 1967; for Theorem 4.8 ours.
    """
    s1, s2 = _moments(s1, s2)
    s2_per_s1 = np.divide(s2, s1, out=np.zeros(np.broadcast(s1, s2).shape), where=s1 > 0)
    k = 1 + np.floor(2 * s2_per_s1)  # a k rounded off by one still gives a bound
    return np.clip(2 / (k + 1) * (s1 - s2 / k), 0, 1)


def second_order_upper(s1: ArrayLike, s2: ArrayLike, n: ArrayLike) -> Array:
    """Upper bound ``min(1, S1 - 2 S2 / N)`` on the coverage.

    Proof: ``f(V) = V - V(V - 1)/N`` is 0 at V = 0 and ``f(V) - 1 = (V - 1)(N - V)/N >= 0`` for V =
    1..N; its mean is the bound. Never weaker than Theorem 4.8's ``min(1, S1)``. Equality where V
    is 0, 1 or N. Arguments as :func:`bonferroni_lower`; broadcasts. Raises ValueError unless
    n >= 1, 0 <= s1 <= n and 0 <= s2 <= s1 (n - 1)/2. Source: Sobel and Uppuluri 1972, Kwerel 1975;
    for Theorem 4.8 ours.
    """
    s1, s2 = _moments(s1, s2)
    n = np.asarray(n, np.float64)
    require(n >= 1, "n", n, "must be at least 1 training point")
    slack = 1 + 1e-12  # sums of N probabilities round
    require(s1 <= n * slack, "s1", s1, "must not be above n")
    require(2 * s2 <= s1 * (n - 1) * slack, "s2", s2, "must not be above s1 (n - 1) / 2")
    return np.minimum(1, s1 - 2 * s2 / n)


def _moments(s1: ArrayLike, s2: ArrayLike) -> tuple[Array, Array]:
    s1, s2 = np.asarray(s1, np.float64), np.asarray(s2, np.float64)
    require(s1 >= 0, "s1", s1, "must not be below 0")
    require(s2 >= 0, "s2", s2, "must not be below 0")
    return s1, s2


def fall_bound(
    nearest: ArrayLike, sigma: ArrayLike, n: int, d: int, c: float = SHELL_WIDTH
) -> Array:
    """How much the coverage at ``sigma`` may lie below that at any smaller noise level.

    ``nearest`` (M,) distances of the held-out points to their nearest of N training points,
    ``sigma`` (K,); returns (K,). For one point, with shells around ``w_i = (x_i - x)/sigma``: where
    the noise Z is in the ball of radius r_out and in a shell at a smaller sigma, it is at distance
    r_out or less from 0 and from a multiple of w_i beyond it, so from w_i itself: in its shell, or
    in its hole. So the fall is at most ``P(|Z| > r_out) + N F(r_in^2; d, |w_nn|^2)``, each hole
    being no likelier than the nearest one's; and it is at most ``1 - p_sigma(r_nn)``. The mean over
    points of the lesser. At N = 1 the coverage only rises; whether it ever falls by more than
    P(Z outside of the shell) is open, but for balls (c >= d/4), where this says that it does not.
    Raises as :func:`lower_bound`. Source: ours, for Section 4.2.
    """
    from scipy.stats import ncx2

    nearest, levels = np.atleast_1d(nearest), np.atleast_1d(np.asarray(sigma, np.float64))[:, None]
    uncovered = 1 - overlap_probability(nearest, levels, d, c)
    r_in, _ = radii(d, c)
    with np.errstate(over="ignore"):  # beyond r_in + 40 a hole's probability is below 1e-300
        away = noncentrality(np.minimum(nearest / levels, r_in + 40))
    holes = n * ncx2.cdf(r_in**2, d, away)
    beyond = tails(d, c)[1]
    return np.minimum(uncovered, beyond + holes).mean(axis=1)


def half_coverage_sigma(nearest: ArrayLike, d: ArrayLike, c: ArrayLike = SHELL_WIDTH) -> Array:
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


def mean_overlap(
    distances: ArrayLike,
    sigma: ArrayLike,
    d: int,
    c: float = SHELL_WIDTH,
    weights: ArrayLike = 1.0,
) -> Array:
    """Mean of ``p_sigma`` over all given distances, for many pairs and several sigmas.

    ``distances`` of any shape, ``sigma`` (K,), ``weights`` of the distances' shape where they do
    not count alike; returns (K,). All pairs, no sampling: at small sigma a few close pairs carry
    the whole mean. ``p_sigma(r)`` depends on r/sigma alone, so one table of it serves all: cubic
    interpolation adds an error of at most 1e-8 of each value, and pairs whose overlap is below
    1e-60 count as 0. Raises as :func:`overlap_probability`. Source: Theorem 4.8, right: the
    two-sample U-statistic of ``p_sigma``.
    """
    pairs, each = (np.ravel(a) for a in np.broadcast_arrays(distances, np.asarray(weights, float)))
    order = np.argsort(pairs)
    pairs, each = pairs[order].astype(np.float64), each[order]
    require_distance("distance", pairs)
    levels = np.atleast_1d(np.asarray(sigma, np.float64))
    require_positive("sigma", levels)
    table, reach = _overlap_table(d, c)
    means = []
    for level in levels.tolist():
        count = np.searchsorted(pairs, reach * level)
        means.append(np.exp(table(pairs[:count] / level)) @ each[:count] / each.sum())
    # Rounding may lift a mean of probabilities above 1 by a few units in the last place.
    return np.clip(means, 0, 1)


@lru_cache(maxsize=8)
def _overlap_table(d: int, c: float) -> tuple[CubicSpline, float]:
    # log p over r/sigma, up to where p falls under 1e-60.
    end = 8.0
    while overlap_probability(end, 1.0, d, c) > 1e-60:
        end *= 1.25
    knots = np.arange(0, end, 0.02)
    values = overlap_probability(knots, 1.0, d, c)
    last = int(np.argmax(values <= 1e-60)) or len(values)
    return CubicSpline(knots[:last], np.log(values[:last])), float(knots[last - 1])
