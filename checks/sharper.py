"""The sharper forms beside the paper's, on the data of one run: what each of them gains.

Nothing is sampled for this. What was measured comes from the run's two curves, and the zone that
distances predict is laid beside the one that was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from checks.flow_matching import COSINE_A, COSINE_B, COSINE_DELTA, COSINE_W
from checks.large_noise import spanned
from checks.locality import image_rows
from checks.posterior import isolated, low_weight, spread
from checks.study import Study
from empirical.coverage import distances
from empirical.intervals import Estimate
from empirical.large_noise import deviation
from empirical.neighbours import distances_to_others
from empirical.noise import generator
from empirical.regimes import Crossing, Thresholds, crossing
from theory import flow_matching, large_noise, locality, posterior, regimes, shells
from theory.coverage import mean_overlap
from theory.schedules import sigma_to_flow_time

Array = NDArray[np.float64]

POINTS = 20
"""Training images that are averaged over, spread evenly over the ranks of their distance."""
RELATIVE_SIGMA = 0.5
"""Noise level of the locality rows, in units of the square root of the largest eigenvalue."""
FAR = 100.0
"""Noise level of the large-noise row, in units of the data's radius."""


@dataclass(frozen=True, kw_only=True)
class Sharper:
    """One quantity by the paper's form and by ours, with the truth where it is known."""

    claim: str
    """Identifier of the claim in ``theory.claims``."""
    quantity: str
    better: Literal["larger", "smaller"]
    """Which of two values says more: a lower bound is better larger, an upper bound smaller."""
    paper: float | None
    """None where the paper states no number."""
    ours: float
    found: float | None
    """What was measured or is known exactly, None where nothing is."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval of a measured value, None where nothing was drawn."""
    basis: str = "exact"
    """``exact``, ``measured``, or what else ``found`` is; empty where it is None."""
    gain: str


def comparisons(
    study: Study, zone: regimes.PredictedZone, at: Thresholds | None = None
) -> tuple[Sharper, ...]:
    """All rows for one study, in the paper's order; the same study always gives the same rows.

    ``zone`` is what distances predict for the thresholds ``at``. A row is left out where the data
    give it no instance: no image without a copy, flat data for the torus.
    """
    at = at or Thresholds()
    return (
        *_dilution(study),
        *_concentration(study),
        *_posterior_weight(study, at),
        _shell(study),
        _coverage(study),
        *_cycle(study),
        *_torus(study),
        *_large_noise(study),
        *_cosine(study),
        *_zone(study, zone, at),
    )


def _dilution(study: Study) -> Iterator[Sharper]:
    w, chosen = low_weight(study.n), spread(study.farthest, POINTS)
    apart = _to_others(study, chosen)
    paper = posterior.sigma_plus(apart.max(1), study.n, w, study.delta).mean()
    ours = posterior.sigma_plus_from_distances(apart, w, study.delta).mean()
    yield _noise_level(study, "4.2.1", "σ₊", "smaller", w, len(chosen), float(paper), float(ours))


def _concentration(study: Study) -> Iterator[Sharper]:
    chosen = _isolated(study)
    if chosen:
        apart = _to_others(study, chosen)
        paper = posterior.sigma_minus(apart.min(1), study.n, study.w, study.delta).mean()
        ours = posterior.sigma_minus_from_distances(apart, study.w, study.delta).mean()
        yield _noise_level(
            study, "4.2.2", "σ₋", "larger", study.w, len(chosen), float(paper), float(ours)
        )


def _noise_level(
    study: Study,
    claim: str,
    name: str,
    better: Literal["larger", "smaller"],
    w: float,
    count: int,
    paper: float,
    ours: float,
) -> Sharper:
    seen = crossing(study.curves.sigmas, study.curves.self_weight, w, rising=False)
    return Sharper(
        claim=claim,
        quantity=f"{name} at w = {w:.3g}, mean of {count} images",
        better=better,
        paper=paper,
        ours=ours,
        **_crossed(seen, "where the mean weight passes w"),
        gain=_times(paper, ours),
    )


