"""Corollary A.2 and Remark A.3: when the optimal field points where the conditional one does."""

from itertools import product
from typing import Any

import sympy as sp
from mpmath import mp
from sympy.stats import Normal, density

from wildmiddle.theory.proofs.any_size import i as index
from wildmiddle.theory.proofs.any_size import inner, norm2, over, split, vectors
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
from wildmiddle.theory.proofs.noncentral import F, laplace_transform, noncentral_chi2_cdf
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

exact_shortfall = F(B**2, d, norm**2)
"""Ours: the chance that ``|x_i - Z|`` is below B, a noncentral chi-square CDF."""

# Below u = x - Z and u* = u + delta, |u| = B, |delta| = e.
cosine = sp.Symbol("c", real=True)
"""Cosine of the angle between the conditional field and the difference of the fields."""


def vanishes(expression: Any) -> bool:
    """Whether sympy reduces ``expression`` to zero."""
    return bool(sp.simplify(expression) == 0)


@step("A.2", "(25): the fields' inner product and length in terms of their difference", share=2)
def expansion(share: int = 1) -> bool:
    """(25): with ``u* = u + (m - x)/(1-t)``, ``<u*, u>`` and ``|u*|^2`` expanded, in every d."""
    at, point, output = vectors("y x m")
    plain, best, gap = ((v - o) / (1 - t) for v, o in ((point, at), (output, at), (output, point)))
    product = inner(best, plain) - (norm2(plain) + share * inner(gap, plain))
    length = norm2(best) - (norm2(plain) + 2 * inner(gap, plain) + norm2(gap))
    return vanishes(product) and vanishes(length)


@step("A.2", "the paper's cosine bound from Cauchy-Schwarz and the triangle inequality", sign=-1)
def paper_bound(sign: int = 1) -> bool:
    """A.2: ``(B^2 - eB) / (B (B + e)) = (B - e)/(B + e)``; it rises with B and falls with e."""
    quotient = (B**2 - e * B) / (B * (B + sign * e))
    return (
        vanishes(quotient - cosine_bound)
        and bool(sp.factor(sp.diff(cosine_bound, B)).is_positive)
        and bool(sp.factor(sp.diff(cosine_bound, e)).is_negative)
        # B^2 + eBc is least at c = -1 and |u*| greatest at c = 1
        and bool(sp.diff(B**2 + e * B * cosine, cosine).is_positive)
        and bool(sp.diff(B**2 + 2 * e * B * cosine + e**2, cosine).is_positive)
    )


@step("A.2", "the sharper cosine bound: the sine of the angle is at most e/B", factor=2)
def sharp_bound(factor: Any = 1) -> bool:
    """A.2, ours: ``|u*|^2 - B^2 (1 - c^2) = (Bc + e)^2``, so ``sin^2 = e^2 (1-c^2)/|u*|^2``.

    At most ``e / (factor B)`` for every c, attained at ``c = -e/B``. The plane of the two vectors
    has u = (B, 0) and the difference e (c, sqrt(1 - c^2)).
    """
    across = sp.sqrt(1 - cosine**2)
    best = sp.Matrix([B + e * cosine, e * across])
    length2 = best.dot(best)
    sine_squared = best[1] ** 2 / length2  # u lies along the first axis
    allowed = (e / (factor * B)) ** 2
    gap = sp.together(allowed - sine_squared)
    square = (B * cosine + e) ** 2 * e**2 / (B**2 * length2)
    return vanishes(sp.expand(gap - square)) and vanishes(
        sine_squared.subs(cosine, -e / B) - allowed
    )


@step("A.2", "the sharper bound is never below the paper's", power=8)
def sharper_than_paper(power: int = 2) -> bool:
    """A.2, with q = e/B in (0, 1): ``(1 - q^2) - ((1-q)/(1+q))^2`` is (1-q) times a positive."""
    q, rest = sp.symbols("q p", positive=True)
    gap = sp.factor((sharp_cosine**power - cosine_bound**2).subs(e, q * B))
    # q = 1/(1 + p) covers (0, 1) with p > 0.
    return bool(sp.factor(gap.subs(q, 1 / (1 + rest))).is_positive)


