"""What held-out images say of the population: how often the limit is wrong, and on the data.

Coins are the tight instance. On the data the held-out images stand for a population whose mean is
known, and some of them, drawn with replacement, for the sample.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.statistics import from_estimate, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.intervals import Estimate, proportion
from wildmiddle.empirical.noise import generator
from wildmiddle.theory import coverage, population

Array = NDArray[np.float64]

RATE = 0.05
"""Error rate of the limits that are tried."""
MARGIN = 0.01
COINS = (1, 2, 5)
DRAWN = 30
"""Held-out images of one sample."""
COVERAGE_MARGIN = 0.03


def population_limits(
    study: Study,
    alpha: float,
    *,
    least_mean: Formula = population.least_mean,
    coverage_lower: Formula = population.coverage_lower,
    coverage_upper: Formula = population.coverage_upper,
) -> Iterator[Record]:
    """Failures of the limit on coins and on the data, and both limits around the coverage."""
    yield from _coins(study, alpha / 3, least_mean)
    yield from _samples(study, alpha / 3, coverage_lower, coverage_upper)
    yield from _measured(study, alpha / 3, coverage_lower, coverage_upper)


CHECKS: dict[str, Check] = {"population": population_limits}


def _coins(study: Study, alpha: float, least_mean: Formula) -> Iterator[Record]:
    # A hair below what M ones give as the limit they make it fail, a hair above nothing does.
    for m, side in product(COINS, (-1, 1)):
        chance = RATE ** (1 / m) * (1 + side * 1e-9)
        comparison = Comparison(
            claim="population",
            instance=f"{m} coins, a hair {'above' if side > 0 else 'below'} {chance:.4g}",
            quantity="P(limit above the chance)",
            relation="==",
            bound=chance**m if side < 0 else 0.0,
            margin=MARGIN,
            parameters={"M": m, "alpha": RATE},
        )
        limits = least_mean(np.arange(m + 1) / m, m, RATE)

        def draw(
            count: int,
            name: str,
            pending: object,
            m: int = m,
            chance: float = chance,
            limits: Array = limits,
        ) -> int:
            source = generator(study.settings.seed, name)
            return int((limits[source.binomial(m, chance, size=count)] > chance).sum())

        yield from settle(
            draw,
            [comparison],
            stream=f"population/coins/{m}/{side}",
            most=10 * study.settings.samples,
            alpha=alpha / (2 * len(COINS)),
            seed=study.settings.seed,
        )


def _samples(
    study: Study, alpha: float, coverage_lower: Formula, coverage_upper: Formula
) -> list[Record]:
    at, nearest = study.settings, study.curves.nearest
    sigma = study.zone.certain.start
    overlaps = coverage.overlap_probability(nearest, sigma, study.d, at.c)
    hits = np.minimum(1, study.n * overlaps)
    comparisons = [
        Comparison(
            claim="population",
            instance=f"samples of {DRAWN} held-out images, sigma = {sigma:.3g}",
            quantity=quantity,
            relation="<=",
            bound=RATE,
            margin=MARGIN,
            parameters={"M": DRAWN, "alpha": RATE, "sigma": sigma, "N": study.n},
        )
        for quantity in ("P(lower limit above the mean)", "P(upper limit below the mean)")
    ]

    def draw(count: int, name: str, pending: Sequence[int]) -> list[int]:
        source = generator(at.seed, name)
        samples = nearest[source.integers(len(nearest), size=(count, DRAWN))]
        low = coverage_lower(samples, sigma, study.d, RATE, at.c) > overlaps.mean()
        high = coverage_upper(samples, sigma, study.n, study.d, RATE, at.c) < hits.mean()
        return [int((low, high)[k].sum()) for k in pending]

    most = max(at.samples // 2, 100)
    stream = "population/samples"
    return settle(draw, comparisons, stream=stream, most=most, alpha=alpha / 2, seed=at.seed)


def _measured(
    study: Study, alpha: float, coverage_lower: Formula, coverage_upper: Formula
) -> Iterator[Record]:
    curves, at, nearest = study.curves, study.settings, study.curves.nearest
    middle = int(np.argmin(np.abs(curves.coverage.mean - at.coverage_high)))
    chosen = sorted({max(middle - 1, 0), middle, min(middle + 1, len(curves.sigmas) - 1)})
    counts = curves.covered_draws[:, chosen].sum(0)
    found = proportion(counts, len(curves.covered_draws), alpha / (2 * len(chosen)))
    sigmas = curves.sigmas[chosen]
    rows: tuple[tuple[Relation, Array], ...] = (
        (">=", coverage_lower(nearest, sigmas, study.d, RATE, at.c)),
        ("<=", coverage_upper(nearest, sigmas, study.n, study.d, RATE, at.c)),
    )
    for k, sigma in enumerate(sigmas.tolist()):
        for relation, limit in rows:
            comparison = Comparison(
                claim="population",
                instance=f"all held-out images, sigma = {sigma:.3g}",
                quantity="coverage measured on them, against their limit",
                relation=relation,
                bound=float(limit[k]),
                margin=COVERAGE_MARGIN,
                parameters={"M": len(nearest), "alpha": RATE, "sigma": sigma, "N": study.n},
            )
            one = Estimate(
                found.mean[k], found.low[k], found.high[k], found.n, found.alpha, found.method
            )
            yield from_estimate(comparison, one, at.seed)
