"""Posterior weight of noised training points, by Monte Carlo (Definition 4.1, Equations 2 and 3).

With ``y = x_i + sigma z``, ``|y - x_j|^2 - |y - x_i|^2 = D_j - 2 sigma G_j`` where
``D_j = |x_i - x_j|^2`` and ``G_j = <z, x_j - x_i>``: two matrix products serve every sigma. So
``log t_j = (-D_j / 2 + sigma G_j) / sigma^2``, and the weights are the ``t_j`` over their sum, each
times ``p_j / p_i`` where the points have a prior (:mod:`wildmiddle.theory.copies`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical.kernels import dominant_terms
from wildmiddle.empirical.kernels.device import as_rows
from wildmiddle.empirical.kernels.distances import (
    PairTerms,
    distances_to,
    inner_products,
    pair_terms,
    pair_terms_mixed,
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
    product,
    product_dtype,
    rounding,
    squared_norms,
    tile_of,
    tiles,
)
from wildmiddle.empirical.noise import BLOCK, blocks, indices, require_numbers
from wildmiddle.theory.constants import DEFAULT_MEMORY

Array = NDArray[np.float64]

_MANY, _NOTHING = 4096, 80.0
"""Points of which those without weight are left out, in so many columns at once; and how far the
logarithm of a weight is then below the largest: no sum in float64 shows them."""


def posterior_mean(
    y: torch.Tensor,
    points: torch.Tensor,
    sigma: torch.Tensor,
    about: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Empirical optimal denoiser ``sum_i w_i(y, sigma) x_i`` of flat inputs.

    ``y`` (B, d), ``points`` (N, d), ``sigma`` (B,); returns (B, d). For points far from 0 give
    ``about``, an origin o near them (d,) and ``|x_i - o|^2`` (N,): squares about 0 would cancel.
    Source: Eq. 2 and 3.
    """
    if about is not None:
        kept = with_weight(y, points, sigma, about[0])
        points, about = points[kept], (about[0], about[1][kept])
    origin, squares = (0, points.square().sum(1)) if about is None else about
    # What is common to all points drops out of the softmax: |y|^2, and <y - o, o> with an origin.
    logits = torch.addmm(-squares / 2, y - origin, points.T) / sigma[:, None].square()
    return torch.softmax(logits, dim=1) @ points


def with_weight(
    y: torch.Tensor, points: torch.Tensor, sigma: torch.Tensor, origin: torch.Tensor
) -> torch.Tensor | slice:
    """Which of the points (N, d) have posterior weight for any of the inputs, as an index.

    ``y`` (B, d), ``sigma`` (B,), ``origin`` (d,) near the points. For each input all others
    together have less than ``N exp(-80)`` of the largest weight, the rounding of the products
    allowed for. Some that have less may be among them: points are held to the largest weight of
    those up to their tile. All of few points, for few inputs, and where more than a quarter have
    weight, of all points or of the first.
    """
    (n, d), dtype = points.shape, product_dtype(points.shape[1], points.device)
    if n <= _MANY or len(y) < BLOCK:
        return slice(None)
    x, longest = centre(y, origin, dtype), points.new_zeros(())
    own, top = squared_norms(x).sqrt(), x.new_full((len(y),), -torch.inf)
    kept: list[torch.Tensor] = []
    for start, end in tiles(n, _MANY):
        tile = tile_of(points, (start, end), origin, dtype, torch.get_num_threads())
        logits = product(x, tile.points, plus=tile.norms / -2)
        top = torch.maximum(top, logits.amax(1))
        longest = torch.maximum(longest, tile.norms.max().sqrt())
        room = 2 * rounding(d, dtype) * longest * (longest + own)
        least = top - _NOTHING * sigma.square() - room
        kept.append((logits >= least[:, None]).any(0).nonzero().squeeze(1) + start)
        if (start == 0 or end == n) and 4 * sum(map(len, kept)) > end:
            return slice(None)
    return torch.cat(kept)


def weights(
    train: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    queries: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    index: int | None = None,
    stream: str = "weight",
    memory: int = DEFAULT_MEMORY,
) -> tuple[Array, Array]:
    """Largest posterior weight and self-weight of noised training points, ``(max, self)``.

    ``train`` (N, d) or (N, ...), ``sigmas`` (K,); each result is (queries, K) float64. A query
    noises a uniformly drawn training point, or always the one at ``index``. All sigmas share the
    noise; queries are independent. ``memory`` bounds the buffers in bytes.

    Precision, from d = 256 on: the products for ``D`` and ``G`` and the exponentials are in
    float32. For the dominant terms of a query, which count first as sigma grows, and wherever ``D``
    is not far above its rounding, as between near-duplicates, ``D`` and ``G`` are computed again
    from the points' differences and added in float64: weights are right to 2e-6, or to some 1e-5
    where all roundings of a product have one sign, as for a bright band on a faint ground. In fewer
    dimensions, and where near-duplicates abound, all products are in float64. With ``index`` the
    products are about that point, and nothing is computed again. Raises ValueError for no sigma or
    sigma <= 0, no query, an ``index`` that no point has, or too little ``memory``. Source: Def 4.1,
    Eq. 9, Figure 7.
    """
    rows = as_rows(train, device, keep_single=True)
    chosen: NDArray[np.int64] | int
    if index is None:
        origin, chosen = mean_of(rows), indices(seed, stream, queries, len(rows))
    else:
        require_numbers(index, len(rows))
        origin, chosen = rows[index], int(index)
    accumulator, result = weight_accumulator(rows, sigmas, queries, origin, chosen)
    drawn = blocks(seed, stream, queries, rows.shape[1], dtype=np.float32)
    return result(run_pass(rows, origin, drawn, [accumulator], memory))[:2]


