"""Samples of the experiments: drawn from shared noise, searched for copies, compared pair by pair.

Every denoiser's sample k starts from the same noise, so that a sample under one condition is
compared with itself under another by McNemar's exact test.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from wildmiddle.checks.experiments.results import TableRow
from wildmiddle.checks.experiments.scale import Method
from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.report.image_grids import (
    Pixels,
    Strip,
    colours,
    hstack_pairs,
    split_into_rows,
)
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.intervals import proportion
from wildmiddle.empirical.neighbours import Memorization
from wildmiddle.empirical.three_samples import ThreeSamples, three_sample_test
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.images import Images
from wildmiddle.models.quality import FrechetDistance, frechet_distance
from wildmiddle.models.sampling import sample
from wildmiddle.theory.constants import COPY_RATIO

Copies = NDArray[np.bool_]

COUNTS = ("memorized", "samples", "low", "high", "lost", "gained", "McNemar p")
"""Columns of copies with their interval, and of the samples that changed."""

HEADER = (
    *COUNTS,
    "Fréchet distance",
    "C_T",
    "nearer than held-out",
    "nearer, low",
    "nearer, high",
)
"""Columns of :meth:`Evaluation.row`."""

HALF = 0.5
"""Rate of copies above which a training counts as one that memorizes."""


def draw_samples(
    study: TrainedStudy,
    denoiser: Denoiser,
    count: int | None = None,
    method: Method | None = None,
) -> torch.Tensor:
    """The first samples of a denoiser, (count, C, H, W); number and method are the scale's.

    Sample k starts from the same noise whatever the denoiser and the method.
    """
    return sample(
        denoiser,
        tuple(study.few.shape[1:]),
        range(study.scale.samples if count is None else count),
        sigmas=study.sigmas,
        method=method or study.scale.method,
        seed=study.settings.seed,
        device=study.settings.device,
        progress=study.progress,
    )


def find_copies(
    study: TrainedStudy, denoiser: Denoiser, method: Method | None = None
) -> Memorization:
    """Compare the samples of a denoiser with the memorizing model's images."""
    samples = draw_samples(study, denoiser, method=method)
    return study.compare(samples)


Reference = Literal["training", "held-out"]
"""The images that samples are judged against."""


def null(study: TrainedStudy) -> Memorization:
    """The copying test on the held-out images: the rate that no copying at all explains."""
    return study.compare(study.fresh)


def null_row(study: TrainedStudy, alpha: float) -> TableRow:
    """The row of the held-out images under :data:`HEADER`; empty where it takes samples."""
    found = null(study)
    count, n = int(is_copy(found).sum()), len(found.ratio)
    rate = proportion(count, n, alpha)
    return (count, n, float(rate.low), float(rate.high), *[""] * (len(HEADER) - 4))


def quality(study: TrainedStudy, samples: Images, reference: Reference) -> FrechetDistance:
    """The Fréchet distance of samples (n, C, H, W) from all training or all held-out images.

    The training images include those that the model may copy, so that copying improves the
    distance; the paper takes them in Figure 4, and held-out ones in Figure 9 (E.5).
    """
    return frechet_distance(
        samples,
        study.pool if reference == "training" else study.fresh,
        study.extractor,
        reference_name=f"{study.data.title}, all {reference} images",
        device=study.settings.device,
        units=False,
    )


def is_copy(found: Memorization) -> Copies:
    """Which samples are copies by the paper's test, (samples,)."""
    return found.ratio < COPY_RATIO


def pixels(study: TrainedStudy, images: torch.Tensor) -> Pixels:
    """Images (K, C, H, W) in the range of the study's data as colours, (K, H, W, 3)."""
    return colours(images, study.data.value_range, study.mean)


def pair_with_nearest(
    study: TrainedStudy, samples: torch.Tensor, found: Memorization, count: int, columns: int
) -> list[Strip]:
    """The first samples beside their nearest training images, in rows; the copies framed."""
    nearest = study.few[found.nearest[:count]]
    pairs = hstack_pairs(pixels(study, samples[:count]), pixels(study, nearest))
    return split_into_rows(pairs, is_copy(found)[:count], columns)


def mcnemar(before: Copies, after: Copies) -> tuple[int, int, float]:
    """Numbers of samples that are copies only before, only after; McNemar's exact two-sided p."""
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    p = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    return lost, gained, float(p)


@dataclass(frozen=True)
class Evaluation:
    """The samples of one condition."""

    memorization: Memorization
    distance: FrechetDistance
    against_held_out: ThreeSamples
    """The test of Meehan, Chaudhuri and Dasgupta, in pixels."""

    @property
    def copies(self) -> Copies:
        """Which samples are copies, (samples,)."""
        return is_copy(self.memorization)

    @property
    def count(self) -> int:
        """Number of copies."""
        return int(self.copies.sum())

    def row(self, baseline: "Evaluation", alpha: float) -> TableRow:
        """Copies with their interval, beside the baseline's; the distance; the test's outcome."""
        n = len(self.memorization.ratio)
        rate = proportion(self.count, n, alpha)
        changed = mcnemar(baseline.copies, self.copies)
        closer = self.against_held_out.closer
        return (
            *(self.count, n, float(rate.low), float(rate.high), *changed, self.distance.value),
            self.against_held_out.statistic,
            *(float(end) for end in (closer.mean, closer.low, closer.high)),
        )


def evaluate(study: TrainedStudy, denoiser: Denoiser, reference: Reference) -> Evaluation:
    """Draw the scale's samples of a denoiser, look for copies and take their distance."""
    samples = draw_samples(study, denoiser)
    found = study.compare(samples)
    nearer = three_sample_test(
        samples,
        study.seen,
        study.fresh,
        alpha=study.settings.alpha,
        seed=study.settings.seed,
        device=study.settings.device,
    )
    return Evaluation(found, quality(study, samples, reference), nearer)


def rate_record(
    study: TrainedStudy,
    claim: str,
    instance: str,
    copies: Copies,
    relation: Relation,
    bound: float,
    alpha: float,
    reported: float | None,
    parameters: Parameters | None = None,
) -> Record:
    """The rate of copies against a bound, beside the rate that the paper reports, if it has one."""
    comparison = Comparison(
        claim=claim,
        instance=instance,
        quantity="memorized samples",
        relation=relation,
        bound=bound,
        parameters=(parameters or {}) | ({} if reported is None else {"paper": reported}),
    )
    return from_proportion(
        comparison, int(copies.sum()), len(copies), alpha=alpha, seed=study.settings.seed
    )


def reduction_record(
    study: TrainedStudy,
    claim: str,
    instance: str,
    pair: tuple[Evaluation, Evaluation],
    alpha: float,
    parameters: Parameters | None = None,
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
        parameters=parameters or {},
    )
    changed = max(lost + gained, 1)  # none changed: nothing speaks for the remedy
    return from_proportion(comparison, lost, changed, alpha=alpha, seed=study.settings.seed)
