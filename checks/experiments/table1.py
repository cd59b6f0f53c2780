"""Table 1: which part of the schedule decides, by swapping denoisers there.

Two families of three swaps, in both directions. ``paper``: the steps that the paper swaps, moved to
other data by the start of the zone (E.6); the paper's rates and the verdicts are of these alone.
``curves``, which is ours: the medium regime that the two curves show before any training. Beyond
them a window that slides over all steps, and the paper's swaps by Heun's method, whose look ahead
asks the other model at a swap's edge. All conditions draw the same samples' noise, so that pairs of
them are compared by McNemar's exact test: each swap with none, and swaps with one another.

Whether a swap changes which image is copied, or only how sharply, shows in the rate against the
threshold of the copying test: a blurred copy is none at 1/3 and one at a higher threshold.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import (
    COUNTS,
    HALF,
    Copies,
    find_copies,
    is_copy,
    mcnemar,
    null,
    rate_record,
)
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.report.drawing import COVERAGE, DASHED, DOTTED, MUTED, WEIGHT, add_legend
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.models.denoisers import Denoiser, Piecewise
from wildmiddle.models.sampling import Method
from wildmiddle.models.trajectory import rate_by_threshold
from wildmiddle.theory.constants import COPY_RATIO
from wildmiddle.theory.schedules import edm_sigmas

Interval = tuple[float, float]

PAPER_MIDDLE = (7, 13)
"""First and last of EDM's 18 steps that are the paper's middle, on CIFAR-10 (E.6)."""

PAPER_START = 1.32
"""Start of the certain zone of 1,000 CIFAR-10 images and 1,000 held-out ones, pixels in [-1, 1]."""

CURVES = ", by the curves"
HEUN: Method = "heun"
ENDS = ("small", "large")

REPORTED = {
    ("memorizing", "none"): 0.922,
    ("memorizing", "small"): 0.910,
    ("memorizing", "middle"): 0.0,
    ("memorizing", "large"): 0.930,
    ("generalizing", "none"): 0.0,
    ("generalizing", "small"): 0.0,
    ("generalizing", "middle"): 0.922,
    ("generalizing", "large"): 0.0,
}
"""The paper's rates, by the model and the part of the schedule where the other takes its place."""

FEW = 0.05
"""A model that generalizes copies less than this."""

THRESHOLDS = np.union1d(np.linspace(0.05, 1, 20), COPY_RATIO)
"""Of the quotient of the distances to the nearest and the second image; the paper's among them."""

COMPARED: dict[str, Any] = {"none": "-", "small": DASHED, "middle": DOTTED}
"""Swaps whose rates are drawn against the threshold, and their lines."""

COLOURS = {"memorizing": WEIGHT, "generalizing": COVERAGE}

HELD_OUT = "held-out images"
"""In the place of samples: the rate of the copying test where nothing was copied."""


