"""Weight and coverage in the experiments without trained models: bands, tables and drawing.

One pair of bands carries an experiment's verdicts: with probability ``1 - alpha`` both curves lie
in them at all noise levels, and then every record that is worked out from them is right.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from typing import SupportsFloat

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from wildmiddle.checks.coverage import MARGIN
from wildmiddle.checks.experiments.results import TableRow
from wildmiddle.checks.records import Comparison, Relation
from wildmiddle.checks.report.drawing import (
    COVERAGE,
    DANGER,
    MUTED,
    WEIGHT,
    draw_curve,
    set_sigma_axis,
    set_unit_axis,
    sigma_limits,
)
from wildmiddle.empirical import Curves
from wildmiddle.empirical.intervals import Estimate, bounded_mean, proportion
from wildmiddle.empirical.regimes import Crossing, Regime, read_regimes
from wildmiddle.theory.constants import Thresholds

Array = NDArray[np.float64]

HEADER = ("drawn", "sigma", "value", "low", "high")
"""A point of a curve; or an end of an interval of noise levels, which is its own value."""


def with_joint_bands(curves: Curves, alpha: float) -> Curves:
    """The curves with bands that hold for weight and coverage together, at all noise levels."""
    each = alpha / (2 * len(curves.sigmas))
    covered = curves.covered_draws
    return replace(
        curves,
        max_weight=bounded_mean(curves.max_weight_draws, each),
        coverage=proportion(covered.sum(0), len(covered), each),
    )


def regimes_of(curves: Curves, thresholds: Thresholds) -> dict[str, Regime]:
    """The regimes by name."""
    return {regime.name: regime for regime in read_regimes(curves, thresholds)}


def value_at(sigmas: Array, curve: Estimate, place: Crossing, *, rising: bool) -> Estimate:
    """A monotone curve's value at a noise level that is itself known between two ends alone.

    ``sigmas`` (K,) and the ``curve`` on them; its band holds at all of them at once. An end that is
    not known, nan, leaves the value open on that side.
    """
    order = np.argsort(sigmas)
    levels = np.log(sigmas[order])

    def read(values: Array, sigma: float) -> float:
        return float(np.interp(np.log(sigma), levels, values[order]))

    least, most = (place.low, place.high) if rising else (place.high, place.low)
    low = 0.0 if np.isnan(least) else read(curve.low, least)
    high = 1.0 if np.isnan(most) else read(curve.high, most)
    mean = read(curve.mean, place.sigma)
    method = f"{curve.method}, at a crossing"
    return Estimate(*_arrays(mean, low, high), curve.n, curve.alpha, method)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """``a - b`` with an interval that holds where both of theirs do."""
    alpha, method = a.alpha + b.alpha, a.method if a.n else b.method
    return Estimate(a.mean - b.mean, a.low - b.high, a.high - b.low, a.n or b.n, alpha, method)


def reduce_band(band: Estimate, rule: Callable[[Array], SupportsFloat]) -> Estimate:
    """One number of a whole band, by a rule that rises with its values, such as their maximum."""
    values = _arrays(*(float(rule(end)) for end in (band.mean, band.low, band.high)))
    return Estimate(*values, band.n, band.alpha, band.method)


def _arrays(mean: float, low: float, high: float) -> tuple[Array, Array, Array]:
    return np.asarray(mean), np.asarray(low), np.asarray(high)


def band_comparison(
    claim: str,
    instance: str,
    quantity: str,
    relation: Relation,
    bound: float,
    rounding: float = 0.0,
    sigma: float | None = None,
) -> Comparison:
    """A comparison at the margin that coverage has in the checks; at ``sigma``, if at one."""
    return Comparison(
        claim=claim,
        instance=instance,
        quantity=quantity,
        relation=relation,
        bound=bound,
        margin=MARGIN,
        rounding=rounding,
        parameters={} if sigma is None else {"sigma": sigma},
    )


def curve_rows(sigmas: Array, curves: Mapping[str, Estimate]) -> list[TableRow]:
    """The table's rows of curves over ``sigmas`` (K,), under :data:`HEADER`."""
    return [
        (name, float(sigma), *(float(end[k]) for end in (found.mean, found.low, found.high)))
        for name, found in curves.items()
        for k, sigma in enumerate(sigmas)
    ]


def regime_rows(regimes: Mapping[str, Regime]) -> list[TableRow]:
    """The table's rows of where regimes start and end."""
    both = (
        (f"{name} noise, {end}", place)
        for name, regime in regimes.items()
        for end, place in (("start", regime.start), ("end", regime.end))
    )
    return [level_row(name, place.sigma, place.low, place.high) for name, place in both]


def interval_rows(named: Mapping[str, tuple[float, float]]) -> list[TableRow]:
    """The table's rows of intervals that are known exactly."""
    return list(
        chain.from_iterable(
            (level_row(f"{name}, start", start), level_row(f"{name}, end", end))
            for name, (start, end) in named.items()
        )
    )


def level_row(
    name: str, sigma: float, low: float | None = None, high: float | None = None
) -> TableRow:
    """The table's row of one noise level, with the ends between which it lies."""
    return (name, sigma, sigma, sigma if low is None else low, sigma if high is None else high)


def draw_weight_and_coverage(axes: Axes, curves: Curves) -> None:
    """Draw weight and coverage with their bands over the noise level."""
    set_sigma_axis(axes, *sigma_limits(curves.sigmas))
    draw_curve(axes, curves.sigmas, curves.max_weight, WEIGHT, "o", "posterior weight W")
    draw_curve(axes, curves.sigmas, curves.coverage, COVERAGE, "s", "coverage C")
    set_unit_axis(axes, "probability")
    axes.set_xlabel("")


def shade_regimes(axes: Axes, regimes: Mapping[str, Regime], sigmas: Array) -> None:
    """Shade the regimes with their names, and the measured danger zone where there is one."""
    left, right = sigma_limits(sigmas)
    for name, colour in (("small", COVERAGE), ("medium", MUTED), ("large", WEIGHT)):
        start, end = max(regimes[name].start.sigma, left), min(regimes[name].end.sigma, right)
        if start < end:
            axes.axvspan(start, end, color=colour, alpha=0.07, linewidth=0)
            middle = float(np.sqrt(start * end))
            axes.text(middle, 0.08, f"{name} noise", ha="center", color=MUTED, fontsize="small")
    danger = regimes["danger"]
    if not danger.empty:
        between = (danger.start.sigma, danger.end.sigma)
        axes.axvspan(*between, color=DANGER, alpha=0.15, linewidth=0, label="danger zone")


def draw_bars(
    axes: Axes, spans: Mapping[str, tuple[float, float]], sigmas: Array, opacities: Array
) -> None:
    """Draw intervals of sigma as bars, one a line from the top, over the noise level."""
    set_sigma_axis(axes, *sigma_limits(sigmas))
    left, right = axes.get_xlim()
    for at, ((start, end), opacity) in enumerate(zip(spans.values(), opacities, strict=True)):
        if start < end:
            first, last = max(start, left), min(end, right)
            bar = [(first, max(0.0, last - first))]
            axes.broken_barh(bar, (at - 0.35, 0.7), color=DANGER, alpha=opacity, linewidth=0)
            axes.annotate(
                f"{start:.3g} to {end:.3g}",
                (first, at),
                (-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize="small",
            )
        else:
            axes.text(left * 1.2, at, "empty", va="center", style="italic", fontsize="small")
    axes.set_yticks(range(len(spans)), list(spans))
    axes.set_ylim(len(spans) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
