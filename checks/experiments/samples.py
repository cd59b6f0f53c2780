"""Samples of the experiments: from shared noise, searched for copies, compared pair by pair."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from checks.experiments.setting import Setting
from empirical.neighbours import Memorization, memorization
from models.denoisers import Denoiser
from models.one_step import Images
from models.quality import FrechetDistance, frechet_distance
from models.sampling import sample

Copies = NDArray[np.bool_]


def drawn(setting: Setting, denoiser: Denoiser, count: int | None = None) -> torch.Tensor:
    """The first samples of a denoiser, (count, C, H, W); all that the scale has by default.

    Sample k starts from the same noise whatever the denoiser.
    """
    return sample(
        denoiser,
        tuple(setting.few.shape[1:]),
        range(setting.scale.samples if count is None else count),
        sigmas=setting.sigmas,
        method=setting.scale.method,
        seed=setting.seed,
        device=setting.device,
        progress=setting.progress,
    )


def memorized(setting: Setting, denoiser: Denoiser) -> Memorization:
    """The samples of a denoiser against the memorizing model's images."""
    return memorization(drawn(setting, denoiser), setting.few, device=setting.device)


def quality(setting: Setting, samples: Images) -> FrechetDistance:
    """The Fréchet distance of samples (n, C, H, W) from all training images of the data."""
    return frechet_distance(
        samples,
        setting.pool,
        setting.extractor,
        reference_name=f"{setting.data.title}, all training images",
        device=setting.device,
    )


def copied(found: Memorization) -> Copies:
    """Which samples are copies by the paper's test, (samples,)."""
    return found.ratio < 1 / 3


def mcnemar(before: Copies, after: Copies) -> tuple[int, int, float]:
    """Samples whose copying was lost and gained, and McNemar's exact two-sided p."""
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    p = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    return lost, gained, float(p)


def along(setting: Setting, denoiser: Denoiser) -> tuple[torch.Tensor, torch.Tensor]:
    """What a denoiser meets and answers at each level of its own trajectories.

    States ``x`` and outputs ``D(x, sigma)``, (K, samples, C, H, W) each, at ``setting.sigmas``:
    where a step of the sampler starts.
    """
    batch = 64
    met: list[tuple[torch.Tensor, torch.Tensor]] = []
    for first in range(0, setting.scale.samples, batch):
        numbers = range(first, min(first + batch, setting.scale.samples))
        last: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

        def noted(
            x: torch.Tensor,
            sigma: torch.Tensor | float,
            last: dict[float, tuple[torch.Tensor, torch.Tensor]] = last,
        ) -> torch.Tensor:
            # Heun's method looks ahead to each level first, then starts from it: the second stays.
            output = denoiser(x, sigma)
            last[float(sigma)] = x.cpu(), output.cpu()
            return output

        sample(
            noted,
            tuple(setting.few.shape[1:]),
            numbers,
            sigmas=setting.sigmas,
            method=setting.scale.method,
            seed=setting.seed,
            batch_size=batch,
            device=setting.device,
        )
        pairs = [last[sigma] for sigma in setting.sigmas.tolist()]
        met.append(
            (
                torch.stack([x[: len(numbers)] for x, _ in pairs]),
                torch.stack([output[: len(numbers)] for _, output in pairs]),
            )
        )
    states, outputs = (torch.cat(parts, 1) for parts in zip(*met, strict=True))
    return states, outputs
