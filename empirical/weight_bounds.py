"""Where the bounds of the mean posterior weight pass a level, from all distances, tile by tile.

Both bounds are means, over the training points, of a function of a sum over all other points: of
``Phi(-r / (2 sigma))`` for the union bound, of ``exp(-r^2 / (2 sigma^2))`` for Fano's. One pass
over all pairs takes the sums at a few noise levels about a guess. The logarithm of the second sum
is a cumulant generating function of ``1 / sigma^2``, and smooth; that of the first is much the
same. Both are interpolated for each point.
"""

import math
from collections.abc import Iterator
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import KroghInterpolator
from tqdm import tqdm

from wildmiddle.empirical.crossings import Curve, crossings
from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.distances import squared_to
from wildmiddle.empirical.kernels.processes import add_up, share
from wildmiddle.empirical.kernels.products import (
    Tile,
    distance_dtype,
    origin_of,
    plan,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory.regimes import MEAN_LOG_TERM, weight_of_entropy

Array = NDArray[np.float64]

_NODES = np.cos(np.pi / 8 * np.array([7, 5, 3, 1])) / np.cos(np.pi / 8)
"""Where the noise levels of a pass lie, in units of its reach: Chebyshev's nodes, to both ends."""
FINE = np.linspace(-1, 1, 25)
"""Where the sums are interpolated to, likewise."""
_AROUND = 0.06
"""How far in log sigma the first pass reaches: about four times the error of a guess from the
distances of 512 points."""
_SURE = 3e-5
"""A crossing in log sigma is taken where it would move by less with one noise level fewer."""
_SQUARE = 1024
"""Points all of whose pairs are taken twice, at most."""
_ROWS = 64
"""Rows of a tile whose terms are taken at a time: their buffers stay in the processor's cache."""
_LEAST = 1e-40
"""Sums below count as this: their logarithms are interpolated."""


def weight_crossings(
    points: torch.Tensor,
    guess: Array,
    level: float,
    spread: float,
    memory: int,
    prior: torch.Tensor | None = None,
    *,
    progress: bool = False,
) -> Array:
    """The sigmas at which the bounds of the mean weight over the points pass ``level``, (2,).

    Of ``points`` (N, d), by the union bound and by Fano's, as of
    :func:`wildmiddle.theory.regimes.weight_lower` and
    :func:`~wildmiddle.theory.regimes.weight_upper` of all distances, right to about 1e-5. ``guess``
    (2,) in log sigma: one pass over all pairs as a rule, more where it is far off, or where the
    first one's noise levels are too far apart. A bound that does not pass the level within e^20 of
    ``spread`` gives that end. ``prior`` (N,), where copies give the points one: the mean is by it
    then. ``memory`` bounds the buffers in bytes.
    """

    def look(centres: Array, around: Array) -> Iterator[tuple[Curve, Curve]]:
        both = bounds_about(points, centres, around, memory, prior, progress=progress)
        for k, levels in enumerate(centres[:, None] + around[:, None] * FINE):
            yield (levels, level - both[0, k]), (levels, level - both[1, k])

    return crossings(look, guess, _AROUND, spread, _SURE)


def bounds_about(
    points: torch.Tensor,
    centres: Array,
    around: Array,
    memory: int,
    prior: torch.Tensor | None = None,
    *,
    progress: bool = False,
) -> Array:
    """The bounds of the mean weight at levels about two centres, (2, 2, K).

    ``centres`` (2,) in log sigma, of the union bound and of Fano's, and how far the K levels reach
    to either side, ``around`` (2,). First by all noise levels of the pass, then by one fewer.
    """
    (n, d), device = points.shape, points.device
    threads = plan(memory, n, d, wide=True).threads
    sigmas = np.exp(centres[:, None] + around[:, None] * _NODES)
    sums = torch.zeros(2, len(_NODES), n, dtype=working_dtype(device), device=device)
    logs, everyone = None if prior is None else prior.log(), torch.arange(n, device=device)
    # Without a prior a pair's terms are the same for both of its points.
    for own, columns, squared in pairs_of(points, everyone, memory, progress, once=logs is None):
        pair = None if logs is None else (logs[own], logs[columns])
        other = sums[..., columns] if logs is None and own.stop <= columns.start else None
        _add(squared, pair, sums[..., own], sigmas, threads, other)
    whole = add_up(sums).double().cpu().numpy()
    shares = np.full(n, 1 / n) if prior is None else prior.double().cpu().numpy()
    means = np.zeros((2, 2, len(FINE)))
    for part in (slice(*ends) for ends in tiles(n, 16 * BLOCK)):
        for fewer in range(2):
            means[fewer] += _terms(whole[..., part], around, fewer) @ shares[part]
    means /= shares.sum()
    return np.array([[1 - error, weight_of_entropy(entropy, n)] for error, entropy in means])


def pairs_of(
    points: torch.Tensor,
    rows: torch.Tensor,
    memory: int,
    progress: bool = False,
    *,
    once: bool = False,
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Squared distances of the ``rows`` (R,) of ``points`` (N, d) to all others, tile by tile.

    Yields some of the rows, some of the points, and their distances; that of a point to itself is
    the largest number there is. Several processes share the points. Where the rows are all points
    and pairs are wanted ``once``, so they come, but those of a thousand consecutive points twice.
    """
    (n, d), rows = points.shape, rows.to(points.device)
    sizes, dtype = plan(memory, n, d, wide=True), distance_dtype(points, points)
    origin = origin_of(points, dtype)
    with progress_bar(progress, "training images", len(rows) * n // (1 + once)) as bar:
        for ends in share(list(tiles(n, sizes.columns))):
            tile = tile_of(points, ends, origin, dtype, sizes.threads)
            for own, part in _parts(tile, len(rows), sizes.queries, once):
                squared = squared_to(points, rows[own], points, part, origin)
                squared[part.find(rows[own])] = torch.finfo(squared.dtype).max
                yield own, slice(part.start, part.start + len(part.points)), squared
                bar.update(squared.numel())


def _parts(tile: Tile, count: int, most: int, once: bool) -> Iterator[tuple[slice, Tile]]:
    # Up to so many rows and what of the tile they meet: all of it, or `once` nothing before them.
    for start, end in tiles(tile.start if once else count, most):
        yield slice(start, end), tile
    for start, end in tiles(len(tile.points) if once else 0, min(most, _SQUARE)):
        own = slice(tile.start + start, tile.start + end)
        yield own, tile.part(start, end)
        if end < len(tile.points):
            yield own, tile.part(end, len(tile.points))


def progress_bar(progress: bool, what: str, total: int) -> "tqdm[object]":
    """A bar of so many pairs, where progress is wanted and stderr is a terminal."""
    hidden = None if progress else True  # None: hidden unless stderr is a terminal
    return tqdm(desc=what, total=total, unit=" pairs", unit_scale=True, leave=False, disable=hidden)


def _add(
    squared: torch.Tensor,
    logs: tuple[torch.Tensor, torch.Tensor] | None,
    sums: torch.Tensor,
    sigmas: Array,
    threads: int,
    other: torch.Tensor | None,
) -> None:
    # `logs` of the prior, of the rows and of the tile's points. To `sums` (2, K, R) of the rows and
    # to `other` of the tile's points are added, at each of their noise levels, the chance to decode
    # one of two points wrongly, Phi(-r / (2 sigma)) without a prior, and Fano's terms.
    kind, lock = torch.finfo(squared.dtype), Lock()
    # Below the least normal number, where nothing counts, a processor takes thirty times as long.
    least = math.log(kind.tiny) + 1
    farthest = math.sqrt(-least) - 0.3  # its erfc is a normal number yet

    def keep(which: int, k: int, own: slice, terms: torch.Tensor) -> None:
        sums[which, k, own] += terms.sum(1)
        if other is not None:
            with lock:
                other[which, k] += terms.sum(0)

    def update(part: tuple[int, int]) -> None:
        own = slice(*part)
        apart, buffer = squared[own].sqrt(), torch.empty_like(squared[own])
        if logs is not None:
            ratios = (logs[1] - logs[0][own, None]).to(apart)
            shift = ratios / apart.clamp(min=kind.tiny)
        for k, sigma in enumerate(sigmas[0].tolist()):
            torch.mul(apart, min(1 / (math.sqrt(8) * sigma), kind.max), out=buffer)
            if logs is not None:
                buffer.sub_(shift, alpha=sigma / math.sqrt(2))
            keep(0, k, own, buffer.clamp_(max=farthest).erfc_().div_(2))
        for k, sigma in enumerate(sigmas[1].tolist()):
            torch.mul(squared[own], max(MEAN_LOG_TERM / sigma**2, -kind.max), out=buffer)
            if logs is not None:
                buffer.add_(ratios)
            keep(1, k, own, buffer.clamp_(min=least).exp_())

    for_each(update, tiles(len(squared), _ROWS), squared.device, threads)


def _terms(sums: Array, around: Array, fewer: int) -> Array:
    # Of the sums (2, K, R) of some rows, at the fine levels: the bounds of each row's decoding
    # error and of its posterior's entropy, (2, F, R); by all noise levels but the first `fewer`.
    found = np.empty((2, len(FINE), sums.shape[2]))
    for which, reach in enumerate(around):
        nodes = np.exp(-2 * reach * _NODES[fewer:])
        weights = KroghInterpolator(nodes, np.eye(len(nodes)))(np.exp(-2 * reach * FINE))
        found[which] = np.exp(weights @ np.log(np.maximum(sums[which, fewer:], _LEAST)))
    return np.stack([np.minimum(found[0], 1), np.log1p(found[1])])
