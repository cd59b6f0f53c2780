"""Theorem 4.11's explicit remainder and its bound on a ball (ours), step by step.

``F(e)`` is the mean of X under weights proportional to ``e^h``, ``h = e a - e^2 b / 2`` with
``a = <z, X>`` and ``b = |X|^2``, whatever the dimension and the number of points. ``U`` stands for
``<u, X>``, u a unit vector, ``V`` for h' and ``W`` for h''; of their distribution under the weights
only the moments are known, as symbols. Derivatives in e of moments are moments with V in them.
"""

from typing import Any

import mpmath as mp
import sympy as sp

from wildmiddle.theory.proofs.any_size import (
    N,
    i,
    inner,
    is_identity,
    j,
    norm2,
    over,
    vectors,
)
from wildmiddle.theory.proofs.large_noise import gaussian_denoiser, mu, s, sigma, y
from wildmiddle.theory.proofs.leading_term import CENTRED, X, a, b, e, mean, second_order
from wildmiddle.theory.proofs.step import step

A, B, R = sp.symbols("A B R", positive=True)
z = sp.Symbol("z", real=True)

remainder_bound = e**3 * ((4 * R * A**3 + 3 * R**3 * A) / 6 + B)
"""Ours: ``A = max |<z, X>| + e R^2`` and ``B = |S|^2 |z|``."""

K, length, third, top = sp.symbols("K mu_length M_3 S_norm", positive=True)
reach = K + length / sigma
"""Largest ``|z| = |y - mu| / sigma`` on the ball ``|y| <= K sigma``; length is ``|mu|``."""

ball_bound = sp.Max(1, reach**2 - 1) * third / 2 + (remainder_bound / e**2).subs(
    {A: R * reach + R**2 / sigma, B: top**2 * reach}
).subs(e, 1 / sigma)
"""Ours: bound on ``sigma^2 |m - m^G|`` there, ``M_3 = E|X|^3``."""

U, V, W = sp.symbols("U V W")


def moment(*orders: int) -> Any:
    """``E U^k V^l W^m`` as a symbol, 1 at order 0."""
    return sp.Symbol("E_{}_{}_{}".format(*orders), real=True) if any(orders) else sp.Integer(1)


def expect(expression: Any) -> Any:
    """Mean of a polynomial in U, V and W, in moments."""
    terms = sp.Poly(sp.expand(expression), U, V, W).terms()
    return sum(coefficient * moment(*orders) for orders, coefficient in terms)


def central(*variables: Any) -> Any:
    """Mixed central moment."""
    return expect(sp.Mul(*(each - expect(each) for each in variables)))


def fourth_cumulant(pairs: Any = 3) -> Any:
    """``k4(U, V, V, V)``, from central moments: three ways to pair U with one of the V."""
    return central(U, V, V, V) - pairs * central(U, V) * central(V, V)


def derivative(expression: Any) -> Any:
    """Derivative in e of an expression in moments; V' = W and W' = 0."""
    found = sp.Integer(0)
    for symbol in sp.sympify(expression).free_symbols:
        k, el, m = map(int, symbol.name.split("_")[1:])
        slope = moment(k, el + 1, m) - moment(k, el, m) * moment(0, 1, 0)
        if el:
            slope += el * moment(k, el - 1, m + 1)
        found += sp.diff(expression, symbol) * slope
    return sp.expand(found)


@step("4.11", "remainder: a tilted weight p has the derivative p (h' - E h')", share=1)
def weight_derivative(share: int = 2) -> bool:
    """4.11: differentiate the softmax of N heights; the rule behind every derivative here."""
    own, square = sp.symbols("a_k b_k", real=True)
    heights = e * a[j] - e**2 * b[j] / share
    total = over(sp.exp(heights), j)
    weight = sp.exp(e * own - e**2 * square / share) / total
    slope = over((a[j] - e * b[j]) * sp.exp(heights), j) / total
    return is_identity((sp.diff(weight, e) - weight * (own - e * square - slope)) / weight)


