"""The danger zone of a data set from its distances alone, computed tile by tile.

Both bounds of the posterior weight are means, over the training points, of a function of a sum over
all other points. A few points, evenly spaced, give a guess of where each bound crosses its level; a
pass over all pairs at a few noise levels about the guess then gives the crossing.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from tqdm import tqdm

from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.kernels.device import rows_of_both, working_dtype
from wildmiddle.empirical.kernels.distances import distances_to
from wildmiddle.empirical.kernels.overlap_sums import PairSums
from wildmiddle.empirical.kernels.products import (
    Tile,
    mean_of,
    norms_about,
    plan,
    product_dtype,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.empirical.spectrum import eigenvalues
from wildmiddle.theory.constants import DEFAULT_MEMORY, SHELL_WIDTH, ZONE_ALPHA, Thresholds
from wildmiddle.theory.copies import effective_number
from wildmiddle.theory.coverage import lower_bound, upper_bound
from wildmiddle.theory.regimes import (
    MEAN_LOG_TERM,
    REACH,
    PredictedZone,
    assemble,
    crossing_of,
    require_levels,
    weight_of_entropy,
)

Array = NDArray[np.float64]

_GUIDES = 256
"""Training points that give the first guess of where the bounds cross."""
_COARSE = 17
_LEVELS = 11
_AROUND = 0.12
"""Noise levels of a pass over all pairs, and how far in log sigma they reach to either side: about
six times the error of the first guess."""


def zone_of(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    *,
    c: float = SHELL_WIDTH,
    weight_high: float = Thresholds.weight_high,
    coverage_high: float = Thresholds.coverage_high,
    alpha: float = ZONE_ALPHA,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    progress: bool = False,
) -> PredictedZone:
    """The danger zone of two sets of images from their distances alone, without any sampling.

    ``train`` (N, ...), ``test`` (M, ...) in the units of sigma; the levels are those of
    :class:`~wildmiddle.theory.constants.Thresholds`, ``alpha`` the error rate of the population's
    zones over the held-out images. As :func:`wildmiddle.theory.regimes.danger_zone`, right to 1e-4,
    but ``memory`` bounds the buffers in bytes whatever N and M: one pass over all pairs of training
    images as a rule, another where the first guess misses an end, and as many from the held-out
    images and their nearest to all. Training images that are equal count as one, with the weight of
    its copies. Raises ValueError for fewer than two that differ, shapes that differ, levels outside
    (0, 1), or where the memory is too small.
    """
    require_levels(weight_high, coverage_high)
    listed, held_out = rows_of_both(train, test, "test", device)
    points, prior = distinct(listed).points_and_prior(listed)
    n, d = points.shape
    origin = mean_of(points)
    reach = float(norms_about(points, origin).max() + norms_about(held_out, origin).max())
    spread = _typical_distance(points, held_out)
    pairs = PairSums(spread * math.exp(-REACH), reach)
    distances, index = nearest_two(
        held_out, points, memory=memory, visit=lambda rows, columns, squared: pairs.add(squared)
    )
    close = distances[:, 0].double().cpu().numpy()
    copying = CopyingBound(points, held_out, index[:, 0], memory, prior)

    def weight_above(rows: torch.Tensor, sigmas: Array) -> Array:
        told = progress and len(rows) == n
        bounds = union_and_fano_bounds(points, rows, origin, sigmas, memory, prior, progress=told)
        return bounds - weight_high

    return assemble(
        start=(
            crossing_of(lambda s: lower_bound(close, s, d, c) - coverage_high, spread),
            crossing_of(
                lambda s: upper_bound(pairs.mean_overlap(s, d, c), n) - coverage_high, spread
            ),
        ),
        end=_crossings(weight_above, points, 2, spread).tolist(),
        half_copied=float(
            _crossings(lambda rows, s: copying.at(rows, s[0])[None] - 0.5, held_out, 1, spread)[0]
        ),
        nearest=close,
        eigenvalues=eigenvalues(points if prior is None else listed, memory=memory),
        n=n,
        effective=n if prior is None else effective_number(prior.cpu()),
        d=d,
        scale=spread,
        c=c,
        weight_high=weight_high,
        coverage_high=coverage_high,
        alpha=alpha,
    )


def union_and_fano_bounds(
    points: torch.Tensor,
    rows: torch.Tensor,
    origin: torch.Tensor,
    sigmas: Array,
    memory: int,
    prior: torch.Tensor | None = None,
    *,
    progress: bool = False,
) -> Array:
    """Bounds on the mean weight over ``rows`` (R,): the union bound, and Fano's.

    The lower one at ``sigmas[0]`` and the upper one at ``sigmas[1]``, ``sigmas`` (2, K); returns
    (2, K). As :func:`wildmiddle.theory.regimes.weight_lower` and
    :func:`~wildmiddle.theory.regimes.weight_upper` of the distances from ``points[rows]`` to all
    other ``points`` (N, d), whatever their number. ``prior`` (N,), where copies give the points
    one: the mean over the rows is by it then.
    """
    (n, d), device = points.shape, points.device
    best, work = product_dtype(d, device), working_dtype(device)
    errors, overlaps = torch.zeros(2, len(rows), sigmas.shape[1], dtype=work, device=device)
    logs = None if prior is None else prior.log()
    sizes = plan(memory, n, d)
    every = list(tiles(n, sizes.columns))
    for ends in tqdm(every, "distances", leave=False, disable=None if progress else True):
        tile = tile_of(points, ends, origin, best, sizes.threads)
        for start, end in tiles(len(rows), sizes.queries):
            own = slice(start, end)
            squared = _squared_to_others(points, rows[own], tile, origin)
            if squared is None:
                double = tile_of(points, ends, origin, work, sizes.threads)
                squared = _squared_to_others(points, rows[own], double, origin)
            assert squared is not None
            pair = None if logs is None else (logs[rows[own]], logs[slice(*ends)])
            _add(squared, pair, errors[own], overlaps[own], sigmas, sizes.threads)
    found = torch.stack([errors.clamp_(max=1), overlaps.log1p_()])
    if prior is not None:
        found *= (prior[rows] / prior[rows].mean())[:, None]
    error, entropy = found.mean(1).double().cpu().numpy()
    return np.stack([1 - error, weight_of_entropy(entropy, n)])


def _squared_to_others(
    points: torch.Tensor, rows: torch.Tensor, tile: Tile, origin: torch.Tensor
) -> torch.Tensor | None:
    # Squared distances to a tile, infinite to the point itself; None where float32 will not do.
    found = distances_to(points, rows, points, tile, origin)
    if found is None:
        return None
    found.squared[tile.find(rows)] = torch.inf
    return found.squared


def _add(
    squared: torch.Tensor,
    logs: tuple[torch.Tensor, torch.Tensor] | None,
    errors: torch.Tensor,
    overlaps: torch.Tensor,
    sigmas: Array,
    threads: int,
) -> None:
    # `logs` of the prior, of the rows and of the tile's points.
    most = torch.finfo(squared.dtype).max

    def update(part: tuple[int, int]) -> None:
        own = slice(*part)
        apart, buffer = squared[own].sqrt(), torch.empty_like(squared[own])
        if logs is not None:
            ratios = (logs[1] - logs[0][own, None]).to(apart)
            shift = ratios / apart.clamp(min=torch.finfo(apart.dtype).tiny)
        for k, sigma in enumerate(sigmas[0].tolist()):
            # Phi(-r / (2 sigma)), the chance to decode one of two points wrongly.
            torch.mul(apart, min(1 / (math.sqrt(8) * sigma), most), out=buffer)
            if logs is not None:
                buffer.sub_(shift, alpha=sigma / math.sqrt(2))
            errors[own, k] += torch.erfc(buffer, out=buffer).sum(1) / 2
        for k, sigma in enumerate(sigmas[1].tolist()):
            torch.mul(squared[own], max(MEAN_LOG_TERM / sigma**2, -most), out=buffer)
            if logs is not None:
                buffer.add_(ratios)
            overlaps[own, k] += buffer.exp_().sum(1)

    for_each(update, tiles(len(squared), BLOCK), squared.device, threads)


def _guides(rows: torch.Tensor) -> torch.Tensor:
    # Numbers of a few rows, evenly spaced.
    return torch.linspace(0, len(rows) - 1, min(len(rows), _GUIDES), device=rows.device).long()


def _typical_distance(points: torch.Tensor, held_out: torch.Tensor) -> float:
    # A distance of the size of most: by medians, since one outlier moves any mean.
    a, b = (rows[_guides(rows)].to(working_dtype(rows.device)) for rows in (points, held_out))
    apart = torch.cdist(a, a)[~torch.eye(len(a), dtype=torch.bool, device=a.device)]
    return float(apart.median() + torch.cdist(b, a).amin(1).median()) or 1.0  # all points equal


def _crossings(
    falling: Callable[[torch.Tensor, Array], Array], rows: torch.Tensor, count: int, spread: float
) -> Array:
    # The sigmas at which functions that fall with sigma, means over the rows, pass zero, (count,):
    # of numbers of rows and sigmas (count, K) they give (count, K).
    scale, guides = math.log(spread), _guides(rows)
    span = np.array([[scale - REACH, scale + REACH]] * count)
    curves = np.arange(count)
    for _ in range(3):
        levels = np.linspace(span[:, 0], span[:, 1], _COARSE, axis=1)
        low = falling(guides, np.exp(levels)) < 0
        first = np.where(low.any(1), low.argmax(1), _COARSE - 1)
        span = np.stack([levels[curves, np.maximum(first - 1, 0)], levels[curves, first]], axis=1)
    levels = span.mean(1, keepdims=True) + np.linspace(-_AROUND, _AROUND, _LEVELS)
    everyone, found = torch.arange(len(rows), device=rows.device), np.full(count, np.nan)
    while np.isnan(found).any():
        rising = -falling(everyone, np.exp(levels))
        for k in range(count):
            found[k], levels[k] = _root(levels[k], rising[k], scale)
    return np.exp(found)


def _root(levels: Array, rising: Array, scale: float) -> tuple[float, Array]:
    # Where a rising function of log sigma passes zero, or nan, and the levels to look at next.
    if rising[0] <= 0 < rising[-1]:
        return float(PchipInterpolator(levels, rising).solve(0, extrapolate=False)[-1]), levels
    sign = 1 if rising[-1] <= 0 else -1
    if max(sign * (levels - scale)) >= REACH:
        return scale + sign * REACH, levels
    # One step of overlap: a root at the end of one window lies inside of the next.
    return np.nan, levels + sign * (levels[-2] - levels[0])
