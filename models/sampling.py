"""Samplers over ``denoiser(x, sigma)``: Euler, Heun, DDPM and DDIM.

All work on ``x = x0 + sigma z``. A variance-preserving state is ``sqrt(alpha_bar) x`` with ``sigma
= sqrt((1 - alpha_bar) / alpha_bar)``, so that DDPM and DDIM need no time parameterization of their
own. What else a sampler may be asked for is one more denoiser: a swap, a class, outputs clamped to
the pixels.

Noise is keyed by sample: sample i owns one stream of the seed, whose first draw it starts from and
whose later draws an ancestral sampler adds step by step. So the noise is the same bit for bit
whichever samples are drawn together, in whatever order and by whatever process. A network's last
bits also depend on how many images it is given, so denoisers are called on batches of one size, the
last one filled up. On the CPU, with batches of 32 and more, whole samples were then found equal bit
for bit; a small odd batch, where the place within it matters, another batch size, number of threads
or device may change their last bits.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.empirical.noise import generator
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas

Array = NDArray[np.float64]
Method = Literal["euler", "heun", "ddpm", "ddim"]
Indices = Sequence[int] | NDArray[np.int64]
Noise = Callable[[], torch.Tensor]

STREAM = "sampling"
"""Name of the samples' noise streams."""