@step("4.11", "remainder: the third derivative is k4(X,h',h',h') + 3 k3(X,h',h'')", factor=2)
def third_derivative(factor: int = 3) -> bool:
    """4.11: apply the rule for the weights three times, whatever the distribution."""
    direct = derivative(derivative(derivative(moment(1, 0, 0))))
    return bool(sp.expand(direct - fourth_cumulant() - factor * central(U, V, W)) == 0)


@step("4.11", "remainder: k4 from central moments is the joint cumulant", pairs=2)
def joint_cumulant(pairs: int = 3) -> bool:
    """4.11: ``d^4/du dv^3 log E e^(u U + v V)`` at 0, by the series of the moments."""
    left, right = sp.symbols("u v", real=True)
    generating = sum(
        moment(k, el, 0) * left**k * right**el / (sp.factorial(k) * sp.factorial(el))
        for k in range(2)
        for el in range(4)
    )
    log = sp.diff(sp.log(generating), left, 1, right, 3).subs({left: 0, right: 0})
    return bool(sp.expand(log - fourth_cumulant(pairs)) == 0)


@step("4.11", "remainder: the terms of second order are S z and 2 T(z)", factor=2)
def lower_orders(factor: int = 1) -> bool:
    """4.11: F'(0) and F''(0) of the N centred points, ``S z`` being ``E[X <X, z>]``."""
    heights = e * a[j] - e**2 * b[j] / 2
    tilted = over(X[j] * sp.exp(heights), j) / over(sp.exp(heights), j)
    slope = sp.diff(tilted, e).subs(e, 0) - mean(X[j] * a[j])
    twice = mean(X[j] * a[j] ** 2) - mean(X[j] * b[j])
    return is_identity(slope, CENTRED) and is_identity(
        2 * second_order(heights, e) - factor * twice, CENTRED
    )


@step("4.11", "remainder: Var V <= A^2 where |V| <= A, so also Var <u, X> <= R^2", share=2)
def variance_bound(share: int = 1) -> bool:
    """4.11: ``A^2 - Var V = E[(A - V)(A + V)] + (E V)^2``, a sum of terms that are not negative."""
    rest = expect((A - V) * (A + V)) + expect(V) ** 2
    return bool(sp.expand(A**2 - share * central(V, V) - rest) == 0)


@step("4.11", "remainder: |V - E V| <= 2A, and |h'' - E h''| <= R^2", sign=1)
def range_bound(sign: int = -1) -> bool:
    """4.11: ``V_k - E V`` averages the differences ``V_k - V_j``, each at most the range."""
    p, values, own = sp.IndexedBase("p"), sp.IndexedBase("V"), sp.Symbol("V_k", real=True)
    average = over(p[j] * values[j], j) / over(p[j], j)
    differences = over(p[j] * (own + sign * values[j]), j) / over(p[j], j)
    return is_identity(own - average - differences)


@step("4.11", "remainder: Cauchy and Schwarz, E|U0 V0| <= R A", share=1)
def cauchy_schwarz(share: int = 2) -> bool:
    """4.11: ``E[U^2] E[V^2] - E[UV]^2 = 1/2 sum p_i p_j (U_i V_j - U_j V_i)^2``, every N."""
    p, u, v = map(sp.IndexedBase, "puv")
    squares = over(over(p[i] * p[j] * (u[i] * v[j] - u[j] * v[i]) ** 2, j), i)
    product = over(p[i] * u[i] ** 2) * over(p[i] * v[i] ** 2) - over(p[i] * u[i] * v[i]) ** 2
    return is_identity(product - squares / share)


