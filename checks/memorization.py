"""Where a trained model memorizes most, against the danger zone of its images (Figure 2)."""

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.statistics import from_estimate, from_proportion
from wildmiddle.checks.study import Study
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models import Denoiser
from wildmiddle.models.one_step import memorization_by_level
from wildmiddle.models.sampling import sample
from wildmiddle.theory.constants import COPY_RATIO
from wildmiddle.theory.regimes import Zone
from wildmiddle.theory.schedules import edm_sigmas

Array = NDArray[np.float64]


def peak(
    sigmas: Array,
    copies: NDArray[np.int64],
    n: int,
    zone: Zone,
    *,
    alpha: float,
    seed: int,
    octaves: float = 1.0,
) -> Record:
    """Compare the peak of a model's per-noise memorization with a danger zone.

    ``copies`` (K,) memorized outputs among ``n`` at each of ``sigmas`` (K,). The quantity is the
    distance of the peak from the zone in octaves of sigma, 0 inside; its interval spans all noise
    levels whose rate may be the largest, given intervals that hold together with probability ``1 -
    alpha``. ``holds`` within ``octaves``, a step or so of a sampling schedule.
    """
    rates = proportion(copies, n, alpha / len(sigmas))
    candidates = sigmas[rates.high >= rates.low.max()]

    def distance(sigma: Array) -> Array:
        return np.maximum(0, np.maximum(np.log2(zone.start / sigma), np.log2(sigma / zone.end)))

    away = distance(candidates)
    best = distance(sigmas[[int(np.argmax(rates.mean))]])
    comparison = Comparison(
        claim="regimes",
        instance="the zone",
        quantity="octaves between the memorization peak and the zone",
        relation="<=",
        bound=0.0,
        margin=octaves,
        parameters={
            "from": float(zone.start),
            "to": float(zone.end),
            "peak": float(sigmas[np.argmax(rates.mean)]),
            "candidates": len(candidates),
        },
    )
    found = Estimate(best[0], away.min(), away.max(), n, alpha, "all levels that may be the peak")
    return from_estimate(comparison, found, seed)


def copies_among_samples(
    study: Study, denoiser: Denoiser, limit: float, alpha: float, count: int = 256
) -> Record:
    """How many samples of a denoiser are copies of the study's images, against a ``limit``.

    ``count`` samples by 18 steps of Euler's method, as in the paper; the interval is given the
    denoiser. Raises ValueError unless the limit lies in [0, 1].
    """
    if not 0 <= limit <= 1:
        raise ValueError(f"the most copies that are allowed, {limit}, must be a share in [0, 1]")
    at = study.settings
    samples = sample(
        denoiser,
        study.images.shape[1:],
        range(count),
        sigmas=edm_sigmas(18),
        method="euler",
        seed=at.seed,
        device=at.device,
    )
    found = memorization(samples.flatten(1), study.train, device=at.device, units=False)
    comparison = Comparison(
        claim="regimes",
        instance=f"{count} samples of the model",
        quantity="share of copies",
        relation="<=",
        bound=limit,
    )
    copies = int((found.ratio < COPY_RATIO).sum())
    return from_proportion(comparison, copies, count, alpha=alpha, seed=at.seed)


def model_peak(
    study: Study, denoiser: Denoiser, alpha: float, outputs: int = 256, octaves: float = 1.0
) -> Record:
    """Where a denoiser that was trained on the study's images memorizes most, against their zone.

    One-step outputs on noised held-out images at the 18 noise levels of EDM sampling, ``outputs``
    at each. The zone is the one that is possible by the distances; see :func:`peak`.
    """
    sigmas = edm_sigmas(18)
    copies = memorization_by_level(
        denoiser,
        study.held_out,
        study.train,
        sigmas,
        outputs,
        study.settings.seed,
        stream="regimes/model",
        device=study.settings.device,
    )
    zone = study.zone.possible
    return peak(
        sigmas, copies, outputs, zone, alpha=alpha, seed=study.settings.seed, octaves=octaves
    )
