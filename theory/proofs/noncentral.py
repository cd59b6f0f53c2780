"""Definition 4.7 step by step: ``p_sigma(r)`` as a difference of noncentral chi-square CDFs.

The law of ``|Z + v|^2`` is a Poisson mixture of central chi-square laws, and v enters it by its
length alone: both have the same Laplace transform, in every dimension.
"""

from functools import cache
from typing import Any

import sympy as sp
from mpmath import mp
from sympy.utilities.lambdify import implemented_function

from wildmiddle.theory.proofs.any_size import i as index
from wildmiddle.theory.proofs.any_size import norm2, over, split, vectors
from wildmiddle.theory.proofs.posterior import is_zero, normal_density
from wildmiddle.theory.proofs.shells import (
    c,
    d,
    inner_radius,
    r,
    r_out,
    shell_probability,
    sigma,
    x,
)
from wildmiddle.theory.proofs.step import step

k = sp.Symbol("k", integer=True, nonnegative=True)
lam = sp.Symbol("lambda", positive=True)
y = sp.Symbol("y", real=True)


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


@step("4.7", "p_sigma(r) depends on r/sigma alone: lengths scale with sigma", power=1)
def scales_with_sigma(power: int = 2) -> bool:
    """Def 4.7: ``|sigma Z + r e|^2 = sigma^2 |Z + (r/sigma) e|^2`` in every dimension."""
    noise, unit = vectors("Z e")
    return is_zero(norm2(sigma * noise + r * unit) - sigma**power * norm2(noise + r / sigma * unit))


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


@step(
    "B.5",
    "|Z + v|^2 has one law for all v of one length, noncentral chi-square: its transform",
    tilt=2,
)
@step(
    "4.7", "|Z + v|^2 is noncentral chi-square with lambda = |v|^2: its Laplace transform", tilt=2
)
def laplace_transform(tilt: int = 1) -> bool:
    """Def 4.7 and Lemmas B.4, B.5, every d: ``E exp(-s |Z + v|^2)``, s > 0, which fixes the law.

    On one side d coordinates, each integrated, their logs added up; on the other the central
    transforms ``b^(-d/2 - k)``, ``b = 1 + 2s``, under the Poisson weights of ``tilt |v|^2``.
    """
    v, dimension = sp.IndexedBase("v"), sp.Symbol("d", integer=True, positive=True)
    b, shift, log_one = log_transform()
    by_coordinates = split(over(log_one.subs(shift, v[index]), count=dimension))
    by_coordinates = by_coordinates.subs(split(over(v[index] ** 2, count=dimension)), lam)
    # E b^-k under a Poisson distribution of mean tilt lambda/2
    by_mixture = -dimension * sp.log(b) / 2 + tilt * lam / 2 * (1 / b - 1)
    return is_zero(sp.expand(by_coordinates - by_mixture))


@cache
def log_transform() -> tuple[Any, Any, Any]:
    """``b``, ``v`` and ``log E exp(-(b - 1)/2 (Z + v)^2)`` of one coordinate, integrated."""
    b, shift = sp.Symbol("b", positive=True), sp.Symbol("v", real=True)
    # (Z + v)^2 = y^2 with Z = y - v
    density = sp.exp(-(b - 1) / 2 * y**2 - (y - shift) ** 2 / 2) / sp.sqrt(2 * sp.pi)
    one = sp.integrate(density, (y, -sp.oo, sp.oo), conds="none")
    return b, shift, sp.expand_log(sp.log(sp.simplify(one)), force=True)


@step(
    "4.7",
    "d = 1: |Z + sqrt(lambda)|^2 is noncentral chi-square, by integration",
    "instance",
    degrees=2,
)
def one_dimension(degrees: int = 1) -> bool:
    """Def 4.7, exact form: the normal integral's derivative against the Poisson mixture."""
    root, shift = sp.sqrt(x), sp.sqrt(lam)
    inside = sp.integrate(normal_density(y), (y, -root - shift, root - shift))
    mixture = sp.summation(mixture_density(degrees), (k, 0, sp.oo)).rewrite(sp.exp)
    return is_zero(sp.expand(sp.powsimp(sp.diff(inside, x))) - sp.expand(mixture))


@step(
    "4.7",
    "d = 2: the mixture's sum has the Bessel function I_0 of the angular integral",
    "instance",
    order=1,
)
def two_dimensions(order: int = 0) -> bool:
    """Def 4.7: ``exp(-(x + lambda)/2) I_0(sqrt(lambda x)) / 2``, that of Rice squared."""
    rice = sp.exp(-(x + lam) / 2) * sp.besseli(order, sp.sqrt(lam) * sp.sqrt(x)) / 2
    return is_zero(sp.summation(mixture_density(2), (k, 0, sp.oo)) - rice)


@step("4.7", "the CDF by first coordinate and rest, d = 2, 3, 6, at 50 digits", "numeric", tilt=2)
def cdf_numerically(tilt: int = 1) -> bool:
    """Def 4.7: sympy has no noncentral chi-square; quadrature against the Poisson mixture."""
    return all(
        quadrature_agrees(degrees, value, offset, tilt)
        for degrees in (2, 3, 6)
        for value, offset in (("1.5", "0.7"), ("9", "2"))
    )


