"""Theorems 4.9 and B.6: on disjoint shells the objective's minimum is 0 and f is free elsewhere.

Two minimisers that differ off the shells are built on the data; where shells overlap the minimum
is positive, and on two points it is known exactly.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.statistics import from_exact, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.kernels.products import squared_distances
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.noise import generator
from wildmiddle.empirical.small_noise import shell_losses
from wildmiddle.theory import small_noise
from wildmiddle.theory.shells import inside, radii

MARGIN = 0.01
QUERIES = 2048
OVERLAPS = (0.8, 1.2, 2.0)
"""Distance of the two overlapping points, in units of sigma times the root of the dimension."""


def theorem_4_9(
    study: Study,
    alpha: float,
    *,
    disjoint_sigma: Formula = small_noise.disjoint_sigma,
    two_point_minimum: Formula = small_noise.two_point_minimum,
) -> Iterator[Record]:
    """Zero loss by two maps that differ off the shells; the touching sigma; the converse."""
    if study.nearest.any():  # where every image has a copy, no two shells are disjoint
        yield from _two_minimisers(study, disjoint_sigma)
    yield from _touching(study, disjoint_sigma)
    for ratio in OVERLAPS:
        yield _two_overlapping_shells(ratio, study, alpha / len(OVERLAPS), two_point_minimum)


CHECKS: dict[str, Check] = {"4.9": theorem_4_9}


def _exact(
    instance: str,
    quantity: str,
    relation: Relation,
    bound: float,
    value: float,
    parameters: Parameters,
) -> Record:
    comparison = Comparison(
        claim="4.9",
        instance=instance,
        quantity=quantity,
        relation=relation,
        bound=bound,
        parameters=parameters,
    )
    return from_exact(comparison, value)


def _two_minimisers(study: Study, disjoint_sigma: Formula) -> Iterator[Record]:
    # Copies share their shell. Of a large set the examined images alone, with shells of their own.
    points = torch.as_tensor(np.unique(study.train[study.examined], axis=0))
    smallest = float(extreme_distances(points, points.device)[:, 0].min())
    sigma = 0.9 * float(disjoint_sigma(smallest, study.d, study.settings.c))
    r_in, r_out = (float(r) for r in radii(study.d, study.settings.c))

    def constant_outside(outside: float, y: torch.Tensor, level: float) -> torch.Tensor:
        # x_i on the shell of x_i, a constant everywhere else.
        distance, closest = _nearest(y, points)
        # The radii give way by rounding alone: the noise itself was scaled to end on them.
        slack = 1e-9 * level
        on = (distance >= level * r_in - slack) & (distance <= level * r_out + slack)
        return torch.where(on[:, None], points[closest], torch.full_like(y, outside))

    parameters: Parameters = {
        "sigma": sigma,
        "c": study.settings.c,
        "N": len(points),
        "d": study.d,
        "d_min": smallest,
    }
    for outside in (0.0, 1.0):
        losses = shell_losses(
            partial(constant_outside, outside),
            points,
            sigma,
            queries=QUERIES,
            c=study.settings.c,
            seed=study.settings.seed,
            stream=f"4.9/{outside:g} elsewhere",
        )
        name = f"x_i on its shell, {outside:g} elsewhere"
        yield _exact(name, "largest loss on the shells", "==", 0.0, losses.max(), parameters)
    between = generator(study.settings.seed, "4.9/between").uniform(-1, 1, (QUERIES, study.d))
    off = torch.as_tensor(between)
    low, high = (constant_outside(value, off, sigma) for value in (0.0, 1.0))
    apart = float((high - low).abs().max())
    name = "the two maps, between the shells"
    yield _exact(name, "largest difference of a pixel", ">=", 1.0, apart, parameters)


def _nearest(y: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    # By direct differences among the few that a matrix product finds: near-duplicates differ by
    # less than its rounding.
    few = min(8, len(points))
    candidates = squared_distances(y, points).topk(few, dim=1, largest=False).indices
    apart = torch.linalg.vector_norm(y[:, None] - points[candidates], dim=2)
    distance, place = apart.min(1)
    return distance, candidates.gather(1, place[:, None]).squeeze(1)


def _touching(study: Study, disjoint_sigma: Formula) -> Iterator[Record]:
    # Two shells meet at the midpoint exactly when sigma reaches d_ij / (2 r_out).
    for factor, expected in ((1 - 1e-9, 0.0), (1 + 1e-9, 1.0)):
        sigma = factor * float(disjoint_sigma(2.0, study.d, study.settings.c))
        yield _exact(
            f"midpoint of two points at {factor - 1:+.0e} of the touching sigma",
            "lies in both shells (1) or none (0)",
            "==",
            expected,
            float(inside(1.0, sigma, study.d, study.settings.c)),
            {"sigma": sigma, "c": study.settings.c, "d": study.d, "distance": 2.0},
        )


def _two_overlapping_shells(
    ratio: float, study: Study, alpha: float, two_point_minimum: Formula
) -> Record:
    d, c, sigma = 8, 1.0, 1.0
    distance = ratio * float(np.sqrt(d)) * sigma
    points = torch.zeros((2, d), dtype=torch.float64)
    points[1, 0] = distance
    r_in, r_out = (float(r) for r in radii(d, c))

    def best(y: torch.Tensor, level: float) -> torch.Tensor:
        # The mean of the centres whose shells hold y: the minimiser under uniform noise.
        gap = torch.cdist(y, points, compute_mode="donot_use_mm_for_euclid_dist")
        on = ((gap >= level * r_in * (1 - 1e-12)) & (gap <= level * r_out * (1 + 1e-12))).double()
        return on @ points / on.sum(1, keepdim=True).clamp_min(1)

    seed = study.settings.seed

    def draw(count: int, stream: str, pending: object) -> int:
        losses = shell_losses(best, points, sigma, queries=count, c=c, seed=seed, stream=stream)
        # The loss is (distance / 2)^2 in the overlap and 0 elsewhere.
        return int((losses > distance**2 / 8).sum())

    comparison = Comparison(
        claim="4.9",
        instance=f"two overlapping shells at distance {distance:.3g} sigma",
        quantity="least objective, in units of distance^2 / 2",
        relation="==",
        bound=float(two_point_minimum(distance, sigma, d, c)) / (distance**2 / 2),
        margin=MARGIN,
        parameters={"sigma": sigma, "c": c, "N": 2, "d": d, "distance": distance},
    )
    stream, most = f"4.9/{ratio}", 10 * study.settings.samples
    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]
