"""The second-order bounds beside Theorem 4.8, step by step.

The symbols are those of :mod:`wildmiddle.theory.proofs.coverage`.
"""

from fractions import Fraction
from itertools import combinations, product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import N
from wildmiddle.theory.proofs.coverage import S1, S2, V, dawson_sankoff, k
from wildmiddle.theory.proofs.posterior import is_zero
from wildmiddle.theory.proofs.step import step


@step("4.8", "Dawson-Sankoff: the union's gap is a product of consecutive integers", pairs=2)
def dawson_sankoff_gap(pairs: int = 1) -> bool:
    """Dawson and Sankoff 1967: ``1 - f(V) = (V - k)(V - k - 1) / (k (k + 1)) >= 0``.

    f(0) = 0, and E f(V) is the bound, ``E V (V - 1)/2`` being S2.
    """
    f = dawson_sankoff.subs({S1: V, S2: pairs * V * (V - 1) / 2})
    gap = (V - k) * (V - k - 1) / (k * (k + 1))
    a = sp.Symbol("a", integer=True, nonnegative=True)
    kept = all((n * (n - 1)).is_nonnegative for n in (a + 1, -a))  # n = V - k of either sign
    return is_zero(1 - f - gap) and is_zero(f.subs(V, 0)) and kept


@step(
    "4.8",
    "Dawson-Sankoff: k = 1 + floor(2 S2 / S1) is best, so never below Bonferroni",
    sign=2 * S2 - k * S1,
)
def best_order(sign: Any = 2 * S2 - (k - 1) * S1) -> bool:
    """Ours: the bound rises from k - 1 to k iff ``k - 1 <= 2 S2 / S1``; k = 1 is Bonferroni."""
    change = dawson_sankoff - dawson_sankoff.subs(k, k - 1)
    factor = 2 / ((k - 1) * k * (k + 1))
    return is_zero(change - factor * sign) and is_zero(dawson_sankoff.subs(k, 1) - (S1 - S2))


@step(
    "4.8",
    "second-order upper bound: V (N + 1 - V) / N >= 1 for V = 1..N, and 0 at V = 0",
    factor=3,
)
def second_order_gap(factor: int = 2) -> bool:
    """Kwerel 1975: the gap is ``(V - 1)(N - V)/N``; the bound ``E V (N + 1 - V)/N = S1 - 2 S2/N``.

    Whether ``V - factor V(V - 1)/(2N)`` is 0 at V = 0 and at least 1, once 1, on 1..N.
    """
    f = V - factor * V * (V - 1) / (2 * N)
    a, b = sp.symbols("a b", integer=True, nonnegative=True)
    gap = sp.factor((f - 1).subs({V: 1 + a, N: 1 + a + b}, simultaneous=True))
    return is_zero(f.subs(V, 0)) and is_zero(f.subs(V, N) - 1) and bool(gap.is_nonnegative)


@step("4.8", "second-order bounds on every small space of three events, exact", "numeric", off=1)
def small_spaces(off: int = 0) -> bool:
    """Ours: all 330 ways to spread 4 quarters over the 8 atoms that three events make."""
    return all(bounds_enclose(counts, off) for counts in quarter_spaces())


def quarter_spaces() -> list[tuple[int, ...]]:
    """Masses, in quarters, of the 8 atoms of three events; all of them."""
    bars = combinations(range(11), 7)
    return [
        tuple(b - a - 1 for a, b in zip((-1, *places), (*places, 11), strict=True))
        for places in bars
    ]


def bounds_enclose(counts: tuple[int, ...], off: int) -> bool:
    """Whether Bonferroni <= Dawson-Sankoff (at k + off) <= P(union) <= upper <= union bound."""
    atoms = list(product((0, 1), repeat=3))
    mass = [Fraction(count, 4) for count in counts]
    total = sum(m * sum(atom) for m, atom in zip(mass, atoms, strict=True))
    pairs = sum(m * sum(atom) * (sum(atom) - 1) / 2 for m, atom in zip(mass, atoms, strict=True))
    union = sum(m for m, atom in zip(mass, atoms, strict=True) if any(atom))
    order = 1 + (int(2 * pairs / total) if total else 0) + off
    lower = 2 * total / (order + 1) - 2 * pairs / (order * (order + 1))
    upper = min(Fraction(1), total - 2 * pairs / 3)
    return total - pairs <= lower <= union <= upper <= min(1, total)