def euler(denoiser: Denoiser, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Probability-flow ODE ``dx/dsigma = (x - D(x, sigma)) / sigma`` to 0 by Euler steps.

    ``x`` (B, ...) at ``sigmas[0]``; ``sigmas`` falls, without the final 0. One call a step. The
    same as DDIM with eta = 0. Raises ValueError unless the sigmas fall, finite and above 0.
    Source: Karras et al. 2022, Algorithm 1 without lines 6 to 8; Eq. 4.
    """
    for sigma, following in pairwise([*_check_levels(sigmas), 0.0]):
        slope = (x - denoiser(x, sigma)) / sigma
        x = x + (following - sigma) * slope
    return x


def heun(denoiser: Denoiser, x: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """Probability-flow ODE to 0 by Heun's second-order steps; the last, to 0, is Euler's.

    Arguments as in :func:`euler`. Two calls a step, one in the last. Source: Karras et al. 2022,
    Algorithm 1.
    """
    for sigma, following in pairwise([*_check_levels(sigmas), 0.0]):
        slope = (x - denoiser(x, sigma)) / sigma
        ahead = x + (following - sigma) * slope
        if following > 0:
            other = (ahead - denoiser(ahead, following)) / following
            ahead = x + (following - sigma) * (slope + other) / 2
        x = ahead
    return x


def ddpm(
    denoiser: Denoiser, x: torch.Tensor, sigmas: Sequence[float], noise: Noise
) -> torch.Tensor:
    """Ancestral sampling: each step draws from ``q(x_s | x_t, x0)`` at ``x0 = D(x_t, t)``.

    Arguments as in :func:`euler`; ``noise()`` gives the next standard normal draw, shaped as x.
    With t and s the noise levels before and after, ``q = N(x0 + (s/t)^2 (x_t - x0), s^2 (1 -
    (s/t)^2))``: the posterior of Ho et al. with its variance ``beta~_t``, divided by
    ``alpha_bar_s``. The last step, to 0, draws nothing. Source: Ho et al. 2020, Eq. 6 and 7.
    """
    for t, s in pairwise([*_check_levels(sigmas), 0.0]):
        x0 = denoiser(x, t)
        x = x0 + (s / t) ** 2 * (x - x0)
        if s > 0:
            x = x + s * math.sqrt(1 - (s / t) ** 2) * noise()
    return x


def ddim(
    denoiser: Denoiser, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, eta: float = 0.0
) -> torch.Tensor:
    """Steps that add ``eta`` times the ancestral standard deviation of noise.

    Arguments as in :func:`ddpm`. eta = 0 draws nothing and is :func:`euler`; eta = 1 is
    :func:`ddpm`. Source: Song et al. 2021 (DDIM), Eq. 12 and 16, divided by sqrt(alpha_bar_s).
    """
    for t, s in pairwise([*_check_levels(sigmas), 0.0]):
        x0 = denoiser(x, t)
        share = eta**2 * (1 - (s / t) ** 2)  # of the variance s^2 that is drawn anew
        x = x0 + (s / t) * math.sqrt(1 - share) * (x - x0)
        if s > 0 and eta > 0:
            x = x + s * math.sqrt(share) * noise()
    return x


def default_sigmas(method: Method) -> Array:
    """The noise levels a method is usually run on, falling, without the final 0.

    EDM's 18 for Euler and Heun; for DDPM all of its 1,000; for DDIM every twentieth timestep, 50
    from 980 to 0. The last two are in units of data that the model is trained on.
    """
    if method in ("euler", "heun"):
        return edm_sigmas(18)
    return ddpm_sigmas()[:: 20 if method == "ddim" else 1][::-1].copy()


def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    indices: Indices,
    *,
    sigmas: ArrayLike | None = None,
    method: Method = "heun",
    eta: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
    progress: bool = False,
) -> torch.Tensor:
    """Draw the samples with these numbers, (len(indices), *shape), and return them on the CPU.

    ``shape`` is that of one image. ``sigmas`` (K,) falls, without the final 0; by default those of
    :func:`default_sigmas`. ``eta`` is for "ddim". The denoiser is given ``batch_size`` images on
    ``device`` in ``dtype`` and sigma as a number; a network must be in evaluation mode. Every
    method starts from ``sigmas[0] z``: DDPM's own N(0, I) has 1 + sigmas[0]^-2 times this variance,
    1.00004 at its last timestep. ``progress`` shows a bar where there is a terminal. Raises
    ValueError unless the sigmas fall, finite and above 0, and for an unknown method, eta outside
    [0, 1] or with another method, and indices below 0.
    """
    numbers = np.asarray(indices, np.int64)
    _check(method, eta, numbers, batch_size)
    steps = _check_levels(default_sigmas(method) if sigmas is None else sigmas)
    where = resolve_device(device)
    calls = 2 * len(steps) - 1 if method == "heun" else len(steps)
    samples = torch.empty((len(numbers), *shape), dtype=dtype)
    starts = range(0, len(numbers), batch_size)
    with torch.no_grad(), _bar(len(starts) * calls, progress) as bar:

        def count_call(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
            bar.update()
            return denoiser(x, sigma)

        for first in starts:
            chosen = numbers[first : first + batch_size]
            noise = _draws(chosen, shape, seed, batch_size, where, dtype)
            x = steps[0] * noise()
            if method == "euler":
                x = euler(count_call, x, steps)
            elif method == "heun":
                x = heun(count_call, x, steps)
            elif method == "ddpm":
                x = ddpm(count_call, x, steps, noise)
            else:
                x = ddim(count_call, x, steps, noise, eta)
            samples[first : first + batch_size] = x[: len(chosen)].cpu()
    return samples


def _draws(
    indices: Indices,
    shape: Sequence[int],
    seed: int,
    rows: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Noise:
    # Each call is the next draw of every sample's stream; rows beyond the samples stay 0.
    streams = [generator(seed, STREAM, int(index)) for index in indices]
    dimension = math.prod(shape)

    def noise() -> torch.Tensor:
        z = np.zeros((rows, dimension))
        for row, stream in zip(z, streams, strict=False):
            stream.standard_normal(out=row)
        return torch.as_tensor(z).to(device, dtype).reshape(rows, *shape)

    return noise


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    # disable=None: shown on a terminal only.
    return tqdm(total=total, unit=" calls", leave=False, disable=None if progress else True)


def _check_levels(sigmas: ArrayLike) -> list[float]:
    levels = np.asarray(sigmas, np.float64)
    falls = levels.ndim == 1 and all(a > b for a, b in pairwise([math.inf, *levels, 0.0]))
    if not (falls and len(levels)):
        raise ValueError(f"sigmas = {levels} must fall, finite and above 0; the final 0 is implied")
    return levels.tolist()


def _check(method: str, eta: float, indices: NDArray[np.int64], batch_size: int) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method = {method!r} is unknown; use {', '.join(get_args(Method))}")
    if not 0 <= eta <= 1 or (eta > 0 and method != "ddim"):
        raise ValueError(f"eta = {eta} with method = {method!r}; eta is in [0, 1], for 'ddim' only")
    if indices.ndim != 1 or (indices < 0).any():
        raise ValueError(f"indices = {indices} must be a list of numbers, none below 0")
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size} must be at least 1")
