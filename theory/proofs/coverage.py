"""Definition 4.6, Theorem 4.8 and Lemmas B.2 to B.5, step by step.

``A_i`` is the event that the noisy point lies in the shell of ``x_i``, ``I_i`` its indicator,
``V = sum_i I_i``, ``S1 = sum_i P(A_i) = E V`` and ``S2 = sum_{i<j} P(A_i A_j) = E V(V - 1)/2``.
"""

from itertools import product
from typing import Any

import sympy as sp
from mpmath import mp

from wildmiddle.theory.proofs.any_size import (
    N,
    inner,
    is_identity,
    j,
    norm2,
    over,
    vectors,
)
from wildmiddle.theory.proofs.any_size import i as point
from wildmiddle.theory.proofs.noncentral import lam, noncentral_chi2_cdf, p_sigma, y
from wildmiddle.theory.proofs.posterior import is_zero, normal_cdf, normal_density
from wildmiddle.theory.proofs.shells import c, d, r, sigma
from wildmiddle.theory.proofs.step import step

M = sp.Symbol("M", integer=True, positive=True)
V = sp.Symbol("V", integer=True, nonnegative=True)
k = sp.Symbol("k", integer=True, nonnegative=True)
q, p, p_nn, C, S1, S2 = sp.symbols("q p p_nn C S1 S2", nonnegative=True)
hit = sp.IndexedBase("I")
index = sp.Symbol("i", integer=True, positive=True)
union_indicator = 1 - sp.Product(1 - hit[index], (index, 1, N))
weighted_mean = sp.Sum(
    sp.IndexedBase("phi")[index] * sp.IndexedBase("probability")[index], (index, 1, N)
)
"""``g(x)`` of Lemma B.2, Y on N values."""
overlap_of_offset = p_sigma.subs(r, sp.sqrt(sum(v**2 for v in sp.symbols("v_1:3", real=True))))
"""Lemma B.4 in the plane: whatever its direction, only the offset's length counts."""
overlap_of_pair = p_sigma.subs(r, sp.Abs(sp.Symbol("X", real=True) - sp.Symbol("X'", real=True)))
"""Lemma B.5 on the line."""
exact_coverage = 1 - (1 - q) ** N
coverage_upper = sp.Min(1, N * p)
theorem_4_8 = sp.And(sp.Le(p_nn, C), sp.Le(C, coverage_upper))
"""``p_nn = E p_sigma(|X - X_NN|)``, ``p = E p_sigma(|X - X'|)``."""
dawson_sankoff = 2 * S1 / (k + 1) - 2 * S2 / (k * (k + 1))
"""At ``k = 1 + floor(2 S2 / S1)``."""
second_order_upper = sp.Min(1, S1 - 2 * S2 / N)


# Definition 4.6


@step("4.6", "the union's indicator is 1 - prod(1 - I_i): one more event, N to N + 1", sign=-1)
def union_as_product(sign: int = 1) -> bool:
    """Def 4.6, by induction: ``U or I`` is ``1 - (1 - U)(1 - I)`` for indicators; N = 0 is 0."""
    first, second = hit[1], hit[2]
    starts = union_indicator.subs(N, 1).doit() == first
    grown = 1 - (1 - first) * (1 - sign * second)
    same = sp.expand(union_indicator.subs(N, 2).doit() - grown) == 0
    return bool(starts and same) and all(
        grown.subs({first: u, second: one}) == max(u, one) for u, one in product((0, 1), repeat=2)
    )


# Theorem 4.8


@step("4.8", "the union holds the nearest point's shell and any other", share=2)
def union_contains_each(share: int = 1) -> bool:
    """Theorem 4.8, left, every N: ``union - I_k = (1 - I_k)(1 - prod of the others)``."""
    a, b = sp.symbols("a b", nonnegative=True)
    own, others = a / (1 + a), b / (1 + b)  # I_k, and the product of 1 - I over the others
    union = 1 - (1 - own) * others
    return bool(sp.factor(sp.together(union - share * own)).is_nonnegative)


