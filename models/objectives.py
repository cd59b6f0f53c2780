"""Objectives of training: the noise levels, the random draws of a step, and the losses.

Everything random in a step is a function of the seed and the step's number alone. So no random
state is saved, a resumed run draws what an uninterrupted one would have drawn, and every process
of several draws the whole batch and takes its part.

A gap is an interval ``(low, high)`` of noise levels left out of training (Section 5): levels with
``low <= level < high`` are drawn again, so that the rest keeps its relative weight and is trained
more; or they are dropped, with the weight 0, and the rest is trained as often as without a gap.

Every loss is a weighted square error of ``x_hat``: an error in the network's own target (EDM's
``F``, epsilon, velocity) is one in ``x_hat`` times a factor that depends on sigma alone. The
denoiser is called as ``denoiser(x, sigma, labels)``.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor, nn

from wildmiddle.empirical.noise import generator

Array = NDArray[np.float64]
Gaps = tuple[tuple[float, float], ...]

LEAST_SHARE = 1e-3
"""Least share of the draws that gaps may leave: each level is drawn 1 / share times on average."""

FLOW_ENDS = (1e-4, 1 - 1e-4)
"""Flow times are drawn between these, so sigmas from 1e-4 to 1e4: t = 0 and 1 are degenerate."""


def merge_gaps(gaps: Iterable[tuple[float, float]]) -> Gaps:
    """The gaps in rising order, those that touch or overlap as one.

    Raises ValueError unless 0 <= low < high in each; a gap may have no upper end.
    """
    joined: list[tuple[float, float]] = []
    try:
        pairs = sorted((float(low), float(high)) for low, high in gaps)
    except TypeError:
        raise ValueError(f"gap {gaps}: give pairs of noise levels, such as ((0.3, 1.0),)") from None
    for low, high in pairs:
        if not 0 <= low < high:
            raise ValueError(f"gap ({low:g}, {high:g}): need 0 <= low < high")
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def in_gaps(levels: NDArray[Any], gaps: Gaps) -> NDArray[np.bool_]:
    """Which levels lie in a gap, as a mask of the shape of ``levels``."""
    found = np.zeros(levels.shape, bool)
    for low, high in gaps:
        found |= (levels >= low) & (levels < high)
    return found


def require_some_left(gaps: Gaps, share: Callable[[float, float], float], levels: str) -> None:
    """Raise ValueError if the gaps leave less than ``LEAST_SHARE`` of the draws.

    ``share(low, high)`` is the probability of that interval under the distribution of the levels.
    """
    left = 1 - sum(share(low, high) for low, high in merge_gaps(gaps))
    if left < LEAST_SHARE:
        raise ValueError(
            f"gap {list(gaps)}: leaves {max(left, 0):.2g} of the draws of {levels}, fewer than "
            f"{LEAST_SHARE:g}; nothing would be left to train on, so give a narrower one"
        )


def draw_outside(
    draw: Callable[[int], Array], n: int, gaps: Iterable[tuple[float, float]]
) -> Array:
    """``n`` levels by ``draw(count)``, each that falls into a gap drawn again until it does not."""
    gaps = merge_gaps(gaps)
    levels = draw(n)
    rejected = np.flatnonzero(in_gaps(levels, gaps))
    while len(rejected):
        levels[rejected] = draw(len(rejected))
        rejected = rejected[in_gaps(levels[rejected], gaps)]
    return levels


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


class Batch(NamedTuple):
    """Images by number (B,), which of them to mirror (B,), levels (B,) and noise (B, C, H, W)."""

    indices: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    levels: NDArray[np.float32] | NDArray[np.int64]
    noise: NDArray[np.float32]

    def of_process(self, rank: int, processes: int) -> "Batch":
        """The part of one process of several."""
        size = len(self.indices) // processes
        own = slice(rank * size, (rank + 1) * size)
        return Batch._make(values[own] for values in self)


def draw_batch(
    seed: int,
    step: int,
    size: int,
    population: int,
    shape: tuple[int, ...],
    draw_levels: Callable[[np.random.Generator, int], NDArray[Any]],
) -> Batch:
    """The batch of one step, counted from 0; ``draw_levels(rng, n)`` draws its levels."""
    rng = generator(seed, "training step", step)
    noise = rng.standard_normal((size, *shape), np.float32)
    mirrored = rng.random(size) < 0.5
    levels = draw_levels(rng, size)  # last: how much of the stream they use up depends on the gap
    if levels.dtype.kind == "f":
        levels = levels.astype(np.float32)
    return Batch(draw_order(seed, step, size, population), mirrored, levels, noise)


def draw_order(seed: int, step: int, size: int, population: int) -> NDArray[np.int64]:
    """Numbers of the images of one step: each pass over all images is in an order of its own."""
    first, last = step * size, (step + 1) * size
    passes = range(first // population, (last - 1) // population + 1)
    numbers = np.concatenate([_permutation(seed, number, population) for number in passes])
    start = first - passes[0] * population
    return numbers[start : start + size]


@lru_cache(maxsize=4)
def _permutation(seed: int, number: int, population: int) -> NDArray[np.int64]:
    return generator(seed, "training order", number).permutation(population)


class OnceNoised(NamedTuple):
    """The batch's images with noise of deviation ``sigma`` that is drawn once for each image.

    Above ``sigma`` nothing else is seen of an image: noise is added up to the level, and the mean
    of the once-noised image, ``a x_hat + (1 - a) x`` with ``a = 1 - (sigma / level)^2``, is held to
    it, so that ``x_hat`` is the mean of the clean one. Source: Shah et al. 2025; Daras et al. 2024.
    """

    images: Tensor
    sigma: float


def _weighted_square_error(
    denoiser: nn.Module,
    images: Tensor,
    sigma: Tensor,
    weight: Tensor,
    noise: Tensor,
    labels: Tensor | None,
    kept: Tensor | None,
    once: OnceNoised | None,
) -> Tensor:
    if kept is not None:
        weight = weight * kept
    level, weight = (each.reshape(-1, *[1] * (images.ndim - 1)) for each in (sigma, weight))
    own = torch.ones_like(level)
    target, more = images, level
    if once is not None:
        above = level > once.sigma
        own = torch.where(above, 1 - (once.sigma / level) ** 2, own)
        target = torch.where(above, once.images, images)
        more = torch.where(above, level * own.sqrt(), level)
    noisy = target + more * noise
    found = own * denoiser(noisy, sigma, labels) + (1 - own) * noisy
    return (weight * (found - target).square()).mean()


def edm_loss(
    denoiser: nn.Module,
    images: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    sigma_data: float,
    labels: Tensor | None = None,
    kept: Tensor | None = None,
    once: OnceNoised | None = None,
) -> Tensor:
    """EDM's loss, weight ``(sigma^2 + sigma_data^2) / (sigma sigma_data)^2``, averaged over pixels.

    ``images`` and ``noise`` (B, ...), ``sigma`` (B,); ``kept`` (B,) is 0 for what a gap drops,
    ``once`` the once-noised images.
    Source: Karras et al. 2022, Table 1.
    """
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return _weighted_square_error(denoiser, images, sigma, weight, noise, labels, kept, once)


def ddpm_loss(
    denoiser: nn.Module,
    images: Tensor,
    timestep: Tensor,
    noise: Tensor,
    *,
    sigmas: Tensor,
    labels: Tensor | None = None,
    kept: Tensor | None = None,
    once: OnceNoised | None = None,
) -> Tensor:
    """Mean square error of epsilon, ``eps - z = (x_0 - x_hat) / sigma``, averaged over pixels.

    ``images`` and ``noise`` (B, ...), ``timestep`` (B,) counts in the table ``sigmas`` (T,).
    Source: Ho et al. 2020, Eq. 14.
    """
    sigma = sigmas[timestep]
    return _weighted_square_error(denoiser, images, sigma, sigma**-2, noise, labels, kept, once)


def flow_loss(
    denoiser: nn.Module,
    images: Tensor,
    sigma: Tensor,
    noise: Tensor,
    *,
    labels: Tensor | None = None,
    kept: Tensor | None = None,
    once: OnceNoised | None = None,
) -> Tensor:
    """Mean square error of the velocity, that of ``x_hat`` over ``(1 - t)^2``, ``t = 1/(1+sigma)``.

    ``images`` and ``noise`` (B, ...), ``sigma`` (B,). Source: the conditional flow-matching loss
    of Section A.2, Eq. 20.
    """
    weight = ((1 + sigma) / sigma) ** 2
    return _weighted_square_error(denoiser, images, sigma, weight, noise, labels, kept, once)
