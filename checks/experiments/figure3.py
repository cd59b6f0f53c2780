"""Figure 3: posterior weight and coverage over sigma, and the danger zone between the two.

No model has a part in it. By definition coverage is low in small noise, weight in large noise, and
both are high in the danger zone; so what can fail of the paper's table of regimes is that the ends
of the schedule belong to the calm regimes, what the other curve is at the end of each, and the
order of the curves in between.
"""

from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.results import ExperimentResult
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.experiments.weight_and_coverage import (
    HEADER,
    band_comparison,
    curve_rows,
    difference,
    draw_bars,
    draw_weight_and_coverage,
    interval_rows,
    level_row,
    reduce_band,
    regime_rows,
    regimes_of,
    shade_regimes,
    value_at,
    with_joint_bands,
)
from wildmiddle.checks.records import Comparison, Relation
from wildmiddle.checks.regimes import mean_changes, zone_records
from wildmiddle.checks.report.drawing import DASHED, MUTED, add_edm_axis, add_legend
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical import Curves
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.regimes import Regime
from wildmiddle.theory.constants import Thresholds
from wildmiddle.theory.shells import outside_probability
from wildmiddle.theory.small_noise import disjoint_sigma


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Read the regimes off the curves and hold them against Theorem 4.8 and the distances."""
    curves, predicted = with_joint_bands(study.curves, alpha / 2), study.zone
    regimes = regimes_of(curves, study.settings)
    danger = regimes["danger"]
    seed, n = study.settings.seed, curves.coverage.n
    nearest = extreme_distances(study.train, study.settings.device, study.settings.memory)[:, 0]
    inside = zone_records(danger.start, danger.end, predicted, n, alpha=alpha / 2, seed=seed)
    found = [
        *_within_bounds(curves, alpha / 2),
        *_table(curves, regimes, study.settings, alpha / 2),
        *_order(curves, study, alpha / 2),
    ]
    tabulated = {
        "posterior weight": curves.max_weight,
        "coverage": curves.coverage,
        "lower bound of the coverage": curves.coverage_lower,
        "upper bound of the coverage": curves.coverage_upper,
    }
    zones = {
        "measured": (danger.start.sigma, danger.end.sigma),
        "predicted, certain": (predicted.certain.start, predicted.certain.end),
        "predicted, possible": (predicted.possible.start, predicted.possible.end),
    }

    def draw(figure: Figure) -> None:
        axes, bars = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        shade_regimes(axes, regimes, curves.sigmas)
        lower, upper = curves.coverage_lower.mean, curves.coverage_upper.mean
        axes.fill_between(curves.sigmas, lower, upper, color=MUTED, alpha=0.25, linewidth=0)
        bounds = {"color": MUTED, "linewidth": 1}
        axes.plot(curves.sigmas, lower, linestyle=DASHED, label="Theorem 4.8, lower", **bounds)
        axes.plot(curves.sigmas, upper, label="Theorem 4.8, upper", **bounds)
        draw_weight_and_coverage(axes, curves)
        add_edm_axis(axes)
        draw_bars(bars, zones, curves.sigmas, np.array([0.9, 0.6, 0.25]))
        bars.set_title("danger zone")
        add_legend(figure)

    return ExperimentResult(
        "figure3",
        "as the noise grows the weight falls from high to low and the coverage rises from low to "
        "high, with a danger zone between the calm ends where both are high.",
        (
            *(from_estimate(comparison, estimate, seed) for comparison, estimate in found),
            *(replace(record, claim="figure3") for record in inside),
        ),
        HEADER,
        (
            *curve_rows(curves.sigmas, tabulated),
            *regime_rows(regimes),
            *interval_rows({f"zone {name}": zones[name] for name in list(zones)[1:]}),
            level_row(
                "all shells are disjoint up to (Section 4.2.1)",
                float(disjoint_sigma(nearest.min(), study.d, study.settings.c)),
            ),
        ),
        draw,
        height=5.2,
    )


def _within_bounds(curves: Curves, alpha: float) -> Iterator[tuple[Comparison, Estimate]]:
    # The band holds at all noise levels at once, and so at the one where the margin is least.
    c, lower, upper = curves.coverage, curves.coverage_lower, curves.coverage_upper
    for quantity, margin in (
        ("least of coverage - Theorem 4.8's lower bound", difference(c, lower)),
        ("least of Theorem 4.8's upper bound - coverage", difference(upper, c)),
    ):
        # The bounds are right to 1e-7.
        comparison = band_comparison(
            "figure3", "all noise levels", quantity, ">=", 0.0, rounding=1e-7
        )
        yield comparison, replace(reduce_band(margin, np.min), alpha=alpha)


def _table(
    curves: Curves, regimes: dict[str, Regime], at: Thresholds, alpha: float
) -> Iterator[tuple[Comparison, Estimate]]:
    weight, coverage = curves.max_weight, curves.coverage
    first, last = int(curves.sigmas.argmin()), int(curves.sigmas.argmax())
    s = curves.sigmas
    small, large, danger = (regimes[name] for name in ("small", "large", "danger"))
    rows: tuple[tuple[str, float, str, Relation, float, Estimate], ...] = (
        (
            "smallest sigma",
            s[first],
            "coverage",
            "<=",
            at.coverage_low,
            reduce_band(coverage, itemgetter(first)),
        ),
        (
            "end of small noise",
            small.end.sigma,
            "posterior weight",
            ">=",
            at.weight_high,
            value_at(s, weight, small.end, rising=False),
        ),
        (
            "where coverage becomes high",
            danger.start.sigma,
            "posterior weight",
            ">=",
            at.weight_high,
            value_at(s, weight, danger.start, rising=False),
        ),
        (
            "start of large noise",
            large.start.sigma,
            "coverage",
            ">=",
            at.coverage_high,
            value_at(s, coverage, large.start, rising=True),
        ),
        (
            "largest sigma",
            s[last],
            "posterior weight",
            "<=",
            at.weight_low,
            reduce_band(weight, itemgetter(last)),
        ),
    )
    for instance, sigma, quantity, relation, bound, found in rows:
        comparison = band_comparison(
            "figure3", instance, quantity, relation, bound, sigma=float(sigma)
        )
        yield comparison, replace(found, alpha=alpha)


def _order(
    curves: Curves, study: TrainedStudy, alpha: float
) -> Iterator[tuple[Comparison, Estimate]]:
    order = np.argsort(curves.sigmas)
    # Once every shell holds nearly all, merging them can lose what lies outside of one.
    loss = float(outside_probability(study.d, study.settings.c))
    for quantity, draws, sign, room in (
        ("largest rise of the weight from one level to the next", curves.max_weight_draws, 1, 0.0),
        ("largest fall of the coverage from one level to the next", curves.covered_draws, -1, loss),
    ):
        change = mean_changes(sign * draws[:, order].astype(np.float64), alpha / 2)
        comparison = band_comparison("figure3", "all noise levels", quantity, "<=", room)
        yield comparison, replace(reduce_band(change, np.max), alpha=alpha / 2)