@step("4.8", "union bound: sum - union grows by I times the union, N to N + 1", share=2)
def union_below_sum(share: int = 1) -> bool:
    """Theorem 4.8, right, by induction; N = 0 is 0 <= 0. With ``sum/share`` it would not."""
    gap, one_more, union = sp.symbols("gap I U", nonnegative=True)
    new_union = 1 - (1 - union) * (1 - one_more)
    return bool(sp.expand(gap + union + one_more / share - new_union).is_nonnegative)


@step(
    "4.8", "fixed sets: the sum over training points, averaged, is N times the pair mean", count=M
)
def fixed_sets(count: Any = N) -> bool:
    """Theorem 4.8 for any fixed sets of N training and M held-out points."""
    overlap = sp.IndexedBase("overlap")
    pairs = over(over(overlap[point, j], j, N), point, M)
    by_point = over(over(overlap[point, j], j, N) / M, point, M)
    return is_identity(by_point - count * pairs / (N * M))


@step("4.8", "tight at N = 1: nearest, union bound and the exact identity are all p", n=2)
def one_training_point(n: int = 1) -> bool:
    """Theorem 4.8: with one point X_NN is X_1, and ``min(1, p) = p``, over all p in (0, 1)."""
    a = sp.Symbol("a", positive=True)
    probability = 1 / (1 + a)
    upper = sp.simplify(coverage_upper.subs({N: n, p: probability}).rewrite(sp.Piecewise))
    exact = exact_coverage.subs({N: n, q: probability})
    return is_zero(upper - probability) and is_zero(exact - probability)


@step(
    "4.8",
    "both bounds on fixed sets of the line, union of intervals, at 50 digits",
    "numeric",
    scale=2,
)
def bounds_on_the_line(scale: int = 1) -> bool:
    """Theorem 4.8, d = 1, c = 1/8: exact coverage of x = 0 at three noise levels, three sets."""
    levels = ("0.2", "1", "5")
    sets = (("0.5",), ("0.3", "-1.1", "0.35"), ("0.2", "0.2", "2", "-1.5"))
    return all(encloses(level, points, scale) for level, points in product(levels, sets))


def encloses(level: str, points: tuple[str, ...], scale: Any) -> bool:
    """Whether the exact coverage lies between nearest-point and union bound times scale."""
    with mp.workdps(50):
        s = mp.mpf(level)
        width = mp.sqrt(mp.mpf(1) / 2)  # 2 sqrt(c d)
        low, high = mp.sqrt(1 - width), mp.sqrt(1 + width + mp.mpf(1) / 4)
        intervals = []
        for point in map(mp.mpf, points):
            intervals += [(point / s + low, point / s + high), (point / s - high, point / s - low)]
        covered, reach = mp.zero, -mp.inf
        for start, end in sorted(intervals):
            if end > reach:
                covered += mp.ncdf(end) - mp.ncdf(max(start, reach))
                reach = end
        overlaps = [
            noncentral_chi2_cdf(high**2, 1, (mp.mpf(point) / s) ** 2)
            - noncentral_chi2_cdf(low**2, 1, (mp.mpf(point) / s) ** 2)
            for point in points
        ]
        nearest = min(range(len(points)), key=lambda i: abs(mp.mpf(points[i])))
        slack = mp.mpf(10) ** -45
        upper = min(mp.one, scale * sum(overlaps))
        return bool(scale * overlaps[nearest] <= covered + slack and covered <= upper + slack)


# Lemmas B.2 to B.5


