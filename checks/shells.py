"""Lemma 4.5: the shell's exact probability, the paper's bound on it, and vectors that were drawn.

The bound is compared with the exact probability, without sampling; that with samples, where it is
far enough from 1 to tell a wrong radius.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.registry import Check, Formula
from wildmiddle.checks.sharper import Sharper, Truth, sharper_form
from wildmiddle.checks.statistics import from_distribution, from_exact, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.shells import squared_radii
from wildmiddle.theory import shells

Array = NDArray[np.float64]

# At p = 1/2 the default draws and error rate leave an interval of about +-0.025.
MARGIN = 0.03
DISTRIBUTION_MARGIN = 0.05


def lemma_4_5(
    study: Study,
    alpha: float,
    *,
    radii: Formula = shells.radii,
    shell_bound: Formula = shells.shell_bound,
    shell_probability: Formula = shells.shell_probability,
    tail_bounds: Formula = shells.tail_bounds,
) -> Iterator[Record]:
    """``P(r_in <= |Z| <= r_out) >= 1 - 2 e^-c``, and each side alone (Lemma B.1)."""
    for d, c in _instances(study.d, study.settings.c):
        below, above, tail = (float(v) for v in tail_bounds(d, c))
        r_in, r_out = (float(r) for r in radii(d, c))
        squared = chi2(d)
        inside = float(squared.cdf(r_out**2) - squared.cdf(r_in**2))
        rows: list[tuple[str, Relation, float, float, float]] = [
            ("P(r_in <= |Z| <= r_out)", ">=", float(shell_bound(c)), inside, 1e-12),
            (f"P(|Z|^2 < {below:.4g})", "<=", tail, float(squared.cdf(below)), 1e-12),
            (f"P(|Z|^2 > {above:.4g})", "<=", tail, float(squared.sf(above)), 1e-12),
            # The shell's radii are Lemma B.1's two thresholds at t = c.
            ("r_in^2", "==", max(0.0, below), r_in**2, 1e-12 * d),
            ("r_out^2", "==", above, r_out**2, 1e-12 * d),
            ("exact P(r_in <= |Z| <= r_out)", "==", float(shell_probability(d, c)), inside, 1e-12),
        ]
        for quantity, relation, bound, value, rounding in rows:
            comparison = Comparison(
                claim="4.5",
                instance=f"d = {d}, c = {c:g}",
                quantity=quantity,
                relation=relation,
                bound=bound,
                rounding=rounding,
                parameters={"d": d, "c": c},
            )
            yield from_exact(comparison, value)

    sampled = ((study.d, min(1.0, study.d / 4)), (4, 1.0), (16, 0.5))
    each = alpha / (len(sampled) + 1)
    for number, (d, c) in enumerate(sampled):
        ends, probability = radii(d, c), float(shell_probability(d, c))
        yield _drawn_vectors(d, c, ends, probability, study, each, f"4.5/{number}")
    yield _whole_distribution(study, each)


CHECKS: dict[str, Check] = {"4.5": lemma_4_5}


def _drawn_vectors(
    d: int,
    c: float,
    radii: tuple[Array, Array],
    probability: float,
    study: Study,
    alpha: float,
    stream: str,
) -> Record:
    r_in, r_out = (float(r) for r in radii)
    comparison = Comparison(
        claim="4.5",
        instance=f"vectors drawn in d = {d}, c = {c:g}",
        quantity="P(r_in <= |Z| <= r_out)",
        relation="==",
        bound=probability,
        margin=0.01 if d <= 16 else MARGIN,
        parameters={"d": d, "c": c},
    )

    seed = study.settings.seed

    def draw(count: int, name: str, pending: object) -> int:
        squared = squared_radii(d, 0.0, queries=count, seed=seed, stream=name)
        return int(((squared >= r_in**2) & (squared <= r_out**2)).sum())

    most = study.settings.samples * (10 if d <= 16 else 1)
    return settle(draw, [comparison], stream=stream, most=most, alpha=alpha, seed=seed)[0]


def _whole_distribution(study: Study, alpha: float) -> Record:
    squared = squared_radii(
        study.d, 0.0, queries=study.settings.samples, seed=study.settings.seed, stream="4.5/law"
    )
    comparison = Comparison(
        claim="4.5",
        instance=f"whole distribution in d = {study.d}",
        quantity="largest gap to the chi-square CDF of |Z|^2",
        relation="==",
        bound=0.0,
        margin=DISTRIBUTION_MARGIN,
        parameters={"d": study.d},
    )
    return from_distribution(
        comparison, squared, chi2(study.d).cdf, alpha=alpha, seed=study.settings.seed
    )


def _instances(d: int, c: float) -> list[tuple[int, float]]:
    # The data's own shell, the widest that d allows, and dimensions from small to ImageNet's.
    return [(d, c), (d, d / 4), (1, 0.25), (4, 1.0), (64, 1.0), (3072, 5.0), (196_608, 5.0)]


def sharper(study: Study) -> Iterator[Sharper]:
    """The exact probability outside of the shell beside Lemma 4.5's bound."""
    c = study.settings.c
    paper = min(1.0, 1 - float(shells.shell_bound(c)))
    ours = float(shells.outside_probability(study.d, c))
    name = f"probability outside the shell, c = {c:g}"
    yield sharper_form("4.5", name, "smaller", paper, ours, Truth.exact(ours))
