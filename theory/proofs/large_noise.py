"""Equation 7 and Lemmas C.1 to C.3: both denoisers, from large noise down to t = 0."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    Matrix,
    average,
    moments,
    points,
    softmax,
    squared,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

sigma = sp.Symbol("sigma", positive=True)
s, t = sp.symbols("s t", nonnegative=True)
y, mu = sp.symbols("y mu", real=True)

gaussian_denoiser = mu + s / (s + sigma**2) * (y - mu)
"""Eq. 7 along one eigenvector of the covariance, s its eigenvalue."""

gaussian_flow_denoiser = mu + t * s / (t**2 * s + (1 - t) ** 2) * (y - t * mu)
"""Eq. 33 along one eigenvector of the covariance."""


def gaussian(at: Matrix, mean: Matrix, spread: Matrix, noise_variance: Any) -> Matrix:
    """Eq. 7 in matrices."""
    shifted = spread + noise_variance * sp.eye(len(mean))
    return mean + spread * shifted.adjugate() * (at - mean) / shifted.det(method="berkowitz")


def symbolic_moments(dim: int) -> tuple[Matrix, Matrix]:
    """A mean and a symmetric covariance of symbols."""
    spread = sp.Matrix(dim, dim, lambda a, b: sp.Symbol(f"s_{min(a, b)}{max(a, b)}", real=True))
    return vector("mu", dim), spread


# Equation 7


@step("eq.7", "it is where the Gaussian posterior of x given y has its centre")
def conditional_mean() -> bool:
    """Eq. 7: stationary point of ``<x-mu, S^-1 (x-mu)>/2 + |y-x|^2/(2 sigma^2)``, d = 1 and 2."""
    return all(posterior_centre(dim, 2) for dim in (1, 2))


def posterior_centre(dim: int, power: int) -> bool:
    """Whether Eq. 7 with ``sigma^power`` is the centre."""
    mean, spread = symbolic_moments(dim)
    at, position = vector("y", dim), vector("x", dim)
    precision = spread.adjugate() / spread.det(method="berkowitz")
    away = position - mean
    energy = (away.T * precision * away)[0] / 2 + squared(at - position) / (2 * sigma**2)
    gradient = sp.Matrix([sp.diff(energy, entry) for entry in position])
    best = gaussian(at, mean, spread, sigma**power)
    return vanishes(gradient.subs(dict(zip(position, best, strict=True)), simultaneous=True))


@step("eq.7", "of all linear denoisers it has the least error on any data with these moments")
def best_linear() -> bool:
    """Eq. 7, d = 1, N = 3: minimise Eq. 5's ``mean ((a-1)x + b)^2 + a^2 sigma^2`` over a and b."""
    slope, offset = sp.symbols("a b", real=True)
    xs = sp.symbols("x_:3", real=True)
    error = sum(((slope - 1) * point + offset) ** 2 for point in xs) / 3 + slope**2 * sigma**2
    root = sp.solve([sp.diff(error, slope), sp.diff(error, offset)], [slope, offset], dict=True)[0]
    mean = sum(xs) / 3
    spread = sum((point - mean) ** 2 for point in xs) / 3
    known = {mu: mean, s: spread}
    return vanishes(root[slope] * y + root[offset] - gaussian_denoiser.subs(known))


# Lemmas C.1 to C.3: in flow time, t = 1/(1 + sigma)


def flow_exponent(at: Matrix, point: Matrix) -> Any:
    """The exponent of (31)."""
    return t * at.dot(point) / (1 - t) ** 2 - t**2 * squared(point) / (2 * (1 - t) ** 2)


flow_exponent_on_a_line = flow_exponent(vector("y", 1), vector("x", 1))
"""(31) in one dimension."""
initial_gaussian_slope = gaussian_flow_denoiser.diff(t).subs(t, 0)
"""The slope of the Gaussian denoiser at flow time 0, in one dimension."""


def flow_denoiser(at: Matrix, xs: list[Matrix]) -> Matrix:
    """(32): the mean under weights proportional to the exponential of (31)."""
    return average(softmax([flow_exponent(at, point) for point in xs]), xs)


def gaussian_flow(at: Matrix, mean: Matrix, spread: Matrix) -> Matrix:
    """(33) in matrices."""
    mixed = t**2 * spread + (1 - t) ** 2 * sp.eye(len(mean))
    direction = spread * mixed.adjugate() * (at - t * mean)
    return mean + t * direction / mixed.det(method="berkowitz")