@step("B.2", "E[phi(X, Y) | X] = g(X) for independent X, Y", tilt=1)
def conditional_expectation(tilt: int = 0) -> bool:
    """Lemma B.2: ``E[phi 1_A(X)] = E[g 1_A(X)]`` for every event A, X on M values and Y on N.

    With a ``tilt`` the joint law is no longer the product of its margins.
    """
    phi, p_y, p_x, event, off = map(sp.IndexedBase, ("phi", "probability", "a", "A", "tilt"))
    joint = p_x[point] * p_y[index] + tilt * off[point, index]
    g = weighted_mean.replace(
        lambda part: isinstance(part, sp.Indexed) and part.base == phi,
        lambda part: phi[point, part.indices[0]],
    )
    left = sp.Sum(phi[point, index] * event[point] * joint, (index, 1, N))
    return is_identity(over(left, point, M) - over(g * event[point] * p_x[point], point, M))


@step("B.3", "given Y an indicator is Bernoulli(q(Y)) whatever all others are", repeat=True)
def conditionally_bernoulli(*, repeat: bool = False) -> bool:
    """Lemma B.3: ``E f I = q E f``, X on N values, f any function of the others, jointly on M.

    With f the indicator of an event of the others, one after another, all N are independent.
    ``repeat``: f is of X itself.
    """
    mass, seen, others, f = map(sp.IndexedBase, ("mass", "seen", "others", "f"))
    rate = over(mass[point] * seen[point])
    if repeat:
        return is_identity(
            over(mass[point] * f[point] * seen[point]) - rate * over(mass[j] * f[j], j)
        )
    both = over(over(others[j] * f[j] * mass[point] * seen[point]), j, M)
    return is_identity(both - rate * over(others[j] * f[j], j, M))


@step("B.3", "N Bernoulli(q) indicators cover with 1 - (1 - q)^N: N to N + 1", claimed=N * q)
def coverage_identity(claimed: Any = exact_coverage) -> bool:
    """Ours, from Lemma B.3, by induction: one more covers what is not yet covered with q."""
    grown = claimed + (1 - claimed) * q
    return is_zero(claimed.subs(N, 1) - q) and is_zero(
        sp.expand(sp.powsimp(sp.expand(claimed.subs(N, N + 1) - grown)), power_exp=True)
    )


@step("B.3", "the identity lies below the union bound: N q - 1 + (1 - q)^N >= 0", share=2)
def identity_below_union_bound(share: int = 1) -> bool:
    """Ours, for every N: value and slope are 0 at q = 0, and it is convex on [0, 1)."""
    return convex_from_zero(share * N * q - exact_coverage)


def convex_from_zero(gap: Any) -> bool:
    """Whether ``gap`` in q starts at 0 with slope 0 and is convex on [0, 1)."""
    a = sp.Symbol("a", positive=True)
    curvature = sp.simplify(sp.diff(gap, q, 2).subs(q, 1 - a))
    more = sp.Symbol("more", integer=True, nonnegative=True)
    starts = gap.subs(q, 0) == 0 and is_zero(sp.diff(gap, q).subs(q, 0))
    return bool(starts and sp.simplify(curvature.subs(N, 1 + more)).is_nonnegative)


@step("B.4", "a reflection takes x - x' to |x - x'| e and keeps all inner products", weight=1)
def rotation_invariance(weight: int = 2) -> bool:
    """Lemma B.4, every d: Householder's ``Q = I - 2 n n^T / |n|^2`` with ``n = v - |v| e``.

    So ``|sigma Z + v| = |sigma Q Z + |v| e|``, and Q Z has the law of Z.
    """
    v, unit, a, b = vectors("v e a b")
    length = sp.Symbol("length", positive=True)
    known = {inner(v, v): length**2, inner(unit, unit): 1}
    normal = v - length * unit

    def reflect(vector: Any) -> Any:
        return vector - weight * inner(normal, vector) / norm2(normal) * normal

    kept = inner(reflect(a), reflect(b)) - inner(a, b)
    moved = norm2(reflect(v) - length * unit)
    return is_zero(kept.subs(known)) and is_zero(moved.subs(known))


