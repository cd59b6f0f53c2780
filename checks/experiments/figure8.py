"""Figure 8: both curves of the images that train with a gap, and the gaps over the danger zone.

No model has a part in it. The zone is the paper's (E.4): where both curves are high. It contains
the noise level at which they cross if and only if both are high there.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.gaps import zone_gaps
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
    regime_rows,
    regimes_of,
    shade_regimes,
    value_at,
    with_joint_bands,
)
from wildmiddle.checks.report.drawing import DANGER, add_ddpm_axis, add_legend
from wildmiddle.checks.statistics import from_estimate
from wildmiddle.empirical import Curves
from wildmiddle.empirical import curves as curves_of
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.regimes import Crossing, Regime, crossing
from wildmiddle.theory.schedules import ddpm_timestep, edm_sigmas

Array = NDArray[np.float64]

SHARE = 0.5
"""A zone is narrow that takes at most this share of medium noise, in octaves."""


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Find where the curves cross, and hold the danger zone against it."""
    gaps = zone_gaps(study)
    few, test = (images.double().flatten(1) for images in (study.few, study.fresh))
    sigmas = _levels(*gaps["possible zone"])
    at = study.settings
    found = curves_of(few, test, sigmas, c=at.c, seed=at.seed, device=at.device, memory=at.memory)
    curves = with_joint_bands(found, alpha)
    regimes = regimes_of(curves, at)
    place, height = intersection(curves)
    narrow = _share(regimes["danger"], regimes["medium"], curves.coverage.n, alpha)
    high = max(at.weight_high, at.coverage_high)
    where, text = "where the curves cross", "posterior weight and coverage"
    both = band_comparison("figure8", where, text, ">=", high, sigma=float(place.sigma))
    records = [from_estimate(both, height, at.seed)]
    if np.isfinite(regimes["medium"].end.sigma):
        text = "share of medium noise that is danger zone"
        share = band_comparison("figure8", "octaves", text, "<=", SHARE)
        records.append(from_estimate(share, narrow, at.seed))
    rows = [
        *curve_rows(
            curves.sigmas, {"posterior weight": curves.max_weight, "coverage": curves.coverage}
        ),
        *regime_rows(regimes),
        level_row("crossing", place.sigma, place.low, place.high),
        *interval_rows({f"gap over the {name}": gap for name, gap in gaps.items()}),
    ]

    def draw(figure: Figure) -> None:
        axes, bars = figure.subplots(2, 1, sharex=True, height_ratios=(4, len(gaps) / 2))
        shade_regimes(axes, regimes, curves.sigmas)
        draw_weight_and_coverage(axes, curves)
        if np.isfinite(place.sigma):
            text = f"both {float(height.mean):.2f} at σ = {place.sigma:.2g}"
            text += f", timestep {_timestep(study, place.sigma)}"
            ring = {"color": DANGER, "markerfacecolor": "none", "markersize": 10}
            axes.plot(place.sigma, height.mean, "o", label=text, **ring)
        add_ddpm_axis(axes, "top", study.timestep_sigmas)
        named = {
            f"{name}\ntimesteps {_timestep(study, start)} to {_timestep(study, end)}": (start, end)
            for name, (start, end) in gaps.items()
        }
        draw_bars(bars, named, curves.sigmas, np.linspace(0.7, 0.25, len(named)))
        bars.set_title("left out of training, by the distances alone")
        add_legend(figure, columns=2)

    return ExperimentResult(
        "figure8",
        "of 2,000 cars the danger zone is a narrow interval that contains the noise level at which "
        "weight and coverage cross.",
        tuple(records),
        ("drawn", "sigma", "DDPM timestep", *HEADER[2:]),
        tuple((row[0], row[1], _timestep(study, float(row[1])), *row[2:]) for row in rows),
        draw,
        height=4.2 + len(gaps) / 2,
    )


def intersection(curves: Curves) -> tuple[Crossing, Estimate]:
    """Where the rising coverage passes the falling weight, and how high both are there."""
    weight, coverage = curves.max_weight, curves.coverage
    place = crossing(curves.sigmas, difference(coverage, weight), 0.0, rising=True)
    c, w = (
        value_at(curves.sigmas, curve, place, rising=rising)
        for curve, rising in ((coverage, True), (weight, False))
    )
    # They are equal there, so both intervals hold the one value.
    low, high = np.maximum(c.low, w.low), np.minimum(c.high, w.high)
    alpha = 2 * len(curves.sigmas) * coverage.alpha  # of both curves at all noise levels
    return place, Estimate(c.mean, low, high, c.n, alpha, "both bands at a crossing")


def _levels(start: float, end: float) -> Array:
    # Figure 3's schedule leaves the zone's ends open to 0.4 octaves: as many levels again about it,
    # where the distances say, so that no draw has a part in the choice.
    return np.union1d(edm_sigmas(40), np.geomspace(start / 2, 4 * end, 40))


def _share(inner: Regime, outer: Regime, n: int, alpha: float) -> Estimate:
    (mean, low, high), (most, least, longest) = _octaves(inner), _octaves(outer)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = mean / most, low / longest, high / least
    return Estimate(*shares, n, alpha, "quotient of lengths between crossings")


def _octaves(regime: Regime) -> tuple[Array, Array, Array]:
    # The length of a regime, and the least and the most that the crossings allow.
    start, end = regime.start, regime.end
    pairs = (
        (start.sigma, end.sigma),
        (np.nan_to_num(start.high, nan=np.inf), np.nan_to_num(end.low, nan=0.0)),
        (np.nan_to_num(start.low, nan=0.0), np.nan_to_num(end.high, nan=np.inf)),
    )
    with np.errstate(divide="ignore"):
        lengths = [np.maximum(np.log2(b) - np.log2(a), 0) for a, b in pairs]
    return lengths[0], lengths[1], lengths[2]


def _timestep(study: TrainedStudy, sigma: float) -> int | str:
    return int(ddpm_timestep(sigma, study.timestep_sigmas)) if 0 < sigma < np.inf else ""
