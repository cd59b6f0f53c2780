"""Definition 4.7 step by step: ``p_sigma(r)`` as a difference of noncentral chi-square CDFs.

The offset ``(r/sigma) e`` enters the density of ``|Z + (r/sigma) e|^2`` as the mean of
``exp(b cos theta)`` over the sphere, ``b = sqrt(lambda x)``; the Poisson mixture is its series.
"""

from typing import Any

import sympy as sp
from mpmath import mp
from sympy.utilities.lambdify import implemented_function

from wildmiddle.theory.proofs.posterior import is_zero, normal_density
from wildmiddle.theory.proofs.shells import c, d, inner_radius, r, r_out, sigma, x
from wildmiddle.theory.proofs.step import step

k = sp.Symbol("k", integer=True, nonnegative=True)
lam = sp.Symbol("lambda", positive=True)
y, theta = sp.symbols("y theta", real=True)


def noncentral_chi2_cdf(value: Any, degrees: Any, noncentrality: Any) -> Any:
    """Noncentral chi-square CDF at mpmath's precision: a Poisson mixture of central ones."""
    rate, total, order = mp.mpf(noncentrality) / 2, mp.zero, 0
    weight = mp.exp(-rate)
    while order <= rate or weight > mp.eps * mp.mpf(10) ** -10:
        total += weight * mp.gammainc(mp.mpf(degrees) / 2 + order, 0, value / 2, regularized=True)
        order += 1
        weight *= rate / order
    return total


F = implemented_function("F", noncentral_chi2_cdf)
"""``F(x, d, lambda)``: sympy knows its name, mpmath its value."""
p_sigma = F(r_out**2, d, (r / sigma) ** 2) - F(inner_radius**2, d, (r / sigma) ** 2)


@step("4.7", "p_sigma(r) depends on r/sigma alone, d = 3")
def scales_with_sigma() -> bool:
    """Def 4.7: ``|sigma Z + r e| = sigma |Z + (r/sigma) e|``."""
    noise = sp.Matrix(sp.symbols("Z_1:4", real=True))
    first = sp.Matrix([1, 0, 0])
    whole, unit = sigma * noise + r * first, noise + r / sigma * first
    return is_zero(whole.dot(whole) - sigma**2 * unit.dot(unit))


def central_density(degrees: Any) -> Any:
    """Chi-square density at x."""
    shape = sp.sympify(degrees) / 2
    return x ** (shape - 1) * sp.exp(-x / 2) / (2**shape * sp.gamma(shape))


def mixture_density(degrees: Any) -> Any:
    """The k-th term of the noncentral chi-square density: Poisson weight, central density."""
    return poisson_weight(k) * central_density(degrees + 2 * k)


def poisson_weight(order: Any) -> Any:
    """Probability of ``order`` under a Poisson distribution of mean lambda/2."""
    return sp.exp(-lam / 2) * (lam / 2) ** order / sp.factorial(order)


@step("4.7", "d = 1: |Z + sqrt(lambda)|^2 is noncentral chi-square, by integration")
def one_dimension() -> bool:
    """Def 4.7, exact form: the normal integral's derivative against the Poisson mixture."""
    return line_density_is(mixture_density(1))


def line_density_is(term: Any) -> bool:
    """Whether the density of ``(Z + sqrt(lambda))^2`` is the sum of ``term`` over k."""
    root, shift = sp.sqrt(x), sp.sqrt(lam)
    inside = sp.integrate(normal_density(y), (y, -root - shift, root - shift))
    mixture = sp.summation(term, (k, 0, sp.oo)).rewrite(sp.exp)
    return is_zero(sp.expand(sp.powsimp(sp.diff(inside, x))) - sp.expand(mixture))


@step("4.7", "d = 2: the mixture's sum has the Bessel function I_0 of the angular integral")
def two_dimensions() -> bool:
    """Def 4.7: ``exp(-(x + lambda)/2) I_0(sqrt(lambda x)) / 2``, that of Rice squared."""
    rice = sp.exp(-(x + lam) / 2) * sp.besseli(0, sp.sqrt(lam) * sp.sqrt(x)) / 2
    return is_zero(sp.summation(mixture_density(2), (k, 0, sp.oo)) - rice)


@step("4.7", "d >= 2: the mean of exp(b cos theta) over the sphere solves b g'' + (d-1) g' = b g")
def angular_equation() -> bool:
    """Def 4.7: the integrand of the equation is the derivative of ``sin^(d-1) exp(b cos)``.

    That vanishes at both ends. With ``b = sqrt(lambda x)`` g is what an offset does to the density.
    """
    return is_total_derivative(d - 1)


def is_total_derivative(power: Any) -> bool:
    """Whether the equation's integrand is the derivative of ``sin^power exp(b cos)``."""
    b = sp.Symbol("b", positive=True)
    g = sp.exp(b * sp.cos(theta)) * sp.sin(theta) ** (d - 2)
    integrand = b * sp.diff(g, b, 2) + (d - 1) * sp.diff(g, b) - b * g
    whole = sp.sin(theta) ** power * sp.exp(b * sp.cos(theta))
    return is_zero(sp.expand(sp.powsimp(sp.expand((integrand - sp.diff(whole, theta)) / g))))


@step("4.7", "d >= 2: the Poisson mixture over the central density solves the same equation")
def mixture_equation() -> bool:
    """Def 4.7: its series in b obeys the equation's recursion, and is 1 at b = 0, as is g."""
    return obeys_recursion(2)


