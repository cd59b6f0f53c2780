"""Lemma 4.5: the shell's exact probability, the paper's bound on it, and vectors that were drawn.

The bound is compared with the exact law, without sampling; the exact law with samples, where it
is far enough from 1 to tell a wrong radius.
"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2

from wildmiddle.checks.records import Comparison, Record, Relation
from wildmiddle.checks.statistics import from_distribution, from_exact, settle
from wildmiddle.checks.study import Study
from wildmiddle.empirical.shells import squared_radii
from wildmiddle.theory import shells

# At p = 1/2 the default draws and error rate leave an interval of about +-0.025.
MARGIN = 0.03
LAW_MARGIN = 0.05


def lemma_4_5(study: Study, alpha: float) -> Iterator[Record]:
    """``P(r_in <= |Z| <= r_out) >= 1 - 2 e^-c``, and each side alone (Lemma B.1)."""
    for d, c in _instances(study.d, study.settings.c):
        for quantity, relation, bound, value, rounding in _exact_comparisons(d, c):
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
    for d, c in sampled:
        yield _sampled(d, c, study, each)
    yield _law(study, each)


def _exact_comparisons(d: int, c: float) -> list[tuple[str, Relation, float, float, float]]:
    # (quantity, relation, bound, value, rounding)
    inside, bound = float(shells.shell_probability(d, c)), float(shells.shell_bound(c))
    below, above, tail = (float(v) for v in shells.tail_bounds(d, c))
    r_in, r_out = (float(r) for r in shells.radii(d, c))
    law = chi2(d)
    return [
        ("P(r_in <= |Z| <= r_out)", ">=", bound, inside, 1e-12),
        (f"P(|Z|^2 < {below:.4g})", "<=", tail, float(law.cdf(below)), 1e-12),
        (f"P(|Z|^2 > {above:.4g})", "<=", tail, float(law.sf(above)), 1e-12),
        # The shell's radii are Lemma B.1's two thresholds at t = c.
        ("r_in^2", "==", max(0.0, below), r_in**2, 1e-12 * d),
        ("r_out^2", "==", above, r_out**2, 1e-12 * d),
    ]


def _sampled(d: int, c: float, study: Study, alpha: float) -> Record:
    r_in, r_out = (float(r) for r in shells.radii(d, c))
    comparison = Comparison(
        claim="4.5",
        instance=f"vectors drawn in d = {d}, c = {c:g}",
        quantity="P(r_in <= |Z| <= r_out)",
        relation="==",
        bound=float(shells.shell_probability(d, c)),
        margin=0.01 if d <= 16 else MARGIN,
        parameters={"d": d, "c": c},
    )

    def draw(count: int, suffix: str, pending: object) -> int:
        stream = f"4.5/{d}/{c}{suffix}"
        squared = squared_radii(d, 0.0, queries=count, seed=study.settings.seed, stream=stream)
        return int(((squared >= r_in**2) & (squared <= r_out**2)).sum())

    most = study.settings.samples * (10 if d <= 16 else 1)
    return settle(draw, [comparison], most=most, alpha=alpha, seed=study.settings.seed)[0]


def _law(study: Study, alpha: float) -> Record:
    squared = np.sort(
        squared_radii(
            study.d, 0.0, queries=study.settings.samples, seed=study.settings.seed, stream="4.5/law"
        )
    )
    comparison = Comparison(
        claim="4.5",
        instance=f"whole law in d = {study.d}",
        quantity="largest gap to the chi-square CDF of |Z|^2",
        relation="==",
        bound=0.0,
        margin=LAW_MARGIN,
        parameters={"d": study.d},
    )
    return from_distribution(
        comparison, squared, chi2(study.d).cdf(squared), alpha=alpha, seed=study.settings.seed
    )


def _instances(d: int, c: float) -> list[tuple[int, float]]:
    # The data's own shell, the widest that d allows, and dimensions from small to ImageNet's.
    return [(d, c), (d, d / 4), (1, 0.25), (4, 1.0), (64, 1.0), (3072, 5.0), (196_608, 5.0)]
