"""The sharper forms of Theorem 4.2, step by step: both use all distances of the noised point.

The symbols are those of :mod:`wildmiddle.theory.proofs.posterior`.
"""

from functools import cache
from itertools import combinations, product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.posterior import (
    S,
    is_zero,
    level,
    log_term_above,
    log_term_density,
    normal_cdf,
    normal_density,
    s,
    truncated_mean,
    u,
    x,
)
from wildmiddle.theory.proofs.step import step


@step("4.2.2", "E min(1, t/S) in closed form")
def truncated_closed_form() -> bool:
    """Ours: the density of ``log t`` integrated above log S, and ``t/S`` below it."""
    return truncated_is(truncated_mean)


@cache
def mean_log_term_below() -> Any:
    """``E t_j`` over ``log t_j < level``, integrated."""
    return sp.simplify(sp.integrate(sp.exp(x) * log_term_density(), (x, -sp.oo, level)))


def truncated_is(closed_form: Any) -> bool:
    """Whether ``E min(1, t/S)`` is ``closed_form`` in u and S."""
    truncated = log_term_above() + mean_log_term_below() / S
    return is_zero(truncated.subs(level, sp.log(S)) - closed_form)


@step("4.2.2", "E min(1, t/S) falls with u, so the sharper bound rises with sigma")
def truncated_falls() -> bool:
    """Ours: the derivative in u is a negative density."""
    slope = sp.diff(truncated_mean, u)
    return is_zero(slope + normal_density(u / 2 + sp.log(S) / u))


@step("4.2.2", "sum t_j > S forces sum min(1, t_j/S) >= 1", "numeric")
def truncation_keeps_the_event() -> bool:
    """Ours, Markov's premise, exact: all triples of whole terms up to 6, with S = 4."""
    return keeps_the_event(4)


def keeps_the_event(cap: int) -> bool:
    """Whether terms cut at ``cap`` still sum to S = 4 wherever they did before."""
    triples = product(range(7), repeat=3)
    return all(sum(min(cap, t) for t in terms) >= 4 for terms in triples if sum(terms) > 4)


log_share = u**2 * (sp.sqrt(2 - 2 * (s + sp.log(u)) / u**2) - sp.Rational(3, 2))
"""``log s_j`` of the best split of S at the multiplier s."""


@step("4.2.2", "the best split of S: where the union bound is stationary")
def best_split() -> bool:
    """Ours: Lagrange's condition ``phi(u/2 + l/u)/u = mu e^l`` in logs, solved for l."""
    return is_stationary(log_share)


def is_stationary(share: Any) -> bool:
    """Whether every term's derivative in ``l = log s_j`` is the same multiple of ``s_j``."""
    slope = -sp.diff(normal_cdf(-(u / 2 + level / u)), level)
    log_slope = sp.expand_log(sp.log(slope), force=True)
    constant = sp.log(2 * sp.pi) / 2  # the multiplier is s up to this
    return is_zero(sp.expand(log_slope.subs(level, share) - share - s + constant))


@step("4.2.1", "sum t_j < S leaves k - m + 1 of any k terms below S/m", "numeric")
def few_terms_are_large() -> bool:
    """Ours, the premise of ``above_probability``, exact: all four whole terms, with S = 6."""
    return leaves_below(0)


def leaves_below(surplus: int) -> bool:
    """Whether at least ``k - m + 1 + surplus`` of any k terms lie below S/m."""
    small = [terms for terms in product(range(6), repeat=4) if sum(terms) < 6]
    return all(
        sum(t * m < 6 for t in chosen) >= k - m + 1 + surplus
        for terms in small
        for m in range(1, 5)
        for k in range(m, 5)
        for chosen in combinations(terms, k)
    )
