"""Noise levels and timesteps that a training leaves out, by the distances between the images."""

import numpy as np

from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.theory.schedules import ddpm_sigmas

Gap = tuple[float, float]


def zone_gaps(study: TrainedStudy) -> dict[str, Gap]:
    """Start and end of the two zones of the distances, in sigma; empty unless the start is lower.

    And of the possible one an octave lower: a model that copies is supervised on its own way at
    lower noise than held-out images are. Three digits: the last bits of the distances may differ
    between machines, and a training only goes on with the very same gap.
    """
    certain, possible = study.zone.certain, study.zone.possible
    ends = {
        "certain zone": certain,
        "possible zone": possible,
        "lowered zone": (possible.start / 2, possible.end / 2),
    }
    return {
        name: (float(f"{start:.3g}"), float(f"{end:.3g}")) for name, (start, end) in ends.items()
    }


def lowered_zone(study: TrainedStudy) -> Gap:
    """The possible zone an octave lower. Raises ValueError where that is no gap."""
    low, high = zone_gaps(study)["lowered zone"]
    if not 0 < low < high < np.inf:
        raise ValueError(
            f"the possible zone of the memorizing model's images, halved, runs from {low:g} to "
            f"{high:g}, which is no gap; give other images, or another number of them"
        )
    return low, high


def timestep_gaps(study: TrainedStudy) -> tuple[tuple[int, int], ...]:
    """The scale's gaps in DDPM's timesteps, else nine around the possible zone, the widest first.

    Those start at 1/4, 1/2 and once the zone's start and end at twice, once and 1/2 its end, in
    sigma. Gaps that would be empty are left out.
    """
    if study.scale.timestep_gaps:
        return study.scale.timestep_gaps
    low, high = study.zone.possible
    starts, ends = (
        np.searchsorted(ddpm_sigmas(), np.multiply(factors, end)).tolist()
        for factors, end in (((1 / 4, 1 / 2, 1), low), ((2, 1, 1 / 2), high))
    )
    return tuple((start, end) for start in starts for end in ends if start < end)