@step("4.11", "remainder: k4 is E[U0 V0 (V0^2 - 3 Var V)], so |k4| <= 4 R A^3", pairs=2)
def fourth_constant(pairs: int = 3) -> bool:
    """4.11: the bracket lies in [-3A^2, 4A^2] as 0 <= V0^2 <= (2A)^2 and 0 <= Var V <= A^2."""
    spread = central(V, V)
    around = (U - expect(U)) * (V - expect(V))
    whole = expect(around * ((V - expect(V)) ** 2 - pairs * spread))
    ends = [square - pairs * variance for square in (0, 4 * A**2) for variance in (0, A**2)]
    widest = sp.Max(*(sp.Abs(end / A**2) for end in ends)) * A**2
    stated = sp.Poly(6 * (remainder_bound / e**3 - B), A).coeff_monomial(A**3) / R
    return bool(
        sp.expand(whole - fourth_cumulant()) == 0 and sp.simplify(widest - stated * A**2) == 0
    )


@step("4.11", "remainder: 3 |k3| <= 3 R^2 R A", ways=2)
def third_constant(ways: int = 3) -> bool:
    """4.11: ``|E U0 V0 W0| <= max|W0| E|U0 V0|``, the range of h'' times Cauchy and Schwarz."""
    widest = sp.Integer(0) - (-(R**2))  # h'' = -|X|^2 lies in [-R^2, 0]
    stated = sp.Poly(6 * (remainder_bound / e**3 - B), A).coeff_monomial(A)
    return bool(sp.expand(ways * widest * R - stated) == 0)


@step("4.11", "remainder: two opposite points have k4 = -2 R A^3: 4 cannot be below 2", constant=4)
def fourth_cumulant_of_two(constant: int = 2) -> bool:
    """4.11: X = -R, R with V = A X / R at equal weights, from the logarithm of a cosh."""
    left, right = sp.symbols("u v", real=True)
    generating = sp.log(sp.cosh(R * left + A * right))
    log = sp.diff(generating, left, 1, right, 3).subs({left: 0, right: 0})
    # Odd moments are 0, and k4 is E UVVV - 3 E UV E VV.
    direct = R * A**3 - 3 * R * A * A**2
    return bool(sp.simplify(log + constant * R * A**3) == 0 and sp.expand(direct - log) == 0)


@step("4.11", "remainder: Taylor's integral turns the third derivative into e^3/6", order=1)
def taylor(order: int = 2) -> bool:
    """4.11: ``int_0^e (e - s)^2 / 2 ds = e^3 / 6``, and the bound divides its constants by 6."""
    inside = sp.Symbol("s", positive=True)
    weight = sp.integrate((e - inside) ** order / sp.factorial(order), (inside, 0, e))
    fourth = sp.expand(remainder_bound).coeff(A, 3)
    return bool(sp.simplify(weight * 4 * R - fourth) == 0)


@step("4.11", "remainder: the Gaussian denoiser is mu + e S z up to e^3 |S|^2 |z|", power=1)
def gaussian_remainder(power: int = 2) -> bool:
    """4.11, along an eigenvector: the gap is ``-s^2 e^3 z / (1 + e^2 s)``, at most s^2 e^3 z."""
    exact = gaussian_denoiser.subs({y: mu + z / e, sigma: 1 / e}, simultaneous=True)
    gap = sp.simplify(exact - mu - e * s * z)
    ratio = sp.simplify(-gap / (s**power * e**3 * z))
    # Between 0 and 1: 1/ratio - 1 = e^2 s is not negative.
    return bool(sp.simplify(1 / ratio - 1 - e**2 * s) == 0)


# Theorem 4.11 as the paper states it: a bounded function on every ball


@step("4.11", "ball: |y| <= K sigma gives |z| <= K + |mu|/sigma", widest=K)
def reach_of_ball(widest: Any = reach) -> bool:
    """4.11: ``|y - mu|^2`` is largest where y and mu are opposite, ``(K sigma + |mu|)^2``."""
    at, centre = vectors("y mu")
    expanded = norm2(at - centre)
    known = {norm2(at): (K * sigma) ** 2, norm2(centre): length**2}
    known[inner(at, centre)] = -K * sigma * length
    falls = sp.diff(expanded, inner(at, centre)) == -2
    return falls and sp.simplify(expanded.subs(known) - (sigma * widest) ** 2) == 0


