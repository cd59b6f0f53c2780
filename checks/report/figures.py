"""The report's figures: the regimes, the two curves that place them, and the bounds on those."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.report.axes import band_note, curve, curve_alpha, edm_axis, sigma_ends, unit
from wildmiddle.checks.report.bound_figures import weight_thresholds
from wildmiddle.checks.report.decay_figures import large_noise_order, sensitivity_decay
from wildmiddle.checks.report.svg import (
    COVERAGE,
    DANGER,
    INK,
    MUTED,
    SELF,
    WEIGHT,
    Drawing,
    Key,
    drawing,
    over_sigma,
    panels,
    plain_log,
)
from wildmiddle.checks.verify import Result
from wildmiddle.empirical.regimes import Crossing, Regime
from wildmiddle.theory.schedules import ddpm_sigmas

Array = NDArray[np.float64]
Pair = tuple[float, float]


def figures(result: Result) -> tuple[Drawing, ...]:
    """The figures of the section that bears their name, in the report's order."""
    drawings = (
        weight_and_coverage(result),
        coverage_bounds(result),
        max_and_self_weight(result),
        weight_thresholds(result),
        large_noise_order(result.study),
        sensitivity_decay(result.study),
    )
    return tuple(drawing for drawing in drawings if drawing is not None)


def regime_chart(result: Result) -> Drawing:
    """The regimes and the predicted zone as bars over sigma, with the clocks of EDM and DDPM."""
    colours = {"small": COVERAGE, "medium": MUTED, "danger": DANGER, "large": WEIGHT}
    low, high = sigma_ends(result)
    timesteps, predicted = ddpm_sigmas(), result.study.zone
    names = ["small", "medium", "danger", "predicted", "large"]

    def span(at: int, start: float, end: float) -> tuple[list[Pair], Pair]:
        left, right = max(start, low), min(end, high)
        return [(left, max(0.0, right - left))], (at - 0.31, 0.62)

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure, left=44, top=32, bottom=66)
        over_sigma(axes, low, high)
        axes.grid(False)
        for regime in result.study.regimes:
            at = names.index(regime.name)
            if regime.empty:
                axes.text(low * 1.2, at, "empty", va="center", style="italic")
                continue
            bar = span(at, regime.start.sigma, regime.end.sigma)
            axes.broken_barh(*bar, color=colours[regime.name], alpha=0.26, linewidth=0)
            if regime.name == "danger":
                axes.broken_barh(*bar, facecolor="none", hatch="////", edgecolor=DANGER, lw=0)
            for end in (regime.start, regime.end):
                _uncertain(axes, end, at)
        at = names.index("predicted")
        for zone, alpha in ((predicted.possible, 0.22), (predicted.certain, 0.75)):
            if not zone.empty:
                bar = span(at, zone.start, zone.end)
                axes.broken_barh(*bar, color=DANGER, alpha=alpha, linewidth=0)
        if predicted.possible.empty:
            axes.text(low * 1.2, at, "empty", va="center", style="italic")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        edm_axis(axes, roomy)
        bottom = axes.secondary_xaxis(-34 / axes.bbox.height * figure.dpi / 72)
        shown = (0, 10, 50, 100, 200, 300, 400, 600, 800) if roomy else (0, 50, 200, 400, 800)
        bottom.set_xticks(timesteps[list(shown)], [str(t) for t in shown])
        bottom.set_xticks([], minor=True)
        bottom.set_xlabel("DDPM timestep of 1000")

    return drawing(
        "regimes",
        draw,
        title="The regimes over the noise level",
        caption="The bracket at an end spans the noise levels between which the curve must cross "
        f"its threshold, at {1 - curve_alpha(result):.0%} confidence for a curve that is "
        "monotone there; where it leaves the picture, the schedule shows no end. DDPM timesteps "
        f"are those of a model that is trained on pixels in the same range, {_range(result)}. The "
        "predicted zone takes the distances between the images and nothing else: it needs no "
        "sampling and no training. All of its certain part is danger zone, and nothing outside of "
        "its possible part is.",
        legend=(
            Key("danger zone, measured", DANGER, "hatch"),
            Key("predicted, certain", DANGER, "solid"),
            Key("predicted, possible", DANGER, "light"),
        ),
        wide=(7.6, 3.2),
        narrow=(3.7, 3.2),
    )


