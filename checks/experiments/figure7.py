"""Figure 7: the largest posterior weight against the weight on the image that was noised.

No model has a part in it. Given the noised image, the clean one is distributed by the posterior
weights, so the mean self weight equals the mean sum of squared weights. It lies between ``W^2`` and
``W``, where W is the mean largest weight. The two are close wherever W is near 0 or 1, for any
images.
"""

from dataclasses import replace

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
    regime_rows,
    regimes_of,
    shade_regimes,
)
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.report.drawing import (
    DOTTED,
    MUTED,
    SELF,
    WEIGHT,
    add_legend,
    draw_curve,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.checks.statistics import from_estimate, from_exact
from wildmiddle.empirical.intervals import Estimate, bounded_mean, exact
from wildmiddle.empirical.noise import generator
from wildmiddle.empirical.posterior import weights
from wildmiddle.empirical.regimes import Regime

Array = NDArray[np.float64]

QUERIES = 4000
"""Noised training images, each drawn anew: independent draws have a valid interval."""
BASE_POINTS, NOISES = 100, 400
"""Training images and noises of each, by the paper's protocol (E.3)."""
EQUAL = 0.05
"""A difference of mean weights up to which they count as equal: a twentieth of the whole scale."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Draw both weights of the same noised images and compare them."""
    sigmas, regimes = study.curves.sigmas, regimes_of(study.curves, study.settings)
    few = study.few.double().flatten(1)
    largest, own = (
        np.minimum(draws, 1)
        for draws in weights(
            few,
            sigmas,
            queries=QUERIES,
            seed=study.settings.seed,
            device=study.settings.device,
            stream="figure7",
        )
    )
    # Both weights of a query share its noise, so that their difference has a band of its own.
    each = alpha / (3 * len(sigmas))
    weight, self_weight, gap = (
        bounded_mean(draws, each) for draws in (largest, own, np.maximum(largest - own, 0))
    )
    room = Estimate(
        weight.mean * (1 - weight.mean),
        *_parabola(weight.low, weight.high),
        weight.n,
        weight.alpha,
        weight.method,
    )
    nested = nested_weights(study, sigmas)
    tabulated = {
        "largest weight": weight,
        "self weight": self_weight,
        "difference": gap,
        **{f"{name} weight (E.3)": exact(mean) for name, mean in nested.items()},
    }

    def draw(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        shade_regimes(axes, regimes, sigmas)
        draw_curve(axes, sigmas, weight, WEIGHT, "o", "largest weight")
        draw_curve(axes, sigmas, self_weight, SELF, "^", "weight on the noised image")
        set_unit_axis(axes, "mean posterior weight")
        draw_curve(below, sigmas, gap, MUTED, "o", "difference")
        most = "most that the difference can be, W(1 − W)"
        below.plot(sigmas, room.mean, linestyle=DOTTED, color=WEIGHT, label=most)
        below.set(ylabel="difference", ylim=(-0.01, 0.29))
        set_sigma_axis(below, *sigma_limits(sigmas))
        add_legend(figure, columns=2)

    return ExperimentResult(
        "figure7",
        "the largest weight is nearly always that on the noised image itself: the two curves agree "
        "at small and large noise and part in the transition alone.",
        tuple(_records(study, regimes, largest, own, (gap, room), alpha)),
        HEADER,
        (*curve_rows(sigmas, tabulated), *regime_rows(regimes)),
        draw,
        height=5,
    )


def nested_weights(study: TrainedStudy, sigmas: Array) -> dict[str, Array]:
    """Mean largest and self weight by E.3's protocol, (K,) each; all images where they are few."""
    few, at = study.few.double().flatten(1), study.settings
    draw = generator(at.seed, "figure7/base points")
    chosen = draw.choice(len(few), min(BASE_POINTS, len(few)), replace=False)
    means = [
        [
            draws.mean(0)
            for draws in weights(
                few,
                sigmas,
                queries=NOISES,
                seed=at.seed,
                device=at.device,
                index=int(i),
                stream=f"figure7/base point {i}",
            )
        ]
        for i in chosen
    ]
    return dict(zip(("largest", "self"), np.mean(means, axis=0), strict=True))


def _records(
    study: TrainedStudy,
    regimes: dict[str, Regime],
    largest: Array,
    own: Array,
    found: tuple[Estimate, Estimate],
    alpha: float,
) -> list[Record]:
    sigmas, (gap, room) = study.curves.sigmas, found
    small, medium, large = (
        (sigmas >= regimes[name].start.sigma) & (sigmas < regimes[name].end.sigma)
        for name in ("small", "medium", "large")
    )
    excess = Comparison(
        claim="figure7",
        instance=f"all noise levels, {len(own)} noised images",
        quantity="largest excess of the self weight over the largest weight",
        relation="<=",
        bound=0.0,
        rounding=1e-6,  # to which the weights are right
    )
    records = [from_exact(excess, (own - largest).max())]
    cases = [
        (
            "all noise levels",
            "largest of the difference - W(1 - W)",
            0.0,
            reduce_band(difference(gap, room), np.max),
        )
    ]
    if small.any():
        text = "largest difference of the two mean weights"
        cases.append(("small noise", text, EQUAL, _largest(gap, small)))
    calm = small | large
    if medium.any() and calm.any():
        text = "largest difference in small and large noise - that in medium noise"
        apart = difference(_largest(gap, calm), _largest(gap, medium))
        cases.append(("small and large noise", text, 0.0, apart))
    for instance, quantity, bound, estimate in cases:
        comparison = band_comparison("figure7", instance, quantity, "<=", bound)
        records.append(
            from_estimate(comparison, replace(estimate, alpha=alpha), study.settings.seed)
        )
    return records


def _largest(gap: Estimate, levels: NDArray[np.bool_]) -> Estimate:
    return reduce_band(gap, lambda end: end[levels].max())


def _parabola(low: Array, high: Array) -> tuple[Array, Array]:
    # The range of w(1 - w) for w between low and high; it peaks at 1/2.
    at_ends = low * (1 - low), high * (1 - high)
    over = (low < 0.5) & (high > 0.5)
    return np.minimum(*at_ends), np.where(over, 0.25, np.maximum(*at_ends))
