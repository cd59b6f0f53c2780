"""The two curves that place the danger zone, with what surrounds them (Figures 3, 6 and 7)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from wildmiddle.empirical import coverage, posterior
from wildmiddle.empirical.distinct import distinct
from wildmiddle.empirical.intervals import Estimate, bounded_mean, exact, proportion
from wildmiddle.empirical.kernels.device import rows_of_both
from wildmiddle.empirical.kernels.distances import Distances, pair_terms
from wildmiddle.empirical.kernels.fewer_dimensions import in_fewer_dimensions
from wildmiddle.empirical.kernels.noise_pass import noise_levels, run_pass
from wildmiddle.empirical.kernels.overlap_sums import PairSums
from wildmiddle.empirical.kernels.processes import combine_rows, gather_rows, own_rows
from wildmiddle.empirical.kernels.products import (
    mean_of,
    norms_about,
    product_dtype,
)
from wildmiddle.empirical.neighbours import nearest_two
from wildmiddle.empirical.noise import beyond, blocks, indices
from wildmiddle.theory.constants import DEFAULT_MEMORY, SHELL_WIDTH
from wildmiddle.theory.coverage import mean_overlap, upper_bound
from wildmiddle.theory.domain import require

Array = NDArray[np.float64]

_SHARE = 8
"""Distances that take less than one part in this many of the memory are kept."""


@dataclass(frozen=True)
class Curves:
    """Posterior weight and coverage of one training and one held-out set, over sigma.

    Every field but ``sigmas`` and the raw draws is an
    :class:`~wildmiddle.empirical.intervals.Estimate` whose ``mean``, ``low`` and ``high`` have the
    shape (K,) of ``sigmas``. The intervals of one curve hold at all K sigmas together with
    probability at least ``1 - alpha``.
    """

    sigmas: Array
    max_weight: Estimate
    """W_sigma(D) of Def 4.1; the weight of a point is that of all its copies."""
    self_weight: Estimate
    """Mean weight on the point that was noised (Figure 7)."""
    squared_weight: Estimate
    """Mean of ``sum_j w_j^2``, whose inverse is an effective number of neighbours."""
    coverage: Estimate
    """C_sigma of Def 4.6, for the uniform distribution on the held-out points."""
    coverage_lower: Estimate
    """Theorem 4.8's lower bound for the same two sets: nothing is drawn; right to 1e-7."""
    coverage_upper: Estimate
    """Theorem 4.8's upper bound over all pairs: nothing is drawn; right to 1e-7."""
    nearest: Array
    """Distance of each held-out point to its nearest training point, (M,)."""
    mean_overlap: Array
    """Mean of p_sigma over all pairs of a held-out and a training point, exactly, (K,)."""
    max_weight_draws: Array
    """Largest weight of each query, (queries, K); all sigmas of a query share their noise."""
    covered_draws: NDArray[np.bool_]
    """Whether each query fell into a shell, (queries, K); all sigmas share the noise here too."""


def curves(
    train: ArrayLike | torch.Tensor,
    test: ArrayLike | torch.Tensor,
    sigmas: ArrayLike,
    *,
    c: float = SHELL_WIDTH,
    weight_queries: int = 4000,
    coverage_queries: int = 8000,
    seed: int = 0,
    device: str | torch.device = "auto",
    alpha: float = 0.05,
    memory: int = DEFAULT_MEMORY,
) -> Curves:
    """Estimate the posterior weight and the shell coverage over a schedule of noise levels.

    ``train`` (N, d) or (N, ...), ``test`` (M, ...) in the same units as ``sigmas`` (K,). ``alpha``
    is the chance that any interval of one curve misses; the curves share their noise. The held-out
    points stand for the distribution p: the coverage and its bounds are those of the uniform
    distribution on them, given both sets. ``memory`` bounds the buffers in bytes, the arguments and
    the result apart. Training points that are equal count as one, with the weight of its copies.
    Where there are few for so many pixels, noise of the same law is drawn in fewer dimensions
    (:mod:`~wildmiddle.empirical.kernels.fewer_dimensions`). Raises ValueError for fewer than two
    that differ, shapes that differ, values that are not finite, no sigma or sigma <= 0, alpha
    outside (0, 1), or c <= 0. Source: Def 4.1, Def 4.6, Theorem 4.8, E.2, E.3.
    """
    listed, held_out = rows_of_both(train, test, "test", device)
    sigmas = noise_levels(sigmas)
    require(0 < alpha < 1, "alpha", alpha, "must lie strictly between 0 and 1")
    different = distinct(listed)
    points, prior = different.points_and_prior(listed)
    (n, d), each, queries = points.shape, alpha / len(sigmas), max(weight_queries, coverage_queries)
    images, more = (points, held_out), None
    fewer = in_fewer_dimensions(points, held_out, queries, memory // _SHARE)
    if fewer is not None:
        points, held_out = fewer
        memory -= points.nbytes + held_out.nbytes
        more = beyond(seed, "curves", queries, d - points.shape[1])

    origin = mean_of(points)
    reach = norms_about(held_out, origin) + norms_about(points, origin).max()
    pairs = PairSums(float(sigmas.min()), float(reach.max()))
    # Kept for the coverage, or else, where they take too much, found by it once more.
    dtype = product_dtype(points.shape[1], points.device)
    size = len(held_out) * n * dtype.itemsize
    held = _SHARE * size <= memory
    apart = torch.empty((len(held_out), n) if held else 0, dtype=dtype, device=points.device)

    own = own_rows(len(held_out))

    def visit(rows: slice, columns: slice, squared: torch.Tensor) -> None:
        pairs.add(squared)
        if held:
            apart[own][rows, columns] = squared

    memory -= held * size
    index = nearest_two(held_out[own], points, memory=memory, visit=visit)[1][:, 0]
    number = torch.arange(len(index), device=index.device)
    squared, _ = pair_terms(images[1][own], number, images[0], index)  # a copy is at 0 exactly
    nearest = gather_rows(squared, own, len(held_out)).sqrt_().double().cpu().numpy()
    pairs.combine()
    apart = combine_rows(apart, own) if held else apart
    overlap = pairs.mean_overlap(sigmas, d, c)
    noised = different.group[indices(seed, "weight", weight_queries, len(listed))]
    weight, weights = posterior.weight_accumulator(
        points, sigmas, weight_queries, origin, noised, prior=prior
    )
    cover, cover_draws = coverage.coverage_accumulator(
        points,
        held_out,
        sigmas,
        coverage_queries,
        origin,
        indices(seed, "coverage", coverage_queries, len(held_out)),
        c,
        known=Distances(apart, None, reach) if held else None,
        beyond=more,
    )
    # The two curves share the noise of their queries: one product serves both.
    drawn = blocks(seed, "curves", queries, points.shape[1], dtype=np.float32)
    done = run_pass(points, origin, drawn, [weight, cover], memory)
    found, covered = weights(done), cover_draws(done)
    draws = [np.minimum(each, 1) for each in (found.largest, found.self_weight, found.squares)]
    means = [bounded_mean(values, each) for values in draws]
    return Curves(
        sigmas=sigmas,
        max_weight=means[0],
        self_weight=means[1],
        squared_weight=means[2],
        coverage=proportion(covered.sum(0), coverage_queries, each),
        coverage_lower=exact(mean_overlap(nearest, sigmas, d, c)),  # Thm 4.8, left: nearest pairs
        coverage_upper=exact(upper_bound(overlap, n)),
        nearest=nearest,
        mean_overlap=overlap,
        max_weight_draws=draws[0],
        covered_draws=covered,
    )