@step("A.2", "(26): |x - Z|^2 expanded, with its two events, is at least B^2", factor=1)
def target_length(factor: int = 2) -> bool:
    """(26): ``|x|^2 - 2<x,Z> + |Z|^2`` at ``<x,Z> <= a|x|``, ``|Z|^2 >= d - 2 sqrt(db)``, any d."""
    point, noise = vectors("x Z")
    expanded = norm2(point - noise)
    known = {norm2(point): norm**2, inner(point, noise): a * norm}
    known[norm2(noise)] = d - 2 * sp.sqrt(d * b)
    falls = sp.diff(expanded, inner(point, noise)) + factor  # the event's other end is a |x|
    return vanishes(expanded.subs(known) - shortest_target**2) and falls == 0


@step("A.2", "<x, Z>/|x| is standard normal, so the first event fails with Phi(-a)", length=2)
def projection(length: int = 1) -> bool:
    """A.2: the variances ``x_k^2/|x|^2`` of d coordinates sum to 1; the normal tail beyond a."""
    v, dimension = sp.IndexedBase("x"), sp.Symbol("d", integer=True, positive=True)
    squares = split(over(v[index] ** 2, count=dimension))
    variance = split(over(v[index] ** 2 / norm**2, count=dimension))
    tail = sp.integrate(density(Normal("Z", 0, length))(z), (z, a, sp.oo))
    missed = (tail - (shortfall - sp.exp(-b))).rewrite(sp.erf)
    return vanishes(variance.subs(squares, norm**2) - 1) and vanishes(missed)


@step("A.2", "exactly: |x - Z|^2 is noncentral chi-square with lambda = |x|^2", tilt=2)
def exact_length(tilt: int = 1) -> bool:
    """A.2, ours: -Z has the law of Z, so ``P(|x_i - Z| < B) = F(B^2; d, |x_i|^2)``, in every d.

    By the Laplace transform of Definition 4.7 with v = -x; ``tilt`` is a factor of lambda there.
    """
    point, noise = vectors("x Z")
    same = sp.expand(norm2(point - noise) - norm2((-noise) + point)) == 0
    matches = exact_shortfall.args == (B**2, d, norm**2)
    return bool(same and matches and laplace_transform(tilt))


@step("A.2", "the exact shortfall is below the paper's, at 50 digits", "numeric", share=10**-7)
def exact_is_smaller(share: float = 1.0) -> bool:
    """A.2, ours: it is one event's probability, the paper's a union bound on two; 9 instances.

    ``share`` of the paper's: that much smaller it never is here.
    """
    with mp.workdps(50):
        for length, dimension, first, second in product((1, 6), (3, 64, 256), (1, 3), (5,)):
            square = length**2 - 2 * first * length + dimension
            square -= 2 * mp.sqrt(dimension * second)
            if square <= 0:
                continue
            exact = noncentral_chi2_cdf(mp.mpf(square), dimension, length**2)
            if exact > share * (mp.ncdf(-first) + mp.exp(-second)):
                return False
    return True


@step("A.2", "(27): the fields differ by the denoiser's distance over 1 - t", power=2)
def field_gap(power: int = 1) -> bool:
    """(27): ``u* - u = (m - x)/(1 - t)``; with A.1's distance its length is at most e."""
    gap = sp.simplify(optimal_field - conditional_field - (m - x) / (1 - t) ** power)
    return gap == 0 and vanishes(denoiser_distance / (1 - t) - field_error)


@step("A.3", "both cosine bounds tend to 1 as the dimension grows, all else fixed", power=1)
def high_dimension(power: Any = sp.Rational(1, 2)) -> bool:
    """A.3: B grows like ``d^power``, so e/B tends to 0; the remark's strong dependence on d."""
    root = sp.Symbol("s", positive=True)  # sqrt(d)
    length = sp.sqrt(norm**2 - 2 * a * norm + root**2 - 2 * root * sp.sqrt(b))
    same = sp.simplify(length.subs(root, sp.sqrt(d)) - shortest_target) == 0
    rate = sp.limit(length / root ** (2 * power), root, sp.oo)
    limits = [sp.limit(bound, B, sp.oo) for bound in (cosine_bound, sharp_cosine)]
    return bool(same and rate == 1 and limits == [1, 1])


@step("A.3", "the paper's bound loses 2e/B to first order, ours only (e/B)^2/2", loss=1)
def first_order(loss: int = 2) -> bool:
    """A.3: series in q = e/B, which says how much the average would gain."""
    q = sp.Symbol("q", positive=True)
    paper, ours = (
        sp.series(bound.subs(e, q * B), q, 0, 3).removeO() for bound in (cosine_bound, sharp_cosine)
    )
    return vanishes(paper - (1 - loss * q + 2 * q**2)) and vanishes(ours - (1 - q**2 / 2))
