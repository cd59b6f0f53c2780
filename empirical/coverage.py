"""Gaussian shell coverage of held-out points, by Monte Carlo (Definition 4.6).

A query ``x + sigma z`` lies in the shell of ``x_j`` where ``D_j + 2 sigma G_j``, with ``D_j = |x -
x_j|^2`` and ``G_j = <z, x - x_j>``, lies between ``sigma^2 (r_in^2 - |z|^2)`` and ``sigma^2
(r_out^2 - |z|^2)``. The query is covered if this holds for one j. At most sigmas the extremes of D
and of G decide whether there is one, at the others the minimum of ``D + 2 sigma G`` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels.device import rows_of_both, working_dtype
from wildmiddle.empirical.kernels.distances import (
    Distances,
    distances_to,
    inner_products,
    pair_terms,
)
from wildmiddle.empirical.kernels.noise_pass import (
    Accumulator,
    AddQueries,
    noise_levels,
    run_pass,
    whole_blocks,
)
from wildmiddle.empirical.kernels.processes import combine_rows
from wildmiddle.empirical.kernels.products import (
    Tile,
    centre,
    mean_of,
    plan,
    rounding,
    squared_distances,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.noise import BLOCK, Beyond, blocks, indices
from wildmiddle.theory.constants import DEFAULT_MEMORY, SHELL_WIDTH
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]


def coverage_draws(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    c: float = SHELL_WIDTH,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    stream: str = "coverage",
    memory: int = DEFAULT_MEMORY,
) -> NDArray[np.bool_]:
    """Which noised held-out points lie in the union of the training shells, at every sigma.

    ``train`` (N, ...), ``test`` (M, ...), ``sigmas`` (K,); returns (queries, K). A query
    noises a uniformly drawn held-out point; all sigmas share the noise. An exact union event over
    all N shells, both ends included. ``memory`` bounds the buffers in bytes.

    Precision: from d = 256 on the products are in float32. A distance that lies within the rounding
    of an end of its shell, and could decide, is computed again in float64 from the difference of
    the points, so the events are those of float64, whatever the batch, the tiles and the threads.
    Raises ValueError for no sigma or sigma <= 0, no query, or too little ``memory``. Source: Def
    4.6, whose coverage is the mean over queries.
    """
    points, held_out = rows_of_both(train, test, "test", device, least=1)
    origin = mean_of(points)
    chosen = indices(seed, stream, queries, len(held_out))
    accumulator, result = coverage_accumulator(points, held_out, sigmas, queries, origin, chosen, c)
    drawn = blocks(seed, stream, queries, points.shape[1], dtype=np.float32)
    return result(run_pass(points, origin, drawn, [accumulator], memory))


@dataclass(frozen=True)
class _Task:
    """The arguments of a coverage accumulator, and its state."""

    points: torch.Tensor
    held_out: torch.Tensor
    origin: torch.Tensor
    chosen: NDArray[np.int64]
    sigmas: torch.Tensor
    inner: float
    outer: float
    """Squared radii of the shell at sigma = 1."""
    known: Distances | None
    """Distances of all pairs, where the caller has them."""
    beyond: torch.Tensor
    """``|z|^2`` of each query's noise in dimensions that the points do not have, (queries,)."""
    covered: torch.Tensor
    """(queries, K), filled tile by tile."""


class Pairs(NamedTuple):
    """R queries and the T points of a tile: D and G of all pairs (R, T), and what D shows (R,)."""

    squared: torch.Tensor
    g: torch.Tensor
    nearest: torch.Tensor
    at: torch.Tensor
    farthest: torch.Tensor


def coverage_accumulator(
    points: torch.Tensor,
    held_out: torch.Tensor,
    sigmas: ArrayLike,
    queries: int,
    origin: torch.Tensor,
    chosen: NDArray[np.int64],
    c: float,
    *,
    known: Distances | None = None,
    beyond: Beyond | None = None,
) -> tuple[Accumulator, Callable[[slice], NDArray[np.bool_]]]:
    """Accumulator of the coverage for a pass over ``points``, and its value once the pass is done.

    The value takes what :func:`~wildmiddle.empirical.kernels.noise_pass.run_pass` returns. Each
    query noises its own row of ``held_out``: ``chosen`` (queries in whole blocks). ``known`` are
    the distances of all ``held_out`` to all ``points``, where the caller has them, and ``beyond``
    is the noise in dimensions in which all of them are equal.
    """
    where = points.device
    levels = torch.as_tensor(noise_levels(sigmas))
    more = beyond or Beyond(0, np.zeros(whole_blocks(queries)))
    r_in, r_out = (float(r) for r in radii(points.shape[1] + more.dimensions, c))
    task = _Task(
        points,
        held_out,
        origin,
        chosen,
        levels.to(where, working_dtype(where)),
        r_in**2,
        r_out**2,
        known,
        torch.as_tensor(more.squared).to(where, working_dtype(where)),
        torch.zeros(whole_blocks(queries), len(levels), dtype=torch.bool, device=where),
    )

    def result(done: slice) -> NDArray[np.bool_]:
        return combine_rows(task.covered, done)[:queries].cpu().numpy()

    return Accumulator(queries, partial(_prepare, task)), result


