"""Lemma A.1 and Corollary A.2: concentration and alignment of the flow-matching fields.

Everything measured is computed in the time of flow matching, everything claimed in sigma, so a
slip in the conversion between the two shows as well.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wildmiddle.checks.posterior import INSTANCES, POINTS, Instance, isolated_images
from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import AVERAGED, Sharper, Truth, ratio, sharper_form
from wildmiddle.checks.statistics import from_exact, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.flow_matching import fields
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.theory import flow_matching, posterior
from wildmiddle.theory.schedules import sigma_to_flow_time

MARGIN = 0.01
ROUNDING = 1e-9
"""On two points ``|m - x_i| = (1 - w_i) diam`` and the two events are one, but for rounding."""

COSINE_W, COSINE_A, COSINE_B = 0.99, 3.0, 5.0
COSINE_DELTA = 0.01

LENGTHS = ((1000.0, 3, 1.0, 12.0), (0.0, 3, 5.0, 0.2))
"""|x_i|, d, a and b at which the law of |x_i - Z| is tried.

A long x_i leaves the part along it alone, a short one the length of Z: each term by itself.
"""


def lemma_a_1(
    study: Study,
    alpha: float,
    *,
    concentration_failure: Formula = flow_matching.concentration_failure,
    denoiser_reach: Formula = flow_matching.denoiser_reach,
    flow_time: Formula = sigma_to_flow_time,
) -> Iterator[Record]:
    """But for ``(N-1)(1 - Phi(tau))``: ``w_i >= w`` and ``|m - x_i| <= (1 - w) diam``."""
    claimed = _Concentration(concentration_failure, denoiser_reach, flow_time)
    each = alpha / (len(INSTANCES) + POINTS)
    for instance in INSTANCES:
        d_min = float(extreme_distances(instance.points, study.settings.device)[0, 0])
        diameter = float(extreme_distances(instance.points, study.settings.device)[:, 1].max())
        most = 10 * study.settings.samples
        yield _concentration(claimed, study, instance, 0, d_min, diameter, most, each)
    for index in isolated_images(study):
        image = Instance(
            f"training image {index}", study.train, study.settings.w, study.settings.delta, None
        )
        d_min, _ = study.extremes_of(index)
        most = study.settings.samples
        yield _concentration(claimed, study, image, index, d_min, study.diameter, most, each)


class _Concentration(NamedTuple):
    failure: Formula
    reach: Formula
    flow_time: Formula


def _concentration(
    claimed: _Concentration,
    study: Study,
    instance: Instance,
    index: int,
    d_min: float,
    diameter: float,
    most: int,
    alpha: float,
) -> Record:
    name, points, w, delta, truth = instance
    n = len(points)
    # Lemma A.1 states Theorem 4.2 the other way round: the failure at a given sigma.
    sigma = float(posterior.sigma_minus(d_min, n, w, delta))
    failure = float(claimed.failure(d_min, sigma, n, w))
    reach = float(claimed.reach(w, diameter))
    comparison = Comparison(
        claim="A.1",
        instance=name,
        quantity="P(w_i < w or |m - x_i| > (1 - w) diam)",
        relation="<=" if truth is None else "==",
        # On copies of one point the union bound counts a single event N - 1 times.
        bound=failure if truth is None else failure * truth / delta,
        margin=MARGIN,
        parameters={
            "sigma": sigma,
            "w": w,
            "N": n,
            "d": points.shape[1],
            "d_min": d_min,
            "diameter": diameter,
        },
    )

    def draw(count: int, stream: str, pending: object) -> int:
        seen = fields(
            points,
            index,
            float(claimed.flow_time(sigma)),
            queries=count,
            seed=study.settings.seed,
            device=study.settings.device,
            stream=stream,
        )
        far = seen.denoiser_error > reach * (1 + ROUNDING)
        return int(((seen.self_weight < w) | far).sum())

    stream, seed = f"A.1/{name}/{w}", study.settings.seed
    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]


def corollary_a_2(
    study: Study,
    alpha: float,
    *,
    cosine_bound: Formula = flow_matching.cosine_bound,
    shortest_target: Formula = flow_matching.shortest_target,
    shortfall: Formula = flow_matching.shortfall,
    exact_shortfall: Formula = flow_matching.exact_shortfall,
    flow_time: Formula = sigma_to_flow_time,
) -> Iterator[Record]:
    """``cos(u*, u)`` reaches the paper's bound, and ours, with at least the stated probability.

    The length of u has exactly the law that is claimed.
    """
    claimed = _Alignment(cosine_bound, shortest_target, shortfall, exact_shortfall, flow_time)
    yield from _worst_angle(cosine_bound)
    each = alpha / (3 * POINTS + 2 * len(LENGTHS))
    for norm, d, a, b in LENGTHS:
        yield from _length(claimed, study, norm, d, a, b, each)
    for index in isolated_images(study):
        yield from _alignment(claimed, study, index, each)


CHECKS: dict[str, Check] = {"A.1": lemma_a_1, "A.2": corollary_a_2}


class _Alignment(NamedTuple):
    cosine_bound: Formula
    shortest_target: Formula
    shortfall: Formula
    exact_shortfall: Formula
    flow_time: Formula


def _worst_angle(cosine_bound: Formula) -> Iterator[Record]:
    # Of all v with |v - u| <= e and |u| = B, the least cosine: at the sine e/B. B and e are
    # written out here, a second encoding beside that of the bound.
    norm, w, t, d = 6.0, 0.9, 0.5, 64
    a, b, diameter = COSINE_A, COSINE_B, 20.0
    bound = cosine_bound(norm, 3.0, diameter, n=10, d=d, t=t, w=w, a=a, b=b)
    length = float(np.sqrt(norm**2 - 2 * a * norm + d - 2 * np.sqrt(d * b)))
    offset = (1 - w) * diameter / (1 - t)
    turn = np.linspace(0, np.pi, 200_001)
    v = np.stack([length + offset * np.cos(turn), offset * np.sin(turn)])
    worst = float((v[0] / np.hypot(*v)).min())
    rows: tuple[tuple[str, Relation, float], ...] = (
        ("(B-e)/(B+e)", ">=", float(bound.cosine)),
        ("sqrt(1-(e/B)^2)", "==", float(bound.sharp_cosine)),
    )
    for name, relation, value in rows:
        comparison = Comparison(
            claim="A.2",
            instance="the worst of all fields within e of one of length B",
            quantity=f"least cosine against {name}",
            relation=relation,
            bound=value,
            rounding=1e-8,  # of the grid of angles, quadratic in its step
            parameters={"B": length, "e": offset, "w": w, "t": t},
        )
        yield from_exact(comparison, worst)


def _length(
    claimed: _Alignment, study: Study, norm: float, d: int, a: float, b: float, alpha: float
) -> list[Record]:
    shortest = float(claimed.shortest_target(norm, d, a, b))
    points = np.zeros((2, d))
    points[0, 0], points[1, 0] = norm, norm + 1
    rows: tuple[tuple[str, Relation, float], ...] = (
        ("", ">=", float(claimed.shortfall(a, b))),
        (", exactly", "==", float(claimed.exact_shortfall(shortest, norm, d))),
    )
    comparisons = [
        Comparison(
            claim="A.2",
            instance=f"|x_i| = {norm:g}, d = {d}, a = {a:g}, b = {b:g}",
            quantity=f"P(|x_i - Z| >= B = {shortest:.6g}){name}",
            relation=relation,
            bound=1 - failure,
            margin=MARGIN,
            parameters={"norm": norm, "d": d, "a": a, "b": b},
        )
        for name, relation, failure in rows
    ]

    seed = study.settings.seed

    def draw(count: int, stream: str, pending: Sequence[int]) -> list[int]:
        seen = fields(points, 0, 0.5, queries=count, seed=seed, stream=stream)
        return [int((seen.target_norm >= shortest).sum())] * len(pending)

    stream, most = f"A.2/length/{norm}", 10 * study.settings.samples
    return settle(draw, comparisons, stream=stream, most=most, alpha=alpha, seed=seed)


def _constants(study: Study) -> dict[str, Any]:
    # Of Corollary A.2's bound on these images.
    return {"n": study.n, "d": study.d, "w": COSINE_W, "a": COSINE_A, "b": COSINE_B}


def _alignment(claimed: _Alignment, study: Study, index: int, alpha: float) -> list[Record]:
    norm, (d_min, _) = float(np.linalg.norm(study.train[index])), study.extremes_of(index)
    sigma = float(posterior.sigma_minus(d_min, study.n, COSINE_W, COSINE_DELTA))
    t = float(claimed.flow_time(sigma))
    bound = claimed.cosine_bound(norm, d_min, study.diameter, t=t, **_constants(study))
    cosine, sharp = float(bound.cosine), float(bound.sharp_cosine)
    shortest = float(claimed.shortest_target(norm, study.d, COSINE_A, COSINE_B))
    long_enough = 1 - float(claimed.shortfall(COSINE_A, COSINE_B))
    parameters: Parameters = {
        "t": t,
        "sigma": sigma,
        "w": COSINE_W,
        "a": COSINE_A,
        "b": COSINE_B,
        "N": study.n,
        "d": study.d,
        "norm": norm,
        "d_min": d_min,
        "diameter": study.diameter,
    }
    rows = (
        (f"P(cos(u*, u) >= {cosine:.4f} = (B-e)/(B+e))", float(bound.probability)),
        (f"P(cos(u*, u) >= {sharp:.4f} = sqrt(1-(e/B)^2))", float(bound.exact_probability)),
        (f"P(|x_i - Z| >= B = {shortest:.4g})", long_enough),
    )
    comparisons = [
        Comparison(
            claim="A.2",
            instance=f"image {index}, t = {t:.3g}",
            quantity=quantity,
            relation=">=",
            bound=probability,
            margin=MARGIN,
            parameters=parameters,
        )
        for quantity, probability in rows
    ]

    def draw(count: int, stream: str, pending: Sequence[int]) -> list[int]:
        seen = fields(
            study.train,
            index,
            t,
            queries=count,
            seed=study.settings.seed,
            device=study.settings.device,
            stream=stream,
        )
        events = (seen.cosine >= cosine, seen.cosine >= sharp, seen.target_norm >= shortest)
        return [int(events[k].sum()) for k in pending]

    most, seed = study.settings.samples, study.settings.seed
    return settle(draw, comparisons, stream=f"A.2/{index}", most=most, alpha=alpha, seed=seed)


def sharper(study: Study) -> Iterator[Sharper]:
    """The sine's cosine and the exact failure beside Corollary A.2's, means over images.

    Over those where the corollary claims something.
    """
    chosen = isolated_images(study, AVERAGED)
    nearest = np.array([study.extremes_of(index)[0] for index in chosen])
    norms = np.linalg.norm(study.train[chosen], axis=1)
    t = sigma_to_flow_time(posterior.sigma_minus(nearest, study.n, COSINE_W, COSINE_DELTA))
    bound = flow_matching.cosine_bound(norms, nearest, study.diameter, t=t, **_constants(study))
    stated = bound.cosine > -1
    if stated.any():
        paper, ours = (float(c[stated].mean()) for c in (bound.cosine, bound.sharp_cosine))
        name = f"cos(u*, u) at σ₋ of w = {COSINE_W:g}, mean of {int(stated.sum())} images"
        gain = f"its distance from 1 is {ratio(1 - paper, 1 - ours)}"
        yield sharper_form("A.2", name, "larger", paper, ours, None, gain)
        short = flow_matching.shortest_target(norms[stated], study.d, COSINE_A, COSINE_B)
        exact = float(flow_matching.exact_shortfall(short, norms[stated], study.d).mean())
        failure = float(flow_matching.shortfall(COSINE_A, COSINE_B))
        name = f"P(|x − Z| < B) at a = {COSINE_A:g}, b = {COSINE_B:g}, mean of the same images"
        yield sharper_form("A.2", name, "smaller", failure, exact, Truth.exact(exact))
