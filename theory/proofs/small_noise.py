"""Theorems 4.9 and B.6: when shells are disjoint, and what the objective is where they are not."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.small_sets import points, squared, vanishes, vector
from wildmiddle.theory.proofs.step import step

d, c, sigma, d_min, r = sp.symbols("d c sigma d_min r", positive=True)
r_in, r_out = sp.symbols("r_in r_out", positive=True)
along, off = sp.symbols("s h", real=True)

disjoint_sigma = d_min / (2 * sp.sqrt(d + 2 * sp.sqrt(c * d) + 2 * c))
"""Section 4.2.1: the noise level below which all shells are pairwise disjoint."""

big, small = sp.symbols("a b", positive=True)
lens_volume = (
    sp.pi
    * (big + small - r) ** 2
    * (r**2 + 2 * r * (big + small) - 3 * (big - small) ** 2)
    / (12 * r)
)
"""Common volume of two balls in space, radii a and b, centres r apart, their spheres meeting."""


def distances_squared(s: Any, h: Any) -> tuple[Any, Any]:
    """Squared distances from two centres r apart to the point s along their line and h off it."""
    return s**2 + h**2, (r - s) ** 2 + h**2


@step("4.9", "no point is nearer than r/2 to both centres (triangle inequality)")
def triangle_inequality() -> bool:
    """B.6: the squared distances sum to r^2/2 and squares: in both shells, r <= 2 sigma r_out."""
    return farther_half(sp.Rational(1, 2))


def farther_half(share: Any) -> bool:
    """Whether the squared distances sum to ``share r^2`` plus squares of real numbers."""
    first, second = distances_squared(along, off)
    squares = 2 * (along - r / 2) ** 2 + 2 * off**2
    return vanishes(first + second - share * r**2 - squares) and bool(squares.is_nonnegative)


@step("4.9", "up to r = 2 sigma r_out some point is in both shells (the midpoint at the end)")
def common_point() -> bool:
    """B.6, converse in d >= 2: a point off the midpoint lies at sigma r_out from both centres."""
    return spheres_meet(2)


def spheres_meet(factor: Any) -> bool:
    """Whether outer spheres meet in a real point for all r up to ``factor sigma r_out``, at most.

    Their common points are at s = r/2 and ``h^2 = sigma^2 r_out^2 - r^2/4``, which must not be
    negative before that r and must be 0 there.
    """
    share = sp.Symbol("q", positive=True)  # r as a share of its largest value
    first, second = distances_squared(along, off)
    height = sp.solve(first.subs(along, r / 2) - sigma**2 * r_out**2, off**2)[0]
    on_both = [
        sp.expand(distance).subs(off**2, height).subs(along, r / 2) for distance in (first, second)
    ]
    largest = factor * sigma * r_out
    left = sp.factor(height.subs(r, share * largest) / (sigma * r_out) ** 2)
    return (
        all(vanishes(distance - sigma**2 * r_out**2) for distance in on_both)
        and left.subs(share, 1) == 0  # there h = 0: the midpoint itself
        and sp.solveset(left >= 0, share, sp.Interval(0, 1)) == sp.Interval(0, 1)
    )


@step("4.9", "the threshold solves d_min = 2 sigma r_out")
def threshold() -> bool:
    """Section 4.2.1: with r_out of Lemma 4.5, ``sigma = d_min / (2 r_out)``."""
    solution = sp.solve(sp.Eq(d_min, 2 * sigma * r_out), sigma)[0]
    radius = sp.sqrt((sp.sqrt(d) + sp.sqrt(c)) ** 2 + c)  # r_out^2 with the square completed
    return bool(sp.simplify(solution.subs(r_out, radius) - disjoint_sigma) == 0)


@step("4.9", "on a line the condition is sufficient only")
def line() -> bool:
    """B.6, d = 1, c = 1/100, sigma = 1: the shells of 0 and 1/2 are disjoint, yet 1/2 < 2 r_out."""
    return misses_on_a_line(sp.Rational(1, 2))


def misses_on_a_line(distance: Any) -> bool:
    """Whether two one-dimensional shells miss each other though less than 2 r_out apart."""
    share = sp.Rational(1, 100)
    inner = sp.sqrt(1 - 2 * sp.sqrt(share))
    outer = sp.sqrt(1 + 2 * sp.sqrt(share) + 2 * share)

    def shell(x: Any) -> Any:
        return sp.Union(sp.Interval(x - outer, x - inner), sp.Interval(x + inner, x + outer))

    missed = sp.Intersection(shell(sp.Integer(0)), shell(distance)) == sp.S.EmptySet
    return bool(missed and distance < 2 * outer)


def pointwise(f: Any, first: Any, second: Any, p: Any, q: Any) -> Any:
    """The objective's integrand at one y, where the noised points have the densities p and q."""
    return p * squared(f - first) + q * squared(f - second)


