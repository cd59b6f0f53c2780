"""Noise levels and timesteps that a training leaves out, by the distances between the images."""

from itertools import product

import numpy as np

from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.models.gap import lowered

Gap = tuple[float, float]
TimestepGap = tuple[int, int]

_STARTS = {
    1 / 4: "a quarter of the zone's start",
    1 / 2: "half of the zone's start",
    1: "the zone's start",
}
_ENDS = {2: "twice its end", 1: "its end", 1 / 2: "half of its end"}
"""Ends of the gaps in timesteps, as factors of the possible zone's ends in sigma."""


def zone_gaps(study: TrainedStudy) -> dict[str, Gap]:
    """Start and end of the two zones of the distances, in sigma; empty unless the start is lower.

    And of the possible one :func:`~wildmiddle.models.gap.lowered`. Three digits: the last bits of
    the distances may differ between machines, and a training only goes on with the very same gap.
    """
    certain, possible = study.zone.certain, study.zone.possible
    ends = {
        "certain zone": certain,
        "possible zone": possible,
        "lowered zone": lowered(possible),
    }
    return {
        name: (float(f"{start:.3g}"), float(f"{end:.3g}")) for name, (start, end) in ends.items()
    }


def own_levels(study: TrainedStudy, gap: Gap, objective: str | None = None) -> Gap:
    """A gap in sigma in the levels of an objective, the scale's own unless one is named.

    Those of "ddpm" are timesteps: the ones whose sigma lies in the gap, and none where both ends
    are the same.
    """
    if (objective or study.training().objective) != "ddpm":
        return gap
    first, end = np.searchsorted(study.timestep_sigmas, gap).tolist()
    return float(first), float(end)


def lowered_zone(study: TrainedStudy) -> Gap:
    """The possible zone an octave lower. Raises ValueError where that is no gap."""
    low, high = zone_gaps(study)["lowered zone"]
    if not 0 < low < high < np.inf:
        raise ValueError(
            f"the possible zone of the memorizing model's images, halved, runs from {low:g} to "
            f"{high:g}, which is no gap; give other images, or another number of them"
        )
    return low, high


def timestep_gaps(study: TrainedStudy) -> dict[TimestepGap, str]:
    """The scale's gaps in DDPM's timesteps, else nine around the possible zone, the widest first.

    With their names: those by the zone are named by their rule, which is the same for all images.
    They start at 1/4, 1/2 and once the zone's start and end at twice, once and 1/2 its end, in
    sigma. Gaps that would be empty, or another's timesteps again, are left out. Raises ValueError
    where none is left, and for a training that has no timesteps.
    """
    if (objective := study.training().objective) != "ddpm":
        raise ValueError(
            f"objective = {objective!r}; figure5, figure9 and timestep-grids leave out timesteps: "
            'give objective = "ddpm" in [timestep_gaps.training]'
        )
    if study.scale.timestep_gaps:
        return {gap: f"of timesteps {gap[0]} to {gap[1]}" for gap in study.scale.timestep_gaps}
    low, high = study.zone.possible
    found: dict[TimestepGap, str] = {}
    for (a, start), (b, end) in product(_STARTS.items(), _ENDS.items()):
        first, last = np.searchsorted(study.timestep_sigmas, (a * low, b * high)).tolist()
        if first < last:
            found.setdefault((first, last), f"from {start} to {end}")
    if not found:
        raise ValueError(
            f"the possible zone of the memorizing model's images, {low:.3g} to {high:.3g}, has no "
            "gap around it; give timestep_gaps in [timestep_gaps.measures]"
        )
    return found
