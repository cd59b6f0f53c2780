"""What keeps a training from copying, and what it costs: shared by Figures 4, 5 and 9.

The gaps come from the distances between the images, before any training. Every condition draws the
same samples' noise, so that a sample is compared with itself by McNemar's exact test.
"""

from dataclasses import dataclass

import numpy as np

from wildmiddle.checks.experiments.outcome import Row
from wildmiddle.checks.experiments.samples import Copies, copied, drawn, mcnemar, quality
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.intervals import proportion
from wildmiddle.empirical.neighbours import Memorization, memorization
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.quality import FrechetDistance
from wildmiddle.theory.schedules import ddpm_sigmas

Gap = tuple[float, float]

HEADER = ("memorized", "samples", "low", "high", "lost", "gained", "McNemar p", "Fréchet distance")
"""Columns of :meth:`Judged.row`."""


@dataclass(frozen=True)
class Judged:
    """The samples of one condition."""

    found: Memorization
    distance: FrechetDistance

    @property
    def copies(self) -> Copies:
        """Which are copies, (samples,)."""
        return copied(self.found)

    @property
    def count(self) -> int:
        """How many are copies."""
        return int(self.copies.sum())

    def row(self, baseline: "Judged", alpha: float) -> Row:
        """Copies with their interval, beside the baseline's, and the distance."""
        n = len(self.found.ratio)
        rate = proportion(self.count, n, alpha)
        changed = mcnemar(baseline.copies, self.copies)
        return (self.count, n, float(rate.low), float(rate.high), *changed, self.distance.value)


def judged(study: TrainedStudy, denoiser: Denoiser) -> Judged:
    """Draw the scale's samples of a denoiser, look for copies and take their distance."""
    samples = drawn(study, denoiser)
    found = memorization(samples, study.few, device=study.settings.device)
    return Judged(found, quality(study, samples))


def zone_gaps(study: TrainedStudy) -> dict[str, Gap]:
    """Start and end of the two zones of the distances, in sigma; empty unless the start is lower.

    And of the possible one an octave lower: a model that copies is supervised on its own way at
    lower noise than held-out images are. Three digits: the last bits of the distances may differ
    between machines, and a training only goes on with the very same gap.
    """
    certain, possible = study.zone
    ends = {
        "certain zone": certain,
        "possible zone": possible,
        "lowered zone": (possible.start / 2, possible.end / 2),
    }
    return {
        name: (float(f"{start:.3g}"), float(f"{end:.3g}")) for name, (start, end) in ends.items()
    }


def timestep_gaps(study: TrainedStudy) -> tuple[tuple[int, int], ...]:
    """Nine gaps in DDPM's timesteps around the possible zone, the widest first.

    They start at 1/4, 1/2 and once the zone's start and end at twice, once and 1/2 its end, in
    sigma. Gaps that would be empty are left out.
    """
    low, high = study.zone.possible
    starts, ends = (
        np.searchsorted(ddpm_sigmas(), np.multiply(factors, end)).tolist()
        for factors, end in (((1 / 4, 1 / 2, 1), low), ((2, 1, 1 / 2), high))
    )
    return tuple((start, end) for start in starts for end in ends if start < end)


def lowered(
    study: TrainedStudy, claim: str, instance: str, pair: tuple[Judged, Judged], alpha: float
) -> Record:
    """Whether a remedy undoes more copies than it makes, by the samples that it changes.

    ``pair`` is the baseline and the remedy.
    """
    lost, gained, _ = mcnemar(*(each.copies for each in pair))
    comparison = Comparison(
        claim=claim,
        instance=instance,
        quantity="share of the changed samples that are no copies any more",
        relation=">=",
        bound=0.5,
    )
    changed = max(lost + gained, 1)  # none changed: nothing speaks for the remedy
    return from_proportion(comparison, lost, changed, alpha=alpha, seed=study.settings.seed)
