"""Posterior weight: how surely the empirical optimal denoiser picks one training image.

With ``y = x_i + sigma Z`` and ``xi_j = <Z, (x_j - x_i) / d_ij> ~ N(0, 1)`` the weight obeys

    1 / w_i = 1 + sum_{j != i} t_j,   log t_j = -d_ij^2 / (2 sigma^2) + d_ij xi_j / sigma   (Eq. 9)

All of this module follows from that identity: ``log t_j ~ N(-u^2/2, u^2)`` with ``u = d_ij/sigma``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize.elementwise import find_root
from scipy.special import log_ndtr, log_softmax, logsumexp, ndtr, ndtri, ndtri_exp

from wildmiddle.theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_TOLERANCES = {"xatol": 1e-12}
"""Of the roots: twelve digits, as they are sought in log sigma or in a log of shares."""

# Below this, ndtri works on numbers too small to carry 53 bits.
_SMALLEST_NORMAL = 1e-300


def weights(y: ArrayLike, points: ArrayLike, sigma: ArrayLike) -> Array:
    """Posterior weights ``softmax_i(-|y - x_i|^2 / (2 sigma^2))`` of the training points.

    ``y`` (..., d), ``points`` (N, d), ``sigma`` a scalar or (...,); returns (..., N). Direct
    differences in float64: the reference, not the fast way. Raises ValueError unless sigma > 0.
    Source: Eq. 3.
    """
    y, points = np.asarray(y, np.float64), np.asarray(points, np.float64)
    sigma = np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    offsets = y[..., None, :] - points
    nearest = np.square(offsets).sum(-1).argmin(-1)[..., None, None]
    best = np.take_along_axis(offsets, nearest, axis=-2)
    # Only how much farther than the nearest: the squared distances themselves are about d sigma^2,
    # and their rounding would be seen in every weight.
    farther = ((offsets - best) * (offsets + best)).sum(-1)
    return np.exp(log_softmax(-farther / (2 * sigma[..., None] ** 2), axis=-1))


def log_odds(n: ArrayLike, w: ArrayLike) -> Array:
    """``L = log(w (N - 1) / (1 - w))``, above zero exactly where w > 1/N (Theorem 4.2).

    Broadcasts. Raises ValueError unless N >= 2 and 1/N < w < 1.
    """
    n, w = np.asarray(n, np.float64), np.asarray(w, np.float64)
    require((n >= 2) & np.isfinite(n), "n", n, "must be at least 2 training points")
    require((w < 1) & (n * w > 1), "w", w, "must lie strictly between 1/N and 1")
    # The plain form loses digits as w nears 1/N. So does N w - 1, unless N w is exact: here N times
    # the first 24 bits of w is, up to N = 2^29.
    head = w.astype(np.float32).astype(np.float64)
    excess = (n * head - 1) + n * (w - head)
    return np.log1p(excess / (1 - w))


def union_quantile(n: ArrayLike, delta: ArrayLike) -> Array:
    """``z = Phi^-1(1 - delta / (N - 1))``, negative where delta / (N - 1) > 1/2 (Theorem 4.2).

    Broadcasts; delta down to 1e-300. Raises ValueError unless N >= 2 and 0 < delta < 1.
    """
    n, delta = np.asarray(n, np.float64), np.asarray(delta, np.float64)
    require((n >= 2) & np.isfinite(n), "n", n, "must be at least 2 training points")
    require((delta > 0) & (delta < 1), "delta", delta, "must lie strictly between 0 and 1")
    share = delta / (n - 1)
    log_share = np.log(delta) - np.log(n - 1)
    return -np.where(share > _SMALLEST_NORMAL, ndtri(share), ndtri_exp(log_share))


def _positive_root(z: Array, two_l: Array) -> Array:
    """``z + sqrt(z^2 + 2L)``, written so that nothing cancels for either sign of z."""
    root = np.hypot(z, np.sqrt(two_l))
    return np.where(z >= 0, z + root, two_l / (root - np.minimum(z, 0)))


def sigma_plus(d_max: ArrayLike, n: ArrayLike, w: ArrayLike, delta: ArrayLike) -> Array:
    """Noise level from which on the weight of x_i is at most w, with probability >= 1 - delta.

    ``sigma_plus = d_max (z + sqrt(z^2 + 2L)) / (2L)``, the positive root of
    ``2L u^2 - 2z u - 1 = 0`` at ``u = sigma / d_max``. Broadcasts; units of ``d_max``, the distance
    from x_i to its farthest training point. Falls as w or delta rises; with N it may rise or fall.
    Raises ValueError unless d_max >= 0, N >= 2, 1/N < w < 1 and 0 < delta < 1. Equality at N = 2.
    Source: Theorem 4.2, part 1.
    """
    d_max = np.asarray(d_max, np.float64)
    require_distance("d_max", d_max)
    two_l = 2 * log_odds(n, w)
    return d_max * _positive_root(union_quantile(n, delta), two_l) / two_l


def sigma_minus(d_min: ArrayLike, n: ArrayLike, w: ArrayLike, delta: ArrayLike) -> Array:
    """Noise level up to which the weight of x_i is at least w, with probability >= 1 - delta.

    ``sigma_minus = d_min / (z + sqrt(z^2 + 2L))``, the positive root of ``2L u^2 + 2z u - 1 = 0``
    at ``u = sigma / d_min``. Broadcasts; units of ``d_min``, the distance from x_i to its nearest
    other training point (0 for a duplicate: nothing is certified). Rises with delta, falls in w and
    N. Where z >= 0 it is not above :func:`sigma_plus` of the same w; z < 0 takes N = 2 and
    delta > 1/2, and then it is: between the two both parts hold, each with its chance of
    ``1 - delta``, below 1/2. Raises ValueError unless d_min >= 0, N >= 2, 1/N < w < 1 and
    0 < delta < 1. Equality at N = 2. Source: Theorem 4.2, part 2.
    """
    d_min = np.asarray(d_min, np.float64)
    require_distance("d_min", d_min)
    two_l = 2 * log_odds(n, w)
    return d_min / _positive_root(union_quantile(n, delta), two_l)


def margin(distance: ArrayLike, sigma: ArrayLike, log_odds: ArrayLike) -> Array:
    """``tau = d / (2 sigma) - L sigma / d``: how far a term of Eq. 9 lies below ``e^-L``.

    In standard deviations of xi; falls with sigma and rises with d, which is what makes the
    nearest point decide (Theorem 4.2, Lemma A.1). Broadcasts; at distance 0 it is -inf, 0 or inf
    as L is above, at or below 0. Near its zero the error is one of rounding d and sigma: a few
    units in the last place of ``d / (2 sigma)``. Raises ValueError unless d >= 0 and sigma > 0.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    log_odds = np.asarray(log_odds, np.float64)
    u = np.abs(distance / sigma)  # at distance -0.0 the sign would turn the margin over
    if not log_odds.any():
        return u / 2 + np.zeros_like(log_odds)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return u / 2 - np.where(log_odds == 0, 0, log_odds / u)


