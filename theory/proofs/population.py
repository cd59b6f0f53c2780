"""The limit of an expectation from the mean of draws in [0, 1] (ours to use), step by step.

Chernoff's bound with Hoeffding's convexity; all steps hold for every M and every law in [0, 1].
"""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.posterior import is_zero
from wildmiddle.theory.proofs.step import step

s = sp.Symbol("s", positive=True)
M = sp.Symbol("M", integer=True, positive=True)
alpha = sp.Symbol("alpha", positive=True)
a, q = sp.symbols("mean q", positive=True)
divergence = a * sp.log(a / q) + (1 - a) * sp.log((1 - a) / (1 - q))
"""``KL(mean | q)`` of two coins."""
_g, _h = sp.symbols("g h", positive=True)


def inside(expression: Any, larger: Any, smaller: Any) -> Any:
    """The expression at ``0 < smaller < larger < 1``, both written by positive numbers g and h."""
    odds = {smaller: 1 / (1 + _g + _h), larger: 1 / (1 + _g)}
    return sp.simplify(expression.subs(odds, simultaneous=True))


@step(
    "population",
    "a variable in [0, 1] has no larger exponential moment than a coin of its mean",
    sign=-1,
)
def coin_is_worst(sign: int = 1) -> bool:
    """``1 - x + x e^s - e^(s x)`` is 0 at x = 0 and 1 and concave, so not below 0 between."""
    x = sp.Symbol("x", real=True)
    gap = sign * (1 - x + x * sp.exp(s) - sp.exp(s * x))
    ends = is_zero(gap.subs(x, 0)) and is_zero(gap.subs(x, 1))
    return ends and bool(sp.diff(gap, x, 2).is_negative)


@step("population", "the best exponent is M KL(mean | expectation)", turned=True)
def best_exponent(*, turned: bool = False) -> bool:
    """``s a - log(1 - q + q e^s)`` is concave in s; at its stationary point it is the KL.

    ``turned``: the KL with its arguments exchanged.
    """
    exponent = s * a - sp.log(1 - q + q * sp.exp(s))
    best = sp.log(a * (1 - q) / (q * (1 - a)))
    stationary = is_zero(sp.diff(exponent, s).subs(s, best))
    bend = sp.factor(sp.simplify(sp.diff(exponent, s, 2)))
    concave = sp.simplify(bend.subs(q, 1 / (1 + _g))).is_negative
    moment = (1 - q) / (1 - a)
    same = is_zero((1 - q + q * sp.exp(s)).subs(s, best) - moment)
    claimed = divergence.subs({a: q, q: a}, simultaneous=True) if turned else divergence
    value = sp.expand_log(best * a - sp.log(moment) - claimed, force=True)
    return stationary and bool(concave) and same and is_zero(value)


@step(
    "population",
    "the divergence falls in the expectation, so the limit is one number",
    larger=q,
    smaller=a,
)
def falls_in_expectation(larger: Any = a, smaller: Any = q) -> bool:
    """``dKL/dq = (q - a) / (q (1 - q))``, negative below the mean."""
    return bool(inside(sp.diff(divergence, q), larger, smaller).is_negative)


@step(
    "population",
    "the divergence rises with the mean, so the limit does, and with it sigma's",
    sign=-1,
)
def rises_with_mean(sign: int = 1) -> bool:
    """``dKL/da = log(a (1 - q) / (q (1 - a)))``, a log of odds above 1 where a > q."""
    slope = sp.expand_log(sp.diff(divergence, a), force=True)
    odds = a * (1 - q) / (q * (1 - a))
    same = is_zero(sp.expand_log(slope - sp.log(odds), force=True))
    return same and bool(sp.factor(inside(odds**sign - 1, a, q)).is_positive)


@step(
    "population",
    "at mean 1 the limit is alpha^(1/M), which coins exceed at rate alpha exactly",
    root=M + 1,
)
def tight_at_one(root: Any = M) -> bool:
    """``M KL(1 | q) = -M log q = log(1/alpha)``, and ``q^M`` is the chance of M ones."""
    limit = alpha ** (1 / root)
    at_one = sp.limit(divergence, a, 1, "-")
    solves = is_zero(sp.expand_log(M * at_one.subs(q, limit) - sp.log(1 / alpha), force=True))
    return solves and is_zero(limit**M - alpha)