def obeys_recursion(base: int) -> bool:
    """Whether ``g = sum_k a_k b^(2k)`` has ``2k (2k - 1 + d - 1) a_k = a_(k-1)``, a_0 = 1."""
    central = mixture_density(d).subs(k, 0) * sp.exp(lam / 2)
    ratio = mixture_density(d) / central * sp.exp(lam / 2)
    a = sp.powsimp(sp.expand_power_base(ratio / (lam * x) ** k, force=True), force=True)
    left = base * k * (2 * k + d - 2) * a
    ratio_of_terms = sp.combsimp(sp.gammasimp(sp.simplify(left / a.subs(k, k - 1))))
    return is_zero(ratio_of_terms - 1) and is_zero(a.subs(k, 0) - 1)


@step("4.7", "the CDF by first coordinate and rest, d = 2, 3, 6, at 50 digits", "numeric")
def cdf_numerically() -> bool:
    """Def 4.7: sympy has no noncentral chi-square; quadrature against the Poisson mixture."""
    return all(
        quadrature_agrees(degrees, value, offset)
        for degrees in (2, 3, 6)
        for value, offset in (("1.5", "0.7"), ("9", "2"))
    )


def quadrature_agrees(degrees: int, value: str, offset: str, tilt: int = 1) -> bool:
    """Whether ``E P(chi2_(d-1) <= x - (Z_1 + offset)^2)`` is F to 45 digits."""
    with mp.workdps(50):
        at, shift = mp.mpf(value), mp.mpf(offset)
        root = mp.sqrt(at)

        def slice_probability(first: Any) -> Any:
            rest = at - (first + shift) ** 2
            ball = mp.gammainc(mp.mpf(degrees - 1) / 2, 0, max(rest, 0) / 2, regularized=True)
            return mp.npdf(first) * ball

        direct = mp.quad(slice_probability, [-root - shift, -shift, root - shift])
        mixed = noncentral_chi2_cdf(at, degrees, tilt * shift**2)
        return bool(abs(direct - mixed) < mp.mpf(10) ** -45)


@step("4.7", "the mean of the noncentral chi-square is d + lambda")
def noncentral_mean() -> bool:
    """Def 4.7: one coordinate carries the offset, the others add 1 each."""
    return mean_is(d + lam)


def mean_is(claimed: Any) -> bool:
    """Whether ``E |Z + sqrt(lambda) e|^2`` is ``claimed``, by integration."""
    moments = [sp.integrate(y**n * normal_density(y), (y, -sp.oo, sp.oo)) for n in range(3)]
    moved = sp.Poly((y + sp.sqrt(lam)) ** 2, y).all_coeffs()[::-1]
    carried = sum(factor * moment for factor, moment in zip(moved, moments, strict=True))
    return is_zero(carried + (d - 1) * moments[2] - claimed)


@step("4.7", "dF/dlambda = -f, the density with two degrees more")
def noncentral_derivative() -> bool:
    """Ours, for Def 4.7: by terms of the mixture, whose degrees are ``d + 2k``."""
    return derivative_is(-1)


def derivative_is(factor: int) -> bool:
    """Whether ``dF/dlambda = factor f``, f with two degrees more."""
    # Poisson: w_k' = (w_(k-1) - w_k)/2, so dF/dlambda = 1/2 sum_k w_k (F_(k+1) - F_k);
    # chi-square: F_(k+1) - F_k = 2 factor f_(k+1), both 0 at x = 0, so compare their slopes in x.
    weights = sp.diff(poisson_weight(k + 1), lam) - (poisson_weight(k) - poisson_weight(k + 1)) / 2
    nu = sp.Symbol("nu", positive=True)
    step_up = central_density(nu + 2) - central_density(nu)
    slopes = step_up - 2 * factor * sp.diff(central_density(nu + 2), x)
    return is_zero(sp.gammasimp(weights)) and is_zero(sp.gammasimp(slopes))


@step("4.7", "p_sigma(r) falls with r: f(r_in^2) < f(r_out^2) with d + 2 degrees, at lambda = 0")
def overlap_falls() -> bool:
    """Ours, for Def 4.7: so the nearest point's shell is the best single one in Theorem 4.8.

    With ``q = sqrt(c/d) <= 1/2`` the log-ratio over d is 0 at q = 0 and falls; as lambda grows the
    ratio only falls, noncentral densities having a monotone likelihood ratio. For c >= d/4 the
    density at the inner radius, 0, is itself 0.
    """
    return ratio_falls(2) and is_zero(central_density(d + 2).subs(x, 0))


def ratio_falls(quadratic: int) -> bool:
    """Whether the log of ``f(r_in^2)/f(r_out^2)``, over d, falls from 0 on (0, 1/2)."""
    q, a = sp.symbols("q a", positive=True)
    outer = 1 + 2 * q + quadratic * q**2
    log_density = sp.log(x) / 2 - x / 2  # over d, at x = d times this x, up to a constant
    ratio = log_density.subs(x, 1 - 2 * q) - (log_density.subs(x, outer))
    slope = sp.factor(sp.together(sp.diff(ratio, q)).subs(q, a / (1 + a) / 2))
    matches = is_zero((r_out**2 / d).subs(c, d * q**2) - outer)
    return matches and is_zero(ratio.subs(q, 0)) and bool(slope.is_negative)


half_coverage_sigma = r / sp.sqrt(2 * sp.sqrt(c * d) + 2 * c)


@step("4.7", "half coverage: the mean passes r_out^2 at r / sqrt(2 sqrt(cd) + 2c)")
def half_coverage() -> bool:
    """Ours, for Def 4.7: ``d + (r/sigma)^2 = r_out^2``, solved for sigma."""
    return mean_passes_at(half_coverage_sigma)


def mean_passes_at(level: Any) -> bool:
    """Whether the mean is ``r_out^2`` at ``sigma = level`` and falls with sigma."""
    mean = d + (r / sigma) ** 2
    return is_zero(mean.subs(sigma, level) - r_out**2) and bool(sp.diff(mean, sigma).is_negative)
