"""Theorem 4.11's explicit remainder (ours): theory.large_noise.remainder_bound, step by step.

``F(e)`` is the mean of X under weights proportional to ``e^h``, ``h = e a - e^2 b / 2`` with
``a = <z, X>`` and ``b = |X|^2``, whatever the dimension. Derivatives in e of cumulants of the
tilted distribution are cumulants with h' in them.
"""

from typing import Any

import mpmath as mp
import sympy as sp

from wildmiddle.theory.proofs.large_noise import gaussian_denoiser, mu, s, sigma, y
from wildmiddle.theory.proofs.leading_term import e, third_moments, tilted_series
from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    average,
    moments,
    points,
    softmax,
    squared,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

A, B, R = sp.symbols("A B R", positive=True)
z = sp.Symbol("z", real=True)

remainder_bound = e**3 * ((4 * R * A**3 + 3 * R**3 * A) / 6 + B)
"""Ours: ``A = max |<z, X>| + e R^2`` and ``B = |S|^2 |z|``."""


def central(weights: list[Any], *variables: list[Any]) -> Any:
    """Mixed central moment of random variables on the same atoms."""
    means = [average(weights, variable) for variable in variables]
    products = [
        sp.Mul(*(value - mean for value, mean in zip(atom, means, strict=True)))
        for atom in zip(*variables, strict=True)
    ]
    return average(weights, products)


def fourth_cumulant(weights: list[Any], u: list[Any], v: list[Any], pairs: Any = 3) -> Any:
    """``k4(u, v, v, v)``, from central moments: three ways to pair u with one of the v."""
    return central(weights, u, v, v, v) - pairs * central(weights, u, v) * central(weights, v, v)


@step("4.11", "remainder: a tilted weight p has the derivative p (h' - E h')")
def weight_derivative() -> bool:
    """4.11: differentiate the softmax of N = 4 heights of symbols."""
    a, b = sp.symbols("a_:4", real=True), sp.symbols("b_:4", real=True)
    heights = [e * p - e**2 * q / 2 for p, q in zip(a, b, strict=True)]
    slopes = [p - e * q for p, q in zip(a, b, strict=True)]
    weights = softmax(heights)
    mean = average(weights, slopes)
    return all(
        vanishes(sp.diff(weight, e) - weight * (slope - mean))
        for weight, slope in zip(weights, slopes, strict=True)
    )


@step("4.11", "remainder: the third derivative is k4(X,h',h',h') + 3 k3(X,h',h'')")
def third_derivative() -> bool:
    """4.11: apply the rule for the weights three times, N = 2 and 3 atoms of symbols, every e."""
    return all(derivative_form(n, 3) for n in (2, 3))


def derivative_form(n: int, factor: Any) -> bool:
    """Whether it is k4 plus ``factor`` times k3.

    Both are linear in X and symmetric in the atoms: one atom at 1, the others at 0, is enough.
    """
    p, values = sp.symbols(f"p_:{n}", positive=True), [sp.Integer(1)] + [sp.Integer(0)] * (n - 1)
    slopes, bends = list(sp.symbols(f"g_:{n}", real=True)), list(sp.symbols(f"k_:{n}", real=True))
    mean = average(list(p), slopes)

    def derivative(expression: Any) -> Any:
        of_weights = [
            expression.diff(w) * w * (slope - mean) for w, slope in zip(p, slopes, strict=True)
        ]
        of_slopes = [expression.diff(g) * k for g, k in zip(slopes, bends, strict=True)]
        return sp.expand(sp.Add(*of_weights, *of_slopes))  # h'' itself is constant

    direct = derivative(derivative(derivative(average(list(p), values))))
    cumulants = fourth_cumulant(list(p), values, slopes)
    cumulants += factor * central(list(p), values, slopes, bends)
    last = {p[-1]: 1 - sum(p[:-1])}
    return bool(sp.expand((direct - cumulants).subs(last)) == 0)


@step("4.11", "remainder: k4 from central moments is the joint cumulant")
def joint_cumulant() -> bool:
    """4.11: ``d^4/du dv^3 log E e^(u X + v V)`` at 0, with N = 3 atoms of symbols."""
    return cumulant_pairs(3)


def cumulant_pairs(pairs: Any) -> bool:
    """Whether ``pairs`` products of covariances are to be taken off the central moment."""
    p, q = sp.symbols("p q", positive=True)
    weights = [p, q, 1 - p - q]
    # Linear in X and symmetric in the atoms: one atom at 1 is enough.
    first, second = [1, 0, 0], list(sp.symbols("V_:3", real=True))
    left, right = sp.symbols("u v", real=True)
    generating = average(
        weights,
        [sp.exp(left * a + right * b) for a, b in zip(first, second, strict=True)],
    )
    derivative = sp.diff(sp.log(generating), left, 1, right, 3).subs({left: 0, right: 0})
    return vanishes(derivative - fourth_cumulant(weights, first, second, pairs))


