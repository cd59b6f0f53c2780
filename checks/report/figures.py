"""The figures of the report, each with its title and its caption."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wildmiddle.checks.large_noise import coordinates_in_span
from wildmiddle.checks.locality import RELATIVE_SIGMAS, image_rows, sensitivity
from wildmiddle.checks.posterior import low_weight, weight_bounds
from wildmiddle.checks.report.drawing import (
    COVERAGE,
    DANGER,
    DASHED,
    DOTTED,
    INK,
    MUTED,
    SELF,
    WEIGHT,
    Drawing,
    add_ddpm_axis,
    add_edm_axis,
    add_legend,
    draw_curve,
    draw_figure,
    label_log_axis,
    rows_of,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import Result
from wildmiddle.empirical.large_noise import deviation
from wildmiddle.empirical.noise import generator
from wildmiddle.empirical.regimes import Crossing
from wildmiddle.theory import large_noise, locality
from wildmiddle.theory.posterior import sigma_minus, sigma_plus
from wildmiddle.theory.regimes import latest_end
from wildmiddle.theory.spectrum import collapse_scale

Array = NDArray[np.float64]
Interval = tuple[float, float]


def figures(result: Result) -> dict[str, Drawing]:
    """The figures by name, without those that the data do not have."""
    drawings = (
        weight_and_coverage(result),
        regime_chart(result),
        zone_by_size(result),
        weight_between_bounds(result),
        coverage_bounds(result),
        max_and_self_weight(result),
        weight_thresholds(result),
        large_noise_order(result.study),
        sensitivity_decay(result.study),
    )
    return {drawing.name: drawing for drawing in drawings if drawing is not None}


def regime_chart(result: Result) -> Drawing:
    """The regimes and the predicted zone as bars over sigma, with the steps of EDM and DDPM."""
    colours = {"small": COVERAGE, "medium": MUTED, "danger": DANGER, "large": WEIGHT}
    low, high = sigma_limits(result.study.curves.sigmas)
    predicted = result.study.zone
    names = ["small", "medium", "danger", "predicted", "large"]

    def bar(at: int, start: float, end: float) -> tuple[list[Interval], Interval]:
        left, right = max(start, low), min(end, high)
        return [(left, max(0.0, right - left))], (at - 0.31, 0.62)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_sigma_axis(axes, low, high)
        axes.grid(False)
        for regime in result.study.regimes:
            at = names.index(regime.name)
            if regime.empty:
                axes.text(low * 1.2, at, "empty", va="center", style="italic")
                continue
            span = bar(at, regime.start.sigma, regime.end.sigma)
            axes.broken_barh(*span, color=colours[regime.name], alpha=0.26, linewidth=0)
            for end in (regime.start, regime.end):
                _draw_uncertainty(axes, end, at)
        at = names.index("predicted")
        for name, zone, alpha in (
            ("possible", predicted.possible, 0.22),
            ("certain", predicted.certain, 0.75),
        ):
            if not zone.empty:
                axes.broken_barh(
                    *bar(at, zone.start, zone.end),
                    color=DANGER,
                    alpha=alpha,
                    linewidth=0,
                    label=f"predicted, {name}",
                )
        if predicted.possible.empty:
            axes.text(low * 1.2, at, "empty", va="center", style="italic")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        add_edm_axis(axes)
        add_ddpm_axis(axes, "bottom")
        add_legend(figure)

    return Drawing(
        name="regimes",
        title="The regimes over the noise level",
        caption="The bracket at an end spans the noise levels between which the curve must cross "
        f"its threshold, at {1 - _curve_alpha(result):.0%} confidence for a curve that is "
        "monotone there; where it leaves the picture, the schedule shows no end. DDPM timesteps "
        f"are those of a model that is trained on pixels in the same range, {_range(result)}. The "
        "predicted zone takes the distances between the images and nothing else: it needs no "
        "sampling and no training. All of its certain part is danger zone, and nothing outside of "
        "its possible part is.",
        picture=draw_figure(draw, 3.4),
        rows=[
            *(
                (regime.name, end, *vars(getattr(regime, end)).values())
                for regime in result.study.regimes
                if not regime.empty
                for end in ("start", "end")
            ),
            *(
                (f"predicted, {name}", end, value, value, value)
                for name, zone in (("certain", predicted.certain), ("possible", predicted.possible))
                if not zone.empty
                for end, value in zone._asdict().items()
            ),
        ],
        along="end",
    )


def zone_by_size(result: Result) -> Drawing | None:
    """Where the zone ends for other numbers of images of one covariance, by its eigenvalues.

    None where all images are equal.
    """
    study, at = result.study, result.study.settings
    values = study.eigenvalues
    if not values.any():
        return None
    (danger,) = (regime for regime in study.regimes if regime.name == "danger")
    sizes = np.unique(np.geomspace(max(2, study.n / 16), 64 * study.n, 40).round().astype(int))
    effective = study.effective / study.n
    sizes = sizes[sizes * effective > 1]
    collapse = np.array([collapse_scale(values, effective * n) for n in sizes.tolist()])
    size, level = float(np.sqrt(values.sum())), at.weight_high
    latest = np.array([latest_end(values, n, level, size, effective * n) for n in sizes.tolist()])
    end = danger.end
    seen = [v for v in (end.sigma, end.low, end.high) if np.isfinite(v) and v > 0]
    # Of a few images alike the spectrum may say nothing, or that there is no zone: 0 or infinity.
    spread = np.concatenate([collapse, latest, seen])
    spread = spread[np.isfinite(spread) & (spread > 0)]
    lowest, highest = (spread.min(), spread.max()) if len(spread) else (0.1, 1.0)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(float(sizes[0]), float(sizes[-1]))
        axes.set_ylim(0.8 * float(lowest), 1.25 * float(highest))
        label_log_axis(axes, "x")
        label_log_axis(axes, "y")
        axes.set_xlabel("number N of training images")
        axes.set_ylabel("noise level σ")
        axes.plot(sizes, latest, color=MUTED, label="zone ends at the latest")
        axes.plot(sizes, collapse, color=MUTED, ls=DASHED, label="collapse scale")
        if seen:
            axes.plot([study.n] * len(seen), seen, "_-", color=INK, linewidth=1, markersize=8)
            axes.plot(study.n, end.sigma, "D", color=INK, markersize=5, label="end, measured here")
        add_legend(figure)

    return Drawing(
        name="zone-by-size",
        title="The danger zone’s end against the number of images",
        caption="The covariance of these images, and N images that have it: the full line bounds "
        "the end, the dashed one estimates where the weight on the noised image passes 1/2: there "
        "the information that a noised image can carry is log N. The diamond is where the measured "
        f"weight falls under {at.weight_high:g}, with its interval. More images end the zone "
        "earlier, and slowly. Nothing but the diamond is drawn at random.",
        picture=draw_figure(draw, 3.0),
        rows=[
            *rows_of("latest end", sizes, latest),
            *rows_of("collapse scale", sizes, collapse),
            ("end, measured", study.n, end.sigma, end.low, end.high),
        ],
        along="images",
    )


def weight_and_coverage(result: Result) -> Drawing:
    """The two curves that place the danger zone (the paper's Figure 3)."""
    curves, at = result.study.curves, result.study.settings
    danger = next(regime for regime in result.study.regimes if regime.name == "danger")

    def draw(figure: Figure) -> None:
        axes, limits = figure.subplots(), sigma_limits(curves.sigmas)
        set_sigma_axis(axes, *limits)
        draw_curve(axes, curves.sigmas, curves.max_weight, WEIGHT, "o", "posterior weight W")
        draw_curve(axes, curves.sigmas, curves.coverage, COVERAGE, "s", "coverage C")
        if not danger.empty:
            # A weight that is always high, of an image listed often enough, ends no zone.
            ends = np.clip((danger.start.sigma, danger.end.sigma), *limits)
            axes.axvspan(*ends, color=DANGER, alpha=0.15, linewidth=0, label="danger zone")
        thresholds = (
            ("weight", at.weight_high, at.weight_low, WEIGHT, 0),
            ("coverage", at.coverage_high, at.coverage_low, COVERAGE, 4),  # in the others' gaps
        )
        for name, high, low, colour, offset in thresholds:
            label = f"high and low {name}: {high:g}, {low:g}"
            for level in (low, high):
                line = axes.axhline(level, color=colour, linewidth=0.8, label=label)
                line.set_linestyle((offset, (4, 4)))
        set_unit_axis(axes, "probability")
        add_edm_axis(axes)
        add_legend(figure)

    zone = (
        "On these data there are none: the danger zone is empty."
        if danger.empty
        else "That is the danger zone: inference meets noise that training supervised, and there "
        "the denoiser answers with one training image."
    )
    return Drawing(
        name="curves",
        title="Posterior weight and coverage (the paper’s Figure 3)",
        caption="W is the posterior weight of Definition 4.1 and C the coverage of Definition 4.6. "
        "Look for noise levels at which the coverage is already high and the weight still is. "
        f"{zone} {_band_note(result)}",
        picture=draw_figure(draw, 3.9),
        rows=[
            *rows_of("posterior weight", curves.sigmas, curves.max_weight),
            *rows_of("coverage", curves.sigmas, curves.coverage),
        ],
    )


def coverage_bounds(result: Result) -> Drawing:
    """Theorem 4.8's bounds around the measured coverage (the paper's Figure 6)."""
    curves = result.study.curves
    lower, upper = curves.coverage_lower.mean, curves.coverage_upper.mean
    floor = 1e-6
    # Where the bounds agree, at 0 or near 1, there is nothing to see.
    turning = curves.sigmas[(upper > floor) & (lower < 0.99 * upper)]
    limits = (turning.min() / 2, turning.max() * 2) if len(turning) else sigma_limits(curves.sigmas)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, 2)
        for axes, scale in zip(panels, ("linear", "log"), strict=True):
            set_sigma_axis(axes, *limits)
            set_unit_axis(axes, "coverage" if scale == "linear" else "")
            axes.set_title(f"{scale} scale")
            shown = np.maximum(lower, floor / 10), np.maximum(upper, floor / 10)
            axes.fill_between(curves.sigmas, *shown, color=MUTED, alpha=0.2, linewidth=0)
            axes.plot(curves.sigmas, shown[1], color=MUTED, label="upper bound, all pairs")
            axes.plot(
                curves.sigmas,
                shown[0],
                color=MUTED,
                linestyle=DASHED,
                label="lower bound, nearest neighbours",
            )
            draw_curve(
                axes, curves.sigmas, curves.coverage, COVERAGE, "s", label="measured coverage"
            )
            if scale == "log":
                axes.set_yscale("log")
                axes.set_ylim(floor, 2)
                label_log_axis(axes, "y")
        add_legend(figure)

    return Drawing(
        name="coverage",
        title="Coverage between its two bounds (the paper’s Figure 6)",
        caption="Theorem 4.8 holds where the coverage stays inside the grey region; the log scale "
        "shows the small noise levels, where rare close pairs carry the upper bound and where, "
        "once no query is covered, only the upper end of the band is left to see. Both bounds are "
        f"exact for these two sets: nothing is drawn. {_band_note(result)}",
        picture=draw_figure(draw, 3.1),
        rows=[
            *rows_of("coverage", curves.sigmas, curves.coverage),
            *rows_of("lower bound", curves.sigmas, lower),
            *rows_of("upper bound", curves.sigmas, upper),
        ],
    )