def _prepare(task: _Task, queries: slice, tile: Tile) -> AddQueries | None:
    where = task.points.device
    unique, inverse = (
        torch.as_tensor(a).to(where) for a in np.unique(task.chosen[queries], return_inverse=True)
    )
    if task.known is None:
        found = distances_to(task.held_out, unique, task.points, tile, task.origin)
    else:
        columns = slice(tile.start, tile.start + len(tile.points))
        found = Distances(task.known.squared[unique, columns], None, task.known.reach[unique])
    if found is None:
        return None
    unit = rounding(task.points.shape[1], found.squared.dtype)
    nearest, farthest = found.squared.min(1), found.squared.amax(1)
    first = queries.start

    def add(queries: slice, z: torch.Tensor, inner: torch.Tensor) -> None:
        which = inverse[queries.start - first : queries.stop - first]
        point = unique[which]
        pairs = Pairs(
            found.squared.index_select(0, which),
            inner_products(z, task.held_out, point, task.origin)[:, None] - inner,
            nearest.values[which],
            nearest.indices[which],
            farthest[which],
        )
        norms, reach = squared_norms(z), found.reach[which]
        errors = unit * reach.square(), unit * norms.sqrt() * reach
        norms = norms + task.beyond[queries]
        _mark_covered(task, task.covered[queries], pairs, norms, errors, z, point, tile.start)

    return add


def _mark_covered(
    task: _Task,
    covered: torch.Tensor,
    pairs: Pairs,
    noise_norms: torch.Tensor,
    errors: tuple[torch.Tensor, torch.Tensor],
    z: torch.Tensor,
    chosen: torch.Tensor,
    start: int,
) -> None:
    # Sets covered (R, K) where the shell of a point of the tile covers one of the R queries, whose
    # noise has the squared norms `noise_norms` (R,).
    squared, g, s = pairs.squared, pairs.g, task.sigmas
    low = (task.inner - noise_norms)[:, None] * s.square()
    high = (task.outer - noise_norms)[:, None] * s.square()
    error = errors[0][:, None] + 2 * s * errors[1][:, None]
    lowest = g.amin(1)
    largest = torch.maximum(lowest.abs(), g.amax(1).abs())
    error += torch.finfo(g.dtype).eps * (2 * s * largest[:, None] + pairs.farthest[:, None])
    gap = pairs.nearest[:, None] + 2 * s * g.gather(1, pairs.at[:, None])
    covered |= (gap >= low + error) & (gap <= high - error)
    least = pairs.nearest[:, None] + 2 * s * lowest[:, None]
    opened = ~covered & (least <= high + error)
    # The least D + 2 sigma G, where the extremes leave it open.
    closest, buffer = torch.full_like(low, torch.inf), torch.empty_like(g)
    for k, count in enumerate(opened.sum(0).tolist()):
        sigma = float(s[k])
        if count > len(g) // 2:
            closest[:, k] = torch.add(squared, g, alpha=2 * sigma, out=buffer).amin(1)
        elif count:
            row = opened[:, k].nonzero().squeeze(1)
            closest[row, k] = _gaps(squared, g, sigma, row).amin(1).to(closest.dtype)
    sure = (closest >= low + error) & (closest <= high - error)
    covered |= sure
    # The nearest point may be within rounding of an end of its shell, or inside its inner radius,
    # and a farther one may still cover.
    opened &= ~sure & (closest <= high + error)
    for k in opened.any(0).nonzero().flatten().tolist():
        row, sigma = opened[:, k].nonzero().squeeze(1), float(s[k])
        gaps = _gaps(squared, g, sigma, row)
        below, above = (low[row, k] - gaps.T).T, (gaps.T - high[row, k]).T
        outside = torch.maximum(below, above)
        covered[row, k] |= (outside <= -error[row, k, None]).any(1)
        doubt = (outside <= error[row, k, None]) & ~covered[row, k, None]
        for at in doubt.nonzero().split(BLOCK):
            i, j = row[at[:, 0]], at[:, 1]
            exact, inner = pair_terms(task.held_out, chosen[i], task.points, j + start, z, i)
            exact -= 2 * sigma * inner  # inner is <z, x_j - x>
            inside = (exact >= low[i, k]) & (exact <= high[i, k])
            covered[i[inside], k] = True


def _gaps(squared: torch.Tensor, g: torch.Tensor, sigma: float, row: torch.Tensor) -> torch.Tensor:
    # D + 2 sigma G of some rows.
    d = squared.index_select(0, row)
    return d.add_(g.index_select(0, row), alpha=2 * sigma)


def distances(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
) -> Array:
    """Distances of every held-out point, or noised one, to every training point, (M, N) float64.

    ``memory`` bounds the buffers in bytes, the arguments and the result apart.
    """
    rows, held_out = rows_of_both(train, test, "test", device, least=1, units=False)
    origin, work, sizes = mean_of(rows), working_dtype(rows.device), plan(memory, *rows.shape)
    found = np.empty((len(held_out), len(rows)))
    for ends in tiles(len(rows), sizes.columns):
        tile = tile_of(rows, ends, origin, work, sizes.threads)
        for part in (slice(*some) for some in tiles(len(held_out), BLOCK)):
            x = centre(held_out[part], origin, work)
            squared = squared_distances(x, tile.points, b_norms=tile.norms)
            found[part, slice(*ends)] = squared.sqrt_().cpu().numpy()
    return found