@step("4.9", "on one shell alone only x_i has no cost; off all shells nothing has any")
def free_elsewhere() -> bool:
    """B.6: with one density 0 the integrand is ``p |f - x_i|^2``; with both it is free of f."""
    p = sp.Symbol("p", positive=True)
    for dim in (1, 2, 3):
        (first, second), f = points(2, dim), vector("f", dim)
        alone = pointwise(f, first, second, p, 0)
        root = sp.solve([sp.diff(alone, entry) for entry in f], list(f), dict=True)
        at_root = alone.subs(root[0]) if len(root) == 1 else None
        curved = sp.hessian(alone, list(f)) == 2 * p * sp.eye(dim)
        if at_root != 0 or sp.Matrix([root[0][e] for e in f]) != first or not curved:
            return False
        if pointwise(f, first, second, 0, 0).has(*f):
            return False
    return True


@step("4.9", "where two shells overlap each side pays r^2/4")
def overlap_cost() -> bool:
    """B.6, converse: at equal densities p the best value is the midpoint, at ``2 p r^2/4``."""
    return pair_cost(sp.Rational(1, 4))


def pair_cost(share: Any) -> bool:
    """Whether the least integrand is ``2 p share r^2`` at equal densities, at the midpoint."""
    p, q = sp.symbols("p q", positive=True)
    for dim in (1, 2, 3):
        (first, second), f = points(2, dim), vector("f", dim)
        objective = pointwise(f, first, second, p, q)
        root = sp.solve([sp.diff(objective, entry) for entry in f], list(f), dict=True)[0]
        best = sp.Matrix([root[entry] for entry in f]).subs(q, p)
        least = objective.subs(root).subs(q, p)
        if not vanishes(best - (first + second) / 2):
            return False
        if not vanishes(least - 2 * p * share * squared(first - second)):
            return False
    return True


@step("4.9", "where several shells overlap the best value is the mean of their centres")
def several() -> bool:
    """B.6, converse: k equal densities cost at least p/k times the sum of squared distances."""
    p = sp.Symbol("p", positive=True)
    for k in (2, 3, 4):
        xs, f = points(k, 2), vector("f", 2)
        objective = p * sum(squared(f - x) for x in xs)
        mean = sum(xs[1:], xs[0]) / k
        pairs = sum(squared(xs[i] - xs[j]) for i in range(k) for j in range(i))
        excess = p * k * squared(f - mean)
        if not vanishes(objective - p * pairs / k - excess):
            return False
    return True


@step("4.9", "in three dimensions two balls share a lens of known volume")
def lens() -> bool:
    """B.6, for theory.small_noise.shell_overlap at d = 3: two caps, integrated slice by slice."""
    x, plane = sp.symbols("x plane", real=True)
    # The spheres meet in the plane where both slices have the same radius.
    meeting_plane = sp.solve(sp.Eq(big**2 - plane**2, small**2 - (r - plane) ** 2), plane)[0]
    first = sp.integrate(sp.pi * (big**2 - x**2), (x, meeting_plane, big))
    second = sp.integrate(sp.pi * (small**2 - (r - x) ** 2), (x, r - small, meeting_plane))
    return vanishes(first + second - lens_volume)
