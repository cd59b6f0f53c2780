"""Lemma B.1 (Laurent-Massart), Lemma 4.5 and the shells of Eq. 6, step by step.

``psi_upper(s)`` and ``psi_lower(s)`` are a degree's share of the log-mgf of ``U - d`` and of
``d - U``, U chi-square: Chernoff's bound is ``P(U - d >= a) <= exp(d psi_upper(s) - s a)``.
"""

from typing import Any

import sympy as sp
from mpmath import mp

from wildmiddle.theory.proofs.posterior import is_zero
from wildmiddle.theory.proofs.step import step

d, c, t, s, sigma, r, x, b = sp.symbols("d c t s sigma r x b", positive=True)
y = sp.Symbol("y", real=True)

psi_upper = -s - sp.log(1 - 2 * s) / 2
psi_lower = s - sp.log(1 + 2 * s) / 2
majorant_upper = s**2 / (1 - 2 * s)
majorant_lower = s**2
excess_upper = 2 * sp.sqrt(d * t) + 2 * t
excess_lower = 2 * sp.sqrt(d * t)
tail_bound = sp.exp(-t)

r_in = sp.sqrt(d - 2 * sp.sqrt(c * d))
"""For c <= d/4, as the paper has it."""
inner_radius = sp.sqrt(sp.Max(0, r_in**2))
"""For every c: from c = d/4 on it is 0."""
r_out = sp.sqrt(d + 2 * sp.sqrt(c * d) + 2 * c)
shell_bound = 1 - 2 * sp.exp(-c)


def chi2_cdf(value: Any, degrees: Any) -> Any:
    """Chi-square CDF, the regularised lower incomplete gamma function."""
    return sp.lowergamma(degrees / 2, value / 2) / sp.gamma(degrees / 2)


shell_probability = chi2_cdf(r_out**2, d) - chi2_cdf(inner_radius**2, d)
"""The exact value that Lemma 4.5 bounds."""
lemma_b1 = sp.And(
    sp.Le(1 - chi2_cdf(d + excess_upper, d), tail_bound),
    sp.Le(chi2_cdf(d - excess_lower, d), tail_bound),
)
lemma_4_5 = sp.Ge(shell_probability, shell_bound)
shell = sp.And(sp.Le(sigma * inner_radius, r), sp.Le(r, sigma * r_out))
"""Whether a point at distance r lies in the shell at noise sigma."""


# Lemma B.1


@step("B.1", "|Z|^2 has the chi-square density, from the normal density on spheres", off=1)
def squared_norm(off: int = 0) -> bool:
    """Lemma B.1: a sphere of radius sqrt(x) has the area ``2 pi^(d/2) x^((d-1)/2) / Gamma(d/2)``.

    The normal density on it, times the area and ``dr/dx``, is the derivative of the CDF in x.
    """
    surface = 2 * sp.pi ** (d / 2) / sp.gamma(d / 2)
    radial = surface * r ** (d - 1 + off) * sp.exp(-(r**2) / 2) / (2 * sp.pi) ** (d / 2)
    sphere = radial.subs(r, sp.sqrt(x)) / (2 * sp.sqrt(x))
    return is_zero(sp.powsimp(sphere / sp.diff(chi2_cdf(x, d), x)) - 1)


@step("B.1", "the balls' probability is that CDF, d = 1, 2, 3", "instance", degrees=d + 1)
def ball_probability(degrees: Any = d) -> bool:
    """Lemma B.1: the normal density over balls against the incomplete gamma function."""
    return all(
        ball_probability_is(chi2_cdf(x, sp.sympify(degrees).subs(d, k)), k) for k in (1, 2, 3)
    )


def ball_probability_is(cdf: Any, dimension: int) -> bool:
    """Whether the normal density over the ball of squared radius x is ``cdf``."""
    half = sp.Rational(dimension, 2)
    surface = 2 * sp.pi**half / sp.gamma(half)
    radial = surface * r ** (dimension - 1) * sp.exp(-(r**2) / 2) / (2 * sp.pi) ** half
    ball = sp.integrate(radial, (r, 0, sp.sqrt(x)))
    return is_zero(ball - sp.expand_func(cdf).rewrite(sp.erf))


@step(
    "B.1",
    "the chi-square mgf is (1 - 2s)^(-d/2): from one normal and from the density",
    claimed=b ** (-d),
)
def chi_square_mgf(claimed: Any = b ** (-d / 2)) -> bool:
    """Lemma B.1, with ``b = 1 - 2s > 0``: d independent squares, and the gamma integral."""
    one = sp.integrate(sp.exp(-b * y**2 / 2) / sp.sqrt(2 * sp.pi), (y, -sp.oo, sp.oo))
    density = x ** (d / 2 - 1) / (2 ** (d / 2) * sp.gamma(d / 2))
    whole = sp.integrate(density * sp.exp(-b * x / 2), (x, 0, sp.oo))
    return is_zero(one**d - claimed) and is_zero(whole - claimed)


