"""Posterior weight: how surely the empirical optimal denoiser picks one training image.

With ``y = x_i + sigma Z`` and ``xi_j = <Z, (x_j - x_i) / d_ij> ~ N(0, 1)`` the weight obeys

    1 / w_i = 1 + sum_{j != i} t_j,   log t_j = -d_ij^2 / (2 sigma^2) + d_ij xi_j / sigma   (Eq. 9)

All of this module follows from that identity: ``log t_j ~ N(-u^2/2, u^2)`` with ``u = d_ij/sigma``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, ndtr, ndtri, ndtri_exp

from theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]

# Below this, ndtri works on numbers too small to carry 53 bits.
_SMALLEST_NORMAL = 1e-300


def weights(y: ArrayLike, points: ArrayLike, sigma: ArrayLike) -> Array:
    """Posterior weights ``softmax_i(-|y - x_i|^2 / (2 sigma^2))`` of the training points.

    ``y`` (..., d), ``points`` (N, d), ``sigma`` a scalar or (...,); returns (..., N). Direct
    differences in float64: the reference, not the fast way. Source: Eq. 3.
    """
    y, points = np.asarray(y, np.float64), np.asarray(points, np.float64)
    sigma = np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    squared = np.square(y[..., None, :] - points).sum(-1)
    return np.exp(log_softmax(-squared / (2 * sigma[..., None] ** 2), axis=-1))


def log_odds(n: ArrayLike, w: ArrayLike) -> Array:
    """``L = log(w (N - 1) / (1 - w))``, above zero exactly where w > 1/N (Theorem 4.2).

    Broadcasts. Raises ValueError unless N >= 2 and 1/N < w < 1.
    """
    n, w = np.asarray(n, np.float64), np.asarray(w, np.float64)
    require(n >= 2, "n", n, "must be at least 2 training points")
    require((w < 1) & (n * w > 1), "w", w, "must lie strictly between 1/N and 1")
    return np.log1p((n * w - 1) / (1 - w))  # the plain form loses digits as w nears 1/N


def union_quantile(n: ArrayLike, delta: ArrayLike) -> Array:
    """``z = Phi^-1(1 - delta / (N - 1))``, negative where delta / (N - 1) > 1/2 (Theorem 4.2).

    Broadcasts; delta down to 1e-300. Raises ValueError unless N >= 2 and 0 < delta < 1.
    """
    n, delta = np.asarray(n, np.float64), np.asarray(delta, np.float64)
    require(n >= 2, "n", n, "must be at least 2 training points")
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
    from x_i to its farthest training point. Raises ValueError unless d_max >= 0, N >= 2,
    1/N < w < 1 and 0 < delta < 1. Equality at N = 2. Source: Theorem 4.2, part 1.
    """
    d_max = np.asarray(d_max, np.float64)
    require_distance("d_max", d_max)
    two_l = 2 * log_odds(n, w)
    return d_max * _positive_root(union_quantile(n, delta), two_l) / two_l


def sigma_minus(d_min: ArrayLike, n: ArrayLike, w: ArrayLike, delta: ArrayLike) -> Array:
    """Noise level up to which the weight of x_i is at least w, with probability >= 1 - delta.

    ``sigma_minus = d_min / (z + sqrt(z^2 + 2L))``, the positive root of ``2L u^2 + 2z u - 1 = 0``
    at ``u = sigma / d_min``. Broadcasts; units of ``d_min``, the distance from x_i to its nearest
    other training point (0 for a duplicate: nothing is certified). Raises ValueError unless
    d_min >= 0, N >= 2, 1/N < w < 1 and 0 < delta < 1. Equality at N = 2.
    Source: Theorem 4.2, part 2.
    """
    d_min = np.asarray(d_min, np.float64)
    require_distance("d_min", d_min)
    two_l = 2 * log_odds(n, w)
    return d_min / _positive_root(union_quantile(n, delta), two_l)


def margin(distance: ArrayLike, sigma: ArrayLike, log_odds: ArrayLike) -> Array:
    """``tau = d / (2 sigma) - L sigma / d``: how far a term of Eq. 9 lies below ``e^-L``.

    In standard deviations of xi; falls with sigma and rises with d, which is what makes the
    nearest point decide (Theorem 4.2, Lemma A.1). Broadcasts; -inf at distance 0.
    Raises ValueError unless d >= 0 and sigma > 0.
    """
    distance, sigma = np.asarray(distance, np.float64), np.asarray(sigma, np.float64)
    require_distance("distance", distance)
    require_positive("sigma", sigma)
    u = distance / sigma
    with np.errstate(divide="ignore"):
        return np.where(u > 0, u / 2 - log_odds / u, -np.inf * np.sign(log_odds))


def below_probability(distances: ArrayLike, sigma: ArrayLike, w: ArrayLike) -> Array:
    """Upper bound on ``P(w_i < w)`` from all distances of x_i (sharper than Theorem 4.2).

    ``distances`` (..., N - 1) from x_i to every other point; ``sigma``, ``w`` broadcast against
    (...,). Returns the smaller of two bounds, capped at 1. With ``S = (1 - w) / w``, the weight is
    below w exactly where ``sum_j t_j > S``:

    - union: then some ``t_j > S / (N - 1) = e^-L``, so ``P <= sum_j Phi(-tau_j)``;
    - truncation: then ``sum_j min(1, t_j / S) >= 1``, so by Markov ``P <= sum_j E min(1, t_j/S)
      = sum_j Phi(-(u_j/2 - l/u_j)) + e^l Phi(-(u_j/2 + l/u_j))`` with ``l = logit w``. It spares
      the price ``log(N - 1)`` that the union bound pays for splitting S evenly.

    Source: ours; the first is the step before Eq. 16.
    """
    distances = np.asarray(distances, np.float64)
    sigma, w = np.asarray(sigma, np.float64)[..., None], np.asarray(w, np.float64)[..., None]
    n = distances.shape[-1] + 1
    union = ndtr(-margin(distances, sigma, log_odds(n, w))).sum(-1)
    logit = np.log(w) - np.log1p(-w)
    truncated = ndtr(-margin(distances, sigma, logit)) + np.exp(logit) * ndtr(
        -margin(distances, sigma, -logit)
    )
    return np.minimum(1, np.minimum(union, truncated.sum(-1)))


def decoding_error(distances: ArrayLike, sigma: ArrayLike) -> Array:
    """Upper bound on ``1 - W``, the chance that the nearest training point is not x_i.

    ``distances`` (..., N - 1) from x_i to every other point, ``sigma`` broadcasts against (...,);
    average the result over i. Def 4.1's weight is the probability that the most likely training
    point is the one that was noised, so ``1 - W = P(some t_j > 1) <= sum_j Phi(-d_ij/(2 sigma))``.
    Capped at 1; equality at N = 2. Source: ours.
    """
    distances = np.asarray(distances, np.float64)
    require_distance("distances", distances)
    sigma = np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    return np.minimum(1, ndtr(-distances / (2 * sigma[..., None])).sum(-1))
