"""Nearest-neighbour distances, and memorization: samples much nearer to one image than others.

Products find the candidates, in float32 from d = 256 on; the distances that are returned are taken
from differences in float64. Where the rounding of the products leaves open whether another point is
as near, all points that may be are compared by their differences.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import proportion
from wildmiddle.empirical.kernels.device import rows_of_both, training_rows, working_dtype
from wildmiddle.empirical.kernels.distances import pair_terms
from wildmiddle.empirical.kernels.processes import combine_rows, gather_rows, own_rows
from wildmiddle.empirical.kernels.products import (
    Tile,
    cancellation_limit,
    centre,
    distance_dtype,
    distance_error,
    mean_of,
    origin_of,
    plan,
    product,
    product_dtype,
    squared_distances,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory.constants import COPY_RATIO, DEFAULT_MEMORY

Array = NDArray[np.float64]

Visit = Callable[[slice, slice, torch.Tensor], None]
"""Takes numbers of queries, numbers of points, and the squared distances of all their pairs."""

_KEPT = 8
"""Candidates for the two nearest points that the products give; where more may be as near, all of
them are looked for once more."""


@dataclass(frozen=True)
class Memorization:
    """Share of memorized samples with its exact interval, and the distances it rests on."""

    rate: float
    low: float
    high: float
    ratio: Array
    """``d_(1) / d_(2)`` of each sample, (S,); 1 where both are 0."""
    nearest: NDArray[np.int64]
    """Index of each sample's nearest training image, (S,)."""
    distances: Array
    """``d_(1)`` and ``d_(2)`` of each sample, (S, 2): to the nearest training image, and to the
    nearest that does not equal it."""


