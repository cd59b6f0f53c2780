"""Definition 4.7 and Theorem 4.8: the exact overlap probability and the two bounds on coverage.

On the data the bounds are exact for the given sets, so the only noise is in the measured coverage.
Over random data sets (:mod:`wildmiddle.checks.random_sets`) everything but the draws is exact as
well.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ncx2

from wildmiddle.checks.random_sets import over_random_sets
from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import from_distribution, from_proportion, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.coverage import coverage_draws, distances
from wildmiddle.empirical.shells import squared_radii
from wildmiddle.theory import coverage
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]

# At p = 1/2 the default draws leave an interval of about +-0.025: enough for a bound.
MARGIN = 0.03
EQUALITY = 2
"""Times the draws for an equality, whose interval must fit into the margin with its own error:
with the default draws alone it would stay open one time in eight at p = 1/2."""
DISTRIBUTION_MARGIN = 0.05
SHARES = (0.0, 0.5, 0.8, 1.0, 1.2)
"""Distances of Definition 4.7, in units of the one at which the overlap passes about 1/2."""
SMALL = (16, 1.0)
"""Dimension and shell width of the cheap instance, drawn ten times as often."""
TIGHT_LEVELS = (0.2, 0.5, 0.8)
ROWS = 256
"""Held-out images whose distances are held at once."""


def definition_4_7(
    study: Study, alpha: float, *, overlap_probability: Formula = coverage.overlap_probability
) -> Iterator[Record]:
    """``p_sigma(r)`` as a noncentral chi-square difference, against whole vectors."""
    instances = ((study.d, study.settings.c, EQUALITY), (*SMALL, 10))
    each = alpha / (len(instances) * len(SHARES) + 1)
    for number, (d, c, times) in enumerate(instances):
        turn = 1 / float(coverage.half_coverage_sigma(1.0, d, c))
        for share in SHARES:
            offset = share * turn
            bound = float(overlap_probability(2 * offset, 2.0, d, c))  # any sigma will do
            stream = f"4.7/{number}/{share}"
            most = times * study.settings.samples
            yield _overlap(offset, d, c, bound, most, study, each, stream)
    turn = 1 / float(coverage.half_coverage_sigma(1.0, study.d, study.settings.c))
    squared = squared_radii(
        study.d, turn, queries=study.settings.samples, seed=study.settings.seed, stream="4.7/law"
    )
    comparison = Comparison(
        claim="4.7",
        instance=f"whole distribution at r = {turn:.3g} sigma",
        quantity="largest gap to the noncentral chi-square CDF",
        relation="==",
        bound=0.0,
        margin=DISTRIBUTION_MARGIN,
        parameters={"r/sigma": turn, "d": study.d},
    )
    claimed = ncx2(study.d, turn**2).cdf
    yield from_distribution(comparison, squared, claimed, alpha=each, seed=study.settings.seed)


def _overlap(
    offset: float,
    d: int,
    c: float,
    bound: float,
    most: int,
    study: Study,
    alpha: float,
    stream: str,
) -> Record:
    r_in, r_out = (float(r) for r in radii(d, c))
    comparison = Comparison(
        claim="4.7",
        instance=f"d = {d}, r = {offset:.3g} sigma",
        quantity="p_sigma(r)",
        relation="==",
        bound=bound,
        margin=MARGIN if d == study.d else MARGIN / 3,
        parameters={"r/sigma": offset, "d": d, "c": c},
    )

    seed = study.settings.seed

    def draw(count: int, name: str, pending: object) -> int:
        squared = squared_radii(d, offset, queries=count, seed=seed, stream=name)
        return int(((squared >= r_in**2) & (squared <= r_out**2)).sum())

    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]


def theorem_4_8(
    study: Study,
    alpha: float,
    *,
    lower_bound: Formula = coverage.lower_bound,
    upper_bound: Formula = coverage.upper_bound,
    overlap_probability: Formula = coverage.overlap_probability,
    expected_coverage: Formula = coverage.expected_coverage,
    second_order_upper: Formula = coverage.second_order_upper,
    dawson_sankoff_lower: Formula = coverage.dawson_sankoff_lower,
) -> Iterator[Record]:
    """The coverage lies between the two bounds: on the data, at N = 1, and over random sets."""
    yield from _schedule(study, alpha / 3, lower_bound, upper_bound)
    yield from _one_training_point(study, alpha / 3, lower_bound, upper_bound, overlap_probability)
    yield from over_random_sets(
        study,
        alpha / 3,
        overlap_probability=overlap_probability,
        upper_bound=upper_bound,
        expected_coverage=expected_coverage,
        second_order_upper=second_order_upper,
        dawson_sankoff_lower=dawson_sankoff_lower,
    )


CHECKS: dict[str, Check] = {"4.7": definition_4_7, "4.8": theorem_4_8}


def _schedule(
    study: Study, alpha: float, lower_bound: Formula, upper_bound: Formula
) -> Iterator[Record]:
    curves = study.curves
    lower = lower_bound(curves.nearest, curves.sigmas, study.d, study.settings.c)
    upper = upper_bound(curves.mean_overlap, study.n)
    for k, sigma in enumerate(curves.sigmas.tolist()):
        sides: tuple[tuple[Relation, Array, str], ...] = (
            (">=", lower, "nearest-neighbour bound"),
            ("<=", upper, "union bound"),
        )
        for relation, bound, name in sides:
            comparison = Comparison(
                claim="4.8",
                instance=f"{name} at sigma = {sigma:.4g}",
                quantity="coverage C_sigma",
                relation=relation,
                bound=float(bound[k]),
                margin=MARGIN,
                parameters={"sigma": sigma, "c": study.settings.c, "N": study.n, "d": study.d},
            )
            yield from_proportion(
                comparison,
                int(curves.covered_draws[:, k].sum()),
                curves.coverage.n,
                alpha=alpha / (2 * len(curves.sigmas)),
                seed=study.settings.seed,
            )


def _one_training_point(
    study: Study,
    alpha: float,
    lower_bound: Formula,
    upper_bound: Formula,
    overlap_probability: Formula,
) -> list[Record]:
    # N = 1: both bounds equal the coverage. Sigmas where the mean overlap passes each level.
    pairs = distances(study.train[:1], study.test, study.settings.device)
    turn = float(coverage.half_coverage_sigma(np.median(pairs) or 1.0, study.d, study.settings.c))
    grid = turn * np.geomspace(0.05, 20, 400)
    overlap = lower_bound(pairs[:, 0], grid, study.d, study.settings.c)
    sigmas = np.array([grid[np.argmax(overlap >= level)] for level in TIGHT_LEVELS])
    lower = lower_bound(pairs[:, 0], sigmas, study.d, study.settings.c)
    means = [
        overlap_probability(pairs, sigma, study.d, study.settings.c).mean() for sigma in sigmas
    ]
    upper = upper_bound(np.array(means), 1)
    comparisons = [
        Comparison(
            claim="4.8",
            instance=f"{name} at one training image, an equality, sigma = {sigma:.4g}",
            quantity="coverage C_sigma",
            relation="==",
            bound=float(bound),
            margin=MARGIN,
            parameters={"sigma": float(sigma), "c": study.settings.c, "N": 1, "d": study.d},
        )
        for name, bounds in (("nearest-neighbour bound", lower), ("union bound", upper))
        for sigma, bound in zip(sigmas, bounds, strict=True)
    ]
    levels = np.tile(sigmas, 2)

    def draw(count: int, name: str, pending: Sequence[int]) -> NDArray[np.int64]:
        inside = coverage_draws(
            study.train[:1],
            study.test,
            levels[list(pending)],
            c=study.settings.c,
            queries=count,
            seed=study.settings.seed,
            device=study.settings.device,
            memory=study.settings.memory,
            stream=name,
        )
        return inside.sum(0)

    each = alpha / len(comparisons)
    return settle(
        draw,
        comparisons,
        stream="4.8/one",
        most=EQUALITY * study.settings.samples,
        alpha=each,
        seed=study.settings.seed,
    )


def sharper(study: Study) -> Iterator[Sharper]:
    """Theorem 4.8's union bound, capped at 1 for each held-out point before the mean is taken.

    ``C = E P(covered | x)`` and ``P(covered | x) <= min(1, sum_i p_sigma(|x - x_i|))``, whose mean
    is at most ``min(1, N E p_sigma)``: min(1, .) is concave.
    """
    curves = study.curves
    k = int(np.argmin(np.abs(curves.coverage.mean - 0.5)))
    sums = [
        study.n * coverage.mean_overlap(row, curves.sigmas[k], study.d, study.settings.c)[0]
        for part in np.split(study.test, range(ROWS, len(study.test), ROWS))
        for row in distances(study.train, part, study.settings.device)
    ]
    paper, ours = float(curves.coverage_upper.mean[k]), float(np.minimum(1, sums).mean())
    name = f"coverage at σ = {curves.sigmas[k]:.3g}, union bound capped image by image"
    yield sharper_form("4.8", name, "smaller", paper, ours, Truth.measured(curves.coverage, k))