@step(
    "B.4",
    "in the plane it is the noise integrated over the ring around an offset of any direction",
    "numeric",
    stretch=2,
)
def in_the_plane(stretch: int = 1) -> bool:
    """Lemma B.4, d = 2: offsets of length 3/2 and 5/2, to 20 digits."""
    offsets = (("0.9", "-1.2"), ("-0.7", "2.4"))
    formula = sp.lambdify(
        (*sp.symbols("v_1:3", real=True), sigma, d, c), overlap_of_offset, "mpmath"
    )
    with mp.workdps(30):
        width = mp.mpf(1) / 8
        low, high = mp.one, mp.sqrt(mp.mpf(13) / 4)  # 2 -+ 2 sqrt(2 c), + 2 c
        turns = [2 * mp.pi * n / 64 for n in range(64)]  # all but exact for a periodic function
        for v in ((mp.mpf(one), mp.mpf(other)) for one, other in offsets):

            def around(radius: Any, v: Any = v) -> Any:
                gaps = (
                    (radius * mp.cos(turn) - stretch * v[0]) ** 2
                    + (radius * mp.sin(turn) - stretch * v[1]) ** 2
                    for turn in turns
                )
                return radius * sum(mp.exp(-gap / 2) for gap in gaps) / 64

            if abs(formula(*v, 1, 2, width) - mp.quad(around, [low, high])) > mp.mpf(10) ** -20:
                return False
    return True


@step("B.5", "on the line it is the normal law of two intervals, at 45 digits", "numeric", factor=2)
def on_the_line(factor: int = 1) -> bool:
    """Lemma B.5, d = 1: three pairs X, X' at two noise levels."""
    ends = sp.symbols("low high", positive=True)
    here, there, offset = sp.symbols("X X' v", real=True)
    formula = sp.lambdify((here, there, sigma, d, c), overlap_of_pair, "mpmath")
    exact = sp.lambdify((offset, *ends), ring_probability(offset), "mpmath")
    with mp.workdps(50):
        width = mp.mpf(1) / 8
        radii = mp.sqrt(1 - 2 * mp.sqrt(width)), mp.sqrt(1 + 2 * mp.sqrt(width) + 2 * width)
        pairs = [(mp.mpf(x), mp.mpf(y)) for x, y in (("0.3", "-0.4"), ("1", "2.5"), ("-2", "-2"))]
        gaps = [
            formula(x, y, level, 1, width) - exact(factor * (y - x) / level, *radii)
            for x, y in pairs
            for level in (mp.mpf("0.6"), mp.mpf(2))
        ]
        return bool(max(map(abs, gaps)) < mp.mpf(10) ** -45)


@step("B.4", "d = 1: p_sigma is the same for an offset and its opposite", "instance", factor=-2)
def sign_invariance(factor: int = -1) -> bool:
    """Lemma B.4 on the line, where the orthogonal maps are the two signs."""
    offset = sp.Symbol("v", real=True)
    return is_zero(ring_probability(offset) - ring_probability(factor * offset))


def ring_probability(offset: Any) -> Any:
    """``P(r_in <= |Z + offset| <= r_out)`` on the line, as two intervals of Z."""
    low, high = sp.symbols("low high", positive=True)
    right = normal_cdf(high - offset) - normal_cdf(low - offset)
    return right + normal_cdf(-low - offset) - normal_cdf(-high - offset)


@step(
    "B.5",
    "given X and X' the indicator's mean is p_sigma(|X - X'|), d = 1 by intervals",
    "instance",
    offset=lam,
)
def conditional_overlap(offset: Any = sp.sqrt(lam)) -> bool:
    """Lemma B.5: at fixed points (Lemma B.2) the two intervals of Z against Definition 4.7."""
    low, high = sp.symbols("low high", positive=True)
    shift = sp.sqrt(lam)
    ball = [
        sp.integrate(normal_density(y), (y, -radius - shift, radius - shift)).rewrite(sp.erf)
        for radius in (high, low)
    ]
    return is_zero(ring_probability(offset) - (ball[0] - ball[1]))
