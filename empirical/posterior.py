"""Posterior weight of noised training points, by Monte Carlo (Definition 4.1, Equations 2 and 3).

With ``y = x_i + sigma z``, ``|y - x_j|^2 - |y - x_i|^2 = D_j - 2 sigma G_j`` where
``D_j = |x_i - x_j|^2`` and ``G_j = <z, x_j - x_i>``: two matrix products serve every sigma. So
``log t_j = (-D_j / 2 + sigma G_j) / sigma^2``, and the weights are the ``t_j`` over their sum.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from empirical import log_terms
from empirical.device import kept_rows, resolve_device
from empirical.noise import BLOCK, Block, batches, blocks
from empirical.products import (
    DEFAULT_MEMORY,
    centred,
    distances_to_tile,
    groups,
    inner_with,
    joined,
    mean_of,
    plan,
    product,
    product_dtype,
    squared_norms,
    tiles,
)
from empirical.threads import for_each

Array = NDArray[np.float64]


def posterior_mean(y: torch.Tensor, points: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Empirical optimal denoiser ``sum_i w_i(y, sigma) x_i`` of flat inputs.

    ``y`` (B, d), ``points`` (N, d), ``sigma`` (B,); returns (B, d). Source: Eq. 2 and 3.
    """
    # |y|^2 is common to all points and drops out of the softmax.
    logits = torch.addmm(-points.square().sum(1) / 2, y, points.T) / sigma[:, None].square()
    return torch.softmax(logits, dim=1) @ points


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
    """Largest and own posterior weight of noised training points, ``(max, self)``.

    ``train`` (N, d) or (N, ...), ``sigmas`` (K,); each result is (queries, K) float64. A query
    noises a uniformly drawn training point, or always the one at ``index``. All sigmas share the
    noise; queries are independent. ``memory`` bounds the buffers in bytes.

    Precision, from d = 256 on: the products for ``D`` and ``G`` and the exponentials are in
    float32. For the terms of a query that come to count first as sigma grows, and wherever ``D``
    is not far above its rounding, as between near-duplicates, ``D`` and ``G`` are done again in
    float64 by direct differences: weights are right to 1e-6. Below d = 256, and where near-
    duplicates abound, all products are in float64. About the one point of ``index`` no digits
    cancel, and nothing is done again. Raises ValueError if ``memory`` is too small.
    Source: Def 4.1, Eq. 9, Figure 7.
    """
    rows = kept_rows(train, resolve_device(device))
    sigmas = np.atleast_1d(np.asarray(sigmas, np.float64))
    order = np.argsort(-sigmas, kind="stable")
    n, d = rows.shape
    dtype = product_dtype(d, rows.device)
    origin = mean_of(rows) if index is None else rows[index]
    sizes = plan(memory, n, d)
    terms = log_terms.start(sigmas[order], -(-queries // BLOCK) * BLOCK, rows.device)
    single = np.float32 if dtype == torch.float32 else np.float64
    drawn = blocks(seed, stream, queries, d, n, single)
    for batch in batches(drawn, sizes.queries // BLOCK):
        for ends in tiles(n, sizes.columns):
            if index is None:
                _add_tile(terms, rows, origin, batch, ends, dtype, sizes.threads)
            else:
                _add_tile_about(terms, rows, origin, index, batch, ends, dtype, sizes.threads)
    largest, own = np.empty((2, len(terms.total), len(sigmas)))
    total = terms.total.double().cpu().numpy()
    largest[:, order] = terms.top.double().cpu().numpy() / total
    own[:, order] = 1 / total
    return largest[:queries], own[:queries]


def _add_tile(
    terms: log_terms.Terms,
    rows: torch.Tensor,
    origin: torch.Tensor,
    batch: list[Block],
    ends: tuple[int, int],
    dtype: torch.dtype,
    threads: int,
) -> None:
    # The terms of one tile of training points to the queries of one batch.
    start, end = ends
    drawn = np.concatenate([block.indices for block in batch])
    unique, inverse = (
        torch.as_tensor(a).to(rows.device) for a in np.unique(drawn, return_inverse=True)
    )
    tile = distances_to_tile(rows, unique, rows, ends, origin, dtype, threads, own=True)
    half, dtype = tile.squared.mul_(-0.5), tile.squared.dtype
    first = batch[0].start

    def add(group: list[Block]) -> None:
        z, chosen, queries = joined(group, rows.device, dtype)
        which = inverse[queries.start - first : queries.stop - first]
        a = half.index_select(0, which)
        g = product(z, tile.points)
        g -= inner_with(z, rows, chosen, origin)[:, None]
        if tile.close is not None:
            pairs: Sequence[torch.Tensor] = tile.close[which].nonzero(as_tuple=True)
            log_terms.add_exactly(terms, queries, a, g, pairs, z, rows, chosen, start)
        if dtype != terms.total.dtype:
            pairs = log_terms.leaders(a, g, terms.first[queries])
            log_terms.add_exactly(terms, queries, a, g, pairs, z, rows, chosen, start)
        log_terms.add(terms, queries, a, g)

    for_each(add, groups(batch, max(end - start, rows.shape[1])), rows.device, threads)


def _add_tile_about(
    terms: log_terms.Terms,
    rows: torch.Tensor,
    origin: torch.Tensor,
    index: int,
    batch: list[Block],
    ends: tuple[int, int],
    dtype: torch.dtype,
    threads: int,
) -> None:
    # The same for one noised point, from which everything is counted: one row for all queries.
    start, end = ends
    exact = centred(rows[start:end], origin, terms.total.dtype)
    half = squared_norms(exact).mul_(-0.5).to(dtype)
    if start <= index < end:
        half[index - start] = -torch.inf
    tile = exact.to(dtype)

    def add(group: list[Block]) -> None:
        z, _, queries = joined(group, rows.device, dtype)
        log_terms.add(terms, queries, half[None], product(z, tile))

    for_each(add, groups(batch, max(end - start, rows.shape[1])), rows.device, threads)
