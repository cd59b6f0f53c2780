"""Theorems 4.9 and B.6: when shells are disjoint, and what the objective is where they are not."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import N, i, is_identity, j, norm2, over, vectors
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


def vanishes(expression: Any) -> bool:
    """Whether sympy reduces ``expression`` to zero."""
    return bool(sp.simplify(expression) == 0)


def distances_squared(s: Any, h: Any) -> tuple[Any, Any]:
    """Squared distances from two centres r apart to the point s along their line and h off it."""
    return s**2 + h**2, (r - s) ** 2 + h**2


@step(
    "4.9",
    "no point is nearer than r/2 to both centres (triangle inequality)",
    share=sp.Rational(3, 5),
)
def triangle_inequality(share: Any = sp.Rational(1, 2)) -> bool:
    """B.6, every d: the squared distances sum to r^2/2 and twice a square, that to the midpoint.

    So of two shells that share a point ``r <= 2 sigma r_out``.
    """
    first, second, y = vectors("x_0 x_1 y")
    middle = (first + second) / 2
    both = norm2(y - first) + norm2(y - second)
    return vanishes(both - share * norm2(first - second) - 2 * norm2(y - middle))


@step(
    "4.9",
    "up to r = 2 sigma r_out some point is in both shells (the midpoint at the end)",
    factor=sp.Rational(21, 10),
)
def common_point(factor: Any = 2) -> bool:
    """B.6, converse in d >= 2: a point off the midpoint lies at sigma r_out from both centres.

    Outer spheres meet in a real point for all r up to ``factor sigma r_out``, at most. Their common
    points are at s = r/2 and ``h^2 = sigma^2 r_out^2 - r^2/4``, which must not be negative before
    that r and must be 0 there.
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


@step("4.9", "the threshold solves d_min = 2 sigma r_out", factor=1)
def threshold(factor: int = 2) -> bool:
    """Section 4.2.1: with r_out of Lemma 4.5, ``sigma = d_min / (2 r_out)``."""
    solution = sp.solve(sp.Eq(d_min, factor * sigma * r_out), sigma)[0]
    radius = sp.sqrt((sp.sqrt(d) + sp.sqrt(c)) ** 2 + c)  # r_out^2 with the square completed
    return vanishes(solution.subs(r_out, radius) - disjoint_sigma)


@step("4.9", "on a line the condition is sufficient only", "instance", distance=sp.Rational(1, 10))
def line(distance: Any = sp.Rational(1, 2)) -> bool:
    """B.6, d = 1, c = 1/100, sigma = 1: the shells of 0 and 1/2 are disjoint, yet 1/2 < 2 r_out."""
    share = sp.Rational(1, 100)
    inside = sp.sqrt(1 - 2 * sp.sqrt(share))
    outside = sp.sqrt(1 + 2 * sp.sqrt(share) + 2 * share)

    def shell(x: Any) -> Any:
        return sp.Union(sp.Interval(x - outside, x - inside), sp.Interval(x + inside, x + outside))

    missed = sp.Intersection(shell(sp.Integer(0)), shell(distance)) == sp.S.EmptySet
    return bool(missed and distance < 2 * outside)


p, x = sp.IndexedBase("p"), sp.IndexedBase("x")
f = sp.Symbol("f", real=True)
"""Densities at one y of the noised points, the points and the value of f there, a coordinate."""


@step("4.9", "on one shell alone only x_i has no cost; off all shells nothing has any", others=1)
def free_elsewhere(others: int = 0) -> bool:
    """B.6, any N: the integrand ``sum_j p_j |f - x_j|^2`` with all p_j 0, but for one or for none.

    It is a square times a positive number, 0 at ``f = x_i`` alone; or free of f.
    """
    here, rest, own = sp.Symbol("p_i", positive=True), others * over(p[j], j), sp.Symbol("x_i")
    alone = here * (f - own) ** 2 + rest * f**2
    nothing = (rest * f**2).subs(over(p[j], j), 0)
    return (
        vanishes(alone.subs(f, own))
        and vanishes(sp.diff(alone, f, 2) - 2 * here)
        and not sp.sympify(nothing).has(f)
    )


@step("4.9", "where two shells overlap each side pays r^2/4", share=sp.Rational(1, 2))
def overlap_cost(share: Any = sp.Rational(1, 4)) -> bool:
    """B.6, converse, every d: at equal densities p the best is the midpoint, at ``2 p r^2/4``.

    Any other value costs ``2 p`` times its squared distance from there more.
    """
    first, second, value = vectors("x_0 x_1 f")
    cost = norm2(value - first) + norm2(value - second)
    middle = (first + second) / 2
    return vanishes(cost - 2 * share * norm2(first - second) - 2 * norm2(value - middle))


@step("4.9", "where several shells overlap the best value is the mean of their centres", pairs=1)
def several(pairs: int = 2) -> bool:
    """B.6, converse: k equal densities cost at least p/k times the sum of squared distances."""
    mean = over(x[i]) / N
    objective = over((f - x[i]) ** 2)
    apart = over(over((x[i] - x[j]) ** 2, j)) / pairs  # each pair is met twice
    return is_identity(objective - apart / N - N * (f - mean) ** 2)


@step(
    "4.9",
    "uniform on the shell: the radius has a density in r^(d-1), drawn by its share of volume",
    power=1,
)
def shell_radius(power: int = 0) -> bool:
    """B.6's law: ``P(radius <= r) = (r^d - r_in^d) / (r_out^d - r_in^d)``, solved for r.

    Not the sphere of radius sqrt(d), where the radius does not vary, nor the normal law.
    """
    share = 1 / (1 + sp.Symbol("a", positive=True))  # all of (0, 1)
    radius = (share * r_out**d + (1 - share) * r_in**d) ** (1 / d)
    volume = (r**d - r_in**d) / (r_out**d - r_in**d)
    inverse = volume.subs(r, radius) - share
    density = sp.diff(volume, r) / r ** (d - 1 + power)
    return vanishes(inverse) and vanishes(sp.diff(sp.powsimp(sp.expand(density)), r))


@step("4.9", "in three dimensions two balls share a lens of known volume", "instance", share=2)
def lens(share: int = 1) -> bool:
    """B.6, for theory.small_noise.shell_overlap at d = 3: two caps, integrated slice by slice."""
    place, plane = sp.symbols("x plane", real=True)
    # The spheres meet in the plane where both slices have the same radius.
    meeting_plane = sp.solve(sp.Eq(big**2 - plane**2, small**2 - (r - plane) ** 2), plane)[0]
    first = sp.integrate(sp.pi * (big**2 - place**2), (place, meeting_plane, big))
    second = sp.integrate(sp.pi * (small**2 - (r - place) ** 2), (place, r - small, meeting_plane))
    return vanishes(first + second - share * lens_volume)