def max_and_self_weight(result: Result) -> Drawing:
    """Largest posterior weight against that on the noised point (the paper's Figure 7)."""
    curves, n = result.study.curves, result.study.n

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_sigma_axis(axes, *sigma_limits(curves.sigmas))
        draw_curve(axes, curves.sigmas, curves.max_weight, WEIGHT, "o", "largest weight")
        draw_curve(axes, curves.sigmas, curves.self_weight, SELF, "^", "weight on the noised image")
        axes.axhline(1 / n, color=MUTED, linewidth=0.9, ls=DOTTED, label=f"1/N = {1 / n:.3g}")
        set_unit_axis(axes, "mean posterior weight")
        add_legend(figure)

    return Drawing(
        name="self",
        title="Largest weight and weight on the noised image (the paper’s Figure 7)",
        caption="Where the two agree, the posterior picks the very image that was noised; where "
        "the largest weight is above, it picks another one. Both end at 1/N, where it knows "
        f"nothing. {_band_note(result)}",
        picture=draw_figure(draw, 3.3),
        rows=[
            *rows_of("largest weight", curves.sigmas, curves.max_weight),
            *rows_of("weight on the noised image", curves.sigmas, curves.self_weight),
        ],
    )


def weight_thresholds(result: Result) -> Drawing:
    """Theorem 4.2's two noise levels of every training image against the weight curve."""
    study, at = result.study, result.study.settings
    low = low_weight(study.n)
    below, above = certified_levels(study)
    marks = [
        (np.percentile(above, (5, 50, 95)), low, "σ₊", 0.06),
        (np.percentile(below, (5, 50, 95)), at.w, "σ₋", -0.1),
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_sigma_axis(axes, *sigma_limits(study.curves.sigmas))
        set_unit_axis(axes, "weight on the noised image")
        draw_curve(
            axes,
            study.curves.sigmas,
            study.curves.self_weight,
            SELF,
            "^",
            "weight on the noised image",
        )
        label = "σ₋ and σ₊ of the training images: median, 5% to 95%"
        for (left, median, right), weight, name, offset in marks:
            axes.axvspan(left, right, color=INK, alpha=0.07, linewidth=0)
            axes.vlines((left, right), weight - 0.025, weight + 0.025, color=INK, linewidth=1.5)
            axes.hlines(weight, left, right, color=INK, linewidth=1.5)
            axes.plot(median, weight, "D", color=INK, markersize=5, label=label)
            axes.text(median, weight + offset, name, ha="center", clip_on=True)
        add_legend(figure)

    return Drawing(
        name="thresholds",
        title="Theorem 4.2’s two noise levels on the weight curve",
        caption=f"Up to σ₋ an image keeps at least the weight {at.w:g}, from σ₊ on it has at "
        f"most {low:.3g}, each with probability {1 - at.delta:g}. Look for a curve that "
        "passes above the left mark and below the right one; how far it keeps from them is what "
        f"the bounds give away.{_once_note(study)} {_band_note(result)}",
        picture=draw_figure(draw, 3.3),
        rows=[
            *rows_of("weight on the noised image", study.curves.sigmas, study.curves.self_weight),
            *(
                (f"{percent}% of {name}", sigma, weight, weight, weight)
                for sigmas, weight, name, _ in marks
                for percent, sigma in zip((5, 50, 95), sigmas.tolist(), strict=True)
            ),
        ],
    )


def weight_between_bounds(result: Result) -> Drawing:
    """The measured posterior weight between what distances alone say of it, over sigma."""
    study, curves = result.study, result.study.curves
    lower, upper, _ = weight_bounds(study, curves.sigmas)
    low = low_weight(study.n)
    below, above = certified_levels(study)
    marks = [
        (float(above.mean()), low, "σ₊", 0.06),
        (float(below.mean()), study.settings.w, "σ₋", -0.1),
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_sigma_axis(axes, *sigma_limits(curves.sigmas))
        set_unit_axis(axes, "posterior weight W")
        draw_curve(axes, curves.sigmas, curves.max_weight, WEIGHT, "o", "posterior weight W")
        axes.fill_between(curves.sigmas, lower, upper, color=MUTED, alpha=0.15, linewidth=0)
        axes.plot(curves.sigmas, upper, color=MUTED, label="upper bound (Fano)")
        axes.plot(
            curves.sigmas, lower, color=MUTED, ls=DASHED, label="lower bound (decoding errors)"
        )
        label = "Theorem 4.2’s σ₋ and σ₊, mean over images"
        for sigma, weight, name, offset in marks:
            axes.plot(sigma, weight, "D", color=INK, markersize=5, label=label)
            axes.text(sigma, weight + offset, name, ha="center", clip_on=True)
        add_legend(figure, columns=2)

    return Drawing(
        name="weight-bounds",
        title="Posterior weight between bounds from distances alone",
        caption="W (Definition 4.1) is the chance that a noised training image is decoded right. "
        "It lies above the dashed line by the union bound on decoding errors and below the full "
        "one by Fano’s inequality; both take the distances between training images alone. The "
        "diamonds are means of the paper’s two noise levels, which are about the weight on the "
        f"noised image itself: at least {study.settings.w:g} up to σ₋, at most {low:.3g} from σ₊ "
        f"on.{_once_note(study)} {_band_note(result)}",
        picture=draw_figure(draw, 3.5),
        rows=[
            *rows_of("posterior weight", curves.sigmas, curves.max_weight),
            *rows_of("lower bound", curves.sigmas, lower),
            *rows_of("upper bound", curves.sigmas, upper),
            *((f"mean {name}", sigma, weight, weight, weight) for sigma, weight, name, _ in marks),
        ],
    )


def _once_note(study: Study) -> str:
    # Theorem 4.2 has no prior.
    return "" if study.prior is None else " Both levels are of the distinct images, each once."


def certified_levels(study: Study) -> tuple[Array, Array]:
    """``sigma_minus`` and ``sigma_plus`` of the training images that differ."""
    low, at = low_weight(study.n), study.settings
    return (
        sigma_minus(study.nearest, study.n, at.w, at.delta),
        sigma_plus(study.farthest, study.n, low, at.delta),
    )


def large_noise_order(study: Study) -> Drawing:
    """The deviation from the Gaussian denoiser, its leading term and its remainder."""
    images = coordinates_in_span(study.train)
    points: Array = images - images.mean(0)
    z = generator(study.settings.seed, "figure of 4.11").standard_normal(points.shape[1:])
    sigmas = np.geomspace(10, 1e6, 16)
    leading = large_noise.leading_term(points, z)
    order = float(np.linalg.norm(leading)) / sigmas**2
    gap, left, bound = (np.empty(len(sigmas)) for _ in range(3))
    for k, sigma in enumerate(sigmas.tolist()):
        difference = deviation(points, sigma * z[None], sigma, "cpu")[0]
        gap[k] = np.linalg.norm(difference)
        left[k] = np.linalg.norm(difference - leading / sigma**2)
        bound[k] = large_noise.remainder_bound(points, sigma * z, sigma)
    left[left < 1e-14 * np.linalg.norm(points, axis=1).max()] = np.nan  # rounding is all it is

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        set_sigma_axis(axes, 8, 1.3e6)
        axes.set_yscale("log")
        axes.plot(sigmas, gap, "o", color=WEIGHT, label="|m − mᴳ|")
        axes.plot(sigmas, order, color=WEIGHT, label="leading term |T(z)|/σ²")
        axes.plot(sigmas, left, "s", color=COVERAGE, label="|m − mᴳ − T(z)/σ²|")
        axes.plot(sigmas, bound, color=COVERAGE, linestyle=DASHED, label="remainder bound")
        guide = np.array([3e3, 3e5])
        height = order[0] * (guide / sigmas[0]) ** -2 * 60
        axes.plot(guide, height, color=MUTED, linewidth=1)
        axes.text(3.6e4, float(np.sqrt(height.prod())) * 2, "slope −2")
        axes.set_ylabel("distance of the denoisers")
        label_log_axis(axes, "y")
        add_legend(figure, columns=4)

    return Drawing(
        name="large-noise",
        title="Large noise: the empirical denoiser against the Gaussian one",
        caption=f"Along one random direction y = μ + σz, for the first {len(points)} training "
        "images. Theorem 4.11 holds where the blue points run along the blue line, which falls as "
        "σ⁻², and the orange points stay below their bound, which falls as σ⁻³. Nothing is drawn "
        "at random but z, so there are no intervals. Orange points that rounding would swamp are "
        "left out.",
        picture=draw_figure(draw, 3.5),
        rows=[
            *rows_of("|m - mG|", sigmas, gap),
            *rows_of("leading term", sigmas, order),
            *rows_of("|m - mG - T/sigma^2|", sigmas, left),
            *rows_of("remainder bound", sigmas, bound),
        ],
    )


def sensitivity_decay(study: Study) -> Drawing | None:
    """Sensitivity between pixels by distance against Theorem 4.10's two bounds.

    None where the images' rows have a single pixel, and so no distances.
    """
    first_row = locality.cyclic_covariance(image_rows(study.images))
    if len(first_row) < 2:
        return None
    eigenvalues = np.maximum(locality.circulant_eigenvalues(first_row), 0)
    rho = np.arange(1, len(first_row) // 2 + 1)
    sigmas = [relative * float(np.sqrt(eigenvalues.max())) for relative in RELATIVE_SIGMAS]
    measured = [sensitivity(first_row, sigma)[1:] for sigma in sigmas]
    sharp = [locality.sensitivity_bound(eigenvalues, sigma, rho) for sigma in sigmas]
    harmonic = [locality.harmonic_bound(eigenvalues, sigma, rho) for sigma in sigmas]
    top = 2 * float(np.max(harmonic))
    floor = max(float(np.min(measured)) / 2, top * 1e-8)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(sigmas), sharey=True)
        panels[0].set_yscale("log")
        for k, axes in enumerate(panels):
            shown = np.maximum(measured[k], floor)
            axes.plot(rho, shown, "o", color=WEIGHT, label="largest |J| at distance ρ")
            axes.plot(rho, sharp[k], color=MUTED, label="TV / (2d sin(πρ/d))")
            axes.plot(rho, harmonic[k], color=MUTED, linestyle=DASHED, label="TV / (4ρ)")
            axes.set_title(f"σ = {sigmas[k]:.3g}")
            axes.set_ylim(floor, top)
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        label_log_axis(panels[0], "y")
        panels[0].set_ylabel("sensitivity |J| at distance ρ")
        figure.supxlabel("wrap-around distance ρ in pixels", fontsize="medium")
        add_legend(figure)

    return Drawing(
        name="sensitivity",
        title="Sensitivity between pixels decays with their distance",
        caption="The Gaussian denoiser of stationary data with the row covariance of these images, "
        "made cyclic. Theorem 4.10 holds where every point lies below both lines. Everything is "
        "computed and nothing drawn at random, so there are no intervals.",
        picture=draw_figure(draw, 3.0),
        rows=[
            row
            for k, sigma in enumerate(sigmas)
            for name, values in (("|J|", measured), ("bound", sharp), ("harmonic bound", harmonic))
            for row in rows_of(f"{name}, sigma = {sigma:.4g}", rho, values[k])
        ],
        along="distance",
    )


def _draw_uncertainty(axes: Axes, end: Crossing, at: float) -> None:
    left, right = axes.get_xlim()
    if left < end.sigma < right:
        axes.plot([end.sigma] * 2, [at - 0.31, at + 0.31], color=INK, linewidth=1.2)
        # Not seen on the schedule: then the bracket runs off the picture.
        low = left / 2 if np.isnan(end.low) else end.low
        high = right * 2 if np.isnan(end.high) else end.high
        axes.plot([low, high], [at, at], "|-", color=INK, linewidth=1, markersize=6)


def _curve_alpha(result: Result) -> float:
    # Probability that any interval of a curve misses.
    curves = result.study.curves
    return curves.max_weight.alpha * len(curves.sigmas)


def _band_note(result: Result) -> str:
    return (
        f"The shaded band of a curve holds at all {len(result.study.curves.sigmas)} noise levels "
        f"together with probability at least {1 - _curve_alpha(result):.0%}."
    )


def _range(result: Result) -> str:
    low, high = result.data.value_range
    return f"{low:g} to {high:g}".replace("-", "−")
