"""Looks at a training as it goes: how many of the samples are copies, until they are common.

The looks of a training are kept beside its checkpoints, so that one that was stopped goes on.
"""

import csv
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import count as count_from
from typing import Any

import numpy as np
import torch

from wildmiddle.checks.experiments.results import TableRow
from wildmiddle.checks.experiments.samples import draw_samples, is_copy
from wildmiddle.checks.experiments.seeds import BETWEEN_LOOKS, between
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.output import replace_files, write_text
from wildmiddle.empirical.data.stored import checksum
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.models.checkpoints import newest_whole
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.one_step import denoising_error
from wildmiddle.models.quality import distances_of_features

RATE = 0.25
"""Share of copies at which they count as common."""

_log = logging.getLogger(__name__)

FILE = "looks.csv"
MOST = 4
"""Longest training in units of the scale's steps."""

BASE = "none"
"""Last word of a training's name where nothing is done against copying."""
HEADER = ("step", "memorized", "samples", "low", "high", "held-out error", "kernel distance")
NEAR = 1.1
"""Error over the least one at which a model counts as trained on what is common to all images."""
STREAM = "looks/held-out error"
"""Name of the noise stream: all looks are compared on the same noise."""


@dataclass(frozen=True)
class Look:
    """What was seen after some steps of training."""

    step: int
    copies: int
    samples: int
    error: float
    """Mean squared error on held-out images."""
    distance: float
    """Kernel distance of the samples, in pixels, from all images that were not trained on."""

    @property
    def common(self) -> bool:
        """Whether copies are common."""
        return are_common(self.copies, self.samples)


