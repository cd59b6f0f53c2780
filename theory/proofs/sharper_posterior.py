"""The sharper forms of Theorem 4.2, step by step: both use all distances of the noised point.

The symbols are those of :mod:`wildmiddle.theory.proofs.posterior`.
"""

from functools import cache
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


@step("4.2.2", "E min(1, t/S) in closed form", closed_form=truncated_mean + 1)
def truncated_closed_form(closed_form: Any = truncated_mean) -> bool:
    """Polyanskiy, Poor and Verdu 2010: the density of ``log t`` above log S, ``t/S`` below it."""
    truncated = log_term_above() + mean_log_term_below() / S
    return is_zero(truncated.subs(level, sp.log(S)) - closed_form)


@cache
def mean_log_term_below() -> Any:
    """``E t_j`` over ``log t_j < level``, integrated."""
    return sp.simplify(sp.integrate(sp.exp(x) * log_term_density(), (x, -sp.oo, level)))


@step("4.2.2", "E min(1, t/S) falls with u, so the sharper bound rises with sigma", sign=-1)
def truncated_falls(sign: int = 1) -> bool:
    """Ours: the derivative in u is a negative density."""
    slope = sp.diff(truncated_mean, u)
    return is_zero(slope + sign * normal_density(u / 2 + sp.log(S) / u))


@step("4.2.2", "sum t_j > S forces sum min(1, t_j/S) >= 1", cap=sp.Rational(1, 2))
def truncation_keeps_the_event(cap: Any = 1) -> bool:
    """Ours, Markov's premise, any number of terms, cut at ``cap``.

    Either one of them reaches the cap, or none is cut and they sum to more than ``S / S``.
    """
    rest, excess = sp.Symbol("rest", nonnegative=True), sp.Symbol("excess", positive=True)
    one_is_cut = cap + rest - 1
    none_is_cut = sp.expand((S + excess) / S - 1)
    return bool(sp.sympify(one_is_cut).is_nonnegative and none_is_cut.is_positive)


log_share = u**2 * (sp.sqrt(2 - 2 * (s + sp.log(u)) / u**2) - sp.Rational(3, 2))
"""``log s_j`` of the best split of S at the multiplier s."""


@step("4.2.2", "the best split of S: where the union bound is stationary", share=log_share / 2)
def best_split(share: Any = log_share) -> bool:
    """Ours: Lagrange's condition ``phi(u/2 + l/u)/u = mu e^l`` in logs, solved for l.

    Every term's derivative in ``l = log s_j`` is the same multiple of ``s_j``.
    """
    slope = -sp.diff(normal_cdf(-(u / 2 + level / u)), level)
    log_slope = sp.expand_log(sp.log(slope), force=True)
    constant = sp.log(2 * sp.pi) / 2  # the multiplier is s up to this
    return is_zero(sp.expand(log_slope.subs(level, share) - share - s + constant))


@step("4.2.1", "sum t_j < S leaves k - m + 1 of any k terms below S/m", fewer=1)
def few_terms_are_large(fewer: int = 0) -> bool:
    """Ours, the premise of ``above_probability``, for every N, k and m.

    If m terms or more, ``m - fewer`` or more by a slip, reached S/m they would sum to S or more.
    """
    m = sp.Symbol("m", integer=True, positive=True)
    more = sp.Symbol("more", integer=True, nonnegative=True)
    at_least = (m - fewer + more) * S / m
    return bool(sp.expand(at_least - S).is_nonnegative)
