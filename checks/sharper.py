"""The sharper forms beside the paper's, on the data of one run: what each of them gains.

Nothing is sampled for this. What was measured comes from the run's two curves, and the zone that
distances predict is laid beside the one that was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.flow_matching import COSINE_A, COSINE_B, COSINE_DELTA, COSINE_W
from wildmiddle.checks.large_noise import spanned
from wildmiddle.checks.locality import image_rows
from wildmiddle.checks.posterior import isolated, low_weight, spread
from wildmiddle.checks.regimes import weight_bounds
from wildmiddle.checks.study import Study
from wildmiddle.empirical.coverage import distances
from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.large_noise import deviation
from wildmiddle.empirical.noise import generator
from wildmiddle.empirical.regimes import crossing
from wildmiddle.theory import flow_matching, large_noise, locality, posterior, shells
from wildmiddle.theory.coverage import mean_overlap
from wildmiddle.theory.schedules import sigma_to_flow_time

Array = NDArray[np.float64]
Side = Literal["larger", "smaller"]

POINTS = 20
"""Training images that are averaged over, spread evenly over the ranks of their distance."""
ROWS = 256
"""Held-out images whose distances are held at once."""
RELATIVE_SIGMA = 0.5
"""Noise level of the locality rows, in units of the square root of the largest eigenvalue."""
FAR = 100.0
"""Noise level of the large-noise row, in units of the data's radius."""


class Truth(NamedTuple):
    """What is known of a quantity besides its bounds."""

    value: float
    low: float
    """Lower end of its interval, the value itself where nothing was drawn."""
    high: float
    basis: str
    """``exact``, ``measured``, or what else the value is."""


@dataclass(frozen=True)
class Sharper:
    """One quantity by the paper's form and by ours, with the truth where it is known."""

    claim: str
    """Identifier of the claim in ``wildmiddle.theory.claims``."""
    quantity: str
    better: Side
    """Which of two values says more: a lower bound is better larger, an upper bound smaller."""
    paper: float | None
    """None where the paper states no number."""
    ours: float
    truth: Truth | None
    gain: str


def comparisons(study: Study) -> tuple[Sharper, ...]:
    """All rows for one study; the same study always gives the same rows.

    A row is left out where the data give it no instance: no image without a copy, flat data for the
    torus.
    """
    return (
        *_noise_levels(study),
        *_posterior_weight(study),
        _shell(study),
        _coverage(study),
        *_cycle(study),
        *_torus(study),
        *_large_noise(study),
        *_cosine(study),
        *_zone(study),
    )


def _noise_levels(study: Study) -> Iterator[Sharper]:
    n, w, delta, seen = (
        study.n,
        study.settings.w,
        study.settings.delta,
        "where the measured mean weight passes it",
    )
    low, chosen = low_weight(n), spread(study.farthest, POINTS)
    apart = _to_others(study, chosen)
    paper = posterior.sigma_plus(apart.max(1), n, low, delta).mean()
    ours = posterior.sigma_plus_from_distances(apart, low, delta).mean()
    truth = _crossed(study, study.curves.self_weight, low, seen, rising=False)
    name = f"σ₊, from which the weight is at most {low:.3g}, mean of {len(chosen)} images"
    yield _row("4.2.1", name, "smaller", float(paper), float(ours), truth)
    if chosen := _isolated(study):
        apart = _to_others(study, chosen)
        paper = posterior.sigma_minus(apart.min(1), n, study.settings.w, delta).mean()
        ours = posterior.sigma_minus_from_distances(apart, study.settings.w, delta).mean()
        truth = _crossed(study, study.curves.self_weight, study.settings.w, seen, rising=False)
        name = f"σ₋, up to which the weight is at least {w:g}, mean of {len(chosen)} images"
        yield _row("4.2.2", name, "larger", float(paper), float(ours), truth)


def _posterior_weight(study: Study) -> Iterator[Sharper]:
    curve = study.curves.max_weight
    k = int(np.argmin(np.abs(curve.mean - study.settings.weight_high)))
    sigma = float(study.curves.sigmas[k])
    # Theorem 4.2: w_i >= w with probability 1 - delta at each image whose sigma_minus is not below.
    share = float((_certified(study) >= sigma).mean())
    paper = share * study.settings.w * (1 - study.settings.delta)
    low, high = (float(bound[0]) for bound in weight_bounds(study, sigma)[:2])
    name, truth = f"posterior weight W at σ = {sigma:.3g}", _measured(curve, k)
    yield _row("4.1", f"{name}, by decoding errors", "larger", paper, low, truth)
    gain = "the paper bounds the weight on one image, not the largest"
    yield _row("4.1", f"{name}, by Fano’s inequality", "smaller", None, high, truth, gain)


