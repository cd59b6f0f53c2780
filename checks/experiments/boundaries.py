"""Which noise decides: two denoisers exchanged below one boundary, which runs over the schedule.

Beyond the paper, whose Table 1 exchanges three fixed parts. The halving point is the boundary at
which half of the copies are lost, or made; it is measured in octaves from where the coverage of
held-out images passes 10% and from the start of the certain zone.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.samples import COUNTS, find_copies, is_copy, mcnemar
from wildmiddle.checks.experiments.seeds import Claims, SeedResult, between, judge
from wildmiddle.checks.experiments.table1 import COLOURS, swap
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.experiments.weight_and_coverage import difference
from wildmiddle.checks.report.drawing import DOTTED, MUTED, add_legend, set_sigma_axis
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.regimes import crossing
from wildmiddle.theory.constants import COPY_RATIO

Array = NDArray[np.float64]

DIRECTIONS = {"falling": ("memorizing", "generalizing"), "rising": ("generalizing", "memorizing")}
"""The denoiser above the boundary and the one below it: as the boundary rises, copies get fewer in
the first family of mixtures, and more in the second."""

SMALL_NOISE = 0.11
"""End of the paper's small noise in units of the certain zone's start."""
LITTLE = 0.10
"""Change of the rate that counts as none."""
LOW_COVERAGE = 0.10
THRESHOLDS = (0.25, COPY_RATIO, 0.5)
"""Of the copying test: the verdicts are at the paper's, 1/3."""
OCTAVES = 1.0
"""How far the halving point is to lie below the noise where coverage is low."""

CHANGE = "change of the rate by the exchange at small noise"
BELOW = "octaves of the halving point below 10% coverage"
APART = "octaves between the two halving points"

METHOD = "Clopper-Pearson"