def below_probability(
    distances: ArrayLike, sigma: ArrayLike, w: ArrayLike, ratios: ArrayLike = 0.0
) -> Array:
    """Upper bound on ``P(w_i < w)`` from all distances of x_i (sharper than Theorem 4.2).

    ``distances`` (..., N - 1) from x_i to every other point; ``sigma``, ``w`` broadcast against
    (...,). Returns the smaller of two bounds, capped at 1. With ``S = (1 - w) / w``, the weight is
    below w exactly where ``sum_j t_j > S``:

    - union: then some ``t_j > S / (N - 1) = e^-L``, so ``P <= sum_j Phi(-tau_j)``;
    - truncation: then ``sum_j min(1, t_j / S) >= 1``, so by Markov ``P <= sum_j E min(1, t_j/S)
      = sum_j Phi(-(u_j/2 - l/u_j)) + e^l Phi(-(u_j/2 + l/u_j))`` with ``l = logit w``. It spares
      the price ``log(N - 1)`` that the union bound pays for splitting S evenly.

    ``ratios`` are ``log(p_j / p_i)`` where copies have a prior (:mod:`wildmiddle.theory.copies`):
    they add to ``log t_j``, so to L and to l. The second bound still rises with sigma.
    Source: the first is the step before Eq. 16; the second is the random-coding union bound, in
    its dependence-testing form, of Polyanskiy, Poor and Verdu 2010, for these weights ours.
    """
    distances = np.asarray(distances, np.float64)
    sigma, w = np.asarray(sigma, np.float64)[..., None], np.asarray(w, np.float64)[..., None]
    n, ratios = distances.shape[-1] + 1, np.asarray(ratios, np.float64)
    union = ndtr(-margin(distances, sigma, log_odds(n, w) + ratios)).sum(-1)
    logit = np.log(w) - np.log1p(-w) + ratios
    # In logs: where the second normal tail underflows, e^l may still lift it into view.
    truncated = ndtr(-margin(distances, sigma, logit)) + np.exp(
        logit + log_ndtr(-margin(distances, sigma, -logit))
    )
    return np.minimum(1, np.minimum(union, truncated.sum(-1)))