@step("4.11", "ball: |T(z)| <= max(1, |z|^2 - 1) E|X|^3 / 2", half=sp.Rational(1, 4))
def leading_on_ball(half: Any = sp.Rational(1, 2)) -> bool:
    """4.11: ``T = E[X (<X, z>^2 - |X|^2)] / 2``, and the bracket is ``|X|^2 (q |z|^2 - 1)``.

    q in [0, 1] is the squared cosine: linear, so between -1 at q = 0 and ``|z|^2 - 1`` at q = 1.
    """
    q, size = sp.symbols("q size", nonnegative=True)
    bracket = q * size**2 - 1
    straight = sp.diff(bracket, q, 2) == 0 and bracket.subs(q, 0) == -1
    largest = sp.Max(1, bracket.subs(q, 1))
    stated = sp.diff(ball_bound, third).subs(length, 0).subs(K, size)
    return straight and sp.simplify(stated - half * largest) == 0


@step(
    "4.11",
    "ball: the bound falls with sigma, so one constant serves all sigma >= sigma_0",
    power=-1,
)
def falls_with_noise(power: int = 1) -> bool:
    """4.11: both branches of the maximum, all else fixed; and 1 is a constant."""
    (maximum,) = ball_bound.atoms(sp.Max)
    for branch in maximum.args:
        value = ball_bound.subs(maximum, branch)
        slope = sp.expand(sp.diff(value.subs(sigma, sigma**power), sigma))
        if not slope.is_negative:
            return False
    return True


@step(
    "4.11",
    "ball: C.4's second derivative is k3(X,h',h') + k2(X,h''), at most 2 R A1^2 + R A2",
    extra=1,
)
def bounded_on_ball(extra: int = 0) -> bool:
    """C.4 on a ball, without compactness: h' and h'' are bounded there by Lemma C.1's A_1 and A_2.

    ``|E U0 V0 V0| <= 2 A_1 E|U0 V0| <= 2 R A_1^2`` and ``|E U0 W0| <= R A_2``. By Taylor's
    integral ``m_t = mu + t S y + t^2 R_t`` with R_t at most half of that, the same for every y of
    the ball; likewise the Gaussian's, whose denominators Lemma C.2 keeps off 0.
    """
    direct = derivative(derivative(moment(1, 0, 0)))
    return bool(sp.expand(direct - central(U, V, V) - (1 + extra) * central(U, W)) == 0)


@step(
    "4.11",
    "ball: N - 1 points in one place and one elsewhere reach 1 - 2/((N-1)^2 + 1) of it",
    loss=1,
)
def nearly_tight(loss: int = 2) -> bool:
    """4.11: at K = 0, mu = 0 and sigma to infinity what is left is ``|E X|X|^2| / E|X|^3``."""
    single, others = 1 - 1 / N, 1 / N  # distances from the mean, in units of the gap
    signed = (single**3 - (N - 1) * others**3) / N
    absolute = (single**3 + (N - 1) * others**3) / N
    return bool(sp.simplify(signed / absolute - (1 - loss / ((N - 1) ** 2 + 1))) == 0)


@step(
    "4.11",
    "remainder: it holds at 50 digits over skewed sets, directions and sigmas",
    "numeric",
    fourth=sp.Rational(19, 10),
)
def remainder_holds(fourth: Any = 4) -> bool:
    """4.11: sympy cannot bound a maximum over all sets; 144 instances in mpmath, d = 1, 2, 3."""
    return bool(largest_ratio(fourth, 3) <= 1)


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
    for p in range(dim):
        for q in range(dim):
            spread[p, q] = mp.fsum(row[p] * row[q] for row in centred) / n
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
