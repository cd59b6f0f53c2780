"""Noise schedules and the conversions between their time parameterizations (Sections E.1 and E.7).

Sigma is measured in units of the data: halving the pixel range halves every sigma. A timestep
means something only together with the range its model is trained in.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wildmiddle.theory.domain import require, require_positive

Array = NDArray[np.float64]


def edm_sigmas(
    n: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Array:
    """The polynomial sampling schedule of EDM, falling from ``sigma_max`` to ``sigma_min``.

    Returns n sigmas, shape (n,), in units of the data, without the final 0 that samplers append.
    Raises ValueError unless n >= 2 and 0 < sigma_min < sigma_max and rho > 0.
    Source: Karras et al. 2022, Eq. 5; the paper's E.1. Sampling uses n = 18, coverage n = 40.
    """
    require(n >= 2, "n", n, "must be at least 2")
    require_positive("sigma_min", sigma_min)
    require_positive("sigma_max", sigma_max)
    require(sigma_max > sigma_min, "sigma_max", sigma_max, "must be above sigma_min")
    require_positive("rho", rho)
    ramp = np.arange(n) / (n - 1)
    # sigma_max (1 + ramp ((sigma_min/sigma_max)^(1/rho) - 1))^rho in logs: the powers themselves
    # round off rho units in the last place, and overflow where rho is small.
    drop = np.expm1((np.log(sigma_min) - np.log(sigma_max)) / rho)
    with np.errstate(divide="ignore"):
        sigmas = sigma_max * np.exp(rho * np.log1p(ramp * drop))
    sigmas[0], sigmas[-1] = sigma_max, sigma_min  # the ends are given
    return sigmas


def ddpm_sigmas(timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Array:
    """Sigma of each DDPM timestep 0..T-1 under the linear beta schedule, rising.

    ``sigma_t = sqrt((1 - alpha_bar_t) / alpha_bar_t)``; shape (T,), in units of the data that the
    model is trained on. Raises ValueError unless T >= 1 and 0 < beta_start <= beta_end < 1.
    Source: Ho et al. 2020; timestep t here is their t + 1.
    """
    require(timesteps >= 1, "timesteps", timesteps, "must be at least 1")
    require(0 < beta_start <= beta_end, "beta_start", beta_start, "must be in (0, beta_end]")
    require(beta_end < 1, "beta_end", beta_end, "must be below 1")
    log_alpha_bar = np.cumsum(np.log1p(-np.linspace(beta_start, beta_end, timesteps)))
    return np.sqrt(np.expm1(-log_alpha_bar))  # 1/alpha_bar - 1 without cancellation


def ddpm_timestep(sigma: ArrayLike, sigmas: ArrayLike | None = None) -> NDArray[np.int64]:
    """The DDPM timestep whose sigma is nearest to ``sigma`` on a log scale.

    ``sigmas`` is a rising table as of :func:`ddpm_sigmas` (its default). Sigmas beyond either end
    get the first or the last timestep. Raises ValueError unless sigma > 0.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    require_positive("sigma", sigma)
    table = np.log(ddpm_sigmas() if sigmas is None else np.asarray(sigmas, dtype=np.float64))
    return np.searchsorted((table[1:] + table[:-1]) / 2, np.log(sigma)).astype(np.int64)


SCHEDULE_RANGE = (-1.0, 1.0)
"""Pixels of the models that the schedules of EDM and DDPM were made for."""


def steps_between(
    start: float, end: float, value_range: tuple[float, float] = SCHEDULE_RANGE
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Steps of EDM's 18 and timesteps of DDPM's 1,000 at which ``start <= sigma < end``.

    ``start`` and ``end`` are in units of pixels in ``value_range``, the schedules in those of
    pixels in [-1, 1], as usual: their sigmas are scaled by the ratio of the widths.
    """
    scale = (value_range[1] - value_range[0]) / (SCHEDULE_RANGE[1] - SCHEDULE_RANGE[0])
    edm, ddpm = (
        tuple(np.flatnonzero((scale * table >= start) & (scale * table < end)).tolist())
        for table in (edm_sigmas(18), ddpm_sigmas())
    )
    return edm, ddpm


def sigma_to_flow_time(sigma: ArrayLike) -> Array:
    """Flow-matching time ``t = 1 / (1 + sigma)`` of a noise level; t = 1 is the data.

    Raises ValueError unless sigma >= 0. Source: Eq. 23.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    require(sigma >= 0, "sigma", sigma, "must not be below 0")
    return 1 / (1 + sigma)


def flow_time_to_sigma(t: ArrayLike) -> Array:
    """Noise level ``sigma = (1 - t) / t`` of a flow-matching time.

    Raises ValueError unless 0 < t <= 1. Source: Section A.2.
    """
    t = np.asarray(t, dtype=np.float64)
    require((t > 0) & (t <= 1), "t", t, "must be in (0, 1]")
    return (1 - t) / t


def sigma_to_log_snr(sigma: ArrayLike) -> Array:
    """Log signal-to-noise ratio ``-2 log sigma`` of a noise level. Raises unless sigma > 0."""
    sigma = np.asarray(sigma, dtype=np.float64)
    require_positive("sigma", sigma)
    return -2 * np.log(sigma)


def log_snr_to_sigma(log_snr: ArrayLike) -> Array:
    """Noise level ``exp(-log_snr / 2)`` of a log signal-to-noise ratio.

    Raises ValueError unless log_snr lies in [-1400, 1400], where sigma is a float64.
    """
    log_snr = np.asarray(log_snr, dtype=np.float64)
    require(np.abs(log_snr) <= 1400, "log_snr", log_snr, "must lie in [-1400, 1400]")
    return np.exp(-log_snr / 2)


def alpha_bar_to_sigma(alpha_bar: ArrayLike) -> Array:
    """Noise level ``sqrt((1 - alpha_bar) / alpha_bar)`` of a DDPM signal share.

    Raises ValueError unless 0 < alpha_bar <= 1.
    """
    alpha_bar = np.asarray(alpha_bar, dtype=np.float64)
    require((alpha_bar > 0) & (alpha_bar <= 1), "alpha_bar", alpha_bar, "must be in (0, 1]")
    return np.sqrt((1 - alpha_bar) / alpha_bar)
