"""Copying: up to which noise level the empirical optimum's outputs on held-out images are copies.

The output on ``y = x + sigma Z`` is ``m = sum_j w_j x_j``. With ``x_a`` the training image nearest
to the held-out x, ``t_j = w_j / w_a`` obeys

    log t_j = -(r_j^2 - r_a^2) / (2 sigma^2) + d_j xi_j / sigma,   xi_j ~ N(0, 1),

``r_j = |x - x_j|`` and ``d_j = |x_a - x_j|``. For a noised training image, x = x_a, it is Eq. 9.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr

from wildmiddle.theory.domain import require, require_distance, require_positive

Array = NDArray[np.float64]


def threshold_terms(
    to_points: ArrayLike, from_nearest: ArrayLike, prior: ArrayLike | None = None
) -> tuple[Array, Array, Array]:
    """``(r_j^2 - r_a^2) / 2``, ``d_j`` and ``log b_j`` of each held-out image.

    ``to_points`` (M, N) from every held-out image to all training images, ``from_nearest`` (M, N)
    from the training image nearest to it to all, 0 to itself; returns (M, N - 1) each, that image
    left out. ``b_j = 4 d_j / d_min - 1``, or with a ``prior`` (N,) of the training images
    ``max(1, (4 d_j / d_min - 1) p_j / p_a)``. Where it has a copy d_min is 0 and the third is
    infinite.
    """
    to_points = np.atleast_2d(np.asarray(to_points, np.float64))
    from_nearest = np.atleast_2d(np.asarray(from_nearest, np.float64))
    require_distance("to_points", to_points)
    require_distance("from_nearest", from_nearest)
    nearest = to_points.argmin(1)
    own = np.take_along_axis(from_nearest, nearest[:, None], 1)
    require(own == 0, "from_nearest", own, "must be 0 from the nearest image to itself")
    others = np.arange(to_points.shape[1]) != nearest[:, None]
    shape = len(to_points), -1
    r, d = to_points[others].reshape(shape), from_nearest[others].reshape(shape)
    r_a = to_points.min(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_b = np.log(
            np.where(d.min(1, keepdims=True) > 0, 4 * d / d.min(1, keepdims=True), np.inf) - 1
        )
    if prior is not None:
        logs = np.log(np.asarray(prior, np.float64))
        ratios = (logs - logs[nearest, None])[others].reshape(shape)
        log_b = np.maximum(0, log_b + ratios)
    return (r - r_a) * (r + r_a) / 2, d, log_b


def truncated_term(gap: ArrayLike, d: ArrayLike, log_b: ArrayLike, sigma: ArrayLike) -> Array:
    """``E min(1, b t)`` for ``log t ~ N(-gap / sigma^2, d^2 / sigma^2)``; broadcasts.

    ``Phi(v) + exp(log b - gap/sigma^2 + u^2/2) Phi(-v - u)`` with ``u = d/sigma`` and
    ``v = (log b - gap/sigma^2) / u``. Rises with sigma where gap >= 0 and b >= 1.
    """
    u, mean = _mean(gap, d, log_b, sigma)
    v = mean / u
    return ndtr(v) + np.exp(mean + u**2 / 2 + log_ndtr(-v - u))


def union_term(gap: ArrayLike, d: ArrayLike, log_b: ArrayLike, sigma: ArrayLike) -> Array:
    """``P(b t > 1)`` for ``log t ~ N(-gap / sigma^2, d^2 / sigma^2)``; broadcasts.

    Rises with sigma where gap >= 0 and b >= 1.
    """
    u, mean = _mean(gap, d, log_b, sigma)
    return np.asarray(ndtr(mean / u))


def _mean(gap: ArrayLike, d: ArrayLike, log_b: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array]:
    # u and the mean of log(b t).
    sigma = np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    with np.errstate(over="ignore", divide="ignore"):
        u = np.maximum(np.asarray(d, np.float64) / sigma, 1e-300)
        return u, np.asarray(log_b, np.float64) - np.asarray(gap, np.float64) / sigma**2


def copying_lower(
    to_points: ArrayLike,
    from_nearest: ArrayLike,
    sigma: ArrayLike,
    prior: ArrayLike | None = None,
) -> Array:
    """Lower bound on the share of held-out images whose one-step outputs are copies.

    Arguments as :func:`threshold_terms`, ``sigma`` (K,); returns (K,): the chance, by the paper's
    test ``d_(1) < d_(2) / 3``, of an image drawn uniformly from the M. The output lies within
    ``sum_j w_j d_j`` of x_a. Below ``d_min / 4`` that is a copy, all others being farther than
    ``3 d_min / 4``; in t it says ``sum_j b_j t_j < 1``, ``b_j = 4 d_j / d_min - 1``. So the chance
    of no copy of x_a is at most the smaller of

    - ``sum_j E min(1, b_j t_j)``, by Markov's inequality for the truncated terms, and
    - ``sum_j P(b_j t_j > 1 / (N - 1))``, the union bound.

    Where training images have a ``prior`` (N,), by their copies, ``b_j`` takes the factor ``p_j /
    p_a`` and is raised to 1 where it is below: a larger ``b_j`` bounds as well, and from 1 on the
    terms rise with sigma. So it falls with sigma. Equality for the copies of x_a at N = 2 without a
    prior. An image whose nearest training image has an exact copy adds 0. Raises ValueError unless
    sigma > 0. Source: ours, for Section 3's memorization per noise level; the first form is the
    dependence-testing bound of Polyanskiy, Poor and Verdu 2010.
    """
    gap, d, log_b = threshold_terms(to_points, from_nearest, prior)
    levels = np.atleast_1d(np.asarray(sigma, np.float64))
    single = np.asarray(np.isfinite(log_b).all(1))
    gap, d, log_b = gap[single], d[single], log_b[single]
    shares = np.log(d.shape[1])
    missed = [
        np.minimum(
            truncated_term(gap, d, log_b, level).sum(1),
            union_term(gap, d, log_b + shares, level).sum(1),
        )
        for level in levels.tolist()
    ]
    return np.array([np.maximum(0, 1 - each).sum() for each in missed]) / len(single)
