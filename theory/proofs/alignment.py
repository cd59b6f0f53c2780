"""Corollary A.2 and Remark A.3: when the optimal field points where the conditional one does."""

from typing import Any

import sympy as sp
from sympy.stats import Normal, density

from wildmiddle.theory.proofs.flow_matching import (
    conditional_field,
    denoiser_distance,
    diam,
    m,
    optimal_field,
    t,
    w,
    x,
    z,
)
from wildmiddle.theory.proofs.small_sets import squared, vanishes, vector
from wildmiddle.theory.proofs.step import step

d, a, b, norm, B, e = sp.symbols("d a b norm B e", positive=True)

shortest_target = sp.sqrt(norm**2 - 2 * a * norm + d - 2 * sp.sqrt(d * b))
"""Corollary A.2's B, norm standing for |x_i|."""

field_error = (1 - w) * diam / (1 - t)
"""Corollary A.2's e."""

cosine_bound = (B - e) / (B + e)
"""Corollary A.2."""

sharp_cosine = sp.sqrt(1 - (e / B) ** 2)
"""Ours, on the same event."""

shortfall = sp.erfc(a / sp.sqrt(2)) / 2 + sp.exp(-b)
"""Corollary A.2: ``Phi(-a) + e^-b``."""

# Below u = x - Z and u* = u + delta, |u| = B, |delta| = e.
cosine = sp.Symbol("c", real=True)
"""Cosine of the angle between the conditional field and the difference of the fields."""


@step("A.2", "(25): the fields' inner product and length in terms of their difference")
def expansion() -> bool:
    """(25): with ``u* = u + (m - x)/(1-t)``, ``<u*, u>`` and ``|u*|^2`` expanded, d = 2 and 3."""
    for dim in (2, 3):
        at, point, output = vector("y", dim), vector("x", dim), vector("m", dim)
        plain = (point - at) / (1 - t)
        best = (output - at) / (1 - t)
        gap = (output - point) / (1 - t)
        inner = best.dot(plain) - (squared(plain) + gap.dot(plain))
        length = squared(best) - (squared(plain) + 2 * gap.dot(plain) + squared(gap))
        if not vanishes(inner) or not vanishes(length):
            return False
    return True


@step("A.2", "the paper's cosine bound from Cauchy-Schwarz and the triangle inequality")
def paper_bound() -> bool:
    """A.2: ``(B^2 - eB) / (B (B + e)) = (B - e)/(B + e)``; it rises with B and falls with e."""
    quotient = (B**2 - e * B) / (B * (B + e))
    return (
        vanishes(quotient - cosine_bound)
        and bool(sp.factor(sp.diff(cosine_bound, B)).is_positive)
        and bool(sp.factor(sp.diff(cosine_bound, e)).is_negative)
        # B^2 + eBc is least at c = -1 and |u*| greatest at c = 1
        and bool(sp.diff(B**2 + e * B * cosine, cosine).is_positive)
        and bool(sp.diff(B**2 + 2 * e * B * cosine + e**2, cosine).is_positive)
    )


@step("A.2", "the sharper cosine bound: the sine of the angle is at most e/B")
def sharp_bound() -> bool:
    """A.2, ours: ``|u*|^2 - B^2 (1 - c^2) = (Bc + e)^2``, so ``sin^2 = e^2 (1-c^2)/|u*|^2``."""
    return sine_bound(1)


def sine_bound(factor: Any) -> bool:
    """Whether the sine is at most ``e / (factor B)`` for every c, attained at ``c = -e/B``.

    The plane of the two vectors has u = (B, 0) and the difference e (c, sqrt(1 - c^2)).
    """
    across = sp.sqrt(1 - cosine**2)
    best = sp.Matrix([B + e * cosine, e * across])
    sine_squared = best[1] ** 2 / squared(best)  # u lies along the first axis
    allowed = (e / (factor * B)) ** 2
    gap = sp.together(allowed - sine_squared)
    square = (B * cosine + e) ** 2 * e**2 / (B**2 * squared(best))
    return vanishes(sp.expand(gap - square)) and vanishes(
        sp.simplify(sine_squared.subs(cosine, -e / B) - allowed)
    )