@step("C.1", "(31) is the posterior in flow time")
def same_posterior() -> bool:
    """C.1: the exponent of (31) and ``-|y - t x|^2 / (2 (1-t)^2)`` differ by nothing with x."""
    for dim in (1, 2, 3):
        at, point = vector("y", dim), vector("x", dim)
        gap = flow_exponent(at, point) + squared(at - t * point) / (2 * (1 - t) ** 2)
        if not vanishes(gap - squared(at) / (2 * (1 - t) ** 2)):
            return False
    return True


@step("C.1", "up to two derivatives the exponent has no pole but t = 1")
def no_pole() -> bool:
    """C.1: the derivatives of (31) in t are polynomials over powers of 1 - t: C^2 on [0, 1)."""
    at, point = vector("y", 2), vector("x", 2)
    for order in range(3):
        derivative = sp.together(sp.diff(flow_exponent(at, point), t, order))
        numerator, denominator = sp.fraction(sp.cancel(derivative))
        # (1 - t)^(order + 2), times a number, divides it out completely.
        power = sp.cancel((1 - t) ** (order + 2) / denominator)
        if not numerator.is_polynomial(t) or power.has(*at, *point):
            return False
        if sp.solveset(denominator, t, sp.S.Complexes) != sp.FiniteSet(1):
            return False
    return True


@step("C.1", "the second derivative of the weight is the weight times a bounded factor")
def second_derivative() -> bool:
    """C.1: ``(e^h)'' = (h'^2 + h'') e^h``; h' and h'' are bounded on |x| <= R, t <= tau < 1."""
    at, point = vector("y", 2), vector("x", 2)
    exponent = flow_exponent(at, point)
    direct = sp.diff(sp.exp(exponent), t, 2)
    factor = sp.diff(exponent, t) ** 2 + sp.diff(exponent, t, 2)
    return vanishes(direct - factor * sp.exp(exponent))


@step("C.2", "(33) is Eq. 7 in flow time")
def gaussian_in_flow_time() -> bool:
    """C.2: ``m^G_t(y) = m^G_sigma(y/t)`` at ``sigma = (1-t)/t``, d = 1 and 2."""
    return all(gaussian_matches(dim, 2) for dim in (1, 2))


def gaussian_matches(dim: int, power: int) -> bool:
    """Whether (33) is Eq. 7 with ``((1-t)/t)^power``."""
    mean, spread = symbolic_moments(dim)
    at = vector("y", dim)
    return vanishes(
        gaussian(at / t, mean, spread, ((1 - t) / t) ** power) - gaussian_flow(at, mean, spread)
    )


@step("C.2", "its denominators stay above 0 on [0, 1)")
def gaussian_smooth() -> bool:
    """C.2: ``t^2 s + (1-t)^2`` is least at t = 1/(1+s), ``s/(1+s)``; 0 only at s = 0, t = 1."""
    denominator = t**2 * s + (1 - t) ** 2
    square = (1 + s) * (t - 1 / (1 + s)) ** 2  # never negative
    at_zero = sp.solveset(denominator.subs(s, 0), t, sp.S.Reals)
    return vanishes(denominator - square - s / (1 + s)) and at_zero == sp.FiniteSet(1)


@step("C.3", "value mu and slope S y at t = 0, empirical denoiser")
def initial_empirical() -> bool:
    """C.3 for N = 2 and 3, d = 1 and 2."""
    return empirical_start(1)


def empirical_start(factor: Any) -> bool:
    """Whether the slope is ``factor`` times S y and the value mu."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        mean, spread = moments(xs)
        output = flow_denoiser(at, xs)
        if not vanishes(output.subs(t, 0) - mean):
            return False
        if not vanishes(output.diff(t).subs(t, 0) - factor * spread * at):
            return False
    return True


@step("C.3", "value mu and slope S y at t = 0, Gaussian denoiser")
def initial_gaussian() -> bool:
    """C.3 for the moments of N = 2 and 3 points, d = 1 and 2."""
    for n, dim in SIZES:
        at = vector("y", dim)
        mean, spread = symbolic_moments(dim)
        output = gaussian_flow(at, mean, spread)
        exact_mean, exact_spread = moments(points(n, dim))
        known = dict(zip([*mean, *spread], [*exact_mean, *exact_spread], strict=True))
        value = output.subs(t, 0).subs(known, simultaneous=True)
        slope = output.diff(t).subs(t, 0).subs(known, simultaneous=True)
        if not vanishes(value - exact_mean) or not vanishes(slope - exact_spread * at):
            return False
    return True
