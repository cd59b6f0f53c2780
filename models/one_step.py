"""What a denoiser does at one noise level: copies, errors, and how far it is from another one.

Every query noises a uniformly drawn image of a set; queries are independent given the set, so the
intervals are for the distribution of the noise and of an image drawn from that set. The denoiser is
called on blocks of fixed size, on the device and in the precision of the images: give a network
float32.

A squared error has no bound, and then no interval holds at every sample size. With ``value_range``
the outputs are clamped to the pixels' range, which bounds the error: the interval is exact, for the
clamped denoiser. Its error is no larger on images within the range, and the same if the outputs lie
there, as those of the empirical optimal denoiser do. Without it the interval is Student's, right
only in the limit of many queries, and its ``method`` says so.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.intervals import Estimate, bounded_mean, student_mean
from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.empirical.noise import Block, blocks
from wildmiddle.empirical.small_noise import shell_noise
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.images import Images, as_tensor
from wildmiddle.theory.constants import COPY_RATIO, SHELL_WIDTH
from wildmiddle.theory.domain import require, require_positive

Array = NDArray[np.float64]

Law = Literal["normal", "shell", "sphere"]
"""Laws of the noise that a denoiser's input may have."""

STREAM = "one step"
"""Name of the queries' noise stream."""


def memorization_by_level(
    denoiser: Denoiser,
    images: Images,
    train: Images,
    sigmas: ArrayLike,
    count: int,
    seed: int = 0,
    *,
    stream: str = STREAM,
    device: str | torch.device = "auto",
    mirrored: bool = False,
) -> NDArray[np.int64]:
    """How many of ``count`` one-step outputs are memorized at each noise level, (K,).

    Held-out ``images`` (M, ...) are noised, each level with noise of its own, against ``train``
    (N, ...). The counts are binomial: :func:`wildmiddle.empirical.intervals.proportion` gives the
    intervals. Raises as :func:`count_copies`. Source: Section 3, per-noise-level memorization;
    Figure 2.
    """
    counts = [
        count_copies(
            denoiser,
            images,
            train,
            sigma,
            count,
            seed,
            stream=f"{stream}/{k}",
            device=device,
            mirrored=mirrored,
        )
        for k, sigma in enumerate(noise_levels(sigmas))
    ]
    return np.array(counts, np.int64)


def count_copies(
    denoiser: Denoiser,
    images: Images,
    train: Images,
    sigma: float,
    count: int,
    seed: int = 0,
    *,
    stream: str = STREAM,
    device: str | torch.device = "auto",
    mirrored: bool = False,
) -> int:
    """How many of ``count`` one-step outputs on noised ``images`` are memorized.

    A copy by the paper's test, ``d_(1) < d_(2) / 3``, of mirrored images too where ``mirrored``;
    ``device`` is where the distances are computed. Raises ValueError for N < 2, shapes that differ,
    outputs that are not finite and unless sigma is finite and above 0. Source: Section 3.
    """
    require_positive("sigma", sigma)

    def find_copies(clean: torch.Tensor, noise: torch.Tensor) -> NDArray[np.bool_]:
        with torch.no_grad():
            output = denoiser(clean + sigma * noise, sigma)
        # In the units of the images, whatever the denoiser makes of them.
        found = memorization(output, train, device=device, units=False, mirrored=mirrored)
        return found.ratio < COPY_RATIO

    return int(map_queries(find_copies, images, count, seed, stream).sum())