@step("4.11", "remainder: the terms of second order are S z and 2 T(z)")
def lower_orders() -> bool:
    """4.11: F'(0) and F''(0) of the centred points, N = 2 and 3, d = 1 and 2."""
    for n, dim in SIZES:
        free, direction = points(n - 1, dim), vector("z", dim)
        centred = [*free, -sum(free[1:], free[0])]
        heights = [e * x.dot(direction) - e**2 * squared(x) / 2 for x in centred]
        slope, bend = tilted_series(heights, centred, e)
        _, spread = moments(centred)
        along, alone = third_moments(centred, direction)
        if not vanishes(slope - spread * direction) or not vanishes(2 * bend - (along - alone)):
            return False
    return True


@step("4.11", "remainder: Var V <= A^2 where |V| <= A, so also Var <u, X> <= R^2")
def variance_bound() -> bool:
    """4.11: ``A^2 - Var V = E[(A - V)(A + V)] + (E V)^2``, a sum of terms that are not negative."""
    p, q = sp.symbols("p q", nonnegative=True)
    weights, values = [p, q, 1 - p - q], list(sp.symbols("V_:3", real=True))
    mean = average(weights, values)
    rest = average(weights, [(A - value) * (A + value) for value in values]) + mean**2
    return vanishes(A**2 - central(weights, values, values) - rest)


@step("4.11", "remainder: |V - E V| <= 2A, and |h'' - E h''| <= R^2")
def range_bound() -> bool:
    """4.11: ``V_i - E V`` averages the differences ``V_i - V_j``, each at most the range."""
    p, q = sp.symbols("p q", nonnegative=True)
    weights, values = [p, q, 1 - p - q], list(sp.symbols("V_:3", real=True))
    return all(
        vanishes(
            value - average(weights, values) - average(weights, [value - other for other in values])
        )
        for value in values
    )


@step("4.11", "remainder: Cauchy and Schwarz, E|U0 V0| <= R A")
def cauchy_schwarz() -> bool:
    """4.11: ``E[U^2] E[V^2] - E[UV]^2 = 1/2 sum p_i p_j (U_i V_j - U_j V_i)^2``, N = 2 to 4."""
    for n in (2, 3, 4):
        p = sp.symbols(f"p_:{n}", nonnegative=True)
        u, v = sp.symbols(f"U_:{n}", real=True), sp.symbols(f"V_:{n}", real=True)
        second = [
            sum(w * a * b for w, a, b in zip(p, *pair, strict=True))
            for pair in ((u, u), (v, v), (u, v))
        ]
        squares = sum(
            p[a] * p[b] * (u[a] * v[b] - u[b] * v[a]) ** 2 for a in range(n) for b in range(n)
        )
        if not vanishes(second[0] * second[1] - second[2] ** 2 - squares / 2):
            return False
    return True


@step("4.11", "remainder: k4 is E[U0 V0 (V0^2 - 3 Var V)], so |k4| <= 4 R A^3")
def fourth_constant() -> bool:
    """4.11: the bracket lies in [-3A^2, 4A^2] as 0 <= V0^2 <= (2A)^2 and 0 <= Var V <= A^2."""
    p, q = sp.symbols("p q", nonnegative=True)
    weights = [p, q, 1 - p - q]
    first, second = [1, 0, 0], list(sp.symbols("V_:3", real=True))  # linear in U
    means = [average(weights, values) for values in (first, second)]
    spread = central(weights, second, second)
    products = [
        (a - means[0]) * (b - means[1]) * ((b - means[1]) ** 2 - 3 * spread)
        for a, b in zip(first, second, strict=True)
    ]
    ends = [square - 3 * variance for square in (0, 4 * A**2) for variance in (0, A**2)]
    widest = sp.Max(*(sp.Abs(end / A**2) for end in ends)) * A**2
    stated = sp.Poly(6 * (remainder_bound / e**3 - B), A).coeff_monomial(A**3) / R
    return (
        vanishes(average(weights, products) - fourth_cumulant(weights, first, second))
        and sp.simplify(widest - stated * A**2) == 0
    )


@step("4.11", "remainder: 3 |k3| <= 3 R^2 R A")
def third_constant() -> bool:
    """4.11: ``|E U0 V0 W0| <= max|W0| E|U0 V0|``, the range of h'' times Cauchy and Schwarz."""
    widest = sp.Integer(0) - (-(R**2))  # h'' = -|X|^2 lies in [-R^2, 0]
    stated = sp.Poly(6 * (remainder_bound / e**3 - B), A).coeff_monomial(A)
    return bool(sp.expand(3 * widest * R - stated) == 0)