@step("A.2", "the sharper bound is never below the paper's")
def sharper_than_paper() -> bool:
    """A.2, with q = e/B in (0, 1): ``(1 - q^2) - ((1-q)/(1+q))^2`` is (1-q) times a positive."""
    q, rest = sp.symbols("q p", positive=True)
    gap = sp.factor((sharp_cosine**2 - cosine_bound**2).subs(e, q * B))
    # q = 1/(1 + p) covers (0, 1) with p > 0.
    return bool(sp.factor(gap.subs(q, 1 / (1 + rest))).is_positive)


@step("A.2", "(26): |x - Z|^2 expanded, with its two events, is at least B^2")
def target_length() -> bool:
    """(26): ``|x|^2 - 2<x,Z> + |Z|^2`` at ``<x,Z> <= a|x|``, ``|Z|^2 >= d - 2 sqrt(db)``."""
    return shortest_length(2)


def shortest_length(factor: Any) -> bool:
    """Whether B^2 is what the events leave, with ``factor a |x|`` taken off."""
    for dim in (1, 2, 3):
        point, noise = vector("x", dim), vector("z", dim)
        inner, length = sp.symbols("inner length", real=True)
        expanded = sp.expand(squared(point - noise))
        parts = squared(point) - 2 * point.dot(noise) + squared(noise)
        if not vanishes(expanded - parts):
            return False
        least = (norm**2 - factor * inner + length).subs(
            {inner: a * norm, length: d - 2 * sp.sqrt(d * b)}
        )
        if not vanishes(least - shortest_target**2):
            return False
    return True


@step("A.2", "<x, Z>/|x| is standard normal, so the first event fails with Phi(-a)")
def projection() -> bool:
    """A.2: its variance ``sum x_k^2 / |x|^2`` is 1; the tail of the normal density beyond a."""
    for dim in (1, 2, 3):
        point = vector("x", dim)
        if not vanishes(sum((v / sp.sqrt(squared(point))) ** 2 for v in point) - 1):
            return False
    tail = sp.integrate(density(Normal("Z", 0, 1))(z), (z, a, sp.oo))
    return bool(sp.simplify((tail - (shortfall - sp.exp(-b))).rewrite(sp.erf)) == 0)


@step("A.2", "(27): the fields differ by the denoiser's distance over 1 - t")
def field_gap() -> bool:
    """(27): ``u* - u = (m - x)/(1 - t)``; with A.1's distance its length is at most e."""
    gap = sp.simplify(optimal_field - conditional_field - (m - x) / (1 - t))
    return gap == 0 and vanishes(denoiser_distance / (1 - t) - field_error)


@step("A.3", "both cosine bounds tend to 1 as the dimension grows, all else fixed")
def high_dimension() -> bool:
    """A.3: B grows like sqrt(d), so e/B tends to 0; the remark's strong dependence on d."""
    return grows_like(sp.Rational(1, 2))


def grows_like(power: Any) -> bool:
    """Whether ``B / d^power`` tends to 1 and both bounds tend to 1 with d."""
    root = sp.Symbol("s", positive=True)  # sqrt(d)
    length = sp.sqrt(norm**2 - 2 * a * norm + root**2 - 2 * root * sp.sqrt(b))
    same = sp.simplify(length.subs(root, sp.sqrt(d)) - shortest_target) == 0
    rate = sp.limit(length / root ** (2 * power), root, sp.oo)
    limits = [sp.limit(bound, B, sp.oo) for bound in (cosine_bound, sharp_cosine)]
    return bool(same and rate == 1 and limits == [1, 1])


@step("A.3", "the paper's bound loses 2e/B to first order, ours only (e/B)^2/2")
def first_order() -> bool:
    """A.3: series in q = e/B, which says how much the average would gain."""
    q = sp.Symbol("q", positive=True)
    paper, ours = (
        sp.series(bound.subs(e, q * B), q, 0, 3).removeO() for bound in (cosine_bound, sharp_cosine)
    )
    return vanishes(paper - (1 - 2 * q + 2 * q**2)) and vanishes(ours - (1 - q**2 / 2))
