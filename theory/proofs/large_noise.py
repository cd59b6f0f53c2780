"""Equation 7 and Lemmas C.1 to C.3: both denoisers, from large noise down to t = 0."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import N, i, inner, is_identity, norm2, over, vectors
from wildmiddle.theory.proofs.step import step

sigma = sp.Symbol("sigma", positive=True)
s, t = sp.symbols("s t", nonnegative=True)
y, mu = sp.symbols("y mu", real=True)

gaussian_denoiser = mu + s / (s + sigma**2) * (y - mu)
"""Eq. 7 along one eigenvector of the covariance, s its eigenvalue."""

gaussian_flow_denoiser = mu + t * s / (t**2 * s + (1 - t) ** 2) * (y - t * mu)
"""Eq. 33 along one eigenvector of the covariance."""


def flow_exponent(along: Any, square: Any) -> Any:
    """The exponent of (31), with ``along = <y, x>`` and ``square = |x|^2``."""
    return t * along / (1 - t) ** 2 - t**2 * square / (2 * (1 - t) ** 2)


x = sp.Symbol("x", real=True)
flow_exponent_on_a_line = flow_exponent(y * x, x**2)
"""(31) in one dimension."""
initial_gaussian_slope = gaussian_flow_denoiser.diff(t).subs(t, 0)
"""The slope of the Gaussian denoiser at flow time 0, in one dimension."""

points, along, square = map(sp.IndexedBase, ("x", "a", "b"))
"""One coordinate of the training points, their ``<y, x_i>`` and their ``|x_i|^2``."""


def tilted_mean(height: Any) -> Any:
    """Mean of the points under weights proportional to ``e^height``, in one coordinate."""
    return over(points[i] * sp.exp(height)) / over(sp.exp(height))


def vanishes(expression: Any) -> bool:
    """Whether sympy reduces ``expression`` to zero."""
    return bool(sp.simplify(expression) == 0)


# Equation 7. S is symmetric: along its eigenvectors, energies and means are sums of one term each.


@step("eq.7", "it is where the Gaussian posterior of x given y has its centre", power=1)
def conditional_mean(power: int = 2) -> bool:
    """Eq. 7: stationary point of ``<x-mu, S^-1 (x-mu)>/2 + |y-x|^2/(2 sigma^2)``."""
    position = sp.Symbol("x", real=True)
    energy = (position - mu) ** 2 / (2 * s) + (y - position) ** 2 / (2 * sigma**2)
    best = gaussian_denoiser.subs(sigma**2, sigma**power)
    return vanishes(sp.diff(energy, position).subs(position, best))


@step(
    "eq.7", "of all linear denoisers it has the least error on any data with these moments", share=2
)
def best_linear(share: int = 1) -> bool:
    """Eq. 7, N points: its error is at right angles to 1 and to y, so to all linear functions.

    ``y = x + sigma Z`` has the variance ``s + sigma^2`` and the covariance s with x along an
    eigenvector, and none with other eigenvectors.
    """
    mean = over(points[i]) / N
    spread = over((points[i] - mean) ** 2) / N
    gain = sp.diff(gaussian_denoiser, y).subs(s, spread)
    centred = sp.simplify(gaussian_denoiser.subs(y, mu) - mu) == 0
    return bool(centred) and is_identity(gain * (spread + sigma**2) - share * spread)


# Lemmas C.1 to C.3: in flow time, t = 1/(1 + sigma)


@step("C.1", "(31) is the posterior in flow time", factor=1)
def same_posterior(factor: int = 2) -> bool:
    """C.1: the exponent of (31) and ``-|y - t x|^2 / (2 (1-t)^2)`` differ by nothing with x."""
    at, point = vectors("y x")
    exponent = flow_exponent(inner(at, point), norm2(point))
    gap = exponent + norm2(at - t * point) / (factor * (1 - t) ** 2)
    on_a_line = exponent.subs({inner(at, point): y * x, norm2(point): x**2})
    same = vanishes(on_a_line - flow_exponent_on_a_line)
    return same and vanishes(gap - norm2(at) / (2 * (1 - t) ** 2))


@step("C.1", "up to two derivatives the exponent has no pole but t = 1", extra=1)
def no_pole(extra: int = 0) -> bool:
    """C.1: the derivatives of (31) in t are polynomials over powers of 1 - t: C^2 on [0, 1)."""
    a, b = sp.symbols("a b", real=True)
    for order in range(3):
        derivative = sp.diff(flow_exponent(a, b) / (2 - t) ** extra, t, order)
        numerator, denominator = sp.fraction(sp.cancel(sp.together(derivative)))
        # (1 - t)^(order + 2), times a number, divides it out completely.
        power = sp.cancel((1 - t) ** (order + 2) / denominator)
        if not numerator.is_polynomial(t) or power.has(a, b):
            return False
        if sp.solveset(denominator, t, sp.S.Complexes) != sp.FiniteSet(1):
            return False
    return True


@step(
    "C.1",
    "dominated convergence: |h|, |h'| and |h''| are largest at t = tau, |y| = K, |x| = R",
    sign=-1,
)
def dominated(sign: int = 1) -> bool:
    """C.1: the coefficients of ``<y, x>`` and of ``-|x|^2`` in h, h' and h'' rise with t from >= 0.

    So on ``|y| <= K``, ``|x| <= R``, ``t <= tau < 1`` each is at most its value with ``K R`` and
    ``R^2``, both signs +, at tau. Then ``|x (e^h)''| <= R (A_1^2 + A_2) e^A_0``, a constant: the
    derivatives go under the expectation, and are continuous. With t = u/(1 + u), u >= 0, every
    coefficient is a polynomial with no negative coefficient.
    """
    u = sp.Symbol("u", nonnegative=True)
    for order in range(3):
        for term in (flow_exponent(1, 0), -sign * flow_exponent(0, 1)):
            at = sp.cancel(sp.diff(term, t, order).subs(t, u / (1 + u)))
            if not at.is_polynomial(u) or min(sp.Poly(at, u).all_coeffs()) < 0:
                return False
    return True


@step("C.2", "(33) is Eq. 7 in flow time", power=1)
def gaussian_in_flow_time(power: int = 2) -> bool:
    """C.2: ``m^G_t(y) = m^G_sigma(y/t)`` at ``sigma = (1-t)/t``."""
    level = sp.Symbol("level", positive=True)
    by_sigma = gaussian_denoiser.subs(sigma**2, level**power).subs({y: y / t, level: (1 - t) / t})
    return vanishes(by_sigma - gaussian_flow_denoiser)


@step("C.2", "its denominators stay above 0 on [0, 1)", power=1)
def gaussian_smooth(power: int = 2) -> bool:
    """C.2: ``t^2 s + (1-t)^2`` is least at t = 1/(1+s), ``s/(1+s)``; 0 only at s = 0, t = 1."""
    denominator = t**power * s + (1 - t) ** 2
    least = (1 + s) * (t - 1 / (1 + s)) ** 2  # a square: never negative
    at_zero = sp.solveset(denominator.subs(s, 0), t, sp.S.Reals)
    return vanishes(denominator - least - s / (1 + s)) and at_zero == sp.FiniteSet(1)


@step("C.3", "value mu and slope S y at t = 0, empirical denoiser", factor=2)
def initial_empirical(factor: int = 1) -> bool:
    """C.3: ``S y`` is the covariance of x and ``<y, x>``; a coordinate of N points in any d."""
    mean, slope = over(points[i]) / N, over(points[i] * along[i]) / N
    slope -= mean * over(along[i]) / N
    output = tilted_mean(flow_exponent(along[i], square[i]))
    return is_identity(output.subs(t, 0) - mean) and is_identity(
        sp.diff(output, t).subs(t, 0) - factor * slope
    )


@step("C.3", "value mu and slope S y at t = 0, Gaussian denoiser", factor=2)
def initial_gaussian(factor: int = 1) -> bool:
    """C.3, along an eigenvector of the covariance."""
    start = gaussian_flow_denoiser.subs(t, 0)
    return vanishes(start - mu) and vanishes(initial_gaussian_slope - factor * s * y)
