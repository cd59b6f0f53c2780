"""Squared distances, and the terms of single pairs where the rounding of a product could decide.

The terms of a pair are ``D = |x_j - x_i|^2`` and ``G = <z, x_j - x_i>`` for a noise z. Taken from
the difference of the two points they lose no digits to cancellation, however close the points.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.products import (
    Tile,
    cancellation_limit,
    centre,
    squared_distances,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.kernels.threads import for_each
from wildmiddle.empirical.noise import BLOCK

PairTerms = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Gives ``D`` and ``G`` of pairs of queries i (P,) and columns j (P,) of a tile, (P,) each."""

_PAIRS = 128
_RUN = 64
_MOST_CLOSE = 0.02


def pair_terms(
    a: torch.Tensor,
    i: torch.Tensor,
    b: torch.Tensor,
    j: torch.Tensor,
    z: torch.Tensor | None = None,
    q: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``|b_j - a_i|^2`` and ``<z_q, b_j - a_i>`` of pairs, (P,) each, from differences in float64.

    ``a``, ``b`` and ``z`` are rows as they were given, ``i``, ``j`` and ``q`` (P,) indices into
    them; without ``z`` the second result is 0.
    """
    work = working_dtype(a.device)
    squared = torch.empty(len(i), dtype=work, device=a.device)
    inner = torch.zeros_like(squared)
    gaps, noises = torch.empty(2, min(_PAIRS, len(i)), a.shape[1], dtype=work, device=a.device)
    for start, end in tiles(len(i), _PAIRS):
        gap = _gather(b, j[start:end], gaps)
        gap -= a.index_select(0, i[start:end])
        if z is not None and q is not None:
            noise = _gather(z, q[start:end], noises)
            torch.linalg.vecdot(gap, noise, out=inner[start:end])
        torch.linalg.vecdot(gap, gap, out=squared[start:end])
    return squared, inner


def pair_terms_mixed(
    a: torch.Tensor,
    i: torch.Tensor,
    b: torch.Tensor,
    j: torch.Tensor,
    z: torch.Tensor,
    q: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As :func:`pair_terms` in mixed precision, at half its cost.

    The relative error is about 3e-7 of ``|b_j - a_i|``, however small that is. The differences are
    rounded once to the precision of ``z``; sums of ``_RUN`` products are taken in it, and these
    sums are added in float64.
    """
    work, wide = working_dtype(a.device), torch.promote_types(a.dtype, b.dtype)
    squared = torch.empty(len(i), dtype=work, device=a.device)
    inner = torch.empty_like(squared)
    shape, short = (min(_PAIRS, len(i)), a.shape[1]), -a.shape[1] % _RUN
    ends = torch.empty(2, *shape, dtype=wide, device=a.device)
    noises = torch.empty(shape, dtype=z.dtype, device=a.device)

    def runs(rows: torch.Tensor) -> torch.Tensor:
        whole = torch.nn.functional.pad(rows, (0, short)) if short else rows
        return whole.unflatten(1, (-1, _RUN))

    for start, end in tiles(len(i), _PAIRS):
        rows = _gather(b, j[start:end], ends[0])
        rows -= _gather(a, i[start:end], ends[1])
        gap, noise = runs(rows.to(z.dtype)), runs(_gather(z, q[start:end], noises))
        torch.sum(torch.linalg.vecdot(gap, noise), 1, dtype=work, out=inner[start:end])
        torch.sum(torch.linalg.vecdot(gap, gap), 1, dtype=work, out=squared[start:end])
    return squared, inner


def inner_products(
    z: torch.Tensor, rows: torch.Tensor, chosen: torch.Tensor, origin: torch.Tensor
) -> torch.Tensor:
    """``<z, x - origin>`` of each query's noise and its chosen row x, (R,), in z's precision."""
    wide = torch.promote_types(rows.dtype, z.dtype)
    inner = torch.empty(len(z), dtype=z.dtype, device=z.device)
    buffer = torch.empty(min(_PAIRS, len(z)), z.shape[1], dtype=wide, device=z.device)
    for start, end in tiles(len(z), _PAIRS):
        x = _gather(rows, chosen[start:end], buffer)
        x -= origin
        torch.linalg.vecdot(z[start:end], x.to(z.dtype), out=inner[start:end])
    return inner


def _gather(rows: torch.Tensor, at: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
    # rows[at] in a buffer that is used again: allocating one costs as much as filling it.
    out = buffer[: len(at)]
    if rows.dtype == out.dtype:
        return torch.index_select(rows, 0, at, out=out)
    return out.copy_(rows.index_select(0, at))


class Distances(NamedTuple):
    """Squared distances of C rows to T points, and what is known of their precision."""

    squared: torch.Tensor
    """(C, T), in the precision of the points."""
    close: torch.Tensor | None
    """(C, T): which of them were computed again in float64; None where none was."""
    reach: torch.Tensor
    """Norm of each row and the largest of the points' added up, (C,)."""


def distances_to(
    a: torch.Tensor,
    chosen: torch.Tensor,
    b: torch.Tensor,
    tile: Tile,
    origin: torch.Tensor,
) -> Distances | None:
    """Distances of rows ``a[chosen]`` to the points of a tile of the rows ``b``.

    Distances below 1e4 times their rounding are computed again from differences in float64. Returns
    None where these are more than 2% of all: the tile should then be in float64.
    """
    dtype, work = tile.points.dtype, working_dtype(a.device)
    scale = (cancellation_limit(a.shape[1], dtype) * tile.norms.sqrt()).to(dtype)
    longest = tile.norms.max().sqrt()
    squared = torch.empty(len(chosen), len(tile.points), dtype=dtype, device=a.device)
    close = torch.empty(squared.shape, dtype=torch.bool, device=a.device)
    reach = torch.empty(len(chosen), dtype=work, device=a.device)

    def fill(part: tuple[int, int]) -> None:
        rows = slice(*part)
        x = centre(a.index_select(0, chosen[rows]), origin, dtype)
        own = squared_norms(x)
        squared_distances(x, tile.points, own, tile.norms, out=squared[rows])
        size = own.sqrt()
        reach[rows] = size + longest
        torch.lt(squared[rows], size.to(dtype)[:, None] * scale, out=close[rows])

    for_each(fill, tiles(len(chosen), BLOCK), a.device, tile.threads)
    if a is b:  # a row is no neighbour of its own
        close[tile.find(chosen)] = False
    i, j = close.nonzero(as_tuple=True)
    if dtype != work and len(i) > _MOST_CLOSE * close.numel():
        return None
    squared[i, j] = pair_terms(a, chosen[i], b, j + tile.start)[0].to(dtype)
    return Distances(squared, close if len(i) else None, reach)


def squared_to(
    a: torch.Tensor, chosen: torch.Tensor, b: torch.Tensor, tile: Tile, origin: torch.Tensor
) -> torch.Tensor:
    """Squared distances of :func:`distances_to`, (C, T), in float64 where too many are close.

    Those of bytes are exact, and in float32.
    """
    if tile.points.dtype == torch.int8:
        whole = torch.empty(len(chosen), len(tile.points), device=a.device)

        def fill(part: tuple[int, int]) -> None:
            x = centre(a.index_select(0, chosen[slice(*part)]), origin, torch.int8)
            squared_distances(x, tile.points, b_norms=tile.norms, out=whole[slice(*part)])

        for_each(fill, tiles(len(chosen), BLOCK), a.device, tile.threads)
        return whole
    found = distances_to(a, chosen, b, tile, origin)
    if found is None:
        ends, work = (tile.start, tile.start + len(tile.points)), working_dtype(a.device)
        wide = tile_of(b, ends, origin, work, tile.threads)
        found = distances_to(a, chosen, b, wide, origin)
    assert found is not None
    return found.squared
