"""Theorem 4.8 over random training sets, each query with a set of its own.

The distribution p is the uniform one on the images at hand, drawn with replacement, so that both
bounds and the expected coverage given a noisy point are exact; a claim over random sets needs
random sets, not more queries of one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Formula
from wildmiddle.checks.statistics import from_bounded, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.kernels.processes import map_rows
from wildmiddle.empirical.kernels.products import squared_distances
from wildmiddle.empirical.noise import Block, blocks
from wildmiddle.theory import coverage
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]

POOL = 200
"""Images that make up the distribution p; few enough for all pairs in a moment."""
SET_SIZE = 8
"""Training points N of each random set."""
MARGIN = 0.03
LEVELS = (0.3, 0.7)
"""Expected coverages, roughly, at which the bounds are tried."""


PER_LEVEL = 6
"""Comparisons of each level: two bounds, identity, two second-order bounds, mean overlap."""


def over_random_sets(
    study: Study,
    alpha: float,
    *,
    overlap_probability: Formula,
    upper_bound: Formula,
    expected_coverage: Formula,
    second_order_upper: Formula,
    dawson_sankoff_lower: Formula,
) -> Iterator[Record]:
    """The two bounds and the exact identity ``C = E[1 - (1 - q(Y))^N]`` over fresh sets."""
    pool = np.concatenate([study.train[:POOL], study.test])[:POOL]
    pairs = np.sqrt(squared_distances(torch.as_tensor(pool), torch.as_tensor(pool)).numpy())
    given_the_point = (expected_coverage, second_order_upper, dawson_sankoff_lower)
    each = alpha / (PER_LEVEL * len(LEVELS))
    turn = float(coverage.half_coverage_sigma(np.median(pairs) or 1.0, study.d, study.settings.c))
    for level in LEVELS:
        # The bound rises with sigma; one digit of the level's place is enough.
        low, high = 0.1 * turn, 10 * turn
        while high / low > 1.05:
            sigma = float(np.sqrt(low * high))
            enough = _lower(pairs, sigma, study, overlap_probability) >= level
            low, high = (low, sigma) if enough else (sigma, high)
        overlap = overlap_probability(pairs, high, study.d, study.settings.c)
        lower = _lower(pairs, high, study, overlap_probability)
        upper = float(upper_bound(min(1.0, float(overlap.mean())), SET_SIZE))
        bounds = (lower, upper)
        yield from _bounds(pool, high, bounds, study, each, f"4.8/random/{level}")
        drawn = _queries(pool, high, study.settings.samples, f"4.8/identity/{level}", study)
        yield from _given_the_point(drawn, high, study, each, given_the_point)
        yield _all_pairs(drawn[1], float(overlap.mean()), high, study, each)


def _lower(pairs: Array, sigma: float, study: Study, overlap_probability: Formula) -> float:
    # E p_sigma(|X - X_NN|): the r-th nearest of the pool is the nearest of N draws with
    # probability ((m - r + 1)^N - (m - r)^N) / m^N.
    m = len(pairs)
    left = (np.arange(m, -1, -1) / m) ** SET_SIZE
    overlap = overlap_probability(np.sort(pairs, axis=1), sigma, study.d, study.settings.c)
    return float((overlap @ (left[:-1] - left[1:])).mean())


def _bounds(
    pool: Array,
    sigma: float,
    bounds: tuple[float, float],
    study: Study,
    alpha: float,
    stream: str,
) -> list[Record]:
    lower, upper = bounds
    sides: tuple[tuple[Relation, float, str], ...] = (
        (">=", lower, "nearest-neighbour bound"),
        ("<=", upper, "union bound"),
    )
    comparisons = [
        Comparison(
            claim="4.8",
            instance=f"{name}, random sets, sigma = {sigma:.4g}",
            quantity="coverage C_sigma",
            relation=relation,
            bound=bound,
            margin=MARGIN,
            parameters={"sigma": sigma, "c": study.settings.c, "N": SET_SIZE, "d": study.d},
        )
        for relation, bound, name in sides
    ]

    def draw(count: int, name: str, pending: Sequence[int]) -> list[int]:
        covered, _ = _queries(pool, sigma, count, name, study)
        return [int(covered.sum())] * len(pending)

    most, seed = study.settings.samples, study.settings.seed
    return settle(draw, comparisons, stream=stream, most=most, alpha=alpha, seed=seed)


def _given_the_point(
    drawn: tuple[NDArray[np.bool_], Array],
    sigma: float,
    study: Study,
    alpha: float,
    formulas: tuple[Formula, ...],
) -> Iterator[Record]:
    # Given a noisy point Y, a fresh set covers it with probability 1 - (1 - q(Y))^N, which the
    # second-order bounds enclose, S1 = N q and S2 = N (N - 1)/2 q^2.
    covered, q = drawn
    s1, s2 = SET_SIZE * q, SET_SIZE * (SET_SIZE - 1) / 2 * q**2
    expected_coverage, second_order_upper, dawson_sankoff_lower = formulas
    forms: tuple[tuple[str, Relation, Array], ...] = (
        ("1 - (1 - q(Y))^N", "==", expected_coverage(q, SET_SIZE)),
        ("the second-order upper bound", "<=", second_order_upper(s1, s2, SET_SIZE)),
        ("Dawson and Sankoff's lower bound", ">=", dawson_sankoff_lower(s1, s2)),
    )
    for name, relation, form in forms:
        comparison = Comparison(
            claim="4.8",
            instance=f"{name} given the noisy point, random sets, sigma = {sigma:.4g}",
            quantity="mean of covered less the form",
            relation=relation,
            bound=0.0,
            margin=MARGIN,
            parameters={"sigma": sigma, "c": study.settings.c, "N": SET_SIZE, "d": study.d},
        )
        gap = covered - form
        yield from_bounded(comparison, gap, span=(-1.0, 1.0), alpha=alpha, seed=study.settings.seed)


def _all_pairs(q: Array, mean_overlap: float, sigma: float, study: Study, alpha: float) -> Record:
    # Lemma B.5: q(Y) is the share of shells of the pool that hold Y = X + sigma Z.
    comparison = Comparison(
        claim="4.8",
        instance=f"all pairs of two samples, sigma = {sigma:.4g}",
        quantity="P(X + sigma Z in the shell of X')",
        relation="==",
        bound=mean_overlap,
        margin=MARGIN,
        parameters={"sigma": sigma, "c": study.settings.c, "d": study.d},
    )
    return from_bounded(comparison, q, span=(0.0, 1.0), alpha=alpha, seed=study.settings.seed)


def _queries(
    pool: Array, sigma: float, count: int, stream: str, study: Study
) -> tuple[NDArray[np.bool_], Array]:
    # For each noised pool point: whether a fresh set covers it, and q(Y) over the whole pool.
    points = torch.as_tensor(pool)
    r_in, r_out = (float(r) for r in radii(study.d, study.settings.c))

    def cover(block: Block) -> Array:
        y = points[torch.as_tensor(block.indices)] + sigma * torch.as_tensor(block.draw())
        gap = squared_distances(y, points).sqrt().numpy()
        inside = (gap >= sigma * r_in) & (gap <= sigma * r_out)
        chosen = block.generator("sets").integers(len(pool), size=(len(inside), SET_SIZE))
        covered = np.take_along_axis(inside, chosen, axis=1).any(axis=1)
        return np.column_stack([covered, inside.mean(axis=1)])

    drawn = list(blocks(study.settings.seed, stream, count, study.d, len(pool)))
    covered, q = map_rows(cover, drawn)[:count].T
    return covered > 0, q
