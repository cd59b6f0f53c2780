"""The spectrum's bounds: against exact information where they are nearly tight, and on the data.

Quantiles of a Gaussian along two axes are as good as Gaussian data: there the bound is the
information but for a percent, and what is too weak shows as well as what is false.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import from_estimate, from_exact
from wildmiddle.checks.study import Study
from wildmiddle.empirical.denoising import denoising, scale
from wildmiddle.empirical.intervals import Estimate, bounded_mean
from wildmiddle.empirical.posterior import weights
from wildmiddle.empirical.spectrum import eigenvalues
from wildmiddle.theory import regimes, spectrum

Array = NDArray[np.float64]

MARGIN = 0.03
SPREADS = (2.0, 0.5)
"""Standard deviations of the Gaussian along its two axes; its mean is (3, -1)."""
TIGHT_SIGMAS = (0.25, 1.0, 4.0)
LEAST_SHARE = 0.98
"""Of the bound, what the information of a thousand quantiles along each axis reaches."""
ABOVE = (1.25, 2.0, 4.0)
"""Noise levels on the data, in units of the collapse scale, above which the bound says
something."""


def spectrum_bounds(
    study: Study,
    alpha: float,
    *,
    entropy_lower: Formula = spectrum.entropy_lower,
    weight_of_spectrum: Formula = regimes.weight_of_spectrum,
    collapse_scale: Formula = spectrum.collapse_scale,
) -> Iterator[Record]:
    """Information by quadrature, the collapse scale in closed form, entropy and weight measured."""
    yield from _gaussian(study, entropy_lower)
    yield from _one_axis(collapse_scale)
    yield from _data(study, alpha, entropy_lower, weight_of_spectrum, collapse_scale)


CHECKS: dict[str, Check] = {"spectrum": spectrum_bounds}


def quantiles(count: int = 1000) -> Array:
    """Quantiles of the standard normal at the middles of ``count`` equal shares, (count,)."""
    return np.asarray(ndtri((np.arange(count) + 0.5) / count))


def information_on_a_line(points: Array, sigma: float) -> float:
    """I(I; Y) of points (N,) on a line, by quadrature of the density of Y: to eight digits."""
    ends = points.min() - 10 * sigma, points.max() + 10 * sigma
    y, step = np.linspace(*ends, int(16 * (ends[1] - ends[0]) / sigma) + 1, retstep=True)
    density = norm.pdf(y[:, None], points, sigma).mean(1)
    entropy = -(density * np.log(np.maximum(density, 1e-300))).sum() * step
    return float(entropy - np.log(2 * np.pi * np.e * sigma**2) / 2)


def _gaussian(study: Study, entropy_lower: Formula) -> Iterator[Record]:
    axes = [mean + spread * quantiles() for mean, spread in zip((3.0, -1.0), SPREADS, strict=True)]
    n = len(axes[0]) * len(axes[1])  # all pairs of quantiles: their information adds up
    eigenvalues = np.array([axis.var() for axis in axes])
    for sigma in TIGHT_SIGMAS:
        known = sum(information_on_a_line(axis, sigma) for axis in axes)
        bound = float(np.log(n) - entropy_lower(eigenvalues, n, np.array([sigma]))[0])
        limits: tuple[tuple[Relation, float], ...] = (("<=", 1.0), (">=", LEAST_SHARE))
        for relation, limit in limits:
            comparison = Comparison(
                claim="spectrum",
                instance=f"quantiles of a Gaussian in the plane, sigma = {sigma:g}",
                quantity="information over its bound, by quadrature",
                relation=relation,
                bound=limit,
                rounding=1e-8,
                parameters={"sigma": sigma, "N": n, "d": 2},
            )
            yield from_exact(comparison, known / bound if bound else np.inf)


def _one_axis(collapse_scale: Formula) -> Iterator[Record]:
    for n, eigenvalue in ((10, 4.0), (1000, 0.25)):
        comparison = Comparison(
            claim="spectrum",
            instance=f"one axis of variance {eigenvalue:g}, N = {n}",
            quantity="collapse scale against sqrt(lambda / (N^2 - 1))",
            relation="==",
            bound=float(np.sqrt(eigenvalue / (n**2 - 1))),
            rounding=1e-9,
            parameters={"N": n, "lambda": eigenvalue},
        )
        yield from_exact(comparison, collapse_scale(np.array([eigenvalue]), n))


def _data(
    study: Study,
    alpha: float,
    entropy_lower: Formula,
    weight_of_spectrum: Formula,
    collapse_scale: Formula,
) -> Iterator[Record]:
    n, at = study.n, study.settings
    # Of the images that differ, each once.
    known = study.prior is None
    values = study.eigenvalues if known else eigenvalues(study.train, memory=at.memory)
    # Where all images are equal the bound is log N at every noise level.
    sigmas = (collapse_scale(values, n) or 1.0) * np.array(ABOVE)
    least = entropy_lower(values, n, sigmas) / np.log(n)
    most = weight_of_spectrum(values, n, sigmas)
    queries = max(at.samples // 4, 100)
    drawn = denoising(
        study.train,
        sigmas,
        queries=queries,
        seed=at.seed,
        device=at.device,
        alpha=alpha / 2,
        stream="spectrum/entropy",
        memory=at.memory,
    )
    entropy = scale(drawn.entropy, np.full(len(sigmas), 1 / np.log(n)))
    largest, _ = weights(
        study.train,
        sigmas,
        queries=queries,
        seed=at.seed,
        device=at.device,
        stream="spectrum/weight",
        memory=at.memory,
    )
    weight = bounded_mean(np.minimum(largest, 1), alpha / (2 * len(sigmas)))
    rows: tuple[tuple[str, Relation, Array, Estimate], ...] = (
        ("entropy over log N", ">=", least, entropy),
        ("posterior weight W", "<=", most, weight),
    )
    for k, sigma in enumerate(sigmas.tolist()):
        for quantity, relation, bound, found in rows:
            comparison = Comparison(
                claim="spectrum",
                instance=f"the data at {ABOVE[k]:g} times the collapse scale, sigma = {sigma:.3g}",
                quantity=quantity,
                relation=relation,
                bound=float(bound[k]),
                margin=MARGIN,
                parameters={"sigma": sigma, "N": n, "d": study.d},
            )
            yield from_estimate(comparison, at_level(found, k), at.seed)


def at_level(found: Estimate, k: int) -> Estimate:
    """Entry ``k`` of an estimate over noise levels."""
    return replace(found, mean=found.mean[k], low=found.low[k], high=found.high[k])


def sharper(study: Study) -> Iterator[Sharper]:
    """The end of the danger zone by the spectrum beside the one by all distances (Jensen's)."""
    curve, at = study.curves.max_weight, study.settings
    end = Truth.crossing(study, curve, at.weight_high, "measured", rising=False)
    size = float(np.sqrt(study.eigenvalues.sum())) or 1.0
    like, most = study.effective, at.weight_high
    latest = regimes.latest_end(study.eigenvalues, study.n, most, size, like)
    name = "σ at which the danger zone ends, by the spectrum"
    yield sharper_form("spectrum", name, "smaller", None, latest, end, "no pairs of images")