def nested_copies(
    denoiser: Denoiser,
    images: Images,
    train: Images,
    sigmas: ArrayLike,
    noises: int,
    seed: int = 0,
    *,
    stream: str = f"{STREAM}, nested",
    device: str | torch.device = "auto",
    mirrored: bool = False,
) -> NDArray[np.int64]:
    """How many of ``noises`` one-step outputs of each image are memorized, (M, K).

    Each of the held-out ``images`` (M, ...) is noised again and again, every level and image with
    noise of its own. A denoiser has memorized at a level if nearly all images are copied at a
    large portion of the noises; :func:`wildmiddle.empirical.intervals.share_above` gives the share
    of such images. Raises as :func:`count_copies`. Source: Section 3, per-noise-level memorization.
    """
    if noises < 1:
        raise ValueError(f"noises = {noises} must be at least 1")
    pool, levels = as_tensor(images), noise_levels(sigmas)
    total = len(pool) * noises
    copied = np.zeros((len(levels), total), np.bool_)
    for k, sigma in enumerate(levels):
        for block in blocks(seed, f"{stream}/{k}", total, pool[0].numel()):
            numbers = np.arange(block.start, min(block.start + len(block.indices), total))
            # Whole blocks, so that results do not depend on how many queries are asked for.
            which = np.minimum(block.start + np.arange(len(block.indices)), total - 1) // noises
            clean = pool[torch.as_tensor(which).to(pool.device)]
            noise = torch.as_tensor(block.noise).to(pool).reshape(clean.shape)
            with torch.no_grad():
                output = denoiser(clean + sigma * noise, sigma)[: len(numbers)]
            found = memorization(output, train, device=device, units=False, mirrored=mirrored)
            copied[k, numbers] = found.ratio < COPY_RATIO
    return copied.reshape(len(levels), len(pool), noises).sum(2).T


def denoising_error(
    denoiser: Denoiser,
    images: Images,
    sigmas: ArrayLike,
    count: int,
    seed: int = 0,
    *,
    value_range: tuple[float, float] | None = None,
    alpha: float = 0.05,
    stream: str = STREAM,
) -> Estimate:
    """Mean squared error ``E |D(x + sigma z) - x|^2``, summed over pixels, at each sigma, (K,).

    The train or the test error as ``images`` (M, ...) are one set or the other. All levels share
    the ``count`` queries. Each interval misses with probability ``alpha``; what ``value_range``,
    the lowest and highest pixel, has to do with it is said at the top of the module. Raises
    ValueError for count < 2, images beyond the range, and sigmas, a range or outputs that are not
    finite.
    Source: Eq. 5.
    """
    pixels = as_tensor(images)
    low, high = float(pixels.min()), float(pixels.max())
    if value_range and not value_range[0] <= low <= high <= value_range[1]:
        raise ValueError(f"value_range = {value_range}, but the pixels span [{low:g}, {high:g}]")
    return _mean_square(
        lambda clean, noise, sigma: (denoiser(clean + sigma * noise, sigma), clean),
        queries(pixels, count, seed, stream),
        noise_levels(sigmas),
        count,
        value_range,
        alpha,
    )


