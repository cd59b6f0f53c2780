"""Denoising: the loss, its minimiser on a finite data set and the sampling equation (Section 2).

The noise is always given, so every function here is exact: nothing is drawn.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.theory.domain import require, require_positive
from wildmiddle.theory.posterior import weights

Array = NDArray[np.float64]
Denoiser = Callable[[Array, float], ArrayLike]


def optimal_denoiser(y: ArrayLike, points: ArrayLike, sigma: ArrayLike) -> Array:
    """Empirical optimal denoiser ``m_sigma(y) = sum_i w_i(y, sigma) x_i``.

    ``y`` (..., d), ``points`` (N, d), ``sigma`` a scalar or (...,); returns (..., d). It is the
    posterior mean of x uniform on the points, the unique minimiser of the loss over all functions.
    Raises ValueError unless sigma > 0. Source: Eq. 2.
    """
    return weights(y, points, sigma) @ np.asarray(points, np.float64)


def ode_velocity(x: ArrayLike, denoised: ArrayLike, sigma: ArrayLike) -> Array:
    """Right-hand side ``dx/dsigma = (x - m_sigma(x)) / sigma`` of the sampling equation.

    ``x`` and ``denoised = m_sigma(x)`` (..., d), ``sigma`` a scalar or (...,); returns (..., d).
    It equals ``-sigma`` times the score of the noised data. Raises ValueError unless sigma > 0.
    Source: Eq. 4.
    """
    x, sigma = np.asarray(x, np.float64), np.asarray(sigma, np.float64)
    require_positive("sigma", sigma)
    return (x - np.asarray(denoised, np.float64)) / sigma[..., None]


def fixed_noise_error(
    denoiser: Denoiser, points: ArrayLike, noise: ArrayLike, sigma: float
) -> Array:
    """Mean squared error ``|m(x + sigma Z, sigma) - x|^2`` over the points and the given noise.

    ``points`` (N, d), ``noise`` (..., N, d), one normal vector for each point in each repetition;
    returns a scalar in squared units of the data. ``denoiser(y, sigma)`` maps (..., N, d) to the
    same shape. Raises ValueError unless sigma > 0 and the shapes are these. Source: Eq. 5, the
    train or the test error as the points are one set or the other.
    """
    points, noise = np.asarray(points, np.float64), np.asarray(noise, np.float64)
    require_positive("sigma", sigma)
    require(points.ndim == 2, "points.ndim", points.ndim, "must be 2: points as rows (N, d)")
    if noise.shape[-2:] != points.shape:
        raise ValueError(
            f"noise.shape = {noise.shape} must end in points.shape = {points.shape}:"
            " every point has noise of its own"
        )
    noisy = points + sigma * noise
    output = np.asarray(denoiser(noisy, sigma), np.float64)
    if output.shape != noisy.shape:
        raise ValueError(f"the denoiser turned shape {noisy.shape} into {output.shape}")
    return np.asarray(np.square(output - points).sum(-1).mean())


def training_loss(
    denoiser: Denoiser,
    points: ArrayLike,
    noise: ArrayLike,
    sigmas: ArrayLike,
    weighting: ArrayLike,
) -> Array:
    """Training loss over given noise and noise levels, ``lambda(sigma)`` times the error, averaged.

    ``sigmas`` (K,) stand for equally likely draws from q, ``weighting`` (K,) is lambda at each of
    them; the rest as in :func:`fixed_noise_error`, the same noise at every level. Returns a scalar.
    Raises ValueError as there and unless weighting > 0 has one entry for each sigma. Source: Eq. 1.
    """
    sigmas, weighting = np.atleast_1d(sigmas), np.atleast_1d(weighting)
    require_positive("weighting", weighting)
    if sigmas.shape != weighting.shape or sigmas.ndim != 1:
        raise ValueError(
            f"sigmas.shape = {sigmas.shape} and weighting.shape = {weighting.shape} must both be"
            " (K,)"
        )
    errors = [fixed_noise_error(denoiser, points, noise, float(sigma)) for sigma in sigmas]
    return np.asarray(np.mean(weighting * np.array(errors)))
