"""Figure 6 (E.2): the coverage over fresh training sets, between the two bounds of Theorem 4.8.

The paper's protocol: a trial draws a training set from all images and one held-out image; the
coverage is the share of its noises that lie in a shell; ``p_sigma`` is estimated from Gaussian
vectors that all distances and noise levels share; pairs for the upper bound are sampled. Beside it,
the same bounds without that sampling: ``p_sigma`` from its distribution, and all pairs, so that the
upper bound is exact for these images. At small noise a few close pairs carry it, and a sample of
pairs mostly misses them.
"""

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.experiments.weight_and_coverage import (
    HEADER,
    band_comparison,
    curve_rows,
    difference,
    reduce_band,
)
from wildmiddle.checks.report.drawing import (
    COVERAGE,
    DASHED,
    MUTED,
    add_legend,
    draw_curve,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical.coverage import distances
from wildmiddle.empirical.intervals import bounded_mean, exact
from wildmiddle.empirical.noise import generator
from wildmiddle.theory.coverage import mean_overlap, overlap_probability, upper_bound
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]

TRIALS = 4000
"""Training sets, each with a held-out image of its own. The paper's 350 leave the verdicts open: at
our error rate their intervals are wider than the margin."""
NOISES = 10
"""Noises of a held-out image, at every noise level (E.2)."""
GAUSSIANS = 1000
"""Vectors that ``p_sigma`` is estimated from; the paper does not say how many."""
PAIRS = 10_000
"""Pairs that the paper's estimate of the upper bound rests on; the paper does not say how many."""
STREAM = "figure6"


@dataclass(frozen=True)
class Trials:
    """What the trials found, a row a trial."""

    covered: Array
    """Share of the noises in a shell of the training set, (trials, K)."""
    nearest: Array
    """Distance of the held-out image to the training set, (trials,)."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Hold the coverage of the trials against both bounds, estimated in both ways."""
    sigmas, d, c = study.curves.sigmas, study.d, study.settings.c
    found = draw_trials(study, sigmas)
    each = alpha / (3 * len(sigmas))
    coverage = bounded_mean(found.covered, each)
    overlap = overlap_probability(found.nearest[:, None], sigmas, d, c)
    lower = bounded_mean(overlap, each)
    # Trial by trial, in [-1, 1].
    half = bounded_mean((found.covered - overlap + 1) / 2, each)
    room = replace(half, mean=2 * half.mean - 1, low=2 * half.low - 1, high=2 * half.high - 1)
    apart = distances(study.data.train, study.held_out, study.settings.device)
    upper = exact(upper_bound(mean_overlap(apart, sigmas, d, c), study.n))
    sampled_lower, sampled_upper = sampled_bounds(study, sigmas, found.nearest)
    records = [
        from_estimate(
            band_comparison("figure6", "all noise levels", quantity, ">=", 0.0, rounding=1e-7),
            replace(estimate, alpha=alpha / 2),
            study.settings.seed,
        )
        for quantity, estimate in (
            ("least of coverage - lower bound, trial by trial", reduce_band(room, np.min)),
            ("least of upper bound - coverage", reduce_band(difference(upper, coverage), np.min)),
        )
    ]
    tabulated = {
        "coverage": coverage,
        "lower bound, p by its distribution": lower,
        "upper bound, all pairs": upper,
        "lower bound, p by shared Gaussians (E.2)": exact(sampled_lower),
        "upper bound, sampled pairs (E.2)": exact(sampled_upper),
    }

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.fill_between(sigmas, lower.mean, upper.mean, color=MUTED, alpha=0.25, linewidth=0)
        for values, text in ((sampled_lower, "as in the paper (E.2)"), (sampled_upper, None)):
            axes.plot(sigmas, values, color=MUTED, linestyle=DASHED, linewidth=1, label=text)
        for values, text in ((lower.mean, "bounds of Theorem 4.8"), (upper.mean, None)):
            axes.plot(sigmas, values, color=MUTED, linewidth=1, label=text)
        draw_curve(axes, sigmas, coverage, COVERAGE, "s", f"coverage, {TRIALS} training sets")
        set_sigma_axis(axes, *sigma_limits(sigmas))
        set_unit_axis(axes, "probability")
        add_legend(figure, columns=3)

    return ExperimentResult(
        "figure6",
        "both bounds enclose the coverage at all noise levels and are close to it.",
        tuple(records),
        HEADER,
        tuple(curve_rows(sigmas, tabulated)),
        draw,
        height=4,
    )


def draw_trials(study: TrainedStudy, sigmas: Array) -> Trials:
    """Draw the trials; training sets have the memorizing model's number of images.

    All noise levels share a trial's noises.
    """
    pool, test = (rows.reshape(len(rows), -1) for rows in (study.data.train, study.held_out))
    r_in, r_out = radii(np.float64(study.d), study.settings.c)
    covered, nearest = np.empty((TRIALS, len(sigmas))), np.empty(TRIALS)
    for trial in range(TRIALS):
        rng = generator(study.settings.seed, f"{STREAM}/trial", trial)
        away = test[rng.integers(len(test))] - pool[rng.choice(len(pool), study.n, replace=False)]
        noise = rng.standard_normal((NOISES, study.d))
        squared, inner, norms = np.square(away).sum(1), noise @ away.T, np.square(noise).sum(1)
        nearest[trial] = np.sqrt(squared.min())
        for k, sigma in enumerate(sigmas):
            # |x + sigma z - x_j|^2 in units of sigma^2.
            apart = squared / sigma**2 + 2 * inner / sigma + norms[:, None]
            inside = (apart >= r_in**2) & (apart <= r_out**2)
            covered[trial, k] = inside.any(1).mean()
    return Trials(covered, nearest)


def sampled_bounds(study: TrainedStudy, sigmas: Array, nearest: Array) -> tuple[Array, Array]:
    """The two bounds as the paper samples them, (K,) each: shared Gaussians, sampled pairs."""
    rng = generator(study.settings.seed, f"{STREAM}/pairs")
    pool = study.data.train.reshape(len(study.data.train), -1)
    first = rng.integers(len(pool), size=PAIRS)
    second = (first + rng.integers(1, len(pool), size=PAIRS)) % len(pool)
    apart = np.sqrt(np.square(pool[first] - pool[second]).sum(1))
    normal = generator(study.settings.seed, f"{STREAM}/gaussians").standard_normal
    vectors = normal((GAUSSIANS, study.d))
    along, norms = vectors[:, 0], np.square(vectors).sum(1)
    r_in, r_out = radii(np.float64(study.d), study.settings.c)

    def mean_probability(distance: Array, sigma: float) -> float:
        shift = distance[:, None] / sigma
        squared = norms + 2 * shift * along + shift**2
        return float(((squared >= r_in**2) & (squared <= r_out**2)).mean())

    lower, overlap = (
        np.array([mean_probability(each, sigma) for sigma in sigmas]) for each in (nearest, apart)
    )
    return lower, upper_bound(overlap, study.n)