@step("B.1", "psi is the log-mgf of one degree, less its mean, both tails", mean=2 * d)
def log_mgf(mean: Any = d) -> bool:
    """Lemma B.1: ``log E exp(+-s (U - d)) = d psi(s)``."""
    upper = sp.expand_log(sp.log((1 - 2 * s) ** (-d / 2)), force=True) - s * mean
    lower = sp.expand_log(sp.log((1 + 2 * s) ** (-d / 2)), force=True) + s * mean
    return is_zero(upper - d * psi_upper) and is_zero(lower - d * psi_lower)


@step("B.1", "upper tail: psi(s) <= s^2 / (1 - 2s) on (0, 1/2)", majorant=majorant_lower)
def upper_majorant(majorant: Any = majorant_upper) -> bool:
    """Lemma B.1: the gap is 0 at s = 0 and its derivative is a square, ``2 s^2/(1 - 2s)^2``."""
    return is_majorant(majorant, psi_upper, sp.Rational(1, 2))


@step("B.1", "lower tail: psi(s) <= s^2 on (0, oo)", majorant=s**2 / 2)
def lower_majorant(majorant: Any = majorant_lower) -> bool:
    """Lemma B.1: the gap is 0 at s = 0 and its derivative is ``4 s^2 / (1 + 2s)``."""
    return is_majorant(majorant, psi_lower, sp.oo)


def is_majorant(majorant: Any, psi: Any, end: Any) -> bool:
    """Whether ``majorant - psi`` is 0 at s = 0 and rises all over (0, end)."""
    a = sp.Symbol("a", positive=True)
    inside = a if end == sp.oo else end * a / (1 + a)  # s over all of (0, end)
    slope = sp.factor(sp.simplify(sp.diff(majorant - psi, s).subs(s, inside)))
    return is_zero((majorant - psi).subs(s, 0)) and bool(slope.is_positive)


@step(
    "B.1",
    "upper tail: the best s is sqrt(t) / (sqrt(d) + 2 sqrt(t)), the exponent -t",
    excess=excess_lower,
)
def upper_optimum(excess: Any = excess_upper) -> bool:
    """Lemma B.1: inside of (0, 1/2), stationary, the exponent convex in s, its value -t."""
    best = sp.sqrt(t) / (sp.sqrt(d) + 2 * sp.sqrt(t))
    inside = sp.simplify(1 - 2 * best).is_positive
    return bool(inside) and optimum_is(d * majorant_upper - s * excess, best, -t)


@step("B.1", "lower tail: the best s is sqrt(t/d), the exponent -t", excess=sp.sqrt(d * t))
def lower_optimum(excess: Any = excess_lower) -> bool:
    """Lemma B.1: stationary, the exponent convex in s, its value -t."""
    return optimum_is(d * majorant_lower - s * excess, sp.sqrt(t / d), -t)


def optimum_is(exponent: Any, best: Any, value: Any) -> bool:
    """Whether ``exponent`` has its least value at ``s = best > 0``, convex as far as s < 1/2."""
    curvature = sp.factor(sp.diff(exponent, s, 2).subs(s, (1 - b) / 2))  # b = 1 - 2s
    stationary = is_zero(sp.diff(exponent, s).subs(s, best))
    reached = is_zero(exponent.subs(s, best) - value)
    return stationary and reached and bool(best.is_positive and curvature.is_positive)


@step(
    "B.1",
    "inversion: the best exponents, as functions of a, reach t at both thresholds",
    factor=2,
)
def inversion(factor: int = 1) -> bool:
    """Lemma B.1: ``(sqrt(d + 2a) - sqrt(d))^2 / 4`` above and ``a^2 / (4d)`` below.

    The Legendre transforms of the two majorants; ``factor`` times the thresholds by a slip.
    """
    a, q = sp.symbols("a q", positive=True)  # q = sqrt(t/d), so that roots come out
    pairs = (
        (majorant_upper, (1 - sp.sqrt(d / (d + 2 * a))) / 2, factor * excess_upper),
        (majorant_lower, a / (2 * d), factor * excess_lower),
    )
    for majorant, best, threshold in pairs:
        exponent = s * a - d * majorant
        at_threshold = exponent.subs(s, best).subs(a, threshold).subs(t, d * q**2)
        reached = is_zero(sp.factor(sp.simplify(at_threshold), deep=True) - d * q**2)
        if not (is_zero(sp.diff(exponent, s).subs(s, best)) and reached):
            return False
    return True


@step("B.1", "both tails are below e^-t, at 50 digits", "numeric", width=1)
def tails_numerically(width: int = 2) -> bool:
    """Lemma B.1 end to end: incomplete gamma functions, d from 1 to 196,608, t from 1e-3 to 50."""
    return all(
        tails_below(degrees, level, width)
        for degrees in (1, 2, 5, 64, 3072, 196_608)
        for level in ("0.001", "0.5", "2", "5", "50")
    )


