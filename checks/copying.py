"""Copies of held-out images by the empirical optimum against the bound from distances.

On two training images the copies of the nearer one have the bound's chance exactly.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from wildmiddle.checks.posterior import TWO_POINTS, pick_evenly
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import settle
from wildmiddle.checks.study import Study
from wildmiddle.models import EmpiricalDenoiser
from wildmiddle.models.one_step import count_copies, map_queries
from wildmiddle.theory import copying

Array = NDArray[np.float64]

MARGIN = 0.03
MOST_IMAGES = 100
"""Held-out images that the data's comparisons are about, spread evenly over their distances."""
HELD_OUT = np.array([[0.6, 0.4, -0.3]])
"""A point by the two training points at distance 3, nearer to the first."""
SMALL_SETS = {1: (0.5, 1.0, 2.0), 4: (0.5, 0.6, 0.7)}
"""Noise levels by the number of copies of the second point; with four the bound is 0 from 1 on."""
LEVELS = (1.0, 0.5, 0.25)
"""Noise levels on the data, in units of the one up to which half must be copies."""


def copies_of_held_out(
    study: Study, alpha: float, *, copying_lower: Formula = copying.copying_lower
) -> Iterator[Record]:
    """Copies of the nearest of a few images, and of all images on the data."""
    yield from _small_sets(study, alpha / 2, copying_lower)
    yield from _data(study, alpha / 2, copying_lower)


CHECKS: dict[str, Check] = {"copying": copies_of_held_out}


def _small_sets(study: Study, alpha: float, copying_lower: Formula) -> list[Record]:
    found = [(copies, sigma) for copies, sigmas in SMALL_SETS.items() for sigma in sigmas]
    each = alpha / len(found)
    return [_small_set(study, each, copying_lower, copies, sigma) for copies, sigma in found]


def _small_set(
    study: Study, alpha: float, copying_lower: Formula, copies: int, sigma: float
) -> Record:
    points = TWO_POINTS[[0] + [1] * copies]
    bound = copying_lower(cdist(HELD_OUT, points), cdist(points[:1], points), np.array([sigma]))[0]
    others = "one other image" if copies == 1 else f"{copies} copies of one other image"
    comparison = Comparison(
        claim="copying",
        instance=f"the nearest and {others} at distance 3, sigma = {sigma:g}",
        quantity="copies of the nearest",
        relation="==" if copies == 1 else ">=",
        bound=float(bound),
        margin=MARGIN,
        parameters={"sigma": sigma, "N": len(points)},
    )
    denoiser, seed = EmpiricalDenoiser(points, "cpu"), study.settings.seed

    def draw(count: int, name: str, pending: object) -> int:
        def find_copies(clean: torch.Tensor, noise: torch.Tensor) -> NDArray[np.bool_]:
            near = cdist(denoiser(clean + sigma * noise, sigma), points)
            # The others may be copies of each other; the nearest one is none of them.
            return near[:, 0] < near[:, 1:].min(1) / 3

        return int(map_queries(find_copies, HELD_OUT, count, seed, name).sum())

    stream, most = f"copying/{copies}/{sigma:g}", study.settings.samples
    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]


def _data(study: Study, alpha: float, copying_lower: Formula) -> list[Record]:
    at = study.settings
    chosen = pick_evenly(study.curves.nearest, MOST_IMAGES)
    to_points = cdist(study.test[chosen], study.train)
    nearest = study.train[to_points.argmin(1)]
    from_nearest = cdist(nearest, study.train)
    top = study.zone.half_copied or study.zone.certain.start
    sigmas = top * np.array(LEVELS)
    bounds = copying_lower(to_points, from_nearest, sigmas, study.prior)
    comparisons = [
        Comparison(
            claim="copying",
            instance=f"{len(chosen)} held-out images, sigma = {sigma:.3g}",
            quantity="copies by the empirical optimal denoiser",
            relation=">=",
            bound=float(bound),
            margin=MARGIN,
            parameters={"sigma": sigma, "N": study.n, "d": study.d},
        )
        for sigma, bound in zip(sigmas.tolist(), bounds, strict=True)
    ]
    denoiser = EmpiricalDenoiser(study.listed, at.device)

    def draw(count: int, name: str, pending: Sequence[int]) -> list[int]:
        return [
            count_copies(
                denoiser,
                study.test[chosen],
                study.train,
                float(sigmas[k]),
                count,
                at.seed,
                stream=f"{name}/{k}",
                device=at.device,
            )
            for k in pending
        ]

    return settle(
        draw,
        comparisons,
        stream="copying/held out",
        most=max(at.samples // 4, 100),
        alpha=alpha / len(comparisons),
        seed=at.seed,
    )


def sharper(study: Study) -> Iterator[Sharper]:
    """The noise level up to which half of the outputs must be copies, beside the measured one."""
    if study.zone.half_copied:
        seen = study.half_copied
        truth = (
            Truth(seen.sigma, seen.low, seen.high, "measured") if np.isfinite(seen.sigma) else None
        )
        name = "σ up to which half of the outputs on held-out images are copies"
        yield sharper_form(
            "copying", name, "larger", None, study.zone.half_copied, truth, "no sampling"
        )
