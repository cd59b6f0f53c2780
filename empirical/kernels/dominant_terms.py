"""Sum and maximum of ``t_j = exp((a_j + sigma g_j) / sigma^2)`` over many points and sigmas.

In s = 1/sigma each exponent is the parabola ``a s^2 + g s`` with ``a = -D/2 <= 0``: it starts at 0,
and once it has fallen below a level -c it stays below. So each term has one sigma under which it is
below ``exp(-c)``, a root that costs one pass over all terms. Terms below ``exp(-40)`` are left out:
against the noised point's own term, which is 1, even 1e6 of them lie below the rounding of float32
and change no weight by more than 4e-12. Where few terms are left, at the smaller sigmas, only these
are summed.

The dominant terms of a query are those that are above ``exp(-3)`` at the smallest sigmas. They
decide its weights where these turn from one point to several, and are taken from the differences
of the points (:mod:`wildmiddle.empirical.kernels.distances`).

No exponent is large: ``max_s (a s^2 + g s) = g^2 / (2 D)`` is half the square of a standard normal
variable, ``g / sqrt(D)``; the terms are summed as they are.

Where points have a prior (:mod:`wildmiddle.theory.copies`) a term takes the factor ``p_j / p_i``:
its ``ratio``, the logarithm of that, is added to the exponent.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.empirical.kernels.device import working_dtype
from wildmiddle.empirical.kernels.distances import PairTerms
from wildmiddle.empirical.noise import BLOCK

DOMINANT = 6
"""Dominant terms of a query."""
_DOMINANT_LEVEL = 3.0
_NEGLIGIBLE = 40.0
_FEW = 1 / 16
_SKIP = 8


@dataclass(frozen=True)
class TermSums:
    """Running sums and maxima over the points seen so far; the noised point's own term, 1, is in.

    ``levels`` (K,) are the sigmas, falling; ``top``, the largest term, ``total``, the sum, and
    ``squares``, the sum of squares, are (queries, K).
    """

    levels: tuple[float, ...]
    top: torch.Tensor
    total: torch.Tensor
    squares: torch.Tensor
    onsets: torch.Tensor
    """The sigmas at which the dominant terms of the query begin to count, (queries, DOMINANT)."""
    moments: torch.Tensor | None = None
    """The sums of ``t_j a_j``, of ``t_j g_j`` and with a prior of ``t_j`` times the ratio,
    (2 or 3, queries, K), where they were asked for."""
    widest: float | None = None
    """The largest ratio of two points, where they have a prior."""


def start_sums(
    levels: NDArray[np.float64],
    queries: int,
    device: torch.device,
    *,
    moments: bool = False,
    widest: float | None = None,
) -> TermSums:
    """Sums of the noised points' own terms alone; ``levels`` (K,) falling."""
    work, shape = working_dtype(device), (queries, len(levels))
    top, total, squares = torch.ones((3, *shape), dtype=work, device=device)
    onsets = torch.full((queries, DOMINANT), torch.inf, dtype=torch.float32, device=device)
    count = 2 if widest is None else 3
    sums = torch.zeros((count, *shape), dtype=work, device=device) if moments else None
    return TermSums(tuple(levels.tolist()), top, total, squares, onsets, sums, widest)


def last_sigma(a: torch.Tensor, g: torch.Tensor, c: float | torch.Tensor) -> torch.Tensor:
    """The sigma at which ``(a + sigma g) / sigma^2`` is -c; below it the exponent is lower still.

    The root of ``c sigma^2 + g sigma + a``, which has one above 0 since ``a <= 0``.
    """
    # Of its two forms the one without cancellation, -2a / (g + root), is 0 / 0 at a duplicate; the
    # rounding of this one is relative to |g| / c, and a sigma that is a little off costs nothing.
    return torch.addcmul(a * (-4 * c), g, g).sqrt_().sub_(g).div_(2 * c)


def find_dominant(
    a: torch.Tensor, g: torch.Tensor, onsets: torch.Tensor, ratio: torch.Tensor | None = None
) -> Sequence[torch.Tensor]:
    """Rows and columns of the dominant terms of a tile, at most ``DOMINANT`` a query.

    ``a``, ``g`` and ``ratio`` (R, T). ``onsets`` (R, DOMINANT) holds the sigmas of those of earlier
    tiles and is updated; a term that is not among the dominant ones of all tiles so far is not
    returned.
    """
    count = min(DOMINANT, g.shape[1])
    level = _DOMINANT_LEVEL if ratio is None else ratio.clamp(min=0) + _DOMINANT_LEVEL
    sigma, column = last_sigma(a, g, level).topk(count, dim=1, largest=False)
    row, place = (sigma < onsets[:, -1:]).nonzero(as_tuple=True)
    onsets.copy_(torch.cat([onsets, sigma], dim=1).topk(DOMINANT, dim=1, largest=False).values)
    return row, column[row, place]


