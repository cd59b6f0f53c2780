"""Equation 3: the weights are the probabilities of the training images, given the noisy one.

The image that was noised is known here. So its number, transformed by the claimed probabilities of
all numbers, must be uniformly distributed: the randomized probability integral transform. Weights
that ignore the noisy image would pass that; on two points the mean of the larger weight shows them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from wildmiddle.checks.large_noise import coordinates_in_span
from wildmiddle.checks.posterior import TWO_POINTS
from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.statistics import from_bounded, from_distribution
from wildmiddle.checks.study import Study
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.noise import generator
from wildmiddle.theory import posterior

Array = NDArray[np.float64]

MARGIN = 0.05
RELATIVE_SIGMAS = (0.25, 0.5, 1.0)
"""Noise levels on the images, in units of their median distance to the nearest other one: from a
weight that is nearly always high to one that is spread."""
TWO_POINTS_SIGMA = 2.0
ROWS = 500
"""Noisy images whose weights are computed at once."""


def equation_3(
    study: Study, alpha: float, *, weights: Formula = posterior.weights
) -> Iterator[Record]:
    """The noised image's number has the claimed probabilities, on two points and on the images."""
    each = alpha / (2 + len(RELATIVE_SIGMAS))
    found, transforms = _draw("two points", TWO_POINTS, TWO_POINTS_SIGMA, weights, study)
    distance = float(np.linalg.norm(TWO_POINTS[1] - TWO_POINTS[0]))
    mean = Comparison(
        claim="eq.3",
        instance=f"two points, sigma = {TWO_POINTS_SIGMA:g}",
        quantity="mean of the larger weight against Phi(d/(2 sigma))",
        relation="==",
        bound=float(ndtr(distance / (2 * TWO_POINTS_SIGMA))),
        margin=MARGIN,
        parameters={"sigma": TWO_POINTS_SIGMA, "N": 2, "distance": distance},
    )
    largest = np.clip(found.max(axis=1), 0, 1)
    yield from_bounded(mean, largest, span=(0, 1), alpha=each, seed=study.settings.seed)
    yield _uniform("two points", TWO_POINTS, TWO_POINTS_SIGMA, transforms, study, each)
    images = coordinates_in_span(study.train)
    nearest = extreme_distances(images, "cpu")[:, 0]
    for relative in RELATIVE_SIGMAS:
        sigma = relative * (float(np.median(nearest)) or 1.0)
        _, transforms = _draw("images", images, sigma, weights, study)
        yield _uniform(f"{len(images)} images", images, sigma, transforms, study, each)


CHECKS: dict[str, Check] = {"eq.3": equation_3}


def _draw(
    name: str, points: Array, sigma: float, weights: Formula, study: Study
) -> tuple[Array, Array]:
    # Weights of noised points, (n, N), and sum_{j < i} w_j + U w_i of the number i of each, (n,).
    n = study.settings.samples // 2
    rng = generator(study.settings.seed, f"eq.3/{name}/{sigma}")
    chosen, spread = rng.integers(len(points), size=n), rng.uniform(size=n)
    noise = rng.standard_normal((n, points.shape[1]))
    noisy = points[chosen] + sigma * noise
    found = np.concatenate(
        [np.asarray(weights(part, points, sigma)) for part in np.split(noisy, range(ROWS, n, ROWS))]
    )
    own = found[np.arange(n), chosen]
    return found, found.cumsum(axis=1)[np.arange(n), chosen] - own + spread * own


def _uniform(
    name: str, points: Array, sigma: float, transforms: Array, study: Study, alpha: float
) -> Record:
    comparison = Comparison(
        claim="eq.3",
        instance=f"{name}, sigma = {sigma:.4g}",
        quantity="largest gap between the transformed number's CDF and the uniform one",
        relation="==",
        bound=0.0,
        margin=MARGIN,
        parameters={"sigma": sigma, "N": len(points), "d": points.shape[1]},
    )
    return from_distribution(
        comparison,
        transforms,
        lambda u: np.clip(u, 0, 1),
        alpha=alpha,
        seed=study.settings.seed,
    )
