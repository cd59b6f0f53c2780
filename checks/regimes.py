"""Section 4.2: the two curves run as they should, and the danger zone lies where distances put it.

The weight never rises with sigma: more noise is a worse channel for telling which image was noised.
The bounds of :mod:`wildmiddle.theory.regimes` enclose it, with equality on two points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, ndtr

from wildmiddle.checks.posterior import (
    TWO_POINTS,
    levels_of_high_weight,
    share_of_all,
    weight_bounds,
)
from wildmiddle.checks.records import Comparison, Parameters, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import from_bounded, from_estimate, from_exact, settle
from wildmiddle.checks.study import ZONE_SHARE, Study
from wildmiddle.empirical.denoising import denoising, scale
from wildmiddle.empirical.intervals import Estimate, bounded_mean, proportion
from wildmiddle.empirical.posterior import weights
from wildmiddle.empirical.regimes import Crossing, crossing
from wildmiddle.models import EmpiricalDenoiser
from wildmiddle.models.one_step import count_copies
from wildmiddle.theory import coverage, regimes
from wildmiddle.theory.shells import radii

Array = NDArray[np.float64]

MARGIN = 0.03
TIGHT_SIGMAS = (1.0, 2.0, 4.0)
"""Noise levels of the two points at distance 3."""
COPIES, COPIES_DISTANCE = 200, 2.0
"""Copies of one point, and how far in sigma another lies from them."""
BELOW = (1.0, 0.5, 0.25)
"""Where the empirical optimal denoiser must copy, in units of the zone's certain start."""


def section_4_2(
    study: Study,
    alpha: float,
    *,
    weight_lower: Formula = regimes.weight_lower,
    posterior_entropy: Formula = regimes.posterior_entropy,
    weight_of_entropy: Formula = regimes.weight_of_entropy,
    copying_lower: Formula = regimes.copying_lower,
    fall_bound: Formula = coverage.fall_bound,
    danger_zone: Formula = lambda study: study.zone,
    order: Formula = np.argsort,
) -> Iterator[Record]:
    """Both curves in order, the weight within its bounds, the zone in place, copies below it.

    ``danger_zone`` gives the zone that the distances of a study predict; ``order`` the positions of
    noise levels (K,) along which the weight falls and the coverage rises.
    """
    zone = danger_zone(study)
    # Where images are drawn in the place of all pairs, they have half of the error rate.
    left = 1.0 if study.all_pairs else 0.5
    yield from _two_points(study, alpha / 5, weight_lower, posterior_entropy)
    yield _copies_of_one(posterior_entropy)
    yield from _no_knowledge(weight_of_entropy)
    mislead = ZONE_SHARE * study.settings.alpha if zone.drawn else 0.0
    yield from _zone(study, zone, alpha / 5 - mislead)
    bounds = weight_bounds(
        study,
        study.curves.sigmas,
        alpha=alpha / 10,
        weight_lower=weight_lower,
        posterior_entropy=posterior_entropy,
        weight_of_entropy=weight_of_entropy,
    )
    yield from _within_bounds(study, left * alpha / 5, bounds)
    yield from _order(study, alpha / 5, order(study.curves.sigmas), fall_bound)
    yield _merging_balls(fall_bound)
    yield from _copies_below(study, zone, left * alpha / 5, copying_lower)


CHECKS: dict[str, Check] = {"regimes": section_4_2}


def _order(
    study: Study, alpha: float, order: NDArray[np.int64], fall_bound: Formula
) -> Iterator[Record]:
    curves = study.curves
    sigmas = curves.sigmas[order]
    losses = fall_bound(curves.nearest, sigmas, study.n, study.d, study.settings.c)
    for quantity, draws, sign, room in (
        ("fall of the weight", curves.max_weight_draws, -1.0, np.zeros(len(sigmas))),
        ("rise of the coverage", curves.covered_draws.astype(np.float64), 1.0, losses),
    ):
        found = mean_changes(sign * draws[:, order], alpha / 2)
        for k, (start, end) in enumerate(pairwise(sigmas)):
            where = f"from sigma = {start:.3g} to {end:.3g}"
            comparison = _comparison(study, where, quantity, -float(room[k + 1]))
            yield from_estimate(comparison, _with_sign(found, k, 1.0), study.settings.seed)