class Condition(NamedTuple):
    """What samples were drawn with."""

    base: str
    """The model outside of the swapped part."""
    part: str = "none"
    """The part of the schedule where the other model takes its place."""
    method: Method | None = None
    """The sampler, where it is not the scale's."""

    @property
    def swapped(self) -> str:
        """The part, with the sampler where it is another, as tables have it."""
        return self.part if self.method is None else f"{self.part}, by {self.method.capitalize()}"


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Draw samples under every swap; a verdict on the paper's rates, and on middle against ends."""
    small, large = study.memorizing, study.generalizing
    swaps = conditions(study)
    found: dict[Condition, Memorization] = {}
    for name, base, other in (("memorizing", small, large), ("generalizing", large, small)):
        for method, parts in ((None, swaps), (HEUN, paper_parts(study))):
            found[Condition(name, method=method)] = find_copies(study, base, method)
            for part, ends in parts.items():
                mixed = swap(base, other, *ends)
                found[Condition(name, part, method)] = find_copies(study, mixed, method)
    copies = {condition: is_copy(each) for condition, each in found.items()}
    rows = [_row(study, copies, condition, alpha) for condition in copies]
    bands = _bands(found, null(study), alpha)
    at_paper = bands[HELD_OUT, "none"]
    held_out = int(np.searchsorted(THRESHOLDS, COPY_RATIO))
    rows.append(
        (
            *(HELD_OUT, "none", "", round(float(at_paper.mean[held_out]) * at_paper.n), at_paper.n),
            *(float(end[held_out]) for end in (at_paper.low, at_paper.high)),
            *(0, 0, 1.0),
        )
    )
    paired = [
        (name, *pair, *mcnemar(*(_changed(copies, name, part) for part in pair)))
        for name in COLOURS
        for pair in _pairs(study)
    ]

    def draw(figure: Figure) -> None:
        halves: Any = figure.subfigures(2, 1)
        above, below = halves
        axes = above.subplots()
        starts = range(study.scale.steps - study.scale.window + 1)
        for name, colour in COLOURS.items():
            rates = [copies[Condition(name, _window_name(study, k))].mean() for k in starts]
            axes.plot(starts, rates, "o-", color=colour, label=f"{name}, swapped in the window")
            none = copies[Condition(name)].mean()
            axes.axhline(none, color=colour, linestyle=DOTTED, label=f"{name}, no swap")
        axes.set(
            xlabel=f"first of the {study.scale.window} swapped steps, from large to small noise",
            ylabel="memorized samples",
            ylim=(-0.02, 1.02),
        )
        add_legend(above, columns=2)
        _draw_thresholds(below.subplots(), bands)
        add_legend(below, columns=2)

    return ExperimentResult(
        "table1",
        "swapping the middle takes memorization from 92.2% to 0% and from 0% to 92.2%; swapping "
        "either end changes nothing.",
        tuple(_records(study, copies, alpha / (len(REPORTED) + len(COLOURS) * len(ENDS)))),
        ("base", "swapped", "steps", *COUNTS),
        tuple(rows),
        draw,
        height=7.2,
        tables={
            "thresholds": (("base", "swapped", "threshold", *_ESTIMATE), _lines(bands)),
            "paired": (
                ("base", "swap", "other swap", "changed by it alone", "by the other alone", "p"),
                tuple(paired),
            ),
        },
        samples={f"{c.base}, swapped: {c.swapped}": each for c, each in found.items()},
    )


def conditions(study: TrainedStudy) -> dict[str, Interval]:
    """Every swap of the experiment by name, ``low <= sigma < high`` each."""
    windows = range(study.scale.steps - study.scale.window + 1)
    return {
        **paper_parts(study),
        **{f"{part}{CURVES}": ends for part, ends in curve_parts(study).items()},
        **{_window_name(study, first): _window(study, first) for first in windows},
    }


def paper_parts(study: TrainedStudy) -> dict[str, Interval]:
    """The paper's parts of the schedule, small, middle and large noise.

    On CIFAR-10 the middle is steps 7 to 13 of EDM's 18. On other data its ends move with the start
    of the certain zone, as every sigma of the geometry does: in units of that start it runs from
    0.07 to 5.1. Raises ValueError where distances show no such start.
    """
    return parts_of_zone(study.zone.certain.start)


def parts_of_zone(start: float) -> dict[str, Interval]:
    """The paper's parts where the certain zone begins at ``start``, as :func:`paper_parts`."""
    if not 0 < start < np.inf:
        raise ValueError(
            f"the certain zone of the memorizing model's images starts at {start:.3g}, which gives "
            "the paper's middle no place; remove duplicates or give other images"
        )
    levels, (first, last) = edm_sigmas(18), PAPER_MIDDLE
    low, high = (
        float(np.sqrt(levels[k] * levels[k + 1])) * start / PAPER_START for k in (last, first - 1)
    )
    return _three(low, high)


def curve_parts(study: TrainedStudy) -> dict[str, Interval]:
    """Small, middle and large noise, where the middle is the medium regime of the curves.

    Raises ValueError where there is none.
    """
    medium = study.regime("medium")
    low, high = medium.start.sigma, medium.end.sigma
    if not 0 < low < high < np.inf:
        raise ValueError(
            f"medium noise runs from {low:.3g} to {high:.3g}, so it has no middle to swap; give "
            "memorizing more images: the weight never falls below 1 in their number"
        )
    return _three(low, high)


def _three(low: float, high: float) -> dict[str, Interval]:
    return {"small": (0.0, low), "middle": (low, high), "large": (high, np.inf)}


def swap(base: Denoiser, other: Denoiser, low: float, high: float) -> Piecewise:
    """``base`` with ``other`` in its place where ``low <= sigma < high``."""
    ends = [(low, base), (high, other), (np.inf, base)]
    pieces = [(end, denoiser) for end, denoiser in ends if end > 0]
    last = next(k for k, (end, _) in enumerate(pieces) if end == np.inf)
    edges = [end for end, _ in pieces[:last]]
    return Piecewise(edges, [denoiser for _, denoiser in pieces[: last + 1]])


def _window_name(study: TrainedStudy, first: int) -> str:
    return f"steps {first} to {first + study.scale.window - 1}"


