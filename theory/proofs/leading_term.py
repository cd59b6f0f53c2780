"""Theorem 4.11 with C.4: the leading term of the empirical less the Gaussian denoiser (ours)."""

from functools import cache
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.large_noise import (
    flow_exponent,
    gaussian,
    gaussian_flow,
    symbolic_moments,
    t,
)
from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    Matrix,
    average,
    moments,
    points,
    softmax,
    squared,
    uniform,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

e = sp.Symbol("e", positive=True)
"""1/sigma."""

N = sp.Symbol("N", integer=True, positive=True)
j = sp.Symbol("j", integer=True)
X, z = sp.IndexedBase("X"), sp.Symbol("z", real=True)

leading_term = (sp.Sum(X[j] ** 3 * z**2, (j, 0, N - 1)) - sp.Sum(X[j] ** 3, (j, 0, N - 1))) / (
    2 * N
)
"""Theorem 4.11 in one dimension: ``(E[X <X,z>^2] - E[X |X|^2]) / 2`` of the centred points X."""


def third_moments(xs: list[Matrix], at: Matrix) -> tuple[Matrix, Matrix]:
    """``E[X <X, at>^2]`` and ``E[X |X|^2]`` of the centred points."""
    mean, _ = moments(xs)
    centred = [point - mean for point in xs]
    weights = uniform(len(xs))
    return (
        average(weights, [point * point.dot(at) ** 2 for point in centred]),
        average(weights, [point * squared(point) for point in centred]),
    )


@cache
def softmax_jet(n: int) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """First and second derivatives of n heights, and those of their softmax, where all are equal.

    Returns (g, k, w', w''): symbols g and k, and the derivatives at 0 of the weights with heights
    ``g v + k v^2 / 2``. By the chain rule nothing else of the heights enters.
    """
    g, k = list(sp.symbols(f"g_:{n}")), list(sp.symbols(f"k_:{n}"))
    variable = sp.Symbol("v")
    weights = softmax([p * variable + q * variable**2 / 2 for p, q in zip(g, k, strict=True)])
    first, second = (
        [sp.expand(weight.diff(variable, order).subs(variable, 0)) for weight in weights]
        for order in (1, 2)
    )
    return g, k, first, second


def tilted_series(heights: list[Any], xs: list[Matrix], variable: Any) -> tuple[Matrix, Matrix]:
    """Slope and half the second derivative at 0 of the mean of xs tilted by the heights."""
    starts = [height.subs(variable, 0) for height in heights]
    if not all(vanishes(start - starts[0]) for start in starts):
        raise ValueError(f"the heights {starts} at {variable} = 0 must be equal")
    g, k, first, second = softmax_jet(len(xs))
    known = {
        symbol: height.diff(variable, order).subs(variable, 0)
        for order, symbols in ((1, g), (2, k))
        for symbol, height in zip(symbols, heights, strict=True)
    }
    slope, bend = average(first, xs), average(second, xs) / 2
    return slope.subs(known, simultaneous=True), bend.subs(known, simultaneous=True)


def gaussian_curvature(output: Matrix, variable: Any, xs: list[Matrix]) -> Matrix:
    """Half the second derivative at 0 of a formula in symbolic moments, at those of the points."""
    mean, spread = moments(xs)
    symbol_mean, symbol_spread = symbolic_moments(len(mean))
    known = dict(zip([*symbol_mean, *symbol_spread], [*mean, *spread], strict=True))
    curved = output.applyfunc(lambda entry: second_coefficient(entry, variable))
    return curved.subs(known, simultaneous=True)


def second_coefficient(ratio: Any, variable: Any) -> Any:
    """Coefficient of the square in the Taylor series at 0 of a rational function."""
    top, bottom = (
        sp.Poly(part, variable).all_coeffs()[::-1] + [sp.Integer(0)] * 3
        for part in sp.fraction(sp.cancel(ratio))
    )
    series: list[Any] = []
    for order in range(3):  # long division, one coefficient at a time
        taken = sum(series[a] * bottom[order - a] for a in range(order))
        series.append((top[order] - taken) / bottom[0])
    return series[2]


@step("4.11", "C.4: the difference is t^2 times the leading term, to that order")
def second_order() -> bool:
    """C.4: half the second derivatives at t = 0 differ by ``(E[X <X,y>^2] - E[X |X|^2]) / 2``."""
    for n, dim in SIZES[:3]:
        xs, at = points(n, dim), vector("y", dim)
        _, bend = tilted_series([flow_exponent(at, point) for point in xs], xs, t)
        curved = gaussian_curvature(gaussian_flow(at, *symbolic_moments(dim)), t, xs)
        along, alone = third_moments(xs, at)
        if not vanishes(bend - curved - (along - alone) / 2):
            return False
    return True


def curvature(at: Matrix, xs: list[Matrix]) -> Matrix:
    """Half the second derivative of ``m - m^G`` in e = 1/sigma at 0; ``at`` may contain 1/e."""
    heights = [sp.expand(-(e**2) * squared(at - point) / 2) for point in xs]
    _, bend = tilted_series(heights, xs, e)
    linear = gaussian(at, *symbolic_moments(len(at)), 1 / e**2)
    return bend - gaussian_curvature(linear, e, xs)


@step("4.11", "leading term at a fixed y, by series in 1/sigma")
def leading_at_fixed_input() -> bool:
    """4.11: ``sigma^2 (m - m^G) -> -E[X |X|^2] / 2``, N = 2 and 3, d = 1 and 2."""
    return fixed_limit(sp.Rational(-1, 2))


def fixed_limit(factor: Any) -> bool:
    """Whether the limit is ``factor`` times ``E[X |X|^2]``."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        _, alone = third_moments(xs, at)
        if not vanishes(curvature(at, xs) - factor * alone):
            return False
    return True


@step("4.11", "leading term along y = sigma z, by series in 1/sigma")
def leading_at_scaled_input() -> bool:
    """4.11: ``sigma^2 (m - m^G) -> (E[X <X,z>^2] - E[X |X|^2]) / 2``, the same sizes."""
    return scaled_limit(sp.Rational(1, 2))


def scaled_limit(factor: Any) -> bool:
    """Whether the limit is ``factor E[X <X,z>^2] - E[X |X|^2] / 2``."""
    for n, dim in SIZES:
        xs, direction = points(n, dim), vector("z", dim)
        along, alone = third_moments(xs, direction)
        if not vanishes(curvature(direction / e, xs) - (factor * along - alone / 2)):
            return False
    return True


@step("4.11", "an equilateral triangle has third moments, yet no leading term at a fixed y")
def triangle() -> bool:
    """4.11: the order is decided by ``E[X |X|^2]`` at a fixed y, by all of T(z) along sigma z."""
    half, root = sp.Rational(1, 2), sp.sqrt(3) / 2
    xs = [sp.Matrix([1, 0]), sp.Matrix([-half, root]), sp.Matrix([-half, -root])]
    along, alone = third_moments(xs, vector("z", 2))
    return alone == sp.zeros(2, 1) and sp.simplify(along) != sp.zeros(2, 1)
