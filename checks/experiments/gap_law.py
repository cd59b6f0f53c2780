"""The place of a gap, or how much is trained below it: the same gap under four laws of sigma.

Beyond the paper, whose gaps are under one law. A gap by drawing again trains the rest more, one by
dropping does not; a gap of the same mass two octaves higher leaves the zone to training.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr, ndtri

from wildmiddle.checks.experiments.gaps import Gap, lowered_zone
from wildmiddle.checks.experiments.looks import (
    HEADER,
    MOST,
    RATE,
    Look,
    less,
    look_at_each,
    look_rows,
    onset,
)
from wildmiddle.checks.experiments.results import ExperimentResult, TableRow
from wildmiddle.checks.experiments.seeds import BETWEEN_LOOKS, Claims, SeedResult, between, judge
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.report.drawing import DOTTED, MUTED, add_legend, label_log_axis
from wildmiddle.empirical.intervals import Estimate

SHARES = (0.10, 0.70, 0.40, 0.95)
"""Of the draws of sigma that lie below the gap."""
CORNERS = SHARES[:2]
"""Those that every seed is run with; seed 0 has the others too."""
KINDS = ("none", "redraw", "drop", "higher")
OCTAVES_HIGHER = 2
FIRST, EACH = 250, 2
"""The first look, and looks an octave of steps."""
TIMES = 8
"""A gap without copies after so many times what they take without one prevents them."""

PAPER = "a gap over the danger zone takes copies from 78.8% to 0.7%, under one law of sigma."


def trainings(study: TrainedStudy) -> Trainings:
    """What this experiment trains, at most."""
    count, most = study.scale.memorizing, MOST * study.training().steps
    return {
        name: (count, {**changes, "steps": most})
        for name, (_, _, changes) in _conditions(study).items()
    }


def _conditions(study: TrainedStudy) -> dict[str, tuple[float, str, dict[str, Any]]]:
    # By the name of the folder: share of the draws below the gap, its kind, and what differs.
    gap, training = lowered_zone(study), study.training()
    if training.objective != "edm":
        raise ValueError(f"objective = {training.objective!r}; gap-law moves the law of 'edm'")
    std, found = training.log_sigma_std, {}
    for share in SHARES if study.settings.seed == 0 else CORNERS:
        mean = round(float(np.log(gap[0]) - std * ndtri(share)), 4)
        law = {"log_sigma_mean": mean}
        more: dict[str, dict[str, Any]] = {
            "none": {},
            "redraw": {"gap": (gap,), "gap_mode": "redraw"},
            "drop": {"gap": (gap,), "gap_mode": "drop"},
            "higher": {"gap": (higher_gap(gap, mean, std),)},
        }
        for kind, changes in more.items():
            found[f"gap-law-{100 * share:.0f}-{kind}"] = share, kind, {**law, **changes}
    return found


def higher_gap(gap: Gap, mean: float, std: float) -> Gap:
    """A gap two octaves higher with the same share of the draws, or with all above its start."""
    low, high = (np.log(gap) - mean) / std
    start = low + OCTAVES_HIGHER * np.log(2) / std
    end = ndtri(min(ndtr(start) + ndtr(high) - ndtr(low), 1.0))
    with np.errstate(over="ignore"):
        found = np.exp(mean + std * np.array([start, end]))
    return float(f"{found[0]:.3g}"), float(f"{found[1]:.3g}")


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Train each condition until copies are common, for one seed; no verdict."""
    wanted = trainings(study)
    looks_of = look_at_each(study, wanted, first=FIRST, each=EACH, times=TIMES)
    found: dict[tuple[float, str], list[Look]] = {}
    rows: list[TableRow] = []
    for name, (share, kind, changes) in _conditions(study).items():
        if name not in looks_of:
            continue
        found[share, kind] = looks = looks_of[name]
        training = study.training(**changes)
        (low, high) = training.gap[0] if training.gap else (0.0, 0.0)
        mass = training.share()(low, high) if training.gap else 0.0
        law = share, kind, training.log_sigma_mean, low, high, mass
        rows += [(*law, *line) for line in look_rows(looks, alpha / (len(wanted) * len(looks)))]

    def draw(figure: Figure) -> None:
        shares = sorted({share for share, _ in found})
        panels = figure.subplots(1, len(shares), sharex=True, sharey=True, squeeze=False)[0]
        for axes, share in zip(panels, shares, strict=True):
            for kind in KINDS:
                looks = found.get((share, kind), [])
                rates = [look.copies / look.samples for look in looks]
                label = kind if share == shares[0] else None
                axes.plot([look.step for look in looks], rates, "o-", label=label)
            axes.axhline(RATE, color=MUTED, linestyle=DOTTED)
            axes.set(xlabel="training steps", xscale="log")
            axes.set_title(f"{share:.0%} below", fontsize="small")
        label_log_axis(panels[0], "x")  # once all panels have their curves
        panels[0].set_ylabel("memorized samples")
        add_legend(figure)

    header = ("below", "gap", "mean of log sigma", "from", "to", "mass", *HEADER)
    return ExperimentResult("gap-law", PAPER, (), header, tuple(rows), draw)


def combine(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """The delays at the two ends of the shares, and at two places, over the seeds."""
    measured = {seed: measure(one) for seed, one in found.items()}
    return judge("gap-law", PAPER, measured, _CLAIMS, alpha)


def measure(one: SeedResult) -> dict[str, Estimate]:
    """The delay by each gap of one seed, in octaves of the time without a gap."""
    onsets = {
        (share, kind): onset(
            [row for row in one.rows if (float(row["below"]), row["gap"]) == (share, kind)]
        )
        for share, kind in dict.fromkeys((float(row["below"]), row["gap"]) for row in one.rows)
    }
    delays = {key: less(each, onsets[key[0], "none"]) for key, each in onsets.items()}
    found = {
        f"octaves of delay, {share:.0%} below, {kind}": each
        for (share, kind), each in delays.items()
        if kind != "none"
    }
    unknown = between(np.nan, np.nan, np.nan, BETWEEN_LOOKS)
    for instance, (_, *pair) in _COMPARED.items():
        longer, shorter = (delays.get(each, unknown) for each in pair)
        found[f"{instance}: {LONGER}"] = less(longer, shorter)
    return found


LONGER = "octaves by which copies are delayed more"

_COMPARED: dict[str, tuple[float, tuple[float, str], tuple[float, str]]] = {
    "drawn again, 10% of the training below against 70%": (0.0, (0.10, "redraw"), (0.70, "redraw")),
    "dropped, 10% of the training below against 70%": (0.0, (0.10, "drop"), (0.70, "drop")),
    "10% below, the gap against one two octaves higher": (1.0, (0.10, "redraw"), (0.10, "higher")),
}
"""Bound, and the two conditions that are compared."""

_CLAIMS: Claims = tuple(
    (instance, LONGER, ">=", bound) for instance, (bound, *_) in _COMPARED.items()
)
