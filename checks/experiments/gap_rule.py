"""What to leave out of training: the rule that the digits gave, tried on other images.

Beyond the paper: the possible zone an octave lower is left out, under EDM's law of sigma and under
DDPM's timesteps. Stopping early is its rival, and with the first seed two more controls.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wildmiddle.checks.experiments.gaps import lowered_zone, own_levels
from wildmiddle.checks.experiments.looks import (
    BASE,
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
from wildmiddle.checks.experiments.seeds import (
    BETWEEN_LOOKS,
    Claims,
    Rows,
    SeedResult,
    between,
    judge,
)
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.report.drawing import DOTTED, MUTED, add_legend, label_log_axis
from wildmiddle.empirical.intervals import Estimate, proportion

LAWS = ("edm", "ddpm")
"""Objectives: EDM's law of sigma, and DDPM's timesteps."""
GAP, DUMMY, ONCE = "gap", "dummy", "once"
CONTROLLED = "ddpm"
"""The law of the two controls, which the first seed has."""
FIRST, EACH = 250, 2
"""The first look, and looks an octave of steps."""
TIMES = 4
"""A gap without copies after so many times what they take without one has kept them away."""
LINEAR = 0.01
"""Distance below which its axis is linear: it may be below 0 by chance."""
FEW = 0.10
"""Share of copies up to which a user goes on with a training."""

PAPER = "a gap over the danger zone takes copies of cars from 78.8% to 0.7%, at no loss of quality."

SHARE = "copies at the last look with the gap"
DELAY = "octaves of delay by the gap"
LONGER = "octaves by which copies are delayed more"
DISTANCE = "distance at the last look with few copies, with the gap less without"
_CLAIMS: Claims = (
    ("ddpm", SHARE, "<=", FEW),
    ("edm", DELAY, ">=", 0.5),
    ("ddpm against edm", LONGER, ">=", 0.0),
    ("ddpm", DISTANCE, "<=", 0.0),
    ("edm", DISTANCE, "<=", 0.0),
)


def trainings(study: TrainedStudy) -> Trainings:
    """What this experiment trains, at most."""
    count, most = study.scale.memorizing, MOST * study.training().steps
    return {
        name: (count, {"objective": law, **changes, "steps": most})
        for name, (law, _, changes) in _conditions(study).items()
    }


def _conditions(study: TrainedStudy) -> dict[str, tuple[str, str, dict[str, Any]]]:
    # By the name of the folder: law, what is done against copying, and what differs for that.
    found: dict[str, tuple[str, str, dict[str, Any]]] = {}
    zone = lowered_zone(study)
    for law in LAWS:
        kinds: dict[str, dict[str, Any]] = {BASE: {}, GAP: {"gap": (own_levels(study, zone, law),)}}
        if law == CONTROLLED and study.settings.seed == 0:
            kinds |= {DUMMY: {"dummy": True}, ONCE: {"once_noised": zone[1]}}
        found |= {f"gap-rule-{law}-{kind}": (law, kind, more) for kind, more in kinds.items()}
    return found


def run(study: TrainedStudy, alpha: float) -> ExperimentResult:
    """Train each condition until copies are common, for one seed; no verdict."""
    wanted = trainings(study)
    looks_of = look_at_each(study, wanted, first=FIRST, each=EACH, times=TIMES)
    found: dict[tuple[str, str], list[Look]] = {}
    rows: list[TableRow] = []
    for name, (law, kind, changes) in _conditions(study).items():
        if name not in looks_of:
            continue
        found[law, kind] = looks = looks_of[name]
        (gap,) = changes.get("gap", ((0.0, 0.0),))
        share = alpha / (len(wanted) * len(looks))
        rows += [(law, kind, *gap, *line) for line in look_rows(looks, share)]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2, len(LAWS), sharey="row")
        for column, law in enumerate(LAWS):
            copies, quality = panels[:, column]
            for kind in dict.fromkeys(kind for _, kind in found):
                looks = found.get((law, kind), [])
                rates = [look.copies / look.samples for look in looks]
                label = kind if law == CONTROLLED else None
                copies.plot([look.step for look in looks], rates, "o-", label=label)
                quality.plot(rates, [look.distance for look in looks], "o-")
            copies.axhline(RATE, color=MUTED, linestyle=DOTTED)
            copies.set(xlabel="training steps", xscale="log")
            label_log_axis(copies, "x")
            copies.set_title(law, fontsize="small")
            quality.axvline(FEW, color=MUTED, linestyle=DOTTED)
            quality.set(xlabel="memorized samples")
            quality.set_yscale("symlog", linthresh=LINEAR)
        panels[0, 0].set_ylabel("memorized samples")
        panels[1, 0].set_ylabel("kernel distance from\nimages not trained on")
        add_legend(figure)

    header = ("law", "training", "from", "to", *HEADER)
    return ExperimentResult("gap-rule", PAPER, (), header, tuple(rows), draw, height=5.6)


def combine(found: Mapping[int, SeedResult], alpha: float) -> ExperimentResult:
    """Whether the rule does what it promised, over the seeds."""
    measured = {seed: measure(one, alpha) for seed, one in found.items()}
    return judge("gap-rule", PAPER, measured, _CLAIMS, alpha)


def measure(one: SeedResult, alpha: float) -> dict[str, Estimate]:
    """Of one seed: what the gap does to copies, to their time and to quality, under each law."""
    by: dict[tuple[str, str], Rows] = {}
    for row in one.rows:
        by.setdefault((row["law"], row["training"]), []).append(row)
    onsets = {key: onset(rows) for key, rows in by.items()}
    unknown = between(np.nan, np.nan, np.nan, BETWEEN_LOOKS)
    delays = {(law, kind): less(each, onsets[law, BASE]) for (law, kind), each in onsets.items()}
    found = {
        f"{law}, {kind}: octaves of delay": each
        for (law, kind), each in delays.items()
        if kind not in (BASE, GAP)
    }
    for law in LAWS:
        rows = by.get((law, GAP), [])
        found[f"{law}: {SHARE}"] = _share(rows, alpha / len(_CLAIMS))
        found[f"{law}: {DELAY}"] = delays.get((law, GAP), unknown)
        distances = [_distance(by.get((law, kind), [])) for kind in (GAP, BASE)]
        change = distances[0] - distances[1]
        found[f"{law}: {DISTANCE}"] = between(change, change, change, "no interval of one seed")
    longer, shorter = (delays.get((law, GAP), unknown) for law in ("ddpm", "edm"))
    found[f"ddpm against edm: {LONGER}"] = less(longer, shorter)
    return found


def _share(rows: Rows, alpha: float) -> Estimate:
    if not rows:
        return between(np.nan, np.nan, np.nan, "Clopper-Pearson")
    return proportion(int(rows[-1]["memorized"]), int(rows[-1]["samples"]), alpha)


def _distance(rows: Rows) -> float:
    """At the last look with few copies; NaN where there is none."""
    few = [row for row in rows if int(row["memorized"]) <= FEW * int(row["samples"])]
    return float(few[-1]["kernel distance"]) if few else np.nan