def _shell(study: Study) -> Sharper:
    paper = min(1.0, 1 - float(shells.shell_bound(study.settings.c)))
    ours = float(shells.outside_probability(study.d, study.settings.c))
    name = f"probability outside the shell, c = {study.settings.c:g}"
    return _row("4.5", name, "smaller", paper, ours, _exactly(ours))


def _coverage(study: Study) -> Sharper:
    """Theorem 4.8's union bound, capped at 1 for each held-out point before the mean is taken.

    ``C = E P(covered | x)`` and ``P(covered | x) <= min(1, sum_i p_sigma(|x - x_i|))``, whose mean
    is at most ``min(1, N E p_sigma)``: min(1, .) is concave.
    """
    curves = study.curves
    k = int(np.argmin(np.abs(curves.coverage.mean - 0.5)))
    sums = [
        study.n * mean_overlap(row, curves.sigmas[k], study.d, study.settings.c)[0]
        for part in np.split(study.test, range(ROWS, len(study.test), ROWS))
        for row in distances(study.train, part, study.settings.device)
    ]
    paper, ours = float(curves.coverage_upper.mean[k]), float(np.minimum(1, sums).mean())
    name = f"coverage at σ = {curves.sigmas[k]:.3g}, union bound capped image by image"
    return _row("4.8", name, "smaller", paper, ours, _measured(curves.coverage, k))