PAPER = "nothing of this: it exchanges three fixed parts of the schedule."


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Count copies of both families at every boundary, for one seed; no verdict."""
    denoisers = {"memorizing": study.memorizing, "generalizing": study.generalizing}
    bounds, n = boundaries(study.sigmas), study.scale.samples
    rows: list[TableRow] = []
    variants: list[TableRow] = []
    rates: dict[str, Estimate] = {}
    for direction, (above, below) in DIRECTIONS.items():
        mixed = [swap(denoisers[above], denoisers[below], 0, bound) for bound in bounds]
        found = [find_copies(study, each) for each in mixed]
        by_heun = [find_copies(study, each, "heun") for each in mixed]
        variants += [
            (sampler, threshold, direction, float(bound), int((one.ratio < threshold).sum()), n)
            for sampler, each in ((study.scale.method, found), ("heun", by_heun))
            for threshold in THRESHOLDS
            for bound, one in zip(bounds, each, strict=True)
        ]
        copies = [is_copy(one) for one in found]
        counts = np.array([each.sum() for each in copies])
        rates[direction] = rate = proportion(counts, n, alpha / (2 * len(bounds)))
        rows += [
            (
                direction,
                float(bound),
                int((study.sigmas < bound).sum()),
                int(counts[k]),
                n,
                float(rate.low[k]),
                float(rate.high[k]),
                *mcnemar(copies[0], copies[k]),
            )
            for k, bound in enumerate(bounds)
        ]
    at = places(study)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for direction, (above, _) in DIRECTIONS.items():
            rate = rates[direction]
            axes.fill_between(bounds, rate.low, rate.high, color=COLOURS[above], alpha=0.12)
            axes.plot(bounds, rate.mean, "o-", color=COLOURS[above], label=f"{above} above")
        for name, sigma, *_ in at:
            axes.axvline(sigma, color=MUTED, linestyle=DOTTED)
            axes.text(sigma, 1.03, name, ha="center", color=MUTED, fontsize="small")
        set_sigma_axis(axes, bounds[0], bounds[-1])
        axes.set(xlabel="boundary, sigma", ylabel="memorized samples", ylim=(-0.02, 1.02))
        add_legend(figure)

    return ExperimentResult(
        "boundaries",
        PAPER,
        (),
        ("direction", "boundary", "steps below", *COUNTS),
        tuple(rows),
        draw,
        tables={"places": (PLACES, tuple(at)), "variants": (VARIANTS, tuple(variants))},
    )


VARIANTS = ("sampler", "threshold", "direction", "boundary", "memorized", "samples")
PLACES = ("place", "sigma", "low", "high")


def places(study: TrainedStudy) -> list[tuple[str, float, float, float]]:
    """Where the coverage of held-out images passes 10%, and where the certain zone starts."""
    at = crossing(study.curves.sigmas, study.curves.coverage, LOW_COVERAGE, rising=True)
    start = float(study.zone.certain.start)
    return [
        ("coverage 10%", at.sigma, at.low, at.high),
        ("certain zone", start, start, start),
    ]


def boundaries(sigmas: Array) -> Array:
    """The boundaries between the steps, rising, with one below and one above all of them.

    ``sigmas`` (K,) fall; (K + 1,), each in the middle of two neighbours in octaves, those at the
    ends as far out as their neighbour is within.
    """
    logs = np.log(np.asarray(sigmas)[::-1])
    inner = (logs[1:] + logs[:-1]) / 2
    ends = 2 * logs[0] - inner[0], 2 * logs[-1] - inner[-1]
    between: Array = np.exp([ends[0], *inner, ends[1]])
    return between


def combine(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """Where copying halves, and what small noise changes, over the seeds."""
    measured = {seed: measure(one, alpha) for seed, one in found.items()}
    return judge("boundaries", PAPER, measured, _CLAIMS, alpha)


_CLAIMS: Claims = (
    *((direction, CHANGE, "<=", LITTLE) for direction in DIRECTIONS),
    *((direction, BELOW, ">=", OCTAVES) for direction in DIRECTIONS),
    ("rising against falling", APART, ">=", 0.0),
)


def measure(one: SeedResult, alpha: float) -> dict[str, Estimate]:
    """The quantities of one seed by direction and name, from its counts.

    All intervals of a seed hold together with probability ``1 - alpha``, but for the ends of the
    coverage, which have a level of their own.
    """
    places = {row["place"]: row for row in one.tables["boundaries-places"]}
    covered, zone = (
        np.array([float(places[name][end]) for end in ("sigma", "low", "high")])
        for name in ("coverage 10%", "certain zone")
    )
    found: dict[str, Estimate] = {}
    halves: dict[str, Array] = {}
    for direction in DIRECTIONS:
        rows = [row for row in one.rows if row["direction"] == direction]
        bounds = np.array([float(row["boundary"]) for row in rows])
        counts = np.array([int(row["memorized"]) for row in rows])
        n, rising = int(rows[0]["samples"]), direction == "rising"
        at = int(np.flatnonzero(bounds <= max(SMALL_NOISE * zone[0], bounds[0]))[-1])
        # By the samples that change, a share of all each way: they are compared one by one.
        more, fewer = (
            proportion(int(rows[at][which]), n, alpha / 8)
            for which in (("gained", "lost") if rising else ("lost", "gained"))
        )
        found[f"{direction}: {CHANGE}"] = difference(more, fewer)
        halves[direction] = half = _halving(bounds, counts, n, rising, alpha / 4)
        found[f"{direction}: halving point, sigma"] = between(half[0], half[1], half[2], METHOD, n)
        found[f"{direction}: {BELOW}"] = _octaves(half, covered, n)
        found[f"{direction}: octaves of the halving point below the certain zone's start"] = (
            _octaves(half, zone, n)
        )
    found[f"rising against falling: {APART}"] = _octaves(halves["falling"], halves["rising"], n)
    return found | _by_variant(one, covered, alpha)


def _by_variant(one: SeedResult, covered: Array, alpha: float) -> dict[str, Estimate]:
    # The octaves below 10% coverage by other samplers and thresholds; no verdict rests on them.
    rows = one.tables.get("boundaries-variants", [])
    kinds = dict.fromkeys((row["direction"], row["sampler"], row["threshold"]) for row in rows)
    found = {}
    for direction, sampler, threshold in kinds:
        own = [
            row
            for row in rows
            if (row["direction"], row["sampler"], row["threshold"])
            == (direction, sampler, threshold)
        ]
        bounds = np.array([float(row["boundary"]) for row in own])
        counts = np.array([int(row["memorized"]) for row in own])
        n = int(own[0]["samples"])
        half = _halving(bounds, counts, n, direction == "rising", alpha)
        name = f"{direction}: {BELOW}, by {sampler}, threshold {float(threshold):.2g}"
        found[name] = _octaves(half, covered, n)
    return found


def _halving(bounds: Array, counts: NDArray[np.int64], n: int, rising: bool, alpha: float) -> Array:
    # Where the rate passes half of what it is by the memorizing denoiser alone, and the two ends
    # between which that lies, as far as the counts fix them.
    rate = proportion(counts, n, alpha / len(bounds))
    crossed = [
        crossing(bounds, rate, float(end[-1 if rising else 0]) / 2, rising=rising)
        for end in (rate.mean, rate.low, rate.high)
    ]
    low, high = np.min([one.low for one in crossed]), np.max([one.high for one in crossed])
    ends = np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=np.inf)
    return np.array([crossed[0].sigma, *ends])


def _octaves(low: Array, high: Array, n: int) -> Estimate:
    # How far the first place lies below the second: value, least and most each.
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = np.log2(low), np.log2(high)
        return between(b[0] - a[0], b[1] - a[2], b[2] - a[1], METHOD, n)