@step("4.11", "remainder: two opposite points have k4 = -2 R A^3, so 2 cannot be improved")
def fourth_cumulant_of_two() -> bool:
    """4.11: X = -R, R with V = A X / R at equal weights, from the logarithm of a cosh."""
    left, right = sp.symbols("u v", real=True)
    generating = sp.log(sp.cosh(R * left + A * right))
    derivative = sp.diff(generating, left, 1, right, 3).subs({left: 0, right: 0})
    half = sp.Rational(1, 2)
    direct = fourth_cumulant([half, half], [-R, R], [-A, A])
    return bool(sp.simplify(derivative + 2 * R * A**3) == 0 and sp.expand(direct - derivative) == 0)


@step("4.11", "remainder: Taylor's integral turns the third derivative into e^3/6")
def taylor() -> bool:
    """4.11: ``int_0^e (e - s)^2 / 2 ds = e^3 / 6``."""
    inner = sp.Symbol("s", positive=True)
    weight = sp.integrate((e - inner) ** 2 / 2, (inner, 0, e))
    return bool(sp.simplify(weight - e**3 / 6) == 0)


@step("4.11", "remainder: the Gaussian denoiser is mu + e S z up to e^3 |S|^2 |z|")
def gaussian_remainder() -> bool:
    """4.11, along an eigenvector: the gap is ``-s^2 e^3 z / (1 + e^2 s)``, at most s^2 e^3 z."""
    exact = gaussian_denoiser.subs({y: mu + z / e, sigma: 1 / e}, simultaneous=True)
    gap = sp.simplify(exact - mu - e * s * z)
    ratio = sp.simplify(-gap / (s**2 * e**3 * z))
    # Between 0 and 1: 1/ratio - 1 = e^2 s is not negative.
    return bool(sp.simplify(1 / ratio - 1 - e**2 * s) == 0)


@step("4.11", "remainder: it holds at 50 digits over skewed sets, directions and sigmas", "numeric")
def remainder_holds() -> bool:
    """4.11: sympy cannot bound a maximum over all sets; 144 instances in mpmath, d = 1, 2, 3."""
    return largest_ratio(4, 3) <= 1


def largest_ratio(fourth: Any, third: Any) -> Any:
    """Largest ratio of the error to the bound with these constants, over a list of instances."""
    largest = mp.mpf(0)
    with mp.workdps(50):
        for case in range(12):
            n, dim = 2 + case % 4, 1 + case % 3
            rows = [
                [mp.sin(1 + 7 * case + 3 * a + 5 * b) ** 3 for b in range(dim)] for a in range(n)
            ]
            means = [mp.fsum(column) / n for column in zip(*rows, strict=True)]
            centred = [[v - m for v, m in zip(r, means, strict=True)] for r in rows]
            for scale in (mp.mpf("0.5"), mp.mpf(3), mp.mpf(30)):
                direction = [scale * mp.cos(2 + case + 2 * b) for b in range(dim)]
                for level in (mp.mpf("0.3"), mp.mpf(1), mp.mpf(8), mp.mpf(10**4)):
                    ratio = _ratio(centred, direction, level, fourth, third)
                    largest = max(largest, ratio)
    return largest


def _ratio(
    centred: list[list[Any]], direction: list[Any], level: Any, fourth: Any, third: Any
) -> Any:
    n, dim = len(centred), len(direction)

    def inner(a: list[Any], b: list[Any]) -> Any:
        return mp.fsum(p * q for p, q in zip(a, b, strict=True))

    noisy = [level * v for v in direction]
    gaps = [[a - b for a, b in zip(noisy, row, strict=True)] for row in centred]
    weights = [mp.exp(-inner(gap, gap) / (2 * level**2)) for gap in gaps]
    total = mp.fsum(weights)
    output = [mp.fsum(w * r[k] for w, r in zip(weights, centred, strict=True)) / total
              for k in range(dim)]  # fmt: skip
    spread = mp.matrix(dim, dim)
    for a in range(dim):
        for b in range(dim):
            spread[a, b] = mp.fsum(row[a] * row[b] for row in centred) / n
    linear = mp.lu_solve(spread + level**2 * mp.eye(dim), spread * mp.matrix(noisy))
    term = [
        mp.fsum(r[k] * (inner(r, direction) ** 2 - inner(r, r)) for r in centred) / (2 * n)
        for k in range(dim)
    ]
    error = [output[k] - linear[k] - term[k] / level**2 for k in range(dim)]
    radius = mp.sqrt(max(inner(row, row) for row in centred))
    tilt = max(abs(inner(row, direction)) for row in centred) + radius**2 / level
    top = max(mp.eigsy(spread, eigvals_only=True))
    length = mp.sqrt(inner(direction, direction))
    bound = (fourth * radius * tilt**3 + third * radius**3 * tilt) / 6 + top**2 * length
    return mp.sqrt(inner(error, error)) * level**3 / bound