def _merging_balls(fall_bound: Formula) -> Record:
    # Once every shell holds nearly all, merging them loses what lies outside of one. On a line with
    # c > 1/4 they are intervals; side by side at sigma = 1 they hold everything, far up one's part.
    c, pairs = 1.0, 10
    reach = float(radii(1, c)[1])
    comparison = Comparison(
        claim="regimes",
        instance=f"{2 * pairs} intervals side by side at sigma = 1, all of them one at 1e9",
        quantity="fall of the coverage",
        relation="==",
        bound=float(fall_bound([reach], 1e9, 2 * pairs, 1, c)[0]),
        rounding=1e-9,
        parameters={"N": 2 * pairs, "d": 1, "c": c, "sigma": 1e9},
    )
    side_by_side, merged = (2 * ndtr(far) - 1 for far in (2 * pairs * reach, reach))
    return from_exact(comparison, float(side_by_side - merged))


def mean_changes(draws: Array, alpha: float) -> Estimate:
    """Mean change of paired draws from each column to the next, (K - 1,).

    ``draws`` (n, K) with all changes in [-1, 1]; ``alpha`` is for all K - 1 intervals together.
    """
    change = np.diff(draws, axis=1)
    half = bounded_mean((1 + change) / 2, alpha / change.shape[1])
    mean, low, high = (2 * end - 1 for end in (half.mean, half.low, half.high))
    return replace(half, mean=mean, low=low, high=high)


def _within_bounds(
    study: Study, alpha: float, bounds: tuple[Array, Array, Array]
) -> Iterator[Record]:
    curves = study.curves
    sigmas, n = curves.sigmas, len(curves.max_weight_draws)
    low, high, least = bounds
    found = bounded_mean(curves.max_weight_draws, alpha / (3 * len(sigmas)))
    drawn = denoising(
        study.listed,
        sigmas,
        queries=n,
        seed=study.settings.seed,
        device=study.settings.device,
        alpha=alpha / 3,
        stream="regimes/entropy",
        memory=study.settings.memory,
    )
    # In units of log N, the most there is.
    surprise = least / np.log(study.n)
    entropy = scale(drawn.entropy, np.full(len(sigmas), 1 / np.log(study.n)))
    for k, sigma in enumerate(sigmas.tolist()):
        for quantity, bound, sign, estimate in (
            ("W above the union bound on decoding errors", low[k], 1.0, found),
            ("-W above Fano's bound", -high[k], -1.0, found),
            ("entropy over log N above Jensen's bound", surprise[k], 1.0, entropy),
        ):
            comparison = _comparison(study, f"sigma = {sigma:.4g}", quantity, float(bound))
            yield from_estimate(comparison, _with_sign(estimate, k, sign), study.settings.seed)


def _two_points(
    study: Study, alpha: float, weight_lower: Formula, posterior_entropy: Formula
) -> Iterator[Record]:
    sigmas, apart = np.array(TIGHT_SIGMAS), np.full((2, 1), 3.0)
    weight, entropy = weight_lower(apart, sigmas), posterior_entropy(apart, sigmas)
    largest, _ = weights(
        TWO_POINTS,
        sigmas,
        queries=study.settings.samples,
        seed=study.settings.seed,
        stream="regimes/two",
    )
    largest = np.minimum(largest, 1)
    surprise = entr(largest) + entr(1 - largest)
    rows: tuple[tuple[str, Relation, Array, Array, float], ...] = (
        ("W against 1 - Phi(-d/(2 sigma))", "==", weight, largest, 1.0),
        ("entropy of the posterior", ">=", entropy, surprise, float(np.log(2))),
    )
    for quantity, relation, bounds, draws, top in rows:
        for k, sigma in enumerate(TIGHT_SIGMAS):
            comparison = Comparison(
                claim="regimes",
                instance=f"two points at distance 3, sigma = {sigma:g}",
                quantity=quantity,
                relation=relation,
                bound=float(bounds[k]),
                margin=MARGIN,
                parameters={"sigma": sigma, "N": 2, "distance": 3.0},
            )
            yield from_bounded(
                comparison, draws[:, k], span=(0, top), alpha=alpha / 6, seed=study.settings.seed
            )


