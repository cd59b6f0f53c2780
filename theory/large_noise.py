"""Large noise: the denoiser of any bounded data tends to that of a Gaussian (Theorem 4.11).

Everywhere ``x`` is uniform on the given points, ``mu`` their mean, ``S`` their covariance (divided
by N) and ``X = x - mu``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.theory.domain import require, require_positive

Array = NDArray[np.float64]

ORDER = 2
"""Order in 1/sigma of the deviation of the denoiser from the Gaussian one."""


def _centre(points: ArrayLike) -> tuple[Array, Array]:
    points = np.asarray(points, np.float64)
    require(points.ndim == 2, "points.ndim", points.ndim, "must be 2: points as rows (N, d)")
    mean = points.mean(0)
    return mean, points - mean


def _spectrum(centred: Array) -> tuple[Array, Array]:
    # Eigenvalues of S that are not 0 and their axes as rows; S itself would square the rounding.
    values, axes = np.linalg.svd(centred, full_matrices=False)[1:]
    return np.square(values) / len(centred), axes


def gaussian_denoiser(y: ArrayLike, points: ArrayLike, sigma: float) -> Array:
    """Denoiser ``mu + S (S + sigma^2 I)^-1 (y - mu)`` of the Gaussian with the points' moments.

    ``y`` (..., d), ``points`` (N, d); returns (..., d), with an error of 1e-13 of the length of the
    result, not of each entry. Raises ValueError unless sigma > 0. Source: Eq. 7.
    """
    require_positive("sigma", sigma)
    mean, centred = _centre(points)
    eigenvalues, axes = _spectrum(centred)
    along = (np.asarray(y, np.float64) - mean) @ axes.T
    return mean + along * (eigenvalues / (eigenvalues + sigma**2)) @ axes


def gaussian_flow_denoiser(y: ArrayLike, points: ArrayLike, t: float) -> Array:
    """The same denoiser at flow time t, ``mu + t S (t^2 S + (1-t)^2 I)^-1 (y - t mu)``.

    ``y`` (..., d), ``points`` (N, d); returns (..., d). Smooth down to t = 0, where its value is mu
    and its slope S y. Raises ValueError unless 0 <= t < 1. Source: Eq. 33.
    """
    require((t >= 0) & (t < 1), "t", t, "must be at least 0 and below 1")
    mean, centred = _centre(points)
    eigenvalues, axes = _spectrum(centred)
    along = (np.asarray(y, np.float64) - t * mean) @ axes.T
    return mean + along * (t * eigenvalues / (t**2 * eigenvalues + (1 - t) ** 2)) @ axes


def initial_slope(y: ArrayLike, points: ArrayLike) -> Array:
    """Slope ``S y`` in t of both denoisers at flow time t = 0, where both start from mu.

    ``y`` (..., d), ``points`` (N, d); returns (..., d). Source: Lemma C.3.
    """
    _, centred = _centre(points)
    return np.asarray(y, np.float64) @ centred.T @ centred / len(centred)


def leading_term(points: ArrayLike, z: ArrayLike | None = None) -> Array:
    """Limit of ``sigma^2 (m_sigma(y) - m^G_sigma(y))`` as sigma grows.

    At a fixed y (``z`` None): ``-1/2 E[X |X|^2]``, shape (d,). Along ``y = sigma z`` with ``z``
    (..., d): ``1/2 E[X <X, z>^2] - 1/2 E[X |X|^2]``, shape (..., d). ``points`` (N, d). The order
    in 1/sigma is exactly 2 where it does not vanish. Source: Theorem 4.11; the term is ours.
    """
    _, centred = _centre(points)
    cubic = (centred * np.square(centred).sum(1, keepdims=True)).mean(0)
    if z is None:
        return -cubic / 2
    projections = np.asarray(z, np.float64) @ centred.T
    return (np.square(projections) @ centred / len(centred) - cubic) / 2


def remainder_bound(points: ArrayLike, y: ArrayLike, sigma: float) -> Array:
    """Bound on ``|m_sigma(y) - m^G_sigma(y) - leading_term(points, (y - mu)/sigma) / sigma^2|``.

    ``points`` (N, d), ``y`` (..., d); returns (...,). With ``e = 1/sigma``, ``z = (y - mu)/sigma``,
    the denoiser is the mean of X tilted by ``h = e <z, X> - e^2 |X|^2 / 2``. Let ``R = max |X|``
    and ``A = max |<z, X>| + e R^2 >= |h'|``; ``h''`` lies in [-R^2, 0]. The third derivative in e
    is ``k4(X, h', h', h') + 3 k3(X, h', h'')``, joint cumulants of the tilted distribution. With
    ``U = <u, X>``, ``V = h'``, ``W = h''`` less their means, u a unit vector, ``E|U V| <= R A``;
    ``k4 = E[U V (V^2 - 3 E V^2)]`` with ``-3A^2 <= V^2 - 3 E V^2 <= 4A^2``, and ``|W| <= R^2``: the
    derivative is at most ``4 R A^3 + 3 R^3 A``. The Gaussian denoiser differs from ``mu + e S z``
    by at most ``e^3 |S|^2 |z|``. So the error is at most
    ``e^3 ((4 R A^3 + 3 R^3 A) / 6 + |S|^2 |z|)``. The 4 could not be below 2: two opposite points.
    Raises ValueError unless sigma > 0. Source: Theorem 4.11 and C.4; the constants are ours.
    """
    require_positive("sigma", sigma)
    mean, centred = _centre(points)
    z = (np.asarray(y, np.float64) - mean) / sigma
    radius = np.linalg.norm(centred, axis=1).max()
    tilt = np.abs(z @ centred.T).max(-1) + radius**2 / sigma
    return _third_order(radius, tilt, np.linalg.norm(z, axis=-1), centred) / sigma**3


def _third_order(radius: Array, tilt: Array, length: Array, centred: Array) -> Array:
    # (4 R A^3 + 3 R^3 A)/6 + |S|^2 |z| of the remainder
    top = np.linalg.norm(centred, 2) ** 2 / len(centred)
    return (4 * radius * tilt**3 + 3 * radius**3 * tilt) / 6 + top**2 * length


def ball_bound(points: ArrayLike, ball: ArrayLike, sigma: ArrayLike) -> Array:
    """Bound on ``sigma^2 |m_sigma(y) - m^G_sigma(y)|`` for all ``|y| <= K sigma``.

    ``points`` (N, d), ``ball`` is K; K and ``sigma`` broadcast. This bounds the function of
    Theorem 4.11, on the ball and for every larger sigma too: it falls with sigma. With
    ``k = K + |mu|/sigma >= |z|``, ``R = max |X|``, ``A = R k + R^2/sigma`` it is
    ``max(1, k^2 - 1) E|X|^3 / 2 + ((4 R A^3 + 3 R^3 A)/6 + |S|^2 k) / sigma``: the leading term is
    ``E[X (<X, z>^2 - |X|^2)]/2``, whose bracket lies between ``-|X|^2`` and ``(k^2 - 1)|X|^2``, and
    the rest is :func:`remainder_bound`. Nearly attained at K = 0 and large sigma by N - 1 points in
    one place and one elsewhere: but for ``2/((N-1)^2 + 1)`` of it. Raises ValueError unless
    K >= 0 and sigma > 0. Source: Theorem 4.11, without its sigma_0; the constants are ours.
    """
    ball, sigma = np.asarray(ball, np.float64), np.asarray(sigma, np.float64)
    require((ball >= 0) & np.isfinite(ball), "ball", ball, "must be finite and not below 0")
    require_positive("sigma", sigma)
    mean, centred = _centre(points)
    lengths = np.linalg.norm(centred, axis=1)
    radius, reach = lengths.max(), ball + np.linalg.norm(mean) / sigma
    leading = np.maximum(1, reach**2 - 1) * (lengths**3).mean() / 2
    return (
        leading + _third_order(radius, radius * reach + radius**2 / sigma, reach, centred) / sigma
    )
