"""Definition 4.6, Theorem 4.8 and Lemmas B.2 to B.5, step by step.

``A_i`` is the event that the noisy point lies in the shell of ``x_i``, ``I_i`` its indicator,
``V = sum_i I_i``, ``S1 = sum_i P(A_i) = E V`` and ``S2 = sum_{i<j} P(A_i A_j) = E V(V - 1)/2``.
"""

from itertools import combinations, product
from typing import Any

import sympy as sp
from mpmath import mp
from sympy.logic.inference import satisfiable

from wildmiddle.theory.proofs.noncentral import lam, noncentral_chi2_cdf, p_sigma, y
from wildmiddle.theory.proofs.posterior import is_zero, normal_cdf, normal_density
from wildmiddle.theory.proofs.shells import r
from wildmiddle.theory.proofs.step import step

N = sp.Symbol("N", integer=True, positive=True)
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


@step("4.6", "the union's indicator is 1 - prod(1 - I_i), N = 4")
def union_as_product() -> bool:
    """Def 4.6: no truth assignment tells the two apart."""
    events = sp.symbols("A_1:5")
    return are_equivalent(sp.Or(*events), sp.Not(sp.And(*(~event for event in events))))


def are_equivalent(one: Any, other: Any) -> bool:
    """Whether two Boolean formulas agree under every assignment."""
    return satisfiable(sp.Xor(one, other)) is False


# Theorem 4.8


@step("4.8", "the union holds the nearest point's shell and any other, N = 4")
def union_contains_each() -> bool:
    """Theorem 4.8, left: ``A_k`` implies the union, whichever k is chosen."""
    events = sp.symbols("A_1:5")
    return all(implies(event, sp.Or(*events)) for event in events)


def implies(one: Any, other: Any) -> bool:
    """Whether no assignment makes ``one`` true and ``other`` false."""
    return satisfiable(one & ~other) is False


@step("4.8", "union bound: sum - union grows by I times the union, N to N + 1")
def union_below_sum() -> bool:
    """Theorem 4.8, right, by induction; N = 0 is 0 <= 0."""
    return gap_grows(1)


def gap_grows(share: int) -> bool:
    """Whether one more event keeps ``share sum - union`` above zero."""
    gap, one_more, union = sp.symbols("gap I U", nonnegative=True)
    total = (gap + union) / share
    new_union = 1 - (1 - union) * (1 - one_more)
    return bool(sp.expand(share * (total + one_more) - new_union).is_nonnegative)


@step("4.8", "fixed sets: the sum over training points, averaged, is N times the pair mean")
def fixed_sets() -> bool:
    """Theorem 4.8 for any fixed sets: 3 training points, 2 held-out ones, symbolic overlaps."""
    overlaps = sp.Matrix(2, 3, sp.symbols("p_1:7", nonnegative=True))
    by_point = sum(sum(overlaps.row(i)) for i in range(2)) / 2
    by_pair = sum(overlaps) / 6
    return is_zero(by_point - N.subs(N, 3) * by_pair)


@step("4.8", "tight at N = 1: nearest, union bound and the exact identity are all p")
def one_training_point() -> bool:
    """Theorem 4.8: with one point X_NN is X_1, and ``min(1, p) = p``."""
    return collapses_at(1)


def collapses_at(n: int) -> bool:
    """Whether upper bound and exact coverage are p for N = n, over all p in (0, 1)."""
    a = sp.Symbol("a", positive=True)
    probability = 1 / (1 + a)
    upper = sp.simplify(coverage_upper.subs({N: n, p: probability}).rewrite(sp.Piecewise))
    exact = exact_coverage.subs({N: n, q: probability})
    return is_zero(upper - probability) and is_zero(exact - probability)


@step("4.8", "both bounds on fixed sets of the line, union of intervals, at 50 digits", "numeric")
def bounds_on_the_line() -> bool:
    """Theorem 4.8, d = 1, c = 1/8: exact coverage of x = 0 at three noise levels, three sets."""
    levels = ("0.2", "1", "5")
    sets = (("0.5",), ("0.3", "-1.1", "0.35"), ("0.2", "0.2", "2", "-1.5"))
    return all(encloses(level, points, 1) for level, points in product(levels, sets))


def encloses(level: str, points: tuple[str, ...], scale: int) -> bool:
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


@step("B.2", "E[phi(X, Y) | X] = g(X) for independent X, Y: all events of a 3 x 2 space")
def conditional_expectation() -> bool:
    """Lemma B.2: ``E[phi 1_A(X)] = E[g 1_A(X)]`` with symbolic probabilities and phi."""
    return averages_over_y(0)


def averages_over_y(dependence: Any) -> bool:
    """Whether g has the defining property of ``E[phi | X]``; ``dependence`` keeps both margins."""
    phi = sp.Matrix(3, 2, sp.symbols("phi_1:7"))
    a, b, e = sp.symbols("a b e", positive=True)
    p_x, p_y = (a, b, 1 - a - b), (e, 1 - e)
    tilt = dependence * sp.Matrix([[1, -1], [-1, 1], [0, 0]])
    joint = sp.Matrix(3, 2, lambda i, j: p_x[i] * p_y[j]) + tilt
    g = [sum(phi[i, j] * p_y[j] for j in range(2)) for i in range(3)]
    difference = [sum(phi.row(i).multiply_elementwise(joint.row(i))) for i in range(3)]
    return all(
        is_zero(sum(difference[i] - g[i] * p_x[i] for i in event))
        for size in range(1, 4)
        for event in combinations(range(3), size)
    )


