"""Gaussian shell coverage of held-out points, by Monte Carlo (Definition 4.6).

A query ``x + sigma z`` lies in the shell of ``x_j`` where ``D_j + 2 sigma G_j``, with ``D_j = |x -
x_j|^2`` and ``G_j = <z, x - x_j>``, lies between ``sigma^2 (r_in^2 - |z|^2)`` and ``sigma^2
(r_out^2 - |z|^2)``. One of them that does covers the query, and none that is near enough to do so
leaves it uncovered: most sigmas are settled by two extremes of D and G, the others by one minimum.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from empirical.device import as_rows, kept_rows, resolve_device, working_dtype
from empirical.noise import BLOCK, Block, batches, blocks
from empirical.products import (
    DEFAULT_MEMORY,
    direct,
    distances_to_tile,
    groups,
    inner_with,
    joined,
    mean_of,
    plan,
    product,
    product_dtype,
    rounding,
    squared_distances,
    squared_norms,
    tiles,
)
from empirical.threads import for_each
from theory.shells import radii

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Task:
    """What is asked: rows as given, sigmas (K,), the shell's squared radii, and what is known."""

    points: torch.Tensor
    held_out: torch.Tensor
    origin: torch.Tensor
    sigmas: torch.Tensor
    inner: float
    outer: float
    covered: torch.Tensor
    """(queries, K), filled tile by tile."""


def covered(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    c: float = 5.0,
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
    of an end of its shell, and could decide, is done again in float64 by direct differences, so
    the events are those of float64, whatever the batch, the tiles and the threads.
    Raises ValueError if ``memory`` is too small. Source: Def 4.6, whose coverage is the mean over
    queries.
    """
    where = resolve_device(device)
    points, held_out = kept_rows(train, where), kept_rows(test, where)
    sigmas = np.atleast_1d(np.asarray(sigmas, np.float64))
    r_in, r_out = (float(r) for r in radii(points.shape[1], c))
    work, dtype = working_dtype(where), product_dtype(points.shape[1], where)
    n, d = points.shape
    sizes = plan(memory, n, d)
    task = _Task(
        points,
        held_out,
        mean_of(points),
        torch.as_tensor(sigmas).to(where, work),
        r_in**2,
        r_out**2,
        torch.zeros(-(-queries // BLOCK) * BLOCK, len(sigmas), dtype=torch.bool, device=where),
    )
    single = np.float32 if dtype == torch.float32 else np.float64
    drawn = blocks(seed, stream, queries, d, len(held_out), single)
    for batch in batches(drawn, sizes.queries // BLOCK):
        for ends in tiles(n, sizes.columns):
            _add_tile(task, batch, ends, dtype, sizes.threads)
    return task.covered[:queries].cpu().numpy()


def _add_tile(
    task: _Task, batch: list[Block], ends: tuple[int, int], dtype: torch.dtype, threads: int
) -> None:
    drawn = np.concatenate([block.indices for block in batch])
    unique, inverse = (
        torch.as_tensor(a).to(task.points.device) for a in np.unique(drawn, return_inverse=True)
    )
    tile = distances_to_tile(task.held_out, unique, task.points, ends, task.origin, dtype, threads)
    dtype = tile.squared.dtype
    unit = rounding(task.points.shape[1], dtype)
    first = batch[0].start

    def add(group: list[Block]) -> None:
        z, chosen, queries = joined(group, task.points.device, dtype)
        which = inverse[queries.start - first : queries.stop - first]
        squared = tile.squared.index_select(0, which)
        g = product(z, tile.points).neg_()
        g += inner_with(z, task.held_out, chosen, task.origin)[:, None]
        own, reach = squared_norms(z), tile.reach[which]
        errors = unit * reach.square(), unit * own.sqrt() * reach
        _union(task, task.covered[queries], squared, g, own, errors, z, chosen, ends[0])

    for_each(add, groups(batch, max(tile.points.shape)), task.points.device, threads)


def _union(
    task: _Task,
    covered: torch.Tensor,
    squared: torch.Tensor,
    g: torch.Tensor,
    own: torch.Tensor,
    errors: tuple[torch.Tensor, torch.Tensor],
    z: torch.Tensor,
    chosen: torch.Tensor,
    start: int,
) -> None:
    # Of one tile's points to R queries: squared and g (R, T); sets covered (R, K) where one covers.
    s = task.sigmas
    low = (task.inner - own)[:, None] * s.square()
    high = (task.outer - own)[:, None] * s.square()
    error = errors[0][:, None] + 2 * s * errors[1][:, None]
    error += torch.finfo(g.dtype).eps * (
        2 * s * g.abs().amax(1)[:, None] + squared.amax(1)[:, None]
    )
    nearest, at = squared.min(1)
    gap = nearest[:, None] + 2 * s * g.gather(1, at[:, None])
    covered |= (gap >= low + error) & (gap <= high - error)
    least = nearest[:, None] + 2 * s * g.amin(1)[:, None]
    opened = ~covered & (least <= high + error)
    buffer = torch.empty_like(g)
    for k, count in enumerate(opened.sum(0).tolist()):
        if count == 0:
            continue
        sigma = float(s[k])
        if count > len(g) // 2:
            torch.add(squared, g, alpha=2 * sigma, out=buffer)
            closest = buffer.amin(1)
        else:
            row = opened[:, k].nonzero().squeeze(1)
            closest = torch.full_like(own, torch.inf)
            closest[row] = torch.add(squared[row], g[row], alpha=2 * sigma).amin(1).to(own.dtype)
        sure = (closest >= low[:, k] + error[:, k]) & (closest <= high[:, k] - error[:, k])
        covered[:, k] |= sure
        # At an end of the closest shell, or in its hole, where a farther one may still cover.
        row = (opened[:, k] & ~sure & (closest <= high[:, k] + error[:, k])).nonzero().squeeze(1)
        if len(row):
            gaps = torch.add(squared[row], g[row], alpha=2 * sigma)
            below, above = (low[row, k] - gaps.T).T, (gaps.T - high[row, k]).T
            outside = torch.maximum(below, above)
            covered[row, k] |= (outside <= -error[row, k, None]).any(1)
            doubt = (outside <= error[row, k, None]) & ~covered[row, k, None]
            for pairs in doubt.nonzero().split(BLOCK):
                i, j = row[pairs[:, 0]], pairs[:, 1]
                exact, inner = direct(task.held_out, chosen[i], task.points, j + start, z, i)
                exact -= 2 * sigma * inner  # inner is <z, x_j - x>
                inside = (exact >= low[i, k]) & (exact <= high[i, k])
                covered[i[inside], k] = True


def distances(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
) -> Array:
    """Distances of every held-out point to every training point, (M, N) float64."""
    where = resolve_device(device)
    squared = squared_distances(as_rows(test, where), as_rows(train, where))
    return squared.sqrt_().double().cpu().numpy()