def _copies_of_one(posterior_entropy: Formula) -> Record:
    # One point and copies of another: the mean over the terms that Jensen's inequality takes in is
    # nearly the whole entropy, so that a bound which is a thousandth too high is seen.
    u = COPIES_DISTANCE
    noise = np.linspace(-12, 12, 4001)
    density = np.exp(-np.square(noise) / 2)
    density /= density.sum()

    def mean_entropy(log_one: Array, log_copy: Array) -> float:
        total = np.logaddexp(log_one, np.log(COPIES) + log_copy)
        one, copy = np.exp(log_one - total), np.exp(log_copy - total)
        return float(density @ (entr(one) + COPIES * entr(copy)))

    term, zero = -(u**2) / 2 + u * noise, np.zeros_like(noise)  # log t_j of Eq. 9
    exact = (mean_entropy(zero, term) + COPIES * mean_entropy(term, zero)) / (1 + COPIES)
    apart = np.zeros((1 + COPIES, COPIES))
    apart[0], apart[1:, 0] = u, u
    comparison = Comparison(
        claim="regimes",
        instance=f"one point and {COPIES} copies of another, {u:g} sigma away",
        quantity="entropy of the posterior",
        relation=">=",
        bound=float(posterior_entropy(apart, 1.0)[0]),
        rounding=1e-9,
        parameters={"sigma": 1.0, "N": 1 + COPIES, "distance": u},
    )
    return from_exact(comparison, exact)


def _no_knowledge(weight_of_entropy: Formula) -> Iterator[Record]:
    # Fano's inequality is an equality where all weights are 1/N.
    for n in (2, 3, 1000):
        comparison = Comparison(
            claim="regimes",
            instance=f"an entropy of log N, N = {n}",
            quantity="largest weight by Fano's inequality against 1/N",
            relation="==",
            bound=float(weight_of_entropy(np.log([n]), n)[0]),
            rounding=1e-6,  # the error probability is where the entropy is flat
            parameters={"N": n},
        )
        yield from_exact(comparison, 1 / n)


def _zone(study: Study, zone: regimes.PredictedZone, alpha: float) -> Iterator[Record]:
    curves, at = study.curves, study.settings
    each = alpha / (2 * len(curves.sigmas))
    weight = bounded_mean(curves.max_weight_draws, each)
    covered = proportion(curves.covered_draws.sum(0), len(curves.covered_draws), each)
    start = crossing(curves.sigmas, covered, at.coverage_high, rising=True)
    end = crossing(curves.sigmas, weight, at.weight_high, rising=False)
    parameters: Parameters = {"N": study.n, "d": study.d, "c": study.settings.c}
    for record in zone_records(start, end, zone, covered.n, alpha=alpha, seed=study.settings.seed):
        yield replace(record, parameters=parameters)


def zone_records(
    start: Crossing,
    end: Crossing,
    zone: regimes.PredictedZone,
    n: int,
    *,
    alpha: float,
    seed: int,
    octaves: float = 1.0,
) -> Iterator[Record]:
    """The measured zone's ends against those that the distances allow: certain within possible.

    The crossings are of curves of ``n`` draws whose intervals all hold with probability ``1 -
    alpha``; ``octaves`` is the margin.
    """
    for quantity, place, bound, sign in (
        ("log2 of the zone's start", start, zone.possible.start, 1.0),
        ("-log2 of the zone's start", start, zone.certain.start, -1.0),
        ("log2 of the zone's end", end, zone.certain.end, 1.0),
        ("-log2 of the zone's end", end, zone.possible.end, -1.0),
    ):
        comparison = Comparison(
            claim="regimes",
            instance="against the distances",
            quantity=quantity,
            relation=">=",
            bound=sign * float(np.log2(bound)),
            margin=octaves,
        )
        yield from_estimate(comparison, _octaves(place, sign, n, alpha / 4), seed)