def add_exactly(
    terms: TermSums,
    queries: slice,
    a: torch.Tensor,
    g: torch.Tensor,
    pairs: Sequence[torch.Tensor],
    differences: PairTerms,
    ratio: torch.Tensor | None = None,
) -> None:
    """Move the terms at the ``pairs`` (i, j) out of a tile and add them in float64.

    ``a[i, j]`` becomes minus infinity; ``differences(i, j)`` gives ``-2 a`` and ``g`` anew.
    """
    a[pairs[0], pairs[1]] = -torch.inf
    work = terms.total.dtype
    levels = torch.tensor(terms.levels, dtype=work, device=a.device)
    scale = torch.tensor([_inverse_square(s, work) for s in terms.levels]).to(levels)
    for i, j in zip(pairs[0].split(BLOCK), pairs[1].split(BLOCK), strict=True):
        squared, inner = differences(i, j)
        half = squared.mul_(-0.5)
        t = half[:, None] + inner[:, None] * levels
        t.mul_(scale)
        factors = [half, inner]
        if ratio is not None:
            factors.append(ratio[i, j].to(work))
            t += factors[2][:, None]
        t.exp_()
        terms.total[queries].index_add_(0, i, t)
        terms.squares[queries].index_add_(0, i, t.square())
        if terms.moments is not None:
            for sums, factor in zip(terms.moments[:, queries], factors, strict=True):
                sums.index_add_(0, i, t * factor[:, None])
        where = i[:, None].expand_as(t)
        terms.top[queries].scatter_reduce_(0, where, t, "amax")


def add(
    terms: TermSums,
    queries: slice,
    a: torch.Tensor,
    g: torch.Tensor,
    ratio: torch.Tensor | None = None,
) -> None:
    """Add the terms of one tile: ``a`` (R, T) or (1, T), ``g`` and ``ratio`` (R, T) for R queries.

    An ``a`` of minus infinity leaves a point out. ``queries`` are the numbers of the R.
    """
    levels = terms.levels
    sums = g.new_zeros(len(levels), len(g))
    tops, squares = torch.zeros_like(sums), torch.zeros_like(sums)
    moments: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    if terms.moments is not None:
        # What is left out has a term of 0, which minus infinity would make NaN.
        factors = [torch.where(a.isinf(), 0, a).expand_as(g), g]
        factors += [] if ratio is None else [ratio]
        moments = [(torch.zeros_like(sums), factor) for factor in factors]
    until = last_sigma(a, g, _NEGLIGIBLE + (terms.widest or 0.0))
    dense = _first_sparse(levels, until)
    buffer = torch.empty_like(g)
    for k in range(dense):
        torch.add(a, g, alpha=levels[k], out=buffer)
        buffer.mul_(_inverse_square(levels[k], g.dtype))
        if ratio is not None:
            buffer += ratio
        buffer.exp_()
        torch.sum(buffer, 1, out=sums[k])
        torch.amax(buffer, 1, out=tops[k])
        torch.linalg.vecdot(buffer, buffer, out=squares[k])
        for found, factor in moments:
            torch.linalg.vecdot(buffer, factor, out=found[k])
    if dense < len(levels):
        row, column = (until < levels[dense]).nonzero(as_tuple=True)
        kept = [a.expand_as(g), g, *([] if ratio is None else [ratio]), until]
        few = torch.stack([each[row, column] for each in kept])
        for k in range(dense, len(levels)):
            left = few[-1] < levels[k]
            row, few = row[left], few[:, left]
            if len(row) == 0:
                break
            t = torch.add(few[0], few[1], alpha=levels[k])
            t.mul_(_inverse_square(levels[k], g.dtype))
            if ratio is not None:
                t += few[2]
            t.exp_()
            sums[k].index_add_(0, row, t)
            squares[k].index_add_(0, row, t.square())
            for (found, _), factor in zip(moments, few, strict=False):
                found[k].index_add_(0, row, t * factor)
            tops[k].scatter_reduce_(0, row, t, "amax")
    terms.total[queries] += sums.T
    terms.squares[queries] += squares.T
    if terms.moments is not None:
        terms.moments[:, queries] += torch.stack([found.T for found, _ in moments])
    torch.maximum(terms.top[queries], tops.T.to(terms.top.dtype), out=terms.top[queries])


def _first_sparse(levels: tuple[float, ...], until: torch.Tensor) -> int:
    # Fewer terms are left at each smaller sigma. Counted over some of the queries: the results do
    # not depend on where the sparse sum begins.
    some = until[::_SKIP]
    most = _FEW * some.numel()
    return bisect_left(levels, True, key=lambda sigma: int((some < sigma).sum()) <= most)


def _inverse_square(sigma: float, dtype: torch.dtype) -> float:
    return min(1 / sigma / sigma, torch.finfo(dtype).max) if sigma > 1e-150 else math.inf
