"""Looks at a training as it goes: how many of the samples are copies, until they are common.

The looks of a training are kept beside its checkpoints, so that one that was stopped goes on.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from typing import Any

import numpy as np

from wildmiddle.checks.experiments.results import TableRow
from wildmiddle.checks.experiments.samples import draw_samples, is_copy
from wildmiddle.checks.experiments.seeds import between
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.report.files import write_text
from wildmiddle.empirical.intervals import Estimate, proportion

RATE = 0.25
"""Share of copies at which they count as common."""

METHOD = "between looks"
FILE = "looks.csv"
HEADER = ("step", "memorized", "samples", "low", "high")


@dataclass(frozen=True)
class Look:
    """Copies among the samples after some steps of training."""

    step: int
    copies: int
    samples: int

    @property
    def common(self) -> bool:
        """Whether copies are common."""
        return self.copies >= RATE * self.samples


def look_steps(first: int, each: int, most: int) -> Iterator[int]:
    """``first`` and then ``each`` steps an octave, evenly in octaves, the last one ``most``."""
    for k in count_from():
        step = round(first * 2 ** (k / each))
        if step * 2 ** (0.5 / each) >= most:
            break  # the last is not to follow it at once
        yield step
    yield most


def look_until(
    study: TrainedStudy,
    name: str,
    count: int,
    changes: Mapping[str, Any],
    *,
    first: int,
    each: int,
) -> list[Look]:
    """Train on the first ``count`` images into the folder ``name`` until copies are common.

    At most for the ``steps`` of the changes. Each look draws the scale's samples, from the same
    noise. Raises ValueError where looks of other numbers of samples are there.
    """
    path = study.models / name / FILE
    looks = _read(study, name)
    # The one checkpoint that is kept is that of the last look.
    settings = {"checkpoint_every": changes["steps"], **changes}
    if looks:  # of this very training, or it is refused
        study.train_denoiser(count, name, stop_after=looks[-1].step, **settings)
    for step in look_steps(first, each, changes["steps"]):
        if looks and looks[-1].common:
            break
        if looks and step <= looks[-1].step:
            continue
        denoiser = study.train_denoiser(count, name, stop_after=step, **settings)
        copies = is_copy(study.compare(draw_samples(study, denoiser), count))
        looks.append(Look(step, int(copies.sum()), len(copies)))
        write_text(path, "".join(f"{look.step},{look.copies},{look.samples}\n" for look in looks))
    return looks


def _read(study: TrainedStudy, name: str) -> list[Look]:
    path = study.models / name / FILE
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        looks = [Look(*map(int, line)) for line in csv.reader(file)]
    if any(look.samples != study.scale.samples for look in looks):
        raise ValueError(
            f"{path} has looks of {looks[0].samples} samples, not {study.scale.samples}; give "
            "another folder"
        )
    return looks


def look_rows(looks: Sequence[Look], alpha: float) -> list[TableRow]:
    """The looks under :data:`HEADER`, each interval at ``alpha``."""
    rows: list[TableRow] = []
    for look in looks:
        rate = proportion(look.copies, look.samples, alpha)
        rows.append((look.step, look.copies, look.samples, float(rate.low), float(rate.high)))
    return rows


def onset(rows: Sequence[Mapping[str, str]]) -> Estimate:
    """log2 of the steps after which copies are common, from the rows of one training.

    Between the look before and the first with common copies; from the last look up where there is
    none, and the estimate is that look then.
    """
    looks = [Look(int(row["step"]), int(row["memorized"]), int(row["samples"])) for row in rows]
    found = next((k for k, look in enumerate(looks) if look.common), None)
    if found is None:
        low, high = np.log2(looks[-1].step), np.inf
        value = low
    else:
        low = np.log2(looks[found - 1].step) if found else -np.inf
        high = np.log2(looks[found].step)
        value = (low + high) / 2 if found else high
    return between(float(value), float(low), float(high), METHOD)