def _with_sign(found: Estimate, k: int, sign: float) -> Estimate:
    low, high = sorted((sign * float(found.low[k]), sign * float(found.high[k])))
    mean = np.asarray(sign * found.mean[k])
    return replace(found, mean=mean, low=np.asarray(low), high=np.asarray(high))


def _octaves(place: Crossing, sign: float, n: int, alpha: float) -> Estimate:
    # An end that the schedule does not show may lie anywhere beyond.
    ends = (np.nan_to_num(place.low, nan=0.0), np.nan_to_num(place.high, nan=np.inf))
    with np.errstate(divide="ignore"):
        low, high = sorted(sign * float(np.log2(end)) for end in ends)
    mean = np.asarray(sign * np.log2(place.sigma))
    return Estimate(mean, np.asarray(low), np.asarray(high), n, alpha, "crossing of the intervals")


def _copies_below(
    study: Study, zone: regimes.PredictedZone, alpha: float, copying_lower: Formula
) -> list[Record]:
    denoiser = EmpiricalDenoiser(study.listed, study.settings.device)
    levels = [factor * zone.certain.start for factor in BELOW]
    bounds = study.mean_over_images(
        lambda apart, ratios: copying_lower(apart, levels, ratios), alpha=alpha
    )
    comparisons = [
        _comparison(
            study,
            f"sigma = {sigma:.3g}, at or below the zone",
            "copies of noised training images by the empirical optimal denoiser",
            float(bound),
        )
        for sigma, bound in zip(levels, bounds, strict=True)
    ]

    most, seed = study.settings.samples // 4, study.settings.seed

    def draw(count: int, stream: str, pending: Sequence[int]) -> list[int]:
        return [
            count_copies(
                denoiser,
                study.listed,
                study.train,
                levels[k],
                count,
                seed,
                stream=f"{stream}/{k}",
                device=study.settings.device,
            )
            for k in pending
        ]

    each = alpha / len(levels)
    return settle(draw, comparisons, stream="regimes/below", most=most, alpha=each, seed=seed)


def _comparison(study: Study, instance: str, quantity: str, bound: float) -> Comparison:
    return Comparison(
        claim="regimes",
        instance=instance,
        quantity=quantity,
        relation=">=",
        bound=bound,
        margin=MARGIN,
        parameters={"N": study.n, "d": study.d, "c": study.settings.c},
    )


def sharper(study: Study) -> Iterator[Sharper]:
    """The danger zone's ends by the distances alone, beside those that were measured."""
    curves, at, zone = study.curves, study.settings, study.zone
    start = Truth.crossing(study, curves.coverage, at.coverage_high, "measured", rising=True)
    end = Truth.crossing(study, curves.max_weight, at.weight_high, "measured", rising=False)
    # Theorem 4.2 gives W >= share w (1 - delta), of the images whose sigma_minus is not below.
    levels = np.sort(levels_of_high_weight(study))[::-1]
    shares = share_of_all(study, np.arange(1, len(levels) + 1))
    enough = shares * at.w * (1 - at.delta) >= at.weight_high
    paper = float(levels[np.argmax(enough)]) if enough.any() else 0.0
    known = paper if study.prior is None else None
    name, gain = "σ at which the danger zone", "no sampling"
    near, far = zone.possible.start, zone.certain.start
    starts, ends = f"{name} starts, by Theorem 4.8", f"{name} ends, by"
    yield sharper_form("regimes", starts, "larger", None, near, start, gain)
    yield sharper_form("regimes", starts, "smaller", None, far, start, gain)
    decoded, fano = zone.certain.end, zone.possible.end
    yield sharper_form("regimes", f"{ends} decoding errors", "larger", known, decoded, end)
    yield sharper_form("regimes", f"{ends} Fano’s inequality", "smaller", None, fano, end, gain)