@step("B.3", "given Y the indicators are independent Bernoulli(q(Y)), X' on 3 values")
def conditionally_bernoulli() -> bool:
    """Lemma B.3: two indicators jointly, from X_1 and X_2, for every pattern of hits."""
    return all(factorises(hits, 0) for hits in product((0, 1), repeat=3))


def factorises(hits: tuple[int, ...], repeat: int) -> bool:
    """Whether two indicators are independent; ``repeat`` = 1 lets X_2 be X_1."""
    a, b = sp.symbols("a b", positive=True)
    masses = (a, b, 1 - a - b)
    rate = sum(m * h for m, h in zip(masses, hits, strict=True))
    for seen in product((0, 1), repeat=2):
        by_points = sum(
            masses[i] * (int(i == j) if repeat else masses[j])
            for i, j in product(range(3), repeat=2)
            if (hits[i], hits[j]) == seen
        )
        by_rate = sp.Mul(*(rate if one else 1 - rate for one in seen))
        if not is_zero(sp.expand(by_points - by_rate)):
            return False
    return True


@step("B.3", "N Bernoulli(q) indicators cover with 1 - (1 - q)^N, N = 1..4")
def coverage_identity() -> bool:
    """Ours, from Lemma B.3: summed over every outcome that has a hit."""
    return all(covers_with(exact_coverage.subs(N, n), n) for n in range(1, 5))


def covers_with(claimed: Any, n: int) -> bool:
    """Whether the outcomes of n trials with at least one hit have the probability claimed."""
    outcomes = (seen for seen in product((0, 1), repeat=n) if any(seen))
    total = sum(sp.Mul(*(q if one else 1 - q for one in seen)) for seen in outcomes)
    return is_zero(sp.expand(total - claimed))


@step("B.3", "the identity lies below the union bound: N q - 1 + (1 - q)^N >= 0")
def identity_below_union_bound() -> bool:
    """Ours, for every N: value and slope are 0 at q = 0, and it is convex on [0, 1)."""
    return convex_from_zero(N * q - exact_coverage)


def convex_from_zero(gap: Any) -> bool:
    """Whether ``gap`` in q starts at 0 with slope 0 and is convex on [0, 1)."""
    a = sp.Symbol("a", positive=True)
    curvature = sp.simplify(sp.diff(gap, q, 2).subs(q, 1 - a))
    more = sp.Symbol("more", integer=True, nonnegative=True)
    starts = gap.subs(q, 0) == 0 and is_zero(sp.diff(gap, q).subs(q, 0))
    return bool(starts and sp.simplify(curvature.subs(N, 1 + more)).is_nonnegative)


@step("B.4", "a reflection takes x - x' to |x - x'| e_1 and keeps the normal density, d = 2, 3")
def rotation_invariance() -> bool:
    """Lemma B.4: Householder's Q, so ``|sigma Z + x - x'| = |sigma Q Z + |x - x'| e_1|``."""
    return all(reflects(dimension, 2) for dimension in (2, 3))


def reflects(dimension: int, weight: int) -> bool:
    """Whether ``I - weight n n^T / n^T n`` is orthogonal and maps the offset to the first axis."""
    offset = sp.Matrix(sp.symbols(f"v_1:{dimension + 1}", real=True))
    axis = sp.Matrix([sp.sqrt(offset.dot(offset)), *[0] * (dimension - 1)])
    normal = offset - axis
    reflection = sp.eye(dimension) - weight * normal * normal.T / normal.dot(normal)
    orthogonal = reflection.T * reflection - sp.eye(dimension)
    return all(is_zero(entry) for entry in (*orthogonal, *(reflection * offset - axis)))


@step("B.4", "d = 1: p_sigma is the same for an offset and its opposite")
def sign_invariance() -> bool:
    """Lemma B.4 on the line, where the orthogonal maps are the two signs."""
    offset = sp.Symbol("v", real=True)
    return is_zero(ring_probability(offset) - ring_probability(-offset))


def ring_probability(offset: Any) -> Any:
    """``P(r_in <= |Z + offset| <= r_out)`` on the line, as two intervals of Z."""
    low, high = sp.symbols("low high", positive=True)
    right = normal_cdf(high - offset) - normal_cdf(low - offset)
    return right + normal_cdf(-low - offset) - normal_cdf(-high - offset)


@step("B.5", "given X and X' the indicator's mean is p_sigma(|X - X'|), d = 1 by intervals")
def conditional_overlap() -> bool:
    """Lemma B.5: at fixed points (Lemma B.2) the two intervals of Z against Definition 4.7."""
    return overlap_is(sp.sqrt(lam))


def overlap_is(offset: Any) -> bool:
    """Whether the shell's probability at ``offset`` is the difference of noncentral CDFs."""
    low, high = sp.symbols("low high", positive=True)
    shift = sp.sqrt(lam)
    ball = [
        sp.integrate(normal_density(y), (y, -radius - shift, radius - shift)).rewrite(sp.erf)
        for radius in (high, low)
    ]
    return is_zero(ring_probability(offset) - (ball[0] - ball[1]))
