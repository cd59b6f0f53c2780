"""Training images with copies: weight, entropy and copying against their bounds with a prior.

The lists of the small sets hold every copy: their weights are the paper's own over all that is
listed, added up over the copies, and know of no prior.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from wildmiddle.checks.posterior import TWO_POINTS, pick_evenly
from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.spectrum import at_level
from wildmiddle.checks.statistics import from_bounded, from_estimate
from wildmiddle.checks.study import Study
from wildmiddle.empirical.denoising import denoising, scale
from wildmiddle.empirical.noise import blocks
from wildmiddle.theory import copies, copying, regimes
from wildmiddle.theory.posterior import weights

Array = NDArray[np.float64]

MARGIN = 0.03
SETS = {
    "two points at distance 3, the first listed 4 times": (TWO_POINTS, (4, 1)),
    "five points, one of them listed 40 times": (
        np.array([[0.0, 0, 0], [2.5, 0, 0], [0, 3, 0], [-1, -1, 3], [3, 3, 1]]),
        (1, 40, 2, 7, 3),
    ),
}
"""Points by what they are, and how often each is listed."""
SIGMAS = (0.8, 1.5, 4.0)
HELD_OUT = np.array([0.6, 0.4, -0.3])
"""A point by the two at distance 3, nearer to the first."""
MOST_IMAGES, MOST_COPIES = 100, 5
"""Training images of the data, and how often the k-th of them is listed: 1 + k mod 5 times."""


def images_with_copies(
    study: Study,
    alpha: float,
    *,
    weight_lower: Formula = regimes.weight_lower,
    posterior_entropy: Formula = regimes.posterior_entropy,
    copying_lower: Formula = copying.copying_lower,
) -> Iterator[Record]:
    """Weight and entropy of small lists, copies of a held-out point, and entropy on the data."""
    for name, (points, counts) in SETS.items():
        yield from _weights(study, alpha / 4, name, points, counts, weight_lower, posterior_entropy)
    yield from _copied(study, alpha / 4, copying_lower)
    yield from _data(study, alpha / 4, posterior_entropy)


CHECKS: dict[str, Check] = {"copies": images_with_copies}


def _others(points: Array) -> Array:
    # Distances from each of the points to all others, (G, G - 1).
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    return apart[~np.eye(len(points), dtype=bool)].reshape(len(points), -1)


def _noise(study: Study, stream: str, d: int) -> tuple[Array, Array]:
    # Standard normal noise and a uniform number of each query, (n, d) and (n,).
    drawn = list(blocks(study.settings.seed, stream, study.settings.samples, d))
    z = np.concatenate([block.noise for block in drawn])
    places = np.concatenate([block.generator("place").random(len(block.noise)) for block in drawn])
    return z[: study.settings.samples], places[: study.settings.samples]


def _weights(
    study: Study,
    alpha: float,
    name: str,
    points: Array,
    counts: tuple[int, ...],
    weight_lower: Formula,
    posterior_entropy: Formula,
) -> Iterator[Record]:
    listed, group = np.repeat(points, counts, axis=0), np.repeat(np.arange(len(points)), counts)
    apart, ratios = _others(points), copies.log_ratios(counts)
    relation: Relation = "==" if len(points) == 2 else ">="
    each, top = alpha / (2 * len(SIGMAS)), float(np.log(len(points)))
    for sigma in SIGMAS:
        z, places = _noise(study, f"copies/{len(points)}/{sigma:g}", points.shape[1])
        noised = listed[(places * len(listed)).astype(int)]
        of_listed = weights(noised + sigma * z, listed, sigma)
        of_each = np.stack([of_listed[:, group == k].sum(1) for k in range(len(points))], axis=1)
        largest, entropy = np.minimum(of_each.max(1), 1), np.minimum(entr(of_each).sum(1), top)
        rows: tuple[tuple[str, Relation, Formula, Array, float], ...] = (
            ("W", relation, weight_lower, largest, 1.0),
            ("entropy of the posterior", ">=", posterior_entropy, entropy, top),
        )
        for quantity, side, formula, draws, most in rows:
            comparison = Comparison(
                claim="copies",
                instance=f"{name}, sigma = {sigma:g}",
                quantity=quantity,
                relation=side,
                bound=float(formula(apart, np.array([sigma]), ratios)[0]),
                margin=MARGIN,
                parameters={"sigma": sigma, "N": len(listed)},
            )
            seed = study.settings.seed
            yield from_bounded(comparison, draws, span=(0, most), alpha=each, seed=seed)


def _copied(study: Study, alpha: float, copying_lower: Formula) -> Iterator[Record]:
    # Of two points the output is a copy of the nearer exactly where its bound says so.
    counts = (1, 4)
    listed = np.repeat(TWO_POINTS, counts, axis=0)
    to_points = np.linalg.norm(HELD_OUT - TWO_POINTS, axis=1)[None]
    from_nearest = np.linalg.norm(TWO_POINTS[0] - TWO_POINTS, axis=1)[None]
    for sigma in SIGMAS:
        z, _ = _noise(study, f"copies/held out/{sigma:g}", len(HELD_OUT))
        outputs = weights(HELD_OUT + sigma * z, listed, sigma) @ listed
        near = np.linalg.norm(outputs[:, None] - TWO_POINTS, axis=2)
        bound = copying_lower(to_points, from_nearest, np.array([sigma]), np.array(counts))
        comparison = Comparison(
            claim="copies",
            instance=f"two points, the second listed 4 times, sigma = {sigma:g}",
            quantity="copies of the nearer by the empirical optimal denoiser",
            relation="==",
            bound=float(bound[0]),
            margin=MARGIN,
            parameters={"sigma": sigma, "N": len(listed)},
        )
        copied = (near[:, 0] < near[:, 1] / 3).astype(np.float64)
        each, seed = alpha / len(SIGMAS), study.settings.seed
        yield from_bounded(comparison, copied, span=(0, 1), alpha=each, seed=seed)


def _data(study: Study, alpha: float, posterior_entropy: Formula) -> Iterator[Record]:
    points = study.train[pick_evenly(study.nearest, MOST_IMAGES)]
    counts = 1 + np.arange(len(points)) % MOST_COPIES
    apart, ratios, at = _others(points), copies.log_ratios(counts), study.settings
    sigmas = float(np.median(apart.min(1))) * np.array([0.25, 0.5, 1.0])
    found = denoising(
        np.repeat(points, counts, axis=0),
        sigmas,
        queries=max(at.samples // 4, 100),
        seed=at.seed,
        device=at.device,
        alpha=alpha,
        stream="copies/entropy",
        memory=at.memory,
    ).entropy
    bounds, top = posterior_entropy(apart, sigmas, ratios), float(np.log(len(points)))
    for k, sigma in enumerate(sigmas.tolist()):
        comparison = Comparison(
            claim="copies",
            instance=f"{len(points)} training images, {counts.sum()} listed, sigma = {sigma:.3g}",
            quantity="entropy of the posterior over log G",
            relation=">=",
            bound=float(bounds[k]) / top,
            margin=MARGIN,
            parameters={"sigma": sigma, "N": int(counts.sum()), "d": study.d},
        )
        yield from_estimate(comparison, at_level(scale(found, np.full(3, 1 / top)), k), at.seed)