def nearest_two(
    queries: torch.Tensor,
    points: torch.Tensor,
    *,
    memory: int = DEFAULT_MEMORY,
    visit: Visit | None = None,
    left_out: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances (Q, 2) and indices (Q, 2) of the nearest and the second nearest of the points.

    ``queries`` (Q, d) and ``points`` (N, d) on one device; with N = 1 the results are (Q, 1). Of
    equal distances the lower index comes first. ``visit`` is called with every block of squared
    distances, by several threads. ``left_out`` (Q,) is the number of the point that is none of a
    query's, at an infinite distance, or -1: a point is no neighbour of its own. N counts without it
    then. ``memory`` bounds the buffers in bytes. Without ``visit`` several processes share the
    queries (:mod:`wildmiddle.empirical.kernels.processes`).
    """
    if visit is not None:
        return _search(queries, points, memory, visit, left_out)
    own = own_rows(len(queries))
    kept = None if left_out is None else left_out[own]
    distance, index = _search(queries[own], points, memory, None, kept)
    return gather_rows(distance, own, len(queries)), gather_rows(index, own, len(queries))


def _search(
    queries: torch.Tensor,
    points: torch.Tensor,
    memory: int,
    visit: Visit | None,
    left_out: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    squared, index, doubt = _search_products(queries, points, memory, visit, left_out)
    if len(doubt):
        limit = squared[doubt].amax(1)
        squared[doubt], index[doubt] = _search_differences(
            queries[doubt],
            points,
            limit,
            mean_of(points),
            memory,
            None if left_out is None else left_out[doubt],
        )
    return squared.sqrt_(), index


def _search_products(
    queries: torch.Tensor,
    points: torch.Tensor,
    memory: int,
    visit: Visit | None,
    left_out: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    # Squared distances and indices of the two nearest of the candidates, and the queries for which
    # another point may be as near.
    device, n, d = points.device, len(points), points.shape[1]
    kept, dtype = min(_KEPT, n - (left_out is not None)), product_dtype(d, device)
    factors = distance_dtype(queries, points)
    whole = factors == torch.int8
    origin = origin_of(points, factors)
    best = torch.full((len(queries), kept), torch.inf, dtype=dtype, device=device)
    index = torch.zeros(best.shape, dtype=torch.int64, device=device)
    own = torch.empty(len(queries), dtype=working_dtype(device), device=device)
    longest = 0.0
    # Centred once, where a little of the memory holds them all; or else anew for every tile.
    size = len(queries) * d * factors.itemsize
    held = 4 * size <= memory
    ready = centre(queries, origin, factors) if held else queries
    sizes = plan(memory - held * size, n, d)
    for ends in tiles(n, sizes.columns):
        tile = tile_of(points, ends, origin, factors, sizes.threads)
        longest = max(longest, float(tile.norms.max().sqrt()))

        def update(part: tuple[int, int], tile: Tile = tile) -> None:
            rows = slice(*part)
            x = ready[rows] if held else centre(queries[rows], origin, factors)
            if tile.start == 0:
                own[rows] = squared_norms(x)
            shift = torch.zeros(len(x), dtype=dtype, device=device)
            if visit is None and not whole:
                # All but the query's own norm, which changes no order, in one call.
                apart = product(x, tile.points, scale=-2, plus=tile.norms)
                shift = own[rows].to(dtype)
            else:
                apart = squared_distances(x, tile.points, own[rows], tile.norms)
            if visit is not None and not whole:
                # Near pairs decide the sums at small sigma, so they are taken from differences.
                scale = (cancellation_limit(d, dtype) * tile.norms.sqrt()).to(dtype)
                near = apart < own[rows].sqrt().to(dtype)[:, None] * scale
                for i, j in (pair.unbind(1) for pair in near.nonzero().split(BLOCK)):
                    exact, _ = pair_terms(queries, i + rows.start, points, j + tile.start)
                    apart[i, j] = exact.to(dtype)
            if left_out is not None:
                apart[tile.find(left_out[rows])] = torch.inf
            if visit is not None:
                visit(rows, slice(tile.start, tile.start + len(tile.points)), apart)
            # Past the first tiles most queries have nothing nearer to come.
            nearest = apart.amin(1) + shift
            row = torch.nonzero(nearest < best[rows, -1]).squeeze(1)
            found = apart[row].topk(min(kept, apart.shape[1]), dim=1, largest=False)
            row, squared = row + rows.start, found.values + shift[row, None]
            values = torch.cat([best[row], squared], dim=1)
            both = torch.cat([index[row], found.indices + tile.start], dim=1)
            best[row], at = values.topk(kept, dim=1, largest=False)
            index[row] = both.gather(1, at)

        for_each(update, tiles(len(queries), BLOCK), device, sizes.threads)
    exact = torch.full(best.shape, torch.inf, dtype=working_dtype(device), device=device)
    # Products of bytes are exact: their distances are rounded once.
    error = distance_error(0 if whole else d, dtype, own, longest)

    def measure(ends: tuple[int, int]) -> None:
        # By index first: a stable sort then puts the lower one of equals first.
        rows = slice(*ends)
        index[rows], at = index[rows].sort(1)
        apart = best[rows].gather(1, at)
        # Of the candidates those that may be among the two nearest, but for rounding.
        second = apart.topk(min(2, kept), dim=1, largest=False).values[:, -1]
        i, j = (apart <= (second + 2 * error[rows])[:, None]).nonzero(as_tuple=True)
        exact[rows][i, j], _ = pair_terms(queries, i + ends[0], points, index[rows][i, j])
        exact[rows], at = exact[rows].sort(dim=1, stable=True)
        index[rows] = index[rows].gather(1, at)

    for_each(measure, tiles(len(queries), BLOCK), device, sizes.threads)
    # What was not kept is at least as far as the last that was, but for rounding.
    may_be_nearer = (best.amax(1) - error <= exact[:, :2].amax(1)) & (1 < kept < n)
    doubt = torch.nonzero(may_be_nearer).squeeze(1)
    return exact[:, :2], index[:, :2], doubt


def _search_differences(
    queries: torch.Tensor,
    points: torch.Tensor,
    limit: torch.Tensor,
    origin: torch.Tensor,
    memory: int,
    left_out: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    # The same squared distances and indices, of all the points within the squared distance `limit`
    # (Q,): two or more.
    (n, d), work = points.shape, working_dtype(points.device)
    best = torch.full((len(queries), 2), torch.inf, dtype=work, device=points.device)
    index = torch.zeros(best.shape, dtype=torch.int64, device=points.device)
    sizes = plan(memory, n, d)
    for ends in tiles(n, sizes.columns):
        tile = tile_of(points, ends, origin, work, sizes.threads)

        def update(part: tuple[int, int], tile: Tile = tile) -> None:
            x = centre(queries[slice(*part)], origin, work)
            own = squared_norms(x)
            error = distance_error(d, work, own, tile.norms.max().sqrt())
            squared = squared_distances(x, tile.points, own, tile.norms)
            near = squared <= (limit[slice(*part)] + error)[:, None]
            if left_out is not None:
                near[tile.find(left_out[slice(*part)])] = False
            row = near.any(1).nonzero().squeeze(1)
            i, j = near[row].nonzero(as_tuple=True)
            squared = torch.full_like(squared[row], torch.inf)
            number = torch.arange(len(tile.points), device=x.device).expand_as(squared) + tile.start
            row += part[0]
            squared[i, j], _ = pair_terms(queries, row[i], points, j + tile.start)
            # Earlier tiles first: a stable sort puts the lower index of equals first.
            both = torch.cat([best[row], squared], dim=1).sort(dim=1, stable=True)
            best[row], at = both.values[:, :2], both.indices[:, :2]
            index[row] = torch.cat([index[row], number], dim=1).gather(1, at)

        for_each(update, tiles(len(queries), BLOCK), points.device, sizes.threads)
    return best, index


def _nearer_two(
    one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    # Of the two nearest points in two senses, distances and indices (Q, 2) each: the two nearest in
    # either sense, one entry a point. Of each sense one of the two is not the nearest of all.
    distance, index = (torch.cat(pair, 1) for pair in zip(one, other, strict=True))
    distance, order = distance.sort(dim=1, stable=True)
    index = index.gather(1, order)
    again = index == index[:, :1]
    again[:, 0] = False
    second = distance.masked_fill(again, torch.inf).argsort(dim=1, stable=True)[:, :2]
    return distance.gather(1, second), index.gather(1, second)


def extreme_distances(
    train: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    chosen: NDArray[np.int64] | None = None,
) -> Array:
    """Distance of every training point to its nearest and its farthest other one, (N, 2).

    Or of those of the numbers ``chosen`` (R,), (R, 2). ``train`` (N, ...), N >= 2; raises
    ValueError below. These are d_min(i) and d_max(i) of Theorem 4.2. Both are measured from
    differences, but chosen by products in float64: of points whose distances differ by less than
    the rounding of these it may be another, so that a duplicate is at 0 unless a near copy is by.
    ``memory`` bounds the buffers in bytes. Several processes share the points.
    """
    points = training_rows(train, device)
    n, work, origin = len(points), working_dtype(points.device), mean_of(points)
    numbers = _numbers(points, chosen)
    mine = own_rows(len(numbers))
    ends = torch.empty(len(numbers), 2, dtype=work, device=points.device)
    ends[:, 0], ends[:, 1] = torch.inf, 0.0
    sizes = plan(memory, n, points.shape[1])
    for span in tiles(n, sizes.columns):
        tile = tile_of(points, span, origin, work, sizes.threads)

        def update(part: tuple[int, int], tile: Tile = tile) -> None:
            rows = slice(mine.start + part[0], mine.start + part[1])
            own = numbers[rows]
            x = centre(points.index_select(0, own), origin, work)
            squared = squared_distances(x, tile.points, b_norms=tile.norms)
            farthest = squared.argmax(1)
            squared[tile.find(own)] = torch.inf
            # The two that matter once more, from differences.
            near, _ = pair_terms(points, own, points, squared.argmin(1) + tile.start)
            far, _ = pair_terms(points, own, points, farthest + tile.start)
            near[squared.amin(1).isinf()] = torch.inf  # a tile of nothing but the point itself
            torch.minimum(ends[rows, 0], near.sqrt(), out=ends[rows, 0])
            torch.maximum(ends[rows, 1], far.sqrt(), out=ends[rows, 1])

        for_each(update, tiles(mine.stop - mine.start, BLOCK), points.device, sizes.threads)
    return combine_rows(ends, mine).double().cpu().numpy()


def _numbers(points: torch.Tensor, chosen: NDArray[np.int64] | None) -> torch.Tensor:
    everyone = np.arange(len(points)) if chosen is None else chosen
    return torch.from_numpy(everyone).to(points.device)


def distances_to_others(
    train: ArrayLike | torch.Tensor,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    chosen: NDArray[np.int64] | None = None,
) -> Iterator[Array]:
    """Yield the distances from every training point to all others, some points at a time.

    Or from those of the numbers ``chosen``. ``train`` (N, ...), N >= 2; raises ValueError below.
    Yields (R, N - 1) float64, R points in their order. ``memory`` bounds the buffers in bytes, with
    room for ten numbers a pair.
    """
    points = training_rows(train, device)
    (n, d), work = points.shape, working_dtype(points.device)
    origin, sizes, numbers = mean_of(points), plan(memory, n, d), _numbers(points, chosen)
    for start, end in tiles(len(numbers), max(1, min(BLOCK, memory // (80 * n)))):
        own_numbers = numbers[start:end]
        x = centre(points.index_select(0, own_numbers), origin, work)
        own = squared_norms(x)
        square = torch.empty(end - start, n, dtype=work, device=points.device)
        for ends in tiles(n, sizes.columns):
            tile = tile_of(points, ends, origin, work, sizes.threads)
            square[:, slice(*ends)] = squared_distances(x, tile.points, own, tile.norms)
        keep = torch.ones_like(square, dtype=torch.bool)
        keep[torch.arange(end - start), own_numbers] = False
        yield square.sqrt_()[keep].view(end - start, n - 1).double().cpu().numpy()


def memorization(
    samples: ArrayLike | torch.Tensor,
    train: ArrayLike | torch.Tensor,
    threshold: float = COPY_RATIO,
    *,
    alpha: float = 0.05,
    device: str | torch.device = "auto",
    memory: int = DEFAULT_MEMORY,
    units: bool = True,
    mirrored: bool | torch.Tensor = False,
) -> Memorization:
    """Share of samples with ``d_(1) < threshold * d_(2)``, nearest against second nearest.

    ``samples`` (S, ...), ``train`` (N, ...); training images that are equal count as one, so that
    the second nearest is another image. The Clopper-Pearson interval is for the rate of the sampler
    that drew the samples independently. Raises ValueError for fewer than two images that differ,
    samples of another shape or order of axes (``wildmiddle.to_channels_first`` is the remedy),
    bytes against floats, or a threshold outside (0, 1]. Warns where samples and training images
    look to be in different units, unless ``units`` is False. ``mirrored`` takes the distance to an
    image or to its mirror image along the last axis, whichever is nearer, and training images that
    are mirror images of each other as one: for training that mirrors images. Where samples are
    features it is the features (S, ...) of the mirrored samples. ``memory`` bounds the buffers in
    bytes. Of equally near images the lower index is given.
    Source: Section 3, after Yoon et al. 2023.
    """
    points, queries = rows_of_both(train, samples, "samples", device, units=units)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold = {threshold} must lie in (0, 1]")
    ways, shape = [queries], None
    if isinstance(mirrored, torch.Tensor):
        ways.append(mirrored.flatten(1).to(queries))
    elif mirrored:
        shape = tuple(np.shape(train)[1:])
        ways.append(_mirror(queries, shape))
    distance, index = _nearest_different(ways, points, memory, shape)
    # 0 / 0: images that differ by so little that its square is 0.
    ratio = torch.nan_to_num(distance[:, 0] / distance[:, 1], nan=1.0)
    all_ratios = ratio.double().cpu().numpy()
    interval = proportion(int((all_ratios < threshold).sum()), len(all_ratios), alpha)
    return Memorization(
        rate=float(interval.mean),
        low=float(interval.low),
        high=float(interval.high),
        ratio=all_ratios,
        nearest=index[:, 0].cpu().numpy(),
        distances=distance.double().cpu().numpy(),
    )


def _mirror(rows: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    return rows.reshape(len(rows), *shape).flip(-1).flatten(1)


def _nearest_different(
    ways: list[torch.Tensor], points: torch.Tensor, memory: int, shape: tuple[int, ...] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    # As `nearest_two` of the points that differ, with the shape of an image of those that no
    # mirroring makes equal; from the nearer of each query and its mirror image, where there are
    # these two. Where the two nearest are no copies of each other these are they: the others alone
    # take a search among the different points.
    def search(rows: torch.Tensor | slice, among: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = [nearest_two(way[rows], among, memory=memory) for way in ways]
        return found[0] if len(found) == 1 else _nearer_two(*found)

    distance, index = search(slice(None), points)
    first, second = index.T
    equal = pair_terms(points, first, points, second)[0] == 0
    if shape is not None:
        equal |= (_mirror(points[first], shape) == points[second]).all(1)
    same = equal.nonzero().squeeze(1)
    if len(same):
        different = distinct(points, shape)
        kept, _ = different.points_and_prior(points)
        distance[same], among = search(same, kept)
        index[same] = torch.as_tensor(different.first).to(among)[among]
    return distance, index