def _posterior_weight(study: Study, at: Thresholds) -> Iterator[Sharper]:
    curves, apart = study.curves, distances_to_others(study.train, study.device)
    k = int(np.argmin(np.abs(curves.max_weight.mean - at.weight_high)))
    sigma = float(curves.sigmas[k])
    # Theorem 4.2: w_i >= w with probability 1 - delta at each image whose sigma_minus is not below.
    certified = posterior.sigma_minus(study.nearest, study.n, study.w, study.delta)
    paper = float((certified >= sigma).mean()) * study.w * (1 - study.delta)
    low = float(regimes.weight_lower(apart, sigma)[0])
    high = float(regimes.weight_upper(apart, sigma)[0])
    name = f"posterior weight W at σ = {sigma:.3g}"
    seen = _measured(curves.max_weight, k)
    yield Sharper(
        claim="4.1",
        quantity=f"{name}, at least (decoding)",
        better="larger",
        paper=paper,
        ours=low,
        **seen,
        gain=_times(paper, low),
    )
    yield Sharper(
        claim="4.1",
        quantity=f"{name}, at most (Fano)",
        better="smaller",
        paper=None,
        ours=high,
        **seen,
        gain="a bound where the paper has none: part 1 is about one image’s weight",
    )


def _shell(study: Study) -> Sharper:
    paper = min(1.0, 1 - float(shells.shell_bound(study.c)))
    ours = float(shells.outside_probability(study.d, study.c))
    return Sharper(
        claim="4.5",
        quantity=f"probability outside the shell, c = {study.c:g}",
        better="smaller",
        paper=paper,
        ours=ours,
        found=ours,
        gain=f"{_times(paper, ours)}; nothing is left to gain",
    )


def _coverage(study: Study) -> Sharper:
    """Theorem 4.8's union bound, capped at 1 for each held-out point before the mean is taken.

    ``C = E P(covered | x)`` and ``P(covered | x) <= min(1, sum_i p_sigma(|x - x_i|))``, whose mean
    is at most ``min(1, N E p_sigma)``: min(1, .) is concave.
    """
    curves = study.curves
    k = int(np.argmin(np.abs(curves.coverage.mean - 0.5)))
    pairs = distances(study.train, study.test, study.device)
    sums = [study.n * mean_overlap(row, curves.sigmas[k], study.d, study.c)[0] for row in pairs]
    paper, ours = float(curves.coverage_upper.mean[k]), float(np.minimum(1, sums).mean())
    return Sharper(
        claim="4.8",
        quantity=f"coverage at σ = {curves.sigmas[k]:.3g}, at most: capped image by image",
        better="smaller",
        paper=paper,
        ours=ours,
        **_measured(curves.coverage, k),
        gain=_times(paper, ours),
    )


