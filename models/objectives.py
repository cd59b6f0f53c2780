"""Training objectives: how noise levels are drawn, and the loss at a level.

Every loss is a weighted square error of ``x_hat``: an error in the network's own target (EDM's
``F``, epsilon, velocity) is one in ``x_hat`` times a factor that depends on sigma alone.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from wildmiddle.models.gaps import Gaps, draw_outside

Array = NDArray[np.float64]

FLOW_ENDS = (1e-4, 1 - 1e-4)
"""Flow times are drawn between these, sigmas so from 1e-4 to 1e4: both ends are degenerate."""


class LabelledDenoiser(Protocol):
    """A denoiser that may be told the classes of the images."""

    def __call__(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Estimate the clean images behind ``x`` (B, ...) at noise ``sigma`` (B,)."""
        ...


def _weighted(
    denoiser: LabelledDenoiser,
    images: Tensor,
    sigma: Tensor,
    weight: Tensor,
    noise: Tensor,
    labels: Tensor | None,
) -> Tensor:
    per_pixel = (-1, *[1] * (images.ndim - 1))
    found = denoiser(images + sigma.reshape(per_pixel) * noise, sigma, labels)
    return (weight.reshape(per_pixel) * (found - images).square()).mean()


def edm_loss(
    denoiser: LabelledDenoiser,
    images: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    sigma_data: float,
    labels: Tensor | None = None,
) -> Tensor:
    """EDM's loss, weight ``(sigma^2 + sigma_data^2) / (sigma sigma_data)^2``, averaged over pixels.

    ``images`` and ``noise`` (B, ...), ``sigma`` (B,). Source: Karras et al. 2022, Table 1.
    """
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return _weighted(denoiser, images, sigma, weight, noise, labels)


def ddpm_loss(
    denoiser: LabelledDenoiser,
    images: Tensor,
    timestep: Tensor,
    noise: Tensor,
    *,
    sigmas: Tensor,
    labels: Tensor | None = None,
) -> Tensor:
    """Mean square error of epsilon, ``eps - z = (x_0 - x_hat) / sigma``, averaged over pixels.

    ``images`` and ``noise`` (B, ...), ``timestep`` (B,) counts in the table ``sigmas`` (T,).
    Source: Ho et al. 2020, Eq. 14.
    """
    sigma = sigmas[timestep]
    return _weighted(denoiser, images, sigma, sigma**-2, noise, labels)


def flow_loss(
    denoiser: LabelledDenoiser,
    images: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    labels: Tensor | None = None,
) -> Tensor:
    """Mean square error of the velocity, that of ``x_hat`` over ``(1 - t)^2``, ``t = 1/(1+sigma)``.

    ``images`` and ``noise`` (B, ...), ``sigma`` (B,). Source: the conditional flow-matching loss
    of Section A.2, Eq. 20.
    """
    weight = ((1 + sigma) / sigma) ** 2
    return _weighted(denoiser, images, sigma, weight, noise, labels)


def edm_levels(
    rng: np.random.Generator, n: int, gaps: Gaps = (), *, mean: float = -1.2, std: float = 1.2
) -> Array:
    """``n`` sigmas outside the gaps, ``log sigma ~ N(mean, std^2)`` (Karras et al. 2022)."""
    return draw_outside(lambda count: np.exp(mean + std * rng.standard_normal(count)), n, gaps)


def edm_share(low: float, high: float, *, mean: float = -1.2, std: float = 1.2) -> float:
    """Probability that EDM's sigma lies between ``low`` and ``high``."""
    with np.errstate(divide="ignore"):
        ends = (np.log([low, high]) - mean) / std
    return float(ndtr(ends[1]) - ndtr(ends[0]))


def ddpm_levels(
    rng: np.random.Generator, n: int, gaps: Gaps = (), *, timesteps: int = 1000
) -> NDArray[np.int64]:
    """``n`` timesteps outside the gaps, uniform below ``timesteps`` (Ho et al. 2020)."""
    drawn = draw_outside(lambda count: rng.integers(timesteps, size=count).astype(float), n, gaps)
    return drawn.astype(np.int64)


def ddpm_share(low: float, high: float, *, timesteps: int = 1000) -> float:
    """Probability that the timestep is at least ``low`` and below ``high``."""
    ends = np.clip(np.ceil([low, high]), 0, timesteps)
    return float(ends[1] - ends[0]) / timesteps


def flow_levels(rng: np.random.Generator, n: int, gaps: Gaps = ()) -> Array:
    """``n`` sigmas outside the gaps, ``t = 1/(1 + sigma)`` uniform between ``FLOW_ENDS``."""

    def draw(count: int) -> Array:
        t = rng.uniform(*FLOW_ENDS, count)
        return (1 - t) / t

    return draw_outside(draw, n, gaps)


def flow_share(low: float, high: float) -> float:
    """Probability that the flow's sigma lies between ``low`` and ``high``."""
    ends = np.clip(1 / (1 + np.array([low, high])), *FLOW_ENDS)
    return float(ends[0] - ends[1]) / (FLOW_ENDS[1] - FLOW_ENDS[0])
