"""Figure 2: at which noise levels the trained denoisers and the empirical optimum memorize."""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.memorization import peak
from wildmiddle.checks.records import Comparison
from wildmiddle.checks.report.drawing import DASHED, MUTED, add_legend, set_sigma_axis, sigma_limits
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.intervals import proportion, share_above
from wildmiddle.models.one_step import memorization_by_level, nested_copies

POINTS, NOISES = 100, 50
"""Held-out images, and noises of each, for Section 3's definition."""
LARGE_PORTION = 0.9
"""Of the noises: an image whose outputs are copies more often counts as copied at a level."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Count copies among one-step outputs on noised held-out images, over the schedule."""
    denoisers = study.denoisers
    n, sigmas, images = study.scale.outputs, study.sigmas, study.fresh.to(study.torch_device)
    counts = {
        name: memorization_by_level(
            denoiser,
            images,
            study.few,
            sigmas,
            n,
            study.settings.seed,
            mirrored=study.mirrored,
        )
        for name, denoiser in denoisers.items()
    }
    # Section 3's definition, beside the rate of points and noises pooled.
    points = images[:POINTS]
    nested = {
        name: share_above(
            nested_copies(
                denoiser,
                points,
                study.few,
                sigmas,
                NOISES,
                study.settings.seed,
                mirrored=study.mirrored,
            ),
            NOISES,
            LARGE_PORTION,
            alpha / len(sigmas),
        )
        for name, denoiser in denoisers.items()
    }
    rates = {name: proportion(found, n, alpha / len(sigmas)) for name, found in counts.items()}
    rows: list[TableRow] = [
        (name, float(sigma), int(counts[name][k]), n, float(rate.low[k]), float(rate.high[k]))
        for name, rate in rates.items()
        for k, sigma in enumerate(sigmas)
    ]
    nested_rows: list[TableRow] = [
        (
            name,
            float(sigma),
            *(float(end[k]) for end in (one.mean, one.low, one.high)),
            one.n,
            NOISES,
        )
        for name, one in nested.items()
        for k, sigma in enumerate(sigmas)
    ]
    zone = study.zone.possible
    where = peak(sigmas, counts["memorizing"], n, zone, alpha=alpha / 3, seed=study.settings.seed)
    records = [replace(where, claim="figure2")]
    last = len(sigmas) - 1
    for name, relation, bound in (
        ("memorizing", "<=", 0.05),
        ("empirical optimum", ">=", 0.95),
    ):
        comparison = Comparison(
            claim="figure2",
            instance=f"sigma = {sigmas[last]:.3g}",
            quantity=f"one-step memorization of the {name} denoiser",
            relation="<=" if relation == "<=" else ">=",
            bound=bound,
            margin=0.02,
        )
        records.append(
            from_proportion(
                comparison, int(counts[name][last]), n, alpha=alpha / 3, seed=study.settings.seed
            )
        )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        label = "zone that the distances allow"
        axes.axvspan(zone.start, zone.end, color=MUTED, alpha=0.15, linewidth=0, label=label)
        for name, rate in rates.items():
            error = np.array([rate.mean - rate.low, rate.high - rate.mean])
            drawn = axes.errorbar(sigmas, rate.mean, error, label=name, capsize=2)
            colour = drawn.lines[0].get_color()
            axes.plot(sigmas, nested[name].mean, color=colour, linestyle=DASHED)
        axes.plot([], [], color=MUTED, linestyle=DASHED, label="images copied at 90% of the noises")
        set_sigma_axis(axes, *sigma_limits(sigmas))
        axes.set_ylabel("one-step memorization")
        add_legend(figure, columns=2)

    return ExperimentResult(
        "figure2",
        "the trained denoiser memorizes most at medium noise and hardly at the smallest, where the "
        "empirical optimum always does; the one of many images never does.",
        tuple(records),
        ("denoiser", "sigma", "memorized", "outputs", "low", "high"),
        tuple(rows),
        draw,
        tables={
            "nested": (
                ("denoiser", "sigma", "images copied", "low", "high", "images", "noises of each"),
                tuple(nested_rows),
            )
        },
    )