def are_common(copies: int, samples: int) -> bool:
    """Whether so many copies among the samples are common."""
    return copies >= RATE * samples


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
    noise. Raises ValueError where there are looks by another sampler or on other images, and where
    some are lost.
    """
    path = study.models / name / FILE
    looks = _read(study, name)
    # The one checkpoint that is kept is that of the last look.
    settings = {"checkpoint_every": changes["steps"], **changes}
    done = looks[-1].step if looks else 0
    if looks and (looks[-1].common or done == changes["steps"]):
        # Nothing is left to train, but looks of another training are refused.
        study.train_denoiser(count, name, stop_after=done, **settings)
        return looks
    left = [step for step in look_steps(first, each, changes["steps"]) if step > done]
    if left and (newest := newest_whole(path.parent)) > left[0]:
        raise ValueError(
            f"{path} has no look at step {left[0]}, and the training is at step {newest} already; "
            f"delete {path.parent} to train again"
        )
    for step in left:
        denoiser = study.train_denoiser(count, name, stop_after=step, **settings)
        samples = draw_samples(study, denoiser)
        copies = is_copy(study.compare(samples, count))
        error, distance = held_out_error(study, denoiser), kernel_distance(study, samples, count)
        looks.append(Look(step, int(copies.sum()), len(copies), error, distance))
        lines = (",".join(map(str, astuple(look))) for look in looks)
        with replace_files(path.parent) as new:
            write_text(new / FILE, "\n".join([f"# {json.dumps(_made_with(study))}", *lines]))
        _log.info(
            "%s: %d of %d samples are copies at step %d", name, *astuple(looks[-1])[1:3], step
        )
        if looks[-1].common:
            break
    return looks


def look_at_each(
    study: TrainedStudy, wanted: Trainings, *, first: int, each: int, times: int
) -> dict[str, list[Look]]:
    """The looks of each training, by its name, those named :data:`BASE` before their rivals.

    Trainings of one name but for the last word belong together. All but the base end after
    ``times`` the time of the base, and are left out where it has no common copies.
    """
    found: dict[str, list[Look]] = {}
    for name, (count, changes) in wanted.items():
        most, (family, _, kind) = changes["steps"], name.rpartition("-")
        if kind != BASE:
            base = found[f"{family}-{BASE}"][-1]
            if not base.common:
                continue  # there is no time to take a delay from
            most = min(most, times * base.step)
        capped = {**changes, "steps": most}
        found[name] = look_until(study, name, count, capped, first=first, each=each)
    return found


def kernel_distance(study: TrainedStudy, samples: torch.Tensor, count: int) -> float:
    """Unbiased kernel distance in pixels between samples and all images after the first ``count``.

    Those and the held-out ones were not trained on, so that copying does not improve it.
    """
    unseen = torch.cat([study.pool[count:], study.fresh])
    _, kernel = distances_of_features(
        samples.flatten(1), unseen.flatten(1), name="pixels", reference_name="unseen images"
    )
    return kernel.value


def held_out_error(study: TrainedStudy, denoiser: Denoiser) -> float:
    """Mean squared error on held-out images with as much noise as their pixels deviate."""
    data = study.data
    found = denoising_error(
        denoiser,
        study.fresh.to(study.torch_device),
        [data.sigma_data],
        study.scale.outputs,
        study.settings.seed,
        value_range=None if data.centred else data.value_range,
        stream=STREAM,
    )
    return float(found.mean[0])


def _made_with(study: TrainedStudy) -> dict[str, str | int]:
    # What looks depend on beside the training itself, whose folder refuses another one.
    at, data = study.scale, study.data
    return {
        "samples": at.samples,
        "method": at.method,
        "steps": at.steps,
        "outputs": at.outputs,
        "data": data.sha256,
        "split": checksum(data.train_indices, data.test_indices),
    }


def _read(study: TrainedStudy, name: str) -> list[Look]:
    path = study.models / name / FILE
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("its end is missing")
        # Older versions did not say what the looks were made with, but for the number of samples.
        rows = text.splitlines()
        said = rows.pop(0).removeprefix("#") if rows[0].startswith("#") else "{}"
        looks = [
            Look(int(step), int(copies), int(samples), float(error), float(distance))
            for step, copies, samples, error, distance in csv.reader(rows)
        ]
        made = {"samples": looks[0].samples, **json.loads(said)}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is not what looks are written as ({error}); bring it back from a copy, or "
            f"delete {path.parent} to train again"
        ) from error
    for what, now in _made_with(study).items():
        if (then := made.get(what, now)) != now:
            raise ValueError(
                f"{path} has looks with {what} = {then}, not {now}; give another folder"
            )
    return looks


def look_rows(looks: Sequence[Look], alpha: float) -> list[TableRow]:
    """The looks under :data:`HEADER`, each interval at ``alpha``."""
    rows: list[TableRow] = []
    for look in looks:
        rate = proportion(look.copies, look.samples, alpha)
        ends = float(rate.low), float(rate.high)
        rows.append((look.step, look.copies, look.samples, *ends, look.error, look.distance))
    return rows


def onset(rows: Sequence[Mapping[str, str]]) -> Estimate:
    """log2 of the steps after which copies are common, from the rows of one training.

    Between the look before and the first with common copies; from the last look up where there is
    none, and the estimate is that look then.
    """
    common = [are_common(int(row["memorized"]), int(row["samples"])) for row in rows]
    if not any(common):
        last = float(np.log2(int(rows[-1]["step"])))
        return between(last, last, np.inf, BETWEEN_LOOKS)
    return _at_look(rows, common.index(True))


def less(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two quantities that are known between limits."""
    value, low, high = one.mean - other.mean, one.low - other.high, one.high - other.low
    return between(float(value), float(low), float(high), BETWEEN_LOOKS)


def least_error(rows: Sequence[Mapping[str, str]]) -> Estimate:
    """log2 of the steps after which the error is near its least, from the rows of one training.

    Known from below alone where the last look has the least: more training may have less.
    """
    errors = np.array([float(row["held-out error"]) for row in rows])
    found = _at_look(rows, int(np.flatnonzero(errors <= NEAR * errors.min())[0]))
    return replace(found, high=np.asarray(np.inf)) if errors.argmin() == len(rows) - 1 else found


def _at_look(rows: Sequence[Mapping[str, str]], k: int) -> Estimate:
    # What is first seen at look k lies between it and the look before.
    high = float(np.log2(int(rows[k]["step"])))
    if k == 0:
        return between(high, -np.inf, high, BETWEEN_LOOKS)
    low = float(np.log2(int(rows[k - 1]["step"])))
    return between((low + high) / 2, low, high, BETWEEN_LOOKS)