def quadrature_agrees(degrees: int, value: str, offset: str, tilt: int) -> bool:
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


@step("4.7", "at r = 0 p_sigma is the shell's own probability, at 50 digits", "numeric", at=1)
def starts_at_shell_probability(at: int = 0) -> bool:
    """Def 4.7: the noncentral chi-square is the central one there; d = 3 and 64, two widths."""
    overlap = sp.lambdify((r, sigma, d, c), p_sigma, "mpmath")
    exact = sp.lambdify((d, c), shell_probability, "mpmath")
    with mp.workdps(50):
        gaps = [
            abs(overlap(mp.mpf(at), mp.mpf(1), mp.mpf(dimension), width) - exact(dimension, width))
            for dimension in (3, 64)
            for width in (mp.mpf("0.5"), mp.mpf(5))
        ]
        return bool(max(gaps) < mp.mpf(10) ** -45)


@step("4.7", "the mean of the noncentral chi-square is d + lambda", claimed=d + 2 * lam)
def noncentral_mean(claimed: Any = d + lam) -> bool:
    """Def 4.7: one coordinate carries the offset, the others add 1 each."""
    moments = [sp.integrate(y**n * normal_density(y), (y, -sp.oo, sp.oo)) for n in range(3)]
    moved = sp.Poly((y + sp.sqrt(lam)) ** 2, y).all_coeffs()[::-1]
    carried = sum(factor * moment for factor, moment in zip(moved, moments, strict=True))
    return is_zero(carried + (d - 1) * moments[2] - claimed)


@step("4.7", "dF/dlambda = -f, the density with two degrees more", factor=1)
def noncentral_derivative(factor: int = -1) -> bool:
    """Ours, for Def 4.7: by terms of the mixture, whose degrees are ``d + 2k``."""
    # Poisson: w_k' = (w_(k-1) - w_k)/2, so dF/dlambda = 1/2 sum_k w_k (F_(k+1) - F_k);
    # chi-square: F_(k+1) - F_k = 2 factor f_(k+1), both 0 at x = 0, so compare their slopes in x.
    weights = sp.diff(poisson_weight(k + 1), lam) - (poisson_weight(k) - poisson_weight(k + 1)) / 2
    nu = sp.Symbol("nu", positive=True)
    step_up = central_density(nu + 2) - central_density(nu)
    slopes = step_up - 2 * factor * sp.diff(central_density(nu + 2), x)
    return is_zero(sp.gammasimp(weights)) and is_zero(sp.gammasimp(slopes))


@step(
    "4.7",
    "p_sigma(r) falls with r: f(r_in^2) < f(r_out^2) with d + 2 degrees, at lambda = 0",
    quadratic=1,
)
def overlap_falls(quadratic: int = 2) -> bool:
    """Ours, for Def 4.7: so the nearest point's shell is the best single one in Theorem 4.8.

    With ``q = sqrt(c/d) <= 1/2`` the log-ratio over d is 0 at q = 0 and falls on (0, 1/2); as
    lambda grows the ratio only falls, noncentral densities having a monotone likelihood ratio. For
    c >= d/4 the density at the inner radius, 0, is itself 0.
    """
    q, a = sp.symbols("q a", positive=True)
    outer = 1 + 2 * q + quadratic * q**2
    log_density = sp.log(x) / 2 - x / 2  # over d, at x = d times this x, up to a constant
    ratio = log_density.subs(x, 1 - 2 * q) - (log_density.subs(x, outer))
    slope = sp.factor(sp.together(sp.diff(ratio, q)).subs(q, a / (1 + a) / 2))
    matches = is_zero((r_out**2 / d).subs(c, d * q**2) - outer)
    starts = is_zero(ratio.subs(q, 0)) and is_zero(central_density(d + 2).subs(x, 0))
    return matches and starts and bool(slope.is_negative)


@step("4.7", "p_sigma(r) rises with sigma: lambda = (r/sigma)^2 falls", power=-2)
def overlap_rises(power: int = 2) -> bool:
    """Ours, for Def 4.7 and the threshold of Section 4.2: a level once reached is kept."""
    return bool(sp.diff((r / sigma) ** power, sigma).is_negative)


half_coverage_sigma = r / sp.sqrt(2 * sp.sqrt(c * d) + 2 * c)


@step(
    "4.7",
    "half coverage: the mean passes r_out^2 at r / sqrt(2 sqrt(cd) + 2c)",
    level=2 * half_coverage_sigma,
)
def half_coverage(level: Any = half_coverage_sigma) -> bool:
    """Ours, for Def 4.7: ``d + (r/sigma)^2 = r_out^2``, solved for sigma; that falls with it."""
    mean = d + (r / sigma) ** 2
    return is_zero(mean.subs(sigma, level) - r_out**2) and bool(sp.diff(mean, sigma).is_negative)
