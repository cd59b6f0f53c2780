"""Samples of the experiments: from shared noise, searched for copies, compared pair by pair."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from wildmiddle.checks.experiments.trained import TrainedStudy
from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.statistics import from_proportion
from wildmiddle.empirical.neighbours import Memorization, memorization
from wildmiddle.models.denoisers import Denoiser
from wildmiddle.models.images import Images
from wildmiddle.models.quality import FrechetDistance, frechet_distance
from wildmiddle.models.sampling import sample

Copies = NDArray[np.bool_]

HALF = 0.5
"""A training copies, or does not, by the side of this that its rate is on."""


def drawn(study: TrainedStudy, denoiser: Denoiser, count: int | None = None) -> torch.Tensor:
    """The first samples of a denoiser, (count, C, H, W); all that the scale has by default.

    Sample k starts from the same noise whatever the denoiser.
    """
    return sample(
        denoiser,
        tuple(study.few.shape[1:]),
        range(study.scale.samples if count is None else count),
        sigmas=study.sigmas,
        method=study.scale.method,
        seed=study.settings.seed,
        device=study.settings.device,
        progress=study.progress,
    )


def memorized(study: TrainedStudy, denoiser: Denoiser) -> Memorization:
    """The samples of a denoiser against the memorizing model's images."""
    return memorization(drawn(study, denoiser), study.few, device=study.settings.device)


def quality(study: TrainedStudy, samples: Images) -> FrechetDistance:
    """The Fréchet distance of samples (n, C, H, W) from all training images of the data."""
    return frechet_distance(
        samples,
        study.pool,
        study.extractor,
        reference_name=f"{study.data.title}, all training images",
        device=study.settings.device,
    )


def copied(found: Memorization) -> Copies:
    """Which samples are copies by the paper's test, (samples,)."""
    return found.ratio < 1 / 3


def mcnemar(before: Copies, after: Copies) -> tuple[int, int, float]:
    """Samples whose copying was lost and gained, and McNemar's exact two-sided p."""
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    p = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    return lost, gained, float(p)


def rate_record(
    study: TrainedStudy,
    claim: str,
    instance: str,
    copies: Copies,
    relation: Relation,
    bound: float,
    alpha: float,
    reported: float | None,
) -> Record:
    """The rate of copies against a bound, beside the rate that the paper reports, if it has one."""
    comparison = Comparison(
        claim=claim,
        instance=instance,
        quantity="memorized samples",
        relation=relation,
        bound=bound,
        parameters={} if reported is None else {"paper": reported},
    )
    return from_proportion(
        comparison, int(copies.sum()), len(copies), alpha=alpha, seed=study.settings.seed
    )