def tails_below(degrees: int, level: str, width: int) -> bool:
    """Whether both tails beyond the thresholds are below ``e^-t``."""
    with mp.workdps(50):
        n, at = mp.mpf(degrees), mp.mpf(level)
        spread = width * mp.sqrt(n * at)
        upper = mp.gammainc(n / 2, (n + spread + width * at) / 2, regularized=True)
        lower = mp.gammainc(n / 2, 0, max(n - spread, 0) / 2, regularized=True)
        return bool(max(upper, lower) <= mp.exp(-at))


# Lemma 4.5


@step("4.5", "the thresholds of Lemma B.1 at t = c are r_in^2 and r_out^2", at=2 * c)
def shell_algebra(at: Any = c) -> bool:
    """Lemma 4.5: square roots taken."""
    return is_zero((d + excess_upper).subs(t, at) - r_out**2) and is_zero(
        (d - excess_lower).subs(t, at) - r_in**2
    )


@step("4.5", "r_in^2 falls with c and is 0 at c = d/4 alone", share=sp.Rational(1, 2))
def inner_radius_falls(share: Any = sp.Rational(1, 4)) -> bool:
    """Lemma 4.5: from c = d/4 on the shell is a ball."""
    return sp.solve(r_in**2, c) == [share * d] and bool(sp.diff(r_in**2, c).is_negative)


@step("4.5", "r_in^2 without cancellation is (d - 4c) / (1 + 2 sqrt(c/d))", factor=1)
def inner_radius_form(factor: int = 2) -> bool:
    """Lemma 4.5, as :func:`wildmiddle.theory.shells.radii` computes it."""
    return is_zero((d - 4 * c) / (1 + factor * sp.sqrt(c / d)) - r_in**2)


@step("4.5", "union bound over the two tails of Lemma B.1 at t = c: 1 - 2 e^-c", count=1)
def two_tails(count: int = 2) -> bool:
    """Lemma 4.5: two tails of at most ``e^-c`` each leave at least the bound, and may leave it."""
    slack = sp.symbols(f"slack_:{count}", nonnegative=True)
    inside = 1 - sum(tail_bound.subs(t, c) - part for part in slack)
    attained = is_zero((inside - shell_bound).subs(dict.fromkeys(slack, 0)))
    return attained and bool(sp.simplify(inside - shell_bound).is_nonnegative)


@step(
    "4.5", "for c > d/4 the lower tail is empty: P(|Z|^2 < 0) = 0 <= e^-c", probability=tail_bound
)
def empty_lower_tail(probability: Any = 0) -> bool:
    """Ours: the lower threshold is negative there, so the inner radius is 0."""
    return lower_tail_is(probability, sp.Symbol("more", positive=True))


def lower_tail_is(probability: Any, more: Any) -> bool:
    """Whether the tail below the inner radius has this ``probability`` at ``c = d (1 + more)^2/4``.

    And whether that is at most ``e^-c``, as the union bound over the two tails needs.
    """
    width = d * (1 + more) ** 2 / 4
    below = sp.simplify(chi2_cdf(inner_radius**2, d).subs(c, width))
    return is_zero(below - probability) and bool((tail_bound.subs(t, width) - below).is_positive)


@step("4.5", "at c = 5 the bound is at least 0.9865", "instance", width=4)
def default_width(width: int = 5) -> bool:
    """Lemma 4.5: the paper's default."""
    return bool(shell_bound.subs(c, width) >= sp.Rational(9865, 10_000))


# Eq. 6


@step("eq.6", "the sphere of radius sigma sqrt(d) lies in the shell, whatever c", square=d + 4 * c)
def holds_the_sphere(square: Any = d) -> bool:
    """Eq. 6: ``r_in^2 < d < r_out^2``, so no shell is empty; at sigma = 1."""
    return bool(
        sp.expand(square - r_in**2).is_positive and sp.expand(r_out**2 - square).is_positive
    )


@step(
    "eq.6",
    "the shell is thin: r_in / sqrt(d) -> 1 and r_out - r_in -> 2 sqrt(c) as d grows",
    value=sp.sqrt(c),
)
def thin_shell(value: Any = 2 * sp.sqrt(c)) -> bool:
    """Eq. 6: radius about sqrt(d), thickness set by c."""
    e = sp.Symbol("e", positive=True)  # 1/sqrt(d)
    inner, outer = (sp.simplify(radius.subs(d, 1 / e**2) * e) for radius in (r_in, r_out))
    thickness = sp.series(outer - inner, e, 0, 2).removeO().coeff(e, 1)
    return is_zero(inner.subs(e, 0) - 1) and is_zero(thickness - value)
