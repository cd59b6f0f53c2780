"""Theorem 4.11 with C.4: the leading term of the empirical less the Gaussian denoiser (ours).

``X`` is one coordinate of the centred points, ``a`` their inner product with z or with y, ``b``
their squared length, ``c`` their inner product with mu: N points, any dimension.
"""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import N, is_identity, j, over, split
from wildmiddle.theory.proofs.large_noise import (
    flow_exponent,
    gaussian_denoiser,
    gaussian_flow_denoiser,
    mu,
    s,
    sigma,
    t,
    y,
)
from wildmiddle.theory.proofs.step import step

e = sp.Symbol("e", positive=True)
"""1/sigma."""

X, a, b, c = map(sp.IndexedBase, "Xabc")
z = sp.Symbol("z", real=True)

leading_term = (sp.Sum(X[j] ** 3 * z**2, (j, 0, N - 1)) - sp.Sum(X[j] ** 3, (j, 0, N - 1))) / (
    2 * N
)
"""Theorem 4.11 in one dimension: ``(E[X <X,z>^2] - E[X |X|^2]) / 2`` of the centred points X."""

CENTRED = {split(over(each[j], j)): 0 for each in (X, a, c)}
"""The points are centred, and so is what is linear in them."""


def mean(term: Any) -> Any:
    """Mean over the points."""
    return over(term, j) / N


def second_order(heights: Any, variable: Any) -> Any:
    """Half the second derivative at 0 of the mean of X tilted by ``e^heights``."""
    tilted = over(X[j] * sp.exp(heights), j) / over(sp.exp(heights), j)
    return sp.diff(tilted, variable, 2).subs(variable, 0) / 2


def second_coefficient(ratio: Any, variable: Any) -> Any:
    """Coefficient of the square in the Taylor series at 0 of a rational function."""
    return sp.simplify(sp.diff(sp.cancel(ratio), variable, 2).subs(variable, 0) / 2)


@step("4.11", "C.4: the difference is t^2 times the leading term, to that order", factor=1)
def in_flow_time(factor: Any = sp.Rational(1, 2)) -> bool:
    """C.4: half the second derivatives at t = 0 differ by ``(E[X <X,y>^2] - E[X |X|^2]) / 2``.

    With x = mu + X the exponent's ``<y, x>`` is a and its ``|x|^2`` is ``2 c + b``, up to what no
    point has alone. The Gaussian's is ``S (2y - mu)``, along each eigenvector of S.
    """
    bend = second_order(flow_exponent(a[j], 2 * c[j] + b[j]), t)
    curved = second_coefficient(gaussian_flow_denoiser, t)
    gaussian = 2 * mean(X[j] * a[j]) - mean(X[j] * c[j])
    claimed = factor * (mean(X[j] * a[j] ** 2) - mean(X[j] * b[j]))
    linear = sp.simplify(curved - s * (2 * y - mu)) == 0
    return bool(linear) and is_identity(bend - gaussian - claimed, CENTRED)


@step("4.11", "leading term at a fixed y, by series in 1/sigma", factor=sp.Rational(1, 2))
def leading_at_fixed_input(factor: Any = sp.Rational(-1, 2)) -> bool:
    """4.11: ``sigma^2 (m - m^G) -> -E[X |X|^2] / 2``; the exponents are ``e^2 (a - b/2)``."""
    bend = second_order(e**2 * (a[j] - b[j] / 2), e)
    linear = second_coefficient(gaussian_denoiser.subs(sigma, 1 / e), e)
    same = sp.simplify(linear - s * (y - mu)) == 0  # which is E[X a]
    return bool(same) and is_identity(
        bend - mean(X[j] * a[j]) - factor * mean(X[j] * b[j]), CENTRED
    )


@step("4.11", "leading term along y = sigma z, by series in 1/sigma", factor=1)
def leading_at_scaled_input(factor: Any = sp.Rational(1, 2)) -> bool:
    """4.11: ``sigma^2 (m - m^G) -> (E[X <X,z>^2] - E[X |X|^2]) / 2``; exponents ``e a - e^2 b/2``.

    The Gaussian denoiser has no term of second order there.
    """
    bend = second_order(e * a[j] - e**2 * b[j] / 2, e)
    scaled = gaussian_denoiser.subs({y: mu + z / e, sigma: 1 / e}, simultaneous=True)
    none = second_coefficient(scaled, e) == 0
    claimed = factor * mean(X[j] * a[j] ** 2) - mean(X[j] * b[j]) / 2
    on_a_line = (mean(X[j] * (X[j] * z) ** 2) - mean(X[j] * X[j] ** 2)) / 2
    same = is_identity(on_a_line - leading_term)  # a = X z, b = X^2 in one dimension
    return bool(none) and same and is_identity(bend - claimed, CENTRED)


@step(
    "4.11",
    "an equilateral triangle has third moments, yet no leading term at a fixed y",
    "instance",
    angle=sp.pi / 2,
)
def triangle(angle: Any = 2 * sp.pi / 3) -> bool:
    """4.11: the order is decided by ``E[X |X|^2]`` at a fixed y, by all of T(z) along sigma z."""
    direction = sp.Matrix(sp.symbols("z_:2", real=True))
    corners = [sp.Matrix([sp.cos(angle * k), sp.sin(angle * k)]) for k in range(3)]
    alone = sum((x * x.dot(x) for x in corners), sp.zeros(2, 1))
    along = sum((x * x.dot(direction) ** 2 for x in corners), sp.zeros(2, 1))
    return sp.simplify(alone) == sp.zeros(2, 1) and sp.simplify(along) != sp.zeros(2, 1)
