"""Theorem 4.2: the two noise levels that certify a low and a high posterior weight.

On two points both parts hold with equality, so a wrong constant shows there; other small sets tell
L from z, d_min from d_max, and a union bound from none. On the data the failures are counted at
the certified level itself, where they are most frequent.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.statistics import settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.posterior import weights
from wildmiddle.theory import posterior

MARGIN = 0.01
POINTS = 5
"""Training points that are tried, spread evenly over the ranks of their distance."""


class Instance(NamedTuple):
    """A small set whose first point is noised, and the constants to try on it."""

    name: str
    points: NDArray[np.float64]
    w: float
    delta: float
    truth: float | None
    """The failure probability at the certified level, where it is known; else at most delta."""


TWO_POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
"""Two points at distance 3: the theorem's tight instance."""

INSTANCES = (
    Instance("two points", TWO_POINTS, 0.6, 0.05, 0.05),
    Instance("two points", TWO_POINTS, 0.9, 0.2, 0.2),
    # delta / (N - 1) above 1/2: z is negative.
    Instance("two points", TWO_POINTS, 0.8, 0.7, 0.7),
    # All t_j are equal, so the union bound counts one event N - 1 times: it sees L apart from z.
    Instance("four copies of one other point", TWO_POINTS[[0, 1, 1, 1, 1]], 0.9, 0.4, 0.1),
    # Distances that differ: d_min and d_max are not to be mixed up.
    Instance("one near and one far point", np.diag([0.0, 1.0, 30.0]), 0.6, 0.1, None),
    # Many nearly independent t_j: the union bound is needed.
    Instance("64 orthogonal directions", np.vstack([np.zeros(64), 3 * np.eye(64)]), 0.9, 0.5, None),
)


def low_weight(n: int) -> float:
    """The small weight of part 1: a twentieth of the way from 1/N, total ignorance, to 1."""
    return 1 / n + 0.05 * (1 - 1 / n)


def theorem_4_2_part_1(study: Study, alpha: float) -> Iterator[Record]:
    """From sigma_plus on, ``P(w_i > w)`` is at most delta."""
    yield from _part("4.2.1", study, low_weight(study.n), spread(study.farthest), alpha)


def theorem_4_2_part_2(study: Study, alpha: float) -> Iterator[Record]:
    """Up to sigma_minus, ``P(w_i < w)`` is at most delta."""
    yield from _part("4.2.2", study, study.settings.w, isolated(study), alpha)


def _part(claim: str, study: Study, w: float, indices: list[int], alpha: float) -> Iterator[Record]:
    each = alpha / (len(INSTANCES) + POINTS)
    for instance in INSTANCES:
        yield _failures(claim, study, instance, 0, 10 * study.settings.samples, each)
    for index in indices:
        image = Instance(f"training image {index}", study.train, w, study.settings.delta, None)
        yield _failures(claim, study, image, index, study.settings.samples, each)


def spread(values: NDArray[np.float64], count: int = POINTS) -> list[int]:
    """Indices of up to ``count`` values, from the smallest to the largest in even ranks."""
    order = np.argsort(values, kind="stable")
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [int(i) for i in order[ranks]]


def isolated(study: Study, count: int = POINTS) -> list[int]:
    """Training images without a copy, from the least to the most isolated in even ranks.

    At a duplicate ``d_min`` is 0 and the certified range is empty: there is nothing to check.
    """
    single = np.flatnonzero(study.nearest > 0)
    return [int(single[k]) for k in spread(study.nearest[single], count)]


def _failures(
    claim: str, study: Study, instance: Instance, index: int, most: int, alpha: float
) -> Record:
    name, points, w, delta, truth = instance
    above, n = claim == "4.2.1", len(points)
    if points is study.train:
        d_min, d_max = float(study.nearest[index]), float(study.farthest[index])
    else:
        d_min, d_max = (float(v) for v in extreme_distances(points, study.settings.device)[index])
    if above:
        sigma = float(posterior.sigma_plus(d_max, n, w, delta))
    else:
        sigma = float(posterior.sigma_minus(d_min, n, w, delta))
    comparison = Comparison(
        claim=claim,
        instance=f"{name}, at {'sigma_plus' if above else 'sigma_minus'}",
        quantity="P(w_i > w)" if above else "P(w_i < w)",
        relation="<=" if truth is None else "==",
        bound=delta if truth is None else truth,
        margin=MARGIN,
        parameters={
            "sigma": sigma,
            "w": w,
            "delta": delta,
            "N": n,
            "d": points.shape[1],
            "d_min": d_min,
            "d_max": d_max,
        },
    )

    def draw(count: int, suffix: str, pending: object) -> int:
        _, own = weights(
            points,
            sigma,
            queries=count,
            seed=study.settings.seed,
            device=study.settings.device,
            memory=study.settings.memory,
            index=index,
            stream=f"{claim}/{name}/{w}/{delta}{suffix}",
        )
        return int((own > w).sum() if above else (own < w).sum())

    return settle(draw, [comparison], most=most, alpha=alpha, seed=study.settings.seed)[0]
