"""The figures of bounds on the posterior weight: Theorem 4.2's levels, and distances alone."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.posterior import low_weight, weight_bounds
from wildmiddle.checks.report.axes import band_note, curve, sigma_ends, unit
from wildmiddle.checks.report.svg import (
    INK,
    MUTED,
    SELF,
    WEIGHT,
    Drawing,
    Key,
    drawing,
    over_sigma,
    panels,
)
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import Result
from wildmiddle.theory.posterior import sigma_minus, sigma_plus

Array = NDArray[np.float64]


def weight_thresholds(result: Result) -> Drawing:
    """Theorem 4.2's two noise levels of every training image against the weight curve."""
    study, at = result.study, result.study.settings
    w_low = low_weight(study.n)
    below, above = certified_levels(study)
    copies = study.n - len(below)
    marks = [(np.percentile(above, (5, 50, 95)), w_low, "σ₊", 0.06)]
    if len(below):
        marks.append((np.percentile(below, (5, 50, 95)), at.w, "σ₋", -0.1))

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure)
        over_sigma(axes, *sigma_ends(result))
        unit(axes, "weight on the noised image")
        for (left, median, right), w, name, offset in marks:
            axes.axvspan(left, right, color=INK, alpha=0.07, linewidth=0)
            axes.hlines(w, left, right, color=INK, linewidth=1.5)
            axes.vlines((left, right), w - 0.025, w + 0.025, color=INK, linewidth=1.5)
            axes.plot(median, w, "D", color=INK, markersize=5)
            axes.text(median, w + offset, name, ha="center", clip_on=True)
        curve(axes, study.curves.sigmas, study.curves.self_weight, SELF, "^")

    left_out = (
        f" {copies} of the {study.n} images have an exact copy: Theorem 4.2 certifies no noise "
        "level below which their weight is high, and they are left out of σ₋."
        if copies
        else ""
    )
    return drawing(
        "thresholds",
        draw,
        title="Theorem 4.2’s two noise levels on the weight curve",
        caption=f"Up to σ₋ an image keeps at least the weight {at.w:g}, from σ₊ on it has at "
        f"most {w_low:.3g}, each with probability {1 - at.delta:g}. Look for a curve that "
        "passes above the left mark and below the right one; how far it keeps from them is what "
        f"the bounds give away.{left_out} {band_note(result)}",
        legend=(
            Key("weight on the noised image", SELF, "triangle"),
            Key("σ₋ and σ₊ of the training images: median, 5% to 95%", INK, "bracket"),
        ),
    )


def weight_between_bounds(result: Result) -> Drawing:
    """The measured posterior weight between what distances alone say of it, over sigma."""
    study = result.study
    both = study.curves
    lower, upper, _ = weight_bounds(study, both.sigmas)
    below, above = certified_levels(study)
    marks = [(float(above.mean()), low_weight(study.n), "σ₊", 0.06)]
    if len(below):
        marks.append((float(below.mean()), study.settings.w, "σ₋", -0.1))

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure)
        over_sigma(axes, *sigma_ends(result))
        unit(axes, "posterior weight W")
        axes.fill_between(both.sigmas, lower, upper, color=MUTED, alpha=0.15, linewidth=0)
        axes.plot(both.sigmas, lower, color=MUTED, linestyle=(0, (5, 2)))
        axes.plot(both.sigmas, upper, color=MUTED)
        curve(axes, both.sigmas, both.max_weight, WEIGHT, "o")
        for sigma, w, name, offset in marks:
            axes.plot(sigma, w, "D", color=INK, markersize=5)
            axes.text(sigma, w + offset, name, ha="center", clip_on=True)

    return drawing(
        "weight-bounds",
        draw,
        title="Posterior weight between bounds from distances alone",
        caption="W is the chance that a noised training image is decoded right. It lies above the "
        "dashed line by the union bound on decoding errors and below the full one by Fano’s "
        "inequality; both take the distances between training images alone. The diamonds are means "
        "of the paper’s two noise levels, which are about the weight on the noised image itself: "
        f"at least {study.settings.w:g} up to σ₋, at most {low_weight(study.n):.3g} from σ₊ on. "
        f"{band_note(result)}",
        legend=(
            Key("posterior weight W (Def. 4.1)", WEIGHT, "circle"),
            Key("upper bound (Fano)", MUTED, "line"),
            Key("lower bound (decoding errors)", MUTED, "dash"),
            Key("Theorem 4.2’s σ₋ and σ₊, mean over images", INK, "diamond"),
        ),
    )


def certified_levels(study: Study) -> tuple[Array, Array]:
    """``sigma_minus`` of the training images without a copy, and ``sigma_plus`` of all of them."""
    single = study.nearest[study.nearest > 0]
    low = low_weight(study.n)
    return (
        sigma_minus(single, study.n, study.settings.w, study.settings.delta),
        sigma_plus(study.farthest, study.n, low, study.settings.delta),
    )