def split_probability(distances: ArrayLike, sigma: ArrayLike, w: ArrayLike) -> Array:
    """Upper bound on ``P(w_i < w)`` by a union bound whose shares of S suit the distances.

    Arguments as :func:`below_probability`. For any ``s_j`` that sum to ``S = (1 - w)/w`` or less,
    ``sum_j t_j > S`` needs some ``t_j > s_j``: ``P <= sum_j Phi(-(u_j/2 + log s_j / u_j))``. It
    is stationary where ``log s_j = u_j^2 (sqrt(2 - 2 (m + log u_j)/u_j^2) - 3/2)``, m the
    multiplier at which they sum to S; shares above 1 are cut to 1, so that the bound for the same
    shares rises with sigma. It beats :func:`below_probability` where delta is small. Capped at 1,
    and 1 where a distance is below ``sigma / 1000``. Source: ours.
    """
    distances = np.asarray(distances, np.float64)
    sigma, w = np.asarray(sigma, np.float64)[..., None], np.asarray(w, np.float64)[..., None]
    require_distance("distances", distances)
    require_positive("sigma", sigma)
    log_odds(distances.shape[-1] + 1, w)  # for its domain
    u, log_sum = np.broadcast_arrays(np.maximum(distances / sigma, 1e-3), np.log1p(-w) - np.log(w))
    shape, others = u.shape[:-1], u.shape[-1]
    u, log_sum = u.reshape(-1, others), log_sum.reshape(-1, others)[:, :1]
    squared, log_u = u**2, np.log(u)

    def log_shares(m: Array, row: Rows) -> Array:
        root = np.sqrt(np.maximum(0, 2 - 2 * (m[:, None] + log_u[row]) / squared[row]))
        return squared[row] * (root - 1.5)

    def excess(m: Array, row: Rows) -> Array:
        return np.asarray(logsumexp(log_shares(m, row), axis=-1)) - log_sum[row, 0]

    low = (-squared / 8 - log_u).min(-1)  # all shares at least 1
    high = (squared - log_u).max(-1)  # all as small as they get, though their sum may be above S
    rows = np.arange(len(u))
    found = find_root(excess, (low, high), args=(rows,), tolerances=_TOLERANCES)
    m = np.where(found.f_bracket[0] > 0, found.bracket[1], found.bracket[0])
    shares = log_shares(m, rows)
    # Scaled to sum to S: the bound is true whatever m is.
    shares = np.minimum(0, shares + log_sum - logsumexp(shares, axis=-1, keepdims=True))
    bound = np.minimum(1, ndtr(-(u / 2 + shares / u)).sum(-1))
    return np.where((u > 1e-3).all(-1), bound, 1.0).reshape(shape)


def above_probability(distances: ArrayLike, sigma: ArrayLike, w: ArrayLike) -> Array:
    """Upper bound on ``P(w_i > w)`` from all distances of x_i (sharper than Theorem 4.2).

    ``distances`` (..., N - 1) from x_i to every other point; ``sigma``, ``w`` broadcast against
    (...,). With ``S = (1 - w) / w``, the weight is above w exactly where ``sum_j t_j < S``. Then
    fewer than m of the ``t_j`` reach ``S/m``, so of any k of them ``k - m + 1`` or more lie below
    it, and by Markov ``P <= sum_{j in k} P(t_j < S/m) / (k - m + 1)``. Returns the least of these
    over the k nearest points and a grid of ``m >= S``, capped at 1; it falls with sigma. At
    ``m = k = N - 1`` it is the union bound of Eq. 10. Source: ours.
    """
    distances = np.sort(np.asarray(distances, np.float64), axis=-1)
    sigma, w = np.asarray(sigma, np.float64)[..., None], np.asarray(w, np.float64)[..., None]
    others = distances.shape[-1]
    log_odds(others + 1, w)  # for its domain
    best = np.ones(np.broadcast_shapes(distances[..., 0].shape, sigma[..., 0].shape, w.shape[:-1]))
    for m in np.unique(np.geomspace(1, others, 13).round().astype(int)):
        level = np.log(m * w / (1 - w))  # of m = N - 1 it is L
        below = ndtr(margin(distances, sigma, np.maximum(level, 0))).cumsum(-1)
        counts = np.arange(1, others - m + 2)
        bound = (below[..., m - 1 :] / counts).min(-1)
        best = np.where(level[..., 0] >= 0, np.minimum(best, bound), best)
    return best