def gap_between(
    denoiser: Denoiser,
    reference: Denoiser,
    images: Images,
    sigmas: ArrayLike,
    count: int,
    seed: int = 0,
    *,
    law: Law = "normal",
    c: float = SHELL_WIDTH,
    value_range: tuple[float, float] | None = None,
    alpha: float = 0.05,
    stream: str = STREAM,
) -> Estimate:
    """Mean squared distance ``E |D(y) - R(y)|^2`` between two denoisers at each sigma, (K,).

    ``y = x + sigma z`` around the train or the test ``images`` (M, ...), z of the ``law``:

    - ``normal``: standard normal;
    - ``shell``: uniform on the shell of width ``c``, its radius of a density in r^(d-1), as
      Theorem B.6 has it. In many dimensions nearly all of it is at the outer radius;
    - ``sphere``: uniform on the sphere of radius sqrt(d), which lies in the shell, where the normal
      law has most of its mass.

    All three have the normal noise's directions. R is the empirical optimal denoiser (Eq. 2), the
    Gaussian one (Eq. 7) or another network; with ``value_range`` both are clamped. All else as in
    :func:`denoising_error`; raises ValueError for another law.
    """
    if law not in get_args(Law):
        raise ValueError(f"law = {law!r} must be one of {', '.join(get_args(Law))}")

    def outputs(
        clean: torch.Tensor, noise: torch.Tensor, sigma: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        noisy = clean + sigma * _of_law(noise, law, c)
        return denoiser(noisy, sigma), reference(noisy, sigma)

    drawn = queries(images, count, seed, stream)
    return _mean_square(outputs, drawn, noise_levels(sigmas), count, value_range, alpha)


def _of_law(noise: torch.Tensor, law: Law, c: float) -> torch.Tensor:
    # Normal noise moved along its directions to another law of its length.
    if law == "normal":
        return noise
    rows = noise.flatten(1)
    d = rows.shape[1]
    if law == "sphere":
        moved = rows * (d**0.5 / torch.linalg.vector_norm(rows, dim=1, keepdim=True))
    else:
        # |z|^2 is chi-square whatever the direction: its distribution function is uniform.
        half = rows.double().square().sum(1) / 2
        share = torch.special.gammainc(torch.full_like(half, d / 2), half).to(rows)
        moved = shell_noise(rows, share, c)
    return moved.reshape(noise.shape)


def queries(
    images: Images, count: int, seed: int, stream: str
) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
    """Yield ``count`` queries in whole blocks: clean images, noise, and how many of them count.

    Images are drawn uniformly with replacement; both come in the shape, precision and device of
    ``images``.
    """
    pool = as_tensor(images)
    for block in blocks(seed, stream, count, pool[0].numel(), len(pool)):
        clean, noise = _query(pool, block)
        yield clean, noise, min(len(clean), count - block.start)


def map_queries(
    work: Callable[[torch.Tensor, torch.Tensor], NDArray[Any]],
    images: Images,
    count: int,
    seed: int,
    stream: str,
) -> NDArray[Any]:
    """``work(clean, noise)`` of the :func:`queries`, a row for each, (count, ...).

    Several processes share them (:mod:`wildmiddle.empirical.kernels.processes`).
    """
    pool = as_tensor(images)
    drawn = list(blocks(seed, stream, count, pool[0].numel(), len(pool)))
    return map_rows(lambda block: work(*_query(pool, block)), drawn)[:count]


def _query(pool: torch.Tensor, block: Block) -> tuple[torch.Tensor, torch.Tensor]:
    clean = pool[torch.as_tensor(block.indices).to(pool.device)]
    return clean, torch.as_tensor(block.draw()).to(pool).reshape(clean.shape)


def noise_levels(sigmas: ArrayLike) -> list[float]:
    """One sigma or several as a list of numbers; ValueError unless finite and above 0."""
    levels = np.atleast_1d(np.asarray(sigmas, np.float64))
    require_positive("sigma", levels)
    return levels.tolist()


def _mean_square(
    outputs: Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]],
    drawn: Iterator[tuple[torch.Tensor, torch.Tensor, int]],
    sigmas: list[float],
    count: int,
    value_range: tuple[float, float] | None,
    alpha: float,
) -> Estimate:
    if value_range is not None:
        require(np.isfinite(value_range), "value_range", value_range, "must be finite")
    if count < 2:
        raise ValueError(f"count = {count} must be at least 2: one query shows no spread")
    rows: list[Array] = []
    dimension = 0
    for clean, noise, kept in drawn:
        dimension = clean[0].numel()
        columns = []
        for sigma in sigmas:
            with torch.no_grad():
                pair = outputs(clean, noise, sigma)
            a, b = pair if value_range is None else [one.clamp(*value_range) for one in pair]
            columns.append((a - b)[:kept].flatten(1).square().sum(1).cpu().double().numpy())
        rows.append(np.stack(columns, axis=1))
    squares = np.concatenate(rows)
    if not np.isfinite(squares).all():
        raise ValueError("the denoiser's outputs hold NaN or infinite values")
    if value_range is None:
        found = student_mean(squares, alpha)
        low = np.maximum(found.low, 0)
        method = f"{found.method}, for many queries only"
        return Estimate(found.mean, low, found.high, count, alpha, method)
    top = dimension * (value_range[1] - value_range[0]) ** 2
    # Rounding may lift the largest possible square past its bound by a unit or so.
    share = bounded_mean(np.minimum(squares / top, 1), alpha)
    method = f"{share.method}, outputs clamped to [{value_range[0]:g}, {value_range[1]:g}]"
    return Estimate(top * share.mean, top * share.low, top * share.high, count, alpha, method)