def _cycle(study: Study) -> Iterator[Sharper]:
    first_row = locality.cyclic_covariance(image_rows(study.images))
    eigenvalues = np.maximum(locality.circulant_eigenvalues(first_row), 0)
    width, top = len(first_row), float(eigenvalues.max())
    if width < 2 or top == 0:
        return
    sigma, rho = RELATIVE_SIGMA * float(np.sqrt(top)), max(1, width // 4)
    paper = float(locality.harmonic_bound(eigenvalues, sigma, rho))
    ours = float(locality.sensitivity_bound(eigenvalues, sigma, rho))
    yield Sharper(
        claim="4.10",
        quantity=f"|J| on rows of {width} pixels, {rho} apart, σ = {sigma:.3g}: sine for its chord",
        better="smaller",
        paper=paper,
        ours=ours,
        found=float(locality.sensitivity(eigenvalues, sigma, rho)),
        gain=_times(paper, ours),
    )


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
    yield Sharper(
        claim="4.10",
        quantity=f"|J| on whole images, {down} down and {across} across, σ = {sigma:.3g}: torus",
        better="smaller",
        paper=paper,
        ours=ours,
        found=float(max(kernel[down, across], kernel[down, -across])),
        gain=_times(paper, ours),
    )


def _large_noise(study: Study) -> Iterator[Sharper]:
    images = spanned(study.train)
    points: Array = images - images.mean(0)
    radius = float(np.linalg.norm(points, axis=1).max())
    if radius == 0:
        return
    sigma = FAR * radius
    z = generator(study.seed, "sharper/4.11").standard_normal(points.shape[1:])
    y: Array = sigma * z
    leading = float(np.linalg.norm(large_noise.leading_term(points, z))) / sigma**2
    ours = leading + float(large_noise.remainder_bound(points, y, sigma))
    found = float(np.linalg.norm(deviation(points, y[None], sigma, "cpu")))
    yield Sharper(
        claim="4.11",
        quantity=f"|m − mᴳ| at σ = {sigma:.3g}, {len(points)} images: leading term and remainder",
        better="smaller",
        paper=None,
        ours=ours,
        found=found,
        gain=f"a number where the paper says O(σ⁻²); the leading term is {leading:.4g}",
    )


def _cosine(study: Study) -> Iterator[Sharper]:
    chosen = _isolated(study)
    nearest, norms = study.nearest[chosen], np.linalg.norm(study.train[chosen], axis=1)
    sigma = posterior.sigma_minus(nearest, study.n, COSINE_W, COSINE_DELTA)
    bound = flow_matching.cosine_bound(
        norms,
        nearest,
        study.diameter,
        n=study.n,
        d=study.d,
        t=sigma_to_flow_time(sigma),
        w=COSINE_W,
        a=COSINE_A,
        b=COSINE_B,
    )
    stated = bound.cosine > -1
    if stated.any():
        paper = float(bound.cosine[stated].mean())
        ours = float(bound.sharp_cosine[stated].mean())
        yield Sharper(
            claim="A.2",
            quantity=f"cos(u*, u) at σ₋ of w = {COSINE_W:g}, mean of {int(stated.sum())} images",
            better="larger",
            paper=paper,
            ours=ours,
            found=None,
            basis="",
            gain=f"what is lost to 1 is {_times(1 - paper, 1 - ours)}",
        )


def _zone(study: Study, zone: regimes.PredictedZone, at: Thresholds) -> Iterator[Sharper]:
    curves = study.curves
    start = crossing(curves.sigmas, curves.coverage, at.coverage_high, rising=True)
    end = crossing(curves.sigmas, curves.max_weight, at.weight_high, rising=False)
    reach, by_paper = zone.certain.end, _weight_high_below(study, at.weight_high)
    rows: tuple[
        tuple[str, Literal["larger", "smaller"], float | None, float, Crossing, str], ...
    ] = (
        (
            "starts at the earliest",
            "larger",
            None,
            zone.possible.start,
            start,
            "no sampling: by Theorem 4.8",
        ),
        (
            "starts at the latest",
            "smaller",
            None,
            zone.certain.start,
            start,
            "no sampling: by Theorem 4.8",
        ),
        ("ends at the earliest", "larger", by_paper, reach, end, _times(by_paper, reach)),
        (
            "ends at the latest",
            "smaller",
            None,
            zone.possible.end,
            end,
            "no sampling: by Fano’s inequality",
        ),
    )
    for name, better, paper, ours, seen, gain in rows:
        yield Sharper(
            claim="regimes",
            quantity=f"σ at which the danger zone {name}",
            better=better,
            paper=paper,
            ours=ours,
            **_crossed(seen, "measured"),
            gain=gain,
        )


def _weight_high_below(study: Study, level: float) -> float | None:
    # Theorem 4.2 gives W >= share w (1 - delta), of the images whose sigma_minus is not below.
    certified = np.sort(posterior.sigma_minus(study.nearest, study.n, study.w, study.delta))[::-1]
    reached = study.w * (1 - study.delta) * np.arange(1, study.n + 1) / study.n >= level
    sigma = float(certified[np.argmax(reached)]) if reached.any() else 0.0
    return sigma or None


def _isolated(study: Study) -> list[int]:
    return isolated(study, POINTS) if (study.nearest > 0).any() else []


def _to_others(study: Study, chosen: list[int]) -> Array:
    # By direct differences, a row at a time: few rows, and all their digits.
    rows = [np.linalg.norm(study.train - study.train[i], axis=1) for i in chosen]
    return np.array([np.delete(row, i) for i, row in zip(chosen, rows, strict=True)])


class _Found(TypedDict):
    found: float | None
    low: float | None
    high: float | None
    basis: str


def _measured(curve: Estimate, k: int) -> _Found:
    mean, low, high = (float(end[k]) for end in (curve.mean, curve.low, curve.high))
    return {"found": mean, "low": low, "high": high, "basis": "measured"}


def _crossed(seen: Crossing, basis: str) -> _Found:
    if not np.isfinite(seen.sigma):
        return {"found": None, "low": None, "high": None, "basis": ""}
    return {"found": seen.sigma, "low": seen.low, "high": seen.high, "basis": basis}


def _times(paper: float | None, ours: float) -> str:
    if not paper:
        return "the paper certifies nothing here" if ours else "none here"
    ratio = ours / paper
    if abs(ratio - 1) < 5e-4:
        return "none here"
    return f"{ratio:.3g} times higher" if ratio > 1 else f"{1 / ratio:.3g} times lower"