def sigma_plus_from_distances(distances: ArrayLike, w: ArrayLike, delta: ArrayLike) -> Array:
    """Noise level from which on :func:`above_probability` is at most ``delta``.

    ``distances`` (..., N - 1), ``w`` and ``delta`` broadcast against (...,). Never above
    :func:`sigma_plus`, to 12 digits and on the side where the bound holds; 0 where every noise
    level has it. Raises as :func:`sigma_plus`. Source: ours.
    """
    distances = np.sort(np.asarray(distances, np.float64), axis=-1)
    paper = sigma_plus(distances[..., -1], distances.shape[-1] + 1, w, delta)
    least = 1e-12
    level = _threshold(above_probability, distances, w, delta, paper, least)
    return np.where(level > paper * least * (1 + 1e-9), level, 0)


def sigma_minus_from_distances(distances: ArrayLike, w: ArrayLike, delta: ArrayLike) -> Array:
    """Noise level up to which the least bound on ``P(w_i < w)`` is at most ``delta``.

    The bounds are :func:`below_probability` and :func:`split_probability`.
    ``distances`` (..., N - 1), ``w`` and ``delta`` broadcast against (...,). Never below
    :func:`sigma_minus`, to 12 digits and on the side where the bound holds; 0 for a duplicate.
    Raises as :func:`sigma_minus`. Source: ours; both bounds rise with sigma (each t_j is a
    martingale in ``u^2``, and ``min(1, t/S)`` is concave).
    """
    distances = np.asarray(distances, np.float64)
    paper = sigma_minus(distances.min(-1), distances.shape[-1] + 1, w, delta)

    def least_bound(distances: Array, sigma: Array, w: Array) -> Array:
        split = split_probability(distances, sigma, w)
        return np.minimum(below_probability(distances, sigma, w), split)

    return _threshold(least_bound, distances, w, delta, paper, 2.0)


def _threshold(
    bound: Callable[[Array, Array, Array], Array],
    distances: Array,
    w: ArrayLike,
    delta: ArrayLike,
    paper: Array,
    end: float,
) -> Array:
    # The noise level between ``paper`` and ``end * paper`` where the bound crosses delta, on the
    # side of the root where it is at most delta. An end above 1 moves out until the bound is above
    # delta there: it nears 1.
    flat = distances.reshape(-1, distances.shape[-1])
    rows = np.arange(len(flat)).reshape(distances.shape[:-1])
    arguments = np.broadcast_arrays(rows, w, delta, np.where(paper > 0, paper, 1))

    def surplus(x: Array, row: Rows, w: Array, delta: Array, unit: Array) -> Array:
        return bound(flat[row], unit * np.exp(x), w) - delta

    ends = np.full(paper.shape, np.log(end))
    while end > 1 and np.any(still := (surplus(ends, *arguments) <= 0) & (paper > 0)):
        ends = np.where(still, 2 * ends, ends)
    bracket = np.minimum(ends, 0), np.maximum(ends, 0)
    found = find_root(surplus, bracket, args=arguments, tolerances=_TOLERANCES)
    # At N = 2 the bound is delta at ``paper``, and rounding may put it above delta at both ends of
    # the bracket: the answer is ``paper`` then, the end that is not far.
    far = int(end > 1)
    holds = found.f_bracket[far] <= 0
    x = np.where(holds, found.bracket[far], found.bracket[1 - far])
    return np.where(paper > 0, paper * np.exp(x), 0)


def decoding_error(distances: ArrayLike, sigma: ArrayLike, ratios: ArrayLike = 0.0) -> Array:
    """Upper bound on ``1 - W``, the chance that the nearest training point is not x_i.

    ``distances`` (..., N - 1) from x_i to every other point, ``sigma`` broadcasts against (...,);
    average the result over i. Def 4.1's weight is the probability that the most likely training
    point is the one that was noised, so ``1 - W = P(some t_j > 1) <= sum_j Phi(-d_ij/(2 sigma))``.
    Capped at 1; equality at N = 2. With ``ratios``, ``log(p_j / p_i)`` where copies have a prior,
    the terms are ``Phi(-d_ij/(2 sigma) + sigma log(p_j/p_i)/d_ij)``, the chance that ``(p_j / p_i)
    t_j > 1``. Source: ours.
    """
    distances = np.asarray(distances, np.float64)
    require_distance("distances", distances)
    sigma = np.asarray(sigma, np.float64)[..., None]
    return np.minimum(1, ndtr(-margin(distances, sigma, ratios)).sum(-1))