class Weights(NamedTuple):
    """What is known of each query's weights, (queries, K) each."""

    largest: Array
    self_weight: Array
    """Weight on the point that was noised."""
    squares: Array
    """Sum of their squares, whose inverse is the effective number of neighbours."""
    spread: Array | None = None
    """Half the mean squared distance from the noised point that they give, where asked for."""
    entropy: Array | None = None
    """Their entropy in nats, where asked for."""


def weight_accumulator(
    rows: torch.Tensor,
    sigmas: ArrayLike,
    queries: int,
    origin: torch.Tensor,
    chosen: NDArray[np.int64] | int,
    *,
    prior: torch.Tensor | None = None,
    moments: bool = False,
) -> tuple[Accumulator, Callable[[slice], Weights]]:
    """Accumulator of the weights for a pass over ``rows``, and their value once the pass is done.

    The value takes what :func:`~wildmiddle.empirical.kernels.noise_pass.run_pass` returns. Each
    query noises its own row of ``chosen`` (queries in whole blocks), or all the one row; with a
    ``prior`` (N,) of the rows, each its own. ``moments`` asks for spread and entropy too.
    """
    sigmas = noise_levels(sigmas)
    order = np.argsort(-sigmas, kind="stable")
    logs = None if prior is None else prior.log()
    widest = None if logs is None else float(logs.max() - logs.min())
    terms = dominant_terms.start_sums(
        sigmas[order], whole_blocks(queries), rows.device, moments=moments, widest=widest
    )
    prepare: Callable[[slice, Tile], AddQueries | None]
    if isinstance(chosen, int):
        prepare = partial(_prepare_one, terms, rows, origin, chosen)
    else:
        prepare = partial(_prepare_each, terms, rows, origin, logs, chosen)

    def result(done: slice) -> Weights:
        def numbers(sums: torch.Tensor) -> Array:
            return combine_rows(sums, done).double().cpu().numpy()[:queries]

        top, squares, total = (numbers(each) for each in (terms.top, terms.squares, terms.total))
        found = [top / total, 1 / total, squares / total**2]
        if terms.moments is not None:
            a, g, *ratio = (numbers(each) / total for each in terms.moments)
            levels = sigmas[order]
            # H = log sum_j t_j - sum_j w_j log t_j.
            found += [-a, np.log(total) - (a / levels + g) / levels - sum(ratio)]
        results = np.empty((len(found), queries, len(sigmas)))
        for out, values in zip(results, found, strict=True):
            out[:, order] = values
        return Weights(*results)

    return Accumulator(queries, prepare), result


def _prepare_each(
    terms: dominant_terms.TermSums,
    rows: torch.Tensor,
    origin: torch.Tensor,
    logs: torch.Tensor | None,
    chosen: NDArray[np.int64],
    queries: slice,
    tile: Tile,
) -> AddQueries | None:
    where = rows.device
    unique, inverse = (
        torch.as_tensor(a).to(where) for a in np.unique(chosen[queries], return_inverse=True)
    )
    found = distances_to(rows, unique, rows, tile, origin)
    if found is None:
        return None
    half = found.squared.mul_(-0.5)
    # The noised point's own term is 1 from the start.
    half[tile.find(unique)] = -torch.inf
    first = queries.start

    def add(queries: slice, z: torch.Tensor, inner: torch.Tensor) -> None:
        which = inverse[queries.start - first : queries.stop - first]
        point = unique[which]
        a = half.index_select(0, which)
        g = inner - inner_products(z, rows, point, origin)[:, None]
        ratio = None
        if logs is not None:
            columns = logs[tile.start : tile.start + len(tile.points)]
            ratio = (columns - logs[point, None]).to(a)

        def between(by: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> PairTerms:
            return lambda i, j: by(rows, point[i], rows, j + tile.start, z, i)

        if found.close is not None:
            near: Sequence[torch.Tensor] = found.close[which].nonzero(as_tuple=True)
            dominant_terms.add_exactly(terms, queries, a, g, near, between(pair_terms), ratio)
        if a.dtype != terms.total.dtype:
            dominant = dominant_terms.find_dominant(a, g, terms.onsets[queries], ratio)
            by = between(pair_terms_mixed)
            dominant_terms.add_exactly(terms, queries, a, g, dominant, by, ratio)
        dominant_terms.add(terms, queries, a, g, ratio)

    return add


def _prepare_one(
    terms: dominant_terms.TermSums,
    rows: torch.Tensor,
    origin: torch.Tensor,
    chosen: int,
    queries: slice,
    tile: Tile,
) -> AddQueries:
    # Everything is counted from the one noised point: one row of distances for all queries.
    half = tile.norms.mul(-0.5).to(tile.points.dtype)
    if tile.start <= chosen < tile.start + len(half):
        half[chosen - tile.start] = -torch.inf

    def add(queries: slice, z: torch.Tensor, inner: torch.Tensor) -> None:
        dominant_terms.add(terms, queries, half[None], inner)

    return add