def _window(study: TrainedStudy, first: int) -> Interval:
    # From just above the window's first sigma down to its last.
    levels, last = study.sigmas, first + study.scale.window - 1
    return float(levels[last]), np.inf if first == 0 else float(levels[first - 1])


Bands = dict[tuple[str, str], Estimate]
_ESTIMATE = ("rate", "low", "high", "samples")


def _bands(found: dict[Condition, Memorization], held_out: Memorization, alpha: float) -> Bands:
    # All intervals of all conditions at once miss with probability alpha; no verdict rests on them.
    shown = {(name, part): found[Condition(name, part)] for name in COLOURS for part in COMPARED}
    shown[HELD_OUT, "none"] = held_out
    share = alpha / (len(shown) * len(THRESHOLDS))
    return {c: rate_by_threshold(one.ratio, THRESHOLDS, share) for c, one in shown.items()}


def _lines(bands: Bands) -> tuple[TableRow, ...]:
    return tuple(
        (*condition, float(at), float(band.mean[k]), float(band.low[k]), float(band.high[k]), n)
        for condition, band in bands.items()
        for n in [band.n]
        for k, at in enumerate(THRESHOLDS)
    )


def _draw_thresholds(axes: Any, bands: Bands) -> None:
    for (name, part), band in bands.items():
        colour = COLOURS.get(name, MUTED)
        axes.fill_between(THRESHOLDS, band.low, band.high, color=colour, alpha=0.12, linewidth=0)
        what = "no swap" if part == "none" else f"swapped at {part} noise"
        label = name if name == HELD_OUT else f"{name}, {what}"
        axes.plot(THRESHOLDS, band.mean, linestyle=COMPARED[part], color=colour, label=label)
    axes.axvline(COPY_RATIO, color=MUTED, linewidth=0.8)
    axes.text(COPY_RATIO, 1.04, "the paper's 1/3", ha="center", va="bottom", color=MUTED)
    axes.set(
        xlabel="threshold: nearest over second distance below which a sample counts as copied",
        ylabel="memorized samples",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
    )


def _row(
    study: TrainedStudy, copies: dict[Condition, Copies], condition: Condition, alpha: float
) -> TableRow:
    found, part = copies[condition], condition.part
    rate = proportion(int(found.sum()), len(found), alpha / len(copies))
    lost, gained, p = mcnemar(copies[condition._replace(part="none")], found)
    ends = float(rate.low), float(rate.high)
    steps = "" if part == "none" else _steps(study, *conditions(study)[part])
    counts = int(found.sum()), len(found)
    return (condition.base, condition.swapped, steps, *counts, *ends, lost, gained, p)


def _steps(study: TrainedStudy, low: float, high: float) -> str:
    at = np.flatnonzero((study.sigmas >= low) & (study.sigmas < high))
    return f"{at[0]} to {at[-1]}" if len(at) else "none"


def _pairs(study: TrainedStudy) -> list[tuple[str, str]]:
    # Each middle with both ends, and each window with the next one.
    windows = [
        _window_name(study, first) for first in range(study.scale.steps - study.scale.window + 1)
    ]
    families = [(f"middle{of}", f"{end}{of}") for of in ("", CURVES) for end in ENDS]
    return [*families, *pairwise(windows)]


def _changed(copies: dict[Condition, Copies], name: str, part: str) -> Copies:
    changed: Copies = copies[Condition(name, part)] != copies[Condition(name)]
    return changed


def _records(study: TrainedStudy, copies: dict[Condition, Copies], alpha: float) -> list[Record]:
    records = [
        rate_record(
            study,
            "table1",
            f"{key[0]} denoiser, swapped: {key[1]}",
            copies[Condition(*key)],
            ">=" if reported > HALF else "<=",
            FEW if key == ("generalizing", "none") else HALF,
            alpha,
            reported,
        )
        for key, reported in REPORTED.items()
    ]
    for name in COLOURS:
        for end in ENDS:
            middle, other, _ = mcnemar(*(_changed(copies, name, part) for part in ("middle", end)))
            comparison = Comparison(
                claim="table1",
                instance=f"{name} denoiser, swapped: middle against {end}",
                quantity="share changed by the middle, of the samples that one of the two changes",
                relation=">=",
                bound=0.5,
            )
            trials = max(middle + other, 1)  # neither changes anything: the middle does not decide
            records.append(
                from_proportion(comparison, middle, trials, alpha=alpha, seed=study.settings.seed)
            )
    return records