def weight_and_coverage(result: Result) -> Drawing:
    """The two curves that place the danger zone (the paper's Figure 3)."""
    both, at = result.study.curves, result.study.settings
    danger = _danger(result)

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure, top=34)
        over_sigma(axes, *sigma_ends(result))
        if not danger.empty:
            ends = (danger.start.sigma, danger.end.sigma)
            axes.axvspan(*ends, color=DANGER, alpha=0.1, linewidth=0)
            axes.axvspan(*ends, fill=False, hatch="////", edgecolor=DANGER, alpha=0.4, linewidth=0)
        for level in (at.weight_high, at.weight_low):
            axes.axhline(level, color=WEIGHT, linewidth=0.8, linestyle=(0, (4, 4)))
        for level in (at.coverage_high, at.coverage_low):  # in the gaps of the others
            axes.axhline(level, color=COVERAGE, linewidth=0.8, linestyle=(4, (4, 4)))
        curve(axes, both.sigmas, both.max_weight, WEIGHT, "o")
        curve(axes, both.sigmas, both.coverage, COVERAGE, "s")
        unit(axes, "probability")
        edm_axis(axes, roomy)

    seen = (
        "On these data there are none: the danger zone is empty."
        if danger.empty
        else "That is the danger zone: inference meets noise that training supervised, and there "
        "the denoiser answers with one training image."
    )
    return drawing(
        "curves",
        draw,
        title="Posterior weight and coverage (the paper’s Figure 3)",
        caption="Look for noise levels at which the coverage is already high and the weight still "
        f"is. {seen} {band_note(result)}",
        legend=(
            Key("posterior weight W (Def. 4.1)", WEIGHT, "circle"),
            Key("coverage C (Def. 4.6)", COVERAGE, "square"),
            Key(f"high and low weight: {at.weight_high:g}, {at.weight_low:g}", WEIGHT, "dash"),
            Key(
                f"high and low coverage: {at.coverage_high:g}, {at.coverage_low:g}",
                COVERAGE,
                "dash",
            ),
            *(() if danger.empty else (Key("danger zone", DANGER, "hatch"),)),
        ),
        wide=(7.6, 3.6),
        narrow=(3.7, 3.4),
    )


def coverage_bounds(result: Result) -> Drawing:
    """Theorem 4.8's bounds around the measured coverage (the paper's Figure 6)."""
    both = result.study.curves
    lower, upper = both.coverage_lower.mean, both.coverage_upper.mean
    floor = 1e-6
    # Where the bounds agree, at 0 or near 1, there is nothing to see.
    turning = both.sigmas[(upper > floor) & (lower < 0.99 * upper)]
    ends = (turning.min() / 2, turning.max() * 2) if len(turning) else sigma_ends(result)

    def draw(figure: Figure, roomy: bool) -> None:
        grid = (2, 1) if roomy else (1, 2)
        drawn = panels(figure, *grid, top=18, gap=44 if roomy else 52)
        for axes, logarithmic in zip(drawn, (False, True), strict=True):
            over_sigma(axes, *ends)
            unit(axes, "coverage")
            axes.set_title("log scale" if logarithmic else "linear scale")
            shown = np.maximum(lower, floor / 10)
            axes.fill_between(both.sigmas, shown, upper, color=MUTED, alpha=0.2, linewidth=0)
            axes.plot(both.sigmas, shown, color=MUTED, linestyle=(0, (5, 2)))
            axes.plot(both.sigmas, np.maximum(upper, floor / 10), color=MUTED)
            curve(axes, both.sigmas, both.coverage, COVERAGE, "s")
            if logarithmic:
                axes.set_yscale("log")
                axes.set_ylim(floor, 2)
                plain_log(axes, "y")
        if roomy:
            drawn[1].set_ylabel("")

    return drawing(
        "coverage",
        draw,
        title="Coverage between its two bounds (the paper’s Figure 6)",
        caption="Theorem 4.8 holds where the coverage stays inside the grey region; the log scale "
        "shows the small noise levels, where rare close pairs carry the upper bound and where, "
        "once no query is covered, only the upper end of the band is left to see. Both bounds are "
        f"exact for these two sets: nothing is drawn. {band_note(result)}",
        legend=(
            Key("upper bound, all pairs", MUTED, "line"),
            Key("lower bound, nearest neighbours", MUTED, "dash"),
            Key("measured coverage", COVERAGE, "square"),
        ),
        wide=(7.6, 3.0),
        narrow=(3.7, 5.2),
    )


def max_and_self_weight(result: Result) -> Drawing:
    """Largest posterior weight against that on the noised point (the paper's Figure 7)."""
    both, n = result.study.curves, result.study.n

    def draw(figure: Figure, roomy: bool) -> None:
        (axes,) = panels(figure)
        over_sigma(axes, *sigma_ends(result))
        axes.axhline(1 / n, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        curve(axes, both.sigmas, both.max_weight, WEIGHT, "o")
        curve(axes, both.sigmas, both.self_weight, SELF, "^")
        unit(axes, "mean posterior weight")

    return drawing(
        "self",
        draw,
        title="Largest weight and weight on the noised image (the paper’s Figure 7)",
        caption="Where the two agree, the posterior picks the very image that was noised; where "
        "the largest weight is above, it picks another one. Both end at 1/N, where it knows "
        f"nothing. {band_note(result)}",
        legend=(
            Key("largest weight", WEIGHT, "circle"),
            Key("weight on the noised image", SELF, "triangle"),
            Key(f"1/N = {1 / n:.3g}", MUTED, "dot"),
        ),
    )


def _uncertain(axes: Axes, end: Crossing, at: float) -> None:
    left, right = axes.get_xlim()
    if left < end.sigma < right:
        axes.plot([end.sigma] * 2, [at - 0.31, at + 0.31], color=INK, linewidth=1.2)
        # Not seen on the schedule: then the bracket runs off the picture.
        low = left / 2 if np.isnan(end.low) else end.low
        high = right * 2 if np.isnan(end.high) else end.high
        axes.plot([low, high], [at, at], "|-", color=INK, linewidth=1, markersize=6)


def _danger(result: Result) -> Regime:
    return next(regime for regime in result.study.regimes if regime.name == "danger")


def _range(result: Result) -> str:
    low, high = result.data.value_range
    return f"{low:g} to {high:g}".replace("-", "−")
