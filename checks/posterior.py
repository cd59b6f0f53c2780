"""Theorem 4.2: the two noise levels that certify a low and a high posterior weight.

On two points both parts hold with equality, so a wrong constant shows there; other small sets tell
L from z, d_min from d_max, and a union bound from none. On the data the failures are counted at
the certified level itself, where they are most frequent.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from wildmiddle.checks.records import Comparison, Record
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import AVERAGED, Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import settle
from wildmiddle.checks.study import CURVE_ALPHA, Study
from wildmiddle.empirical.intervals import proportion
from wildmiddle.empirical.neighbours import extreme_distances
from wildmiddle.empirical.posterior import weights
from wildmiddle.theory import posterior, regimes, spectrum

Array = NDArray[np.float64]

MARGIN = 0.01
POINTS = 5
"""Training points that are tried, spread evenly over the ranks of their distance."""


class Instance(NamedTuple):
    """A small set whose first point is noised, and the constants to try on it."""

    name: str
    points: Array
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


def theorem_4_2_part_1(
    study: Study,
    alpha: float,
    *,
    sigma_plus: Formula = posterior.sigma_plus,
    distance: Formula = max,
) -> Iterator[Record]:
    """From sigma_plus on, ``P(w_i > w)`` is at most delta.

    ``distance`` picks the one of ``(d_min, d_max)`` that sigma_plus is a multiple of.
    """
    part = _Part("4.2.1", "sigma_plus", sigma_plus, distance)
    chosen = [int(study.examined[k]) for k in pick_evenly(study.farthest)]
    yield from _part_records(part, study, low_weight(study.n), chosen, alpha)


def theorem_4_2_part_2(
    study: Study,
    alpha: float,
    *,
    sigma_minus: Formula = posterior.sigma_minus,
    distance: Formula = min,
) -> Iterator[Record]:
    """Up to sigma_minus, ``P(w_i < w)`` is at most delta; ``distance`` as in part 1."""
    part = _Part("4.2.2", "sigma_minus", sigma_minus, distance)
    yield from _part_records(part, study, study.settings.w, isolated_images(study), alpha)


CHECKS: dict[str, Check] = {"4.2.1": theorem_4_2_part_1, "4.2.2": theorem_4_2_part_2}


class _Part(NamedTuple):
    claim: str
    name: str
    """Of the threshold, in words."""
    threshold: Formula
    distance: Formula


def _part_records(
    part: _Part, study: Study, w: float, indices: list[int], alpha: float
) -> Iterator[Record]:
    each = alpha / (len(INSTANCES) + POINTS)
    for instance in INSTANCES:
        yield _failures(part, study, instance, 0, 10 * study.settings.samples, each)
    for index in indices:
        image = Instance(f"training image {index}", study.train, w, study.settings.delta, None)
        yield _failures(part, study, image, index, study.settings.samples, each)


def pick_evenly(values: Array, count: int = POINTS) -> list[int]:
    """Indices of up to ``count`` values, from the smallest to the largest in even ranks."""
    order = np.argsort(values, kind="stable")
    ranks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [int(i) for i in order[ranks]]


def isolated_images(study: Study, count: int = POINTS) -> list[int]:
    """Training images from the least to the most isolated in even ranks.

    Without those whose ``d_min`` float64 does not tell from 0: the certified range is empty there.
    """
    single = np.flatnonzero(study.nearest > 0)
    return [int(study.examined[single[k]]) for k in pick_evenly(study.nearest[single], count)]


def _failures(
    part: _Part, study: Study, instance: Instance, index: int, most: int, alpha: float
) -> Record:
    claim, name, points, w, delta, truth = part.claim, *instance
    above, n = claim == "4.2.1", len(points)
    if points is study.train:
        d_min, d_max = study.extremes_of(index)
    else:
        d_min, d_max = (float(v) for v in extreme_distances(points, study.settings.device)[index])
    sigma = float(part.threshold(part.distance((d_min, d_max)), n, w, delta))
    comparison = Comparison(
        claim=claim,
        instance=f"{name}, at {part.name}",
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

    def draw(count: int, stream: str, pending: object) -> int:
        _, own = weights(
            points,
            sigma,
            queries=count,
            seed=study.settings.seed,
            device=study.settings.device,
            memory=study.settings.memory,
            index=index,
            stream=stream,
        )
        return int((own > w).sum() if above else (own < w).sum())

    stream, seed = f"{claim}/{name}/{w}/{delta}", study.settings.seed
    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]


def weight_bounds(
    study: Study,
    sigmas: ArrayLike,
    *,
    alpha: float = CURVE_ALPHA,
    weight_lower: Formula = regimes.weight_lower,
    posterior_entropy: Formula = regimes.posterior_entropy,
    weight_of_entropy: Formula = regimes.weight_of_entropy,
) -> tuple[Array, Array, Array]:
    """What all distances say: lower and upper bound on W and the least entropy in nats, (K,) each.

    ``sigmas`` (K,); ``alpha`` is the error rate where not all pairs are taken. One pass over the
    pairs of training images; of the entropy's two bounds, by all distances and by the spectrum, the
    better one counts.
    """
    low, entropy = study.mean_over_images(
        lambda apart, ratios: np.stack(
            [weight_lower(apart, sigmas, ratios), posterior_entropy(apart, sigmas, ratios)]
        ),
        top=np.array([[1.0], [np.log(len(study.listed))]]),
        alpha=alpha,
    )
    by_spectrum = spectrum.entropy_lower(study.eigenvalues, study.effective, sigmas)
    entropy = np.maximum(entropy, by_spectrum)
    return low, weight_of_entropy(entropy, study.n), entropy


def levels_of_high_weight(study: Study) -> Array:
    """``sigma_minus`` of the examined training images, (R,), at the study's w and delta."""
    at = study.settings
    return posterior.sigma_minus(study.nearest, study.n, at.w, at.delta)