def _cycle(study: Study) -> Iterator[Sharper]:
    first_row = locality.cyclic_covariance(image_rows(study.images))
    eigenvalues = np.maximum(locality.circulant_eigenvalues(first_row), 0)
    width, top = len(first_row), float(eigenvalues.max())
    if width < 2 or top == 0:
        return
    sigma, rho = RELATIVE_SIGMA * float(np.sqrt(top)), max(1, width // 4)
    paper, ours, exact = (
        float(form(eigenvalues, sigma, rho))
        for form in (locality.harmonic_bound, locality.sensitivity_bound, locality.sensitivity)
    )
    name = f"|J| {rho} apart on rows of {width} pixels, σ = {sigma:.3g}, by the sine"
    yield _row("4.10", name, "smaller", paper, ours, _exactly(exact))


def _torus(study: Study) -> Iterator[Sharper]:
    images = study.images if study.images.ndim == 3 else study.images.mean(axis=-1)
    if images.ndim != 3 or min(images.shape[1:]) < 2:
        return
    eigenvalues = np.maximum(locality.torus_eigenvalues(locality.torus_covariance(images)), 0)
    if eigenvalues.max() == 0:
        return
    sigma = RELATIVE_SIGMA * float(np.sqrt(eigenvalues.max()))
    down, across = (max(1, side // 4) for side in images.shape[1:])
    # The paper's argument along one axis at a time, for each frequency of the other.
    paper = min(
        float(locality.total_variation(table, sigma).mean()) / (4 * rho)
        for table, rho in ((eigenvalues.T, down), (eigenvalues, across))
    )
    ours = float(locality.torus_sensitivity_bound(eigenvalues, sigma, down, across))
    kernel = np.abs(np.fft.ifft2(eigenvalues / (eigenvalues + sigma**2)).real)
    exact = float(max(kernel[down, across], kernel[down, -across]))
    name = f"|J| {down} down and {across} across on whole images, σ = {sigma:.3g}, on a torus"
    yield _row("4.10", name, "smaller", paper, ours, _exactly(exact))


def _large_noise(study: Study) -> Iterator[Sharper]:
    images = spanned(study.train)
    points: Array = images - images.mean(0)
    radius = float(np.linalg.norm(points, axis=1).max())
    if radius == 0:
        return
    sigma = FAR * radius
    z = generator(study.settings.seed, "sharper/4.11").standard_normal(points.shape[1:])
    y: Array = sigma * z
    leading = float(np.linalg.norm(large_noise.leading_term(points, z))) / sigma**2
    ours = leading + float(large_noise.remainder_bound(points, y, sigma))
    exact = float(np.linalg.norm(deviation(points, y[None], sigma, "cpu")))
    name = f"|m − mᴳ| of {len(points)} images at σ = {sigma:.4g}, leading term and remainder"
    gain = f"a number where the paper says O(σ⁻²); the leading term is {leading:.4g}"
    yield _row("4.11", name, "smaller", None, ours, _exactly(exact), gain)


def _cosine(study: Study) -> Iterator[Sharper]:
    chosen = _isolated(study)
    nearest, norms = study.nearest[chosen], np.linalg.norm(study.train[chosen], axis=1)
    t = sigma_to_flow_time(posterior.sigma_minus(nearest, study.n, COSINE_W, COSINE_DELTA))
    bound = flow_matching.cosine_bound(
        norms,
        nearest,
        study.diameter,
        n=study.n,
        d=study.d,
        t=t,
        w=COSINE_W,
        a=COSINE_A,
        b=COSINE_B,
    )
    stated = bound.cosine > -1
    if stated.any():
        paper, ours = (float(c[stated].mean()) for c in (bound.cosine, bound.sharp_cosine))
        name = f"cos(u*, u) at σ₋ of w = {COSINE_W:g}, mean of {int(stated.sum())} images"
        gain = f"its distance from 1 is {_times(1 - paper, 1 - ours)}"
        yield _row("A.2", name, "larger", paper, ours, None, gain)


def _zone(study: Study) -> Iterator[Sharper]:
    curves, at, zone = study.curves, study.settings, study.zone
    start = _crossed(study, curves.coverage, at.coverage_high, "measured", rising=True)
    end = _crossed(study, curves.max_weight, at.weight_high, "measured", rising=False)
    # Theorem 4.2 gives W >= share w (1 - delta), of the images whose sigma_minus is not below.
    shares = np.arange(1, study.n + 1) / study.n
    enough = shares * study.settings.w * (1 - study.settings.delta) >= at.weight_high
    paper = float(np.sort(_certified(study))[::-1][np.argmax(enough)]) if enough.any() else 0.0
    name, gain = "σ at which the danger zone", "no sampling"
    near, far = zone.possible.start, zone.certain.start
    yield _row("regimes", f"{name} starts, by Theorem 4.8", "larger", None, near, start, gain)
    yield _row("regimes", f"{name} starts, by Theorem 4.8", "smaller", None, far, start, gain)
    decoded, fano = zone.certain.end, zone.possible.end
    yield _row("regimes", f"{name} ends, by decoding errors", "larger", paper, decoded, end)
    yield _row("regimes", f"{name} ends, by Fano’s inequality", "smaller", None, fano, end, gain)


def _row(
    claim: str,
    quantity: str,
    better: Side,
    paper: float | None,
    ours: float,
    truth: Truth | None,
    gain: str = "",
) -> Sharper:
    gain = gain or _times(paper or 0.0, ours)
    return Sharper(claim, quantity, better, paper, ours, truth, gain)


def _certified(study: Study) -> Array:
    return posterior.sigma_minus(study.nearest, study.n, study.settings.w, study.settings.delta)


def _isolated(study: Study) -> list[int]:
    return isolated(study, POINTS) if (study.nearest > 0).any() else []


def _to_others(study: Study, chosen: list[int]) -> Array:
    # By direct differences, a row at a time: few rows, and all their digits.
    rows = [np.linalg.norm(study.train - study.train[i], axis=1) for i in chosen]
    return np.array([np.delete(row, i) for i, row in zip(chosen, rows, strict=True)])


def _exactly(value: float) -> Truth:
    return Truth(value, value, value, "exact")


def _measured(curve: Estimate, k: int) -> Truth:
    return Truth(float(curve.mean[k]), float(curve.low[k]), float(curve.high[k]), "measured")


def _crossed(
    study: Study, curve: Estimate, level: float, basis: str, *, rising: bool
) -> Truth | None:
    seen = crossing(study.curves.sigmas, curve, level, rising=rising)
    return Truth(seen.sigma, seen.low, seen.high, basis) if np.isfinite(seen.sigma) else None


def _times(paper: float, ours: float) -> str:
    if paper == 0 or ours == 0:
        return "none here" if ours == paper else "the paper certifies nothing here"
    ratio = ours / paper
    if abs(ratio - 1) < 5e-4:
        return "none here"
    return f"{ratio:.3g} times higher" if ratio > 1 else f"{1 / ratio:.3g} times lower"