def share_of_all(study: Study, counts: ArrayLike) -> Array:
    """Share of all training images that these numbers of the examined ones stand for, no more.

    Where not all pairs are taken: Clopper-Pearson's lower end.
    """
    counts, examined = np.asarray(counts), len(study.examined)
    if study.all_pairs:
        return counts / examined
    return proportion(counts, examined, CURVE_ALPHA).low


def sharper(study: Study) -> Iterator[Sharper]:
    """The noise levels from all distances beside Theorem 4.2's, and two bounds on W."""
    yield from _sharper_levels(study)
    yield from _sharper_weight(study)


def _sharper_levels(study: Study) -> Iterator[Sharper]:
    n, w, delta = study.n, study.settings.w, study.settings.delta
    once = study.prior is None  # Theorem 4.2 has no prior, and the curves have
    weight, seen = study.curves.self_weight, "where the measured mean weight passes it"
    low, chosen = low_weight(n), study.examined[pick_evenly(study.farthest, AVERAGED)].tolist()
    apart = _to_others(study, chosen)
    paper = posterior.sigma_plus(apart.max(1), n, low, delta).mean()
    ours = posterior.sigma_plus_from_distances(apart, low, delta).mean()
    truth = Truth.crossing(study, weight, low, seen, rising=False) if once else None
    name = f"σ₊, from which the weight is at most {low:.3g}, mean of {len(chosen)} images"
    yield sharper_form("4.2.1", name, "smaller", float(paper), float(ours), truth)
    if chosen := isolated_images(study, AVERAGED):
        apart = _to_others(study, chosen)
        paper = posterior.sigma_minus(apart.min(1), n, w, delta).mean()
        ours = posterior.sigma_minus_from_distances(apart, w, delta).mean()
        truth = Truth.crossing(study, weight, w, seen, rising=False) if once else None
        name = f"σ₋, up to which the weight is at least {w:g}, mean of {len(chosen)} images"
        yield sharper_form("4.2.2", name, "larger", float(paper), float(ours), truth)


def _to_others(study: Study, chosen: list[int]) -> Array:
    # By direct differences: few rows, and all their digits.
    rows = cdist(study.train[chosen], study.train)
    return np.array([np.delete(row, i) for i, row in zip(chosen, rows, strict=True)])


def _sharper_weight(study: Study) -> Iterator[Sharper]:
    curve, at = study.curves.max_weight, study.settings
    k = int(np.argmin(np.abs(curve.mean - at.weight_high)))
    sigma = float(study.curves.sigmas[k])
    # Theorem 4.2: w_i >= w with probability 1 - delta at each image whose sigma_minus is not below.
    share = float(share_of_all(study, (levels_of_high_weight(study) >= sigma).sum()))
    low, high = (float(bound[0]) for bound in weight_bounds(study, sigma)[:2])
    name, truth = f"posterior weight W at σ = {sigma:.3g}", Truth.measured(curve, k)
    paper = share * at.w * (1 - at.delta) if study.prior is None else None
    yield sharper_form("4.1", f"{name}, by decoding errors", "larger", paper, low, truth)
    gain = "the paper bounds the weight on one image, not the largest"
    yield sharper_form("4.1", f"{name}, by Fano’s inequality", "smaller", None, high, truth, gain)
