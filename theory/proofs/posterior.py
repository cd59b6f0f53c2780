"""Definition 4.1, Theorem 4.2 and Remark 4.3, step by step.

``u`` is ``d_ij / sigma``, ``t_j`` the j-th term of identity (9), ``S = (1 - w) / w`` what the terms
sum to where ``w_i = w``, and ``e^-L = S / (N - 1)`` its even share.
"""

from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.step import step

N = sp.Symbol("N", integer=True, positive=True)
w, delta = sp.symbols("w delta", positive=True)
d, d_min, d_max, sigma, u = sp.symbols("d d_min d_max sigma u", positive=True)
z, s, x, level = sp.symbols("z s x level", real=True)
L, S = sp.symbols("L S", positive=True)


def is_zero(expression: Any) -> bool:
    """Whether sympy reduces ``expression`` to zero."""
    return bool(sp.simplify(expression) == 0)


def normal_cdf(value: Any) -> Any:
    """``Phi(value)``, by the error function."""
    return (1 + sp.erf(value / sp.sqrt(2))) / 2


def normal_density(value: Any) -> Any:
    """Standard normal density at ``value``."""
    return sp.exp(-(value**2) / 2) / sp.sqrt(2 * sp.pi)


log_odds = sp.log(w * (N - 1) / (1 - w))
"""``L`` in N and w."""
union_quantile = sp.sqrt(2) * sp.erfinv(1 - 2 * delta / (N - 1))
"""``z = Phi^-1(1 - delta / (N - 1))``."""
margin = d / (2 * sigma) - L * sigma / d
"""``tau``: how far ``t_j`` lies below ``e^-L``, in standard deviations of ``xi_j``."""
plus_root = (z + sp.sqrt(z**2 + 2 * L)) / (2 * L)
minus_root = 1 / (z + sp.sqrt(z**2 + 2 * L))
sigma_plus = d_max * plus_root.subs({z: union_quantile, L: log_odds})
sigma_minus = d_min * minus_root.subs({z: union_quantile, L: log_odds})
_points, _i = sp.Symbol("M", integer=True, positive=True), sp.Symbol("i", integer=True)
mean_sigma_minus = sigma_minus.subs(
    d_min, sp.Sum(sp.IndexedBase("d_min")[_i], (_i, 1, _points)) / _points
)
"""The average of ``sigma_minus`` over M points, which is the threshold at the mean distance."""
truncated_mean = normal_cdf(-(u / 2 + sp.log(S) / u)) + normal_cdf(-(u / 2 - sp.log(S) / u)) / S
"""``E min(1, t_j / S)``: its sum over j bounds ``P(w_i < w)``."""
weight_of_two = normal_cdf(d / (2 * sigma))
"""``W_sigma`` of two points at distance d."""


def softmax(exponents: list[Any]) -> list[Any]:
    """The weights ``exp(e_i) / sum_k exp(e_k)``."""
    total = sum(sp.exp(e) for e in exponents)
    return [sp.exp(e) / total for e in exponents]


distance_to = sp.symbols("r_1:4", positive=True)
max_weight = sp.Max(*softmax([-(r**2) / (2 * sigma**2) for r in distance_to]))
"""What Definition 4.1 averages, for three points at distances r_1, r_2, r_3 from the noisy one."""


def log_term_density() -> Any:
    """Density of ``log t_j``, claimed to be that of N(-u^2/2, u^2)."""
    return normal_density((x + u**2 / 2) / u) / u


@cache
def log_term_below() -> Any:
    """``P(log t_j < level)``, that density integrated."""
    return sp.simplify(sp.integrate(log_term_density(), (x, -sp.oo, level)))


def log_term_above() -> Any:
    """``P(log t_j > level)``; its density has mass 1, by its mgf at s = 0."""
    return 1 - log_term_below()


# Definition 4.1


@step("4.1", "E max_i w_i is the chance that the most likely point is the noised one", "numeric")
def weight_is_decoding_probability() -> bool:
    """Def 4.1, exact: all channels of 3 inputs and 3 outputs whose entries are whole sixths."""
    rows = [row for row in product(range(1, 5), repeat=3) if sum(row) == 6]
    return all(decodes(channel) for channel in product(rows, repeat=3))


def decodes(channel: tuple[tuple[int, ...], ...], inputs: int = 3) -> bool:
    """Whether the mean of the largest posterior weight is the chance of decoding rightly."""
    mean_weight = correct = Fraction(0)
    for column in zip(*channel, strict=True):
        marginal = Fraction(sum(column), 6 * inputs)
        mean_weight += marginal * max(Fraction(count, sum(column)) for count in column)
        decoded = column.index(max(column))
        correct += Fraction(1, len(channel)) * Fraction(column[decoded], 6)
    return mean_weight == correct


@step("4.1", "W of two points at distance d is Phi(d / (2 sigma)), by integration")
def weight_of_two_points() -> bool:
    """Def 4.1: ``W = 1/2 int max(phi(x), phi(x - u)) dx``, split where the densities cross."""
    return integrates_to_weight(u / 2)


def integrates_to_weight(crossing: Any) -> bool:
    """Whether the densities cross at ``crossing``, alone, and integrate to W on either side."""
    difference = sp.expand(-(x**2) / 2 + (x - u) ** 2 / 2)  # falls with x
    if sp.solve(difference, x) != [crossing] or not sp.diff(difference, x).is_negative:
        return False
    left = sp.integrate(normal_density(x), (x, -sp.oo, crossing))
    right = sp.integrate(normal_density(x), (x, crossing - u, sp.oo))
    weight = ((left + right) / 2).rewrite(sp.erf)
    return is_zero(weight - weight_of_two.subs(d, u * sigma))


@step("4.1", "P(t_j > 1) = Phi(-u/2), the term of the bound on 1 - W")
def error_of_one_pair() -> bool:
    """Ours, for Def 4.1: the most likely point is not x_i only if some ``t_j > 1``."""
    return is_zero(log_term_above().subs(level, 0) - normal_cdf(-u / 2))


# Identity (9) and the distribution of its terms


@step("4.2.1", "identity (9) from the softmax, N = 2, 3 and d = 1, 2, 3")
def identity_9() -> bool:
    """Theorem 4.2, Eq. 9: coordinates on one side, ``d_ij`` and ``xi_j`` on the other."""
    return all(identity_holds(n, dimension) for n in (2, 3) for dimension in (1, 2, 3))


def identity_holds(n: int, dimension: int, share: int = 2) -> bool:
    """Whether ``1/w_1 = 1 + sum_j exp(-u_j^2 / share + u_j xi_j)`` for symbolic points."""
    points = [sp.Matrix(sp.symbols(f"x{i}_1:{dimension + 1}", real=True)) for i in range(n)]
    noise = sp.Matrix(sp.symbols(f"Z_1:{dimension + 1}", real=True))
    noisy = points[0] + sigma * noise
    weight = softmax([-(noisy - p).dot(noisy - p) / (2 * sigma**2) for p in points])[0]
    terms = []
    for other in points[1:]:
        distance = sp.sqrt((other - points[0]).dot(other - points[0]))
        xi = noise.dot(other - points[0]) / distance
        terms.append(sp.exp(-(distance**2) / (share * sigma**2) + distance * xi / sigma))
    gap = sp.powsimp(sp.expand_mul(1 / weight) - 1 - sum(terms))
    # simplify would do, in seconds; expanding the exponents is enough
    return bool(gap.replace(sp.exp, lambda exponent: sp.exp(sp.expand(exponent))) == 0)


@step("4.2.1", "xi_j = <Z, e> is N(0, 1): its mgf, d = 3")
def direction_is_normal() -> bool:
    """Theorem 4.2: integrated coordinate by coordinate; ``e`` is the direction to x_j."""
    return has_normal_mgf(1)


@cache
def normal_mgf() -> Any:
    """``E exp(s xi)`` for a standard normal xi, integrated."""
    return sp.integrate(sp.exp(s * x) * normal_density(x), (x, -sp.oo, sp.oo))


def has_normal_mgf(length: int) -> bool:
    """Whether ``<Z, e>`` with ``|e| = length`` has the standard normal's mgf."""
    first, second = sp.symbols("e_1 e_2", real=True)
    e = (first, second, sp.sqrt(length**2 - first**2 - second**2))
    return is_zero(sp.Mul(*(normal_mgf().subs(s, s * part) for part in e)) - sp.exp(s**2 / 2))


@step("4.2.1", "log t_j ~ N(-u^2/2, u^2): the mgf by two integrals")
def distribution_of_log_term() -> bool:
    """Theorem 4.2: over ``xi_j`` by (9), and over the claimed density; E t_j = 1 at s = 1."""
    return distribution_holds(log_term_density())


def distribution_holds(density: Any) -> bool:
    """Whether ``density`` has the mgf of ``-u^2/2 + u xi``."""
    by_noise = sp.exp(-s * u**2 / 2) * normal_mgf().subs(s, s * u)
    by_density = sp.integrate(sp.exp(s * x) * density, (x, -sp.oo, sp.oo))
    return is_zero(by_noise - by_density) and is_zero(by_noise.subs(s, 1) - 1)


# From the terms to the thresholds


@step("4.2.1", "N - 1 terms of e^-L each make the weight w")
def even_share() -> bool:
    """Theorem 4.2: so all terms above e^-L put w_i below w, all below it put w_i above."""
    return is_zero(1 / (1 + (N - 1) * sp.exp(-L)).subs(L, log_odds) - w)


@step("4.2.1", "L > 0 iff w > 1/N")
def log_odds_sign() -> bool:
    """Theorem 4.2: L has its one zero at w = 1/N and rises on (0, 1)."""
    return rises_through_zero(log_odds, 1 / N)


def rises_through_zero(expression: Any, at: Any) -> bool:
    """Whether the log-odds are 0 at ``at`` alone and its derivative is positive on (0, 1)."""
    zeros = sp.solve(sp.exp(expression) - 1, w)
    a = sp.Symbol("a", positive=True)
    slope = sp.simplify(sp.diff(expression, w).subs(w, 1 / (1 + a)))
    return len(zeros) == 1 and is_zero(zeros[0] - at) and bool(slope.is_positive)


@step("4.2.1", "P(t_j < e^-L) = Phi(tau)")
def lower_probability() -> bool:
    """Theorem 4.2, Eq. 11: the density of ``log t_j`` integrated up to -L."""
    return is_zero(log_term_below().subs({level: -L, u: d / sigma}) - normal_cdf(margin))


@step("4.2.2", "P(t_j > e^-L) = Phi(-tau)")
def upper_probability() -> bool:
    """Theorem 4.2, Eq. 15: the density of ``log t_j`` integrated from -L."""
    return is_zero(log_term_above().subs({level: -L, u: d / sigma}) - normal_cdf(-margin))


@step("4.2.1", "tau falls with sigma")
def margin_falls() -> bool:
    """Theorem 4.2, Eqs. 13 and 17: so a threshold in sigma settles the whole half-line."""
    return bool(sp.diff(margin, sigma).is_negative)


@step("4.2.2", "tau rises with d")
def margin_rises() -> bool:
    """Theorem 4.2, end of the proof: so the nearest point decides part 2, the farthest part 1."""
    return bool(sp.diff(margin, d).is_positive)


def is_only_root(value: Any, side: int) -> bool:
    """Whether ``value`` is the one positive root of ``2L u^2 + 2 side z u - 1`` in u."""
    quadratic = sp.Poly(2 * L * u**2 + 2 * side * z * u - 1, u)
    leading, _, last = quadratic.all_coeffs()
    opposite_signs = (last / leading).is_negative  # the roots' product
    larger = sp.radsimp(value - last / leading / value).factor().is_positive  # than the other
    return is_zero(quadratic.as_expr().subs(u, value)) and bool(opposite_signs and larger)


@step("4.2.1", "sigma_plus is the positive root of 2L u^2 - 2z u - 1 = 0")
def plus_solves() -> bool:
    """Theorem 4.2, part 1, with ``u = sigma / d_max``."""
    return is_only_root(plus_root, -1)


@step("4.2.2", "sigma_minus is the positive root of 2L u^2 + 2z u - 1 = 0")
def minus_solves() -> bool:
    """Theorem 4.2, part 2, with ``u = sigma / d_min``."""
    return is_only_root(minus_root, 1)


@step("4.2.1", "the quadratic says tau = -z, and sigma_plus fulfils it")
def plus_margin() -> bool:
    """Theorem 4.2, Eq. 12."""
    quadratic = (margin + z).subs(d, 1) * 2 * sigma + 2 * L * sigma**2 - 2 * z * sigma - 1
    return is_zero(quadratic) and is_zero(margin.subs({d: 1, sigma: plus_root}) + z)


@step("4.2.2", "the quadratic says tau = z, and sigma_minus fulfils it")
def minus_margin() -> bool:
    """Theorem 4.2, Eq. 16."""
    quadratic = (margin - z).subs(d, 1) * 2 * sigma + 2 * L * sigma**2 + 2 * z * sigma - 1
    return is_zero(quadratic) and is_zero(margin.subs({d: 1, sigma: minus_root}) - z)


@step("4.2.1", "the two written forms of sigma_plus are equal")
def plus_forms() -> bool:
    """Theorem 4.2, part 1."""
    return is_zero(plus_root - 1 / (sp.sqrt(z**2 + 2 * L) - z))


@step("4.2.2", "the two written forms of sigma_minus are equal")
def minus_forms() -> bool:
    """Theorem 4.2, part 2."""
    return is_zero(minus_root - (sp.sqrt(z**2 + 2 * L) - z) / (2 * L))


@step("4.2.1", "N - 1 failures of Phi(-z) each make delta")
def union_makes_delta() -> bool:
    """Theorem 4.2, Eqs. 10 and 14."""
    return is_zero((N - 1) * normal_cdf(-union_quantile) - delta)


@step("4.2.1", "tight at N = 2: at sigma_plus the failure probability is delta")
def plus_is_tight() -> bool:
    """Theorem 4.2, part 1: ``P(w_1 > w) = P(t < e^-L)``, integrated at the threshold."""
    return fails_with(plus_root, delta, below=True)


@step("4.2.2", "tight at N = 2: at sigma_minus the failure probability is delta")
def minus_is_tight() -> bool:
    """Theorem 4.2, part 2: ``P(w_1 < w) = P(t > e^-L)``, integrated at the threshold."""
    return fails_with(minus_root, delta, below=False)


def fails_with(threshold: Any, probability: Any, *, below: bool) -> bool:
    """Whether two points fail with ``probability`` at ``sigma / d = threshold``."""
    failure = log_term_below() if below else log_term_above()
    at_threshold = sp.simplify(failure.subs(level, -L).subs(u, 1 / threshold))
    return is_zero(at_threshold.subs(z, union_quantile.subs(N, 2)) - probability)


@step("4.3", "both thresholds are proportional to the distance, so averages may be taken first")
def averages() -> bool:
    """Remark 4.3: the average threshold is the threshold at the average distance."""
    distances = sp.symbols("d_1:6", positive=True)
    mean = sum(distances) / 5
    return all(commutes(form, mean, distances) for form in (d * plus_root, d * minus_root))


def commutes(form: Any, mean: Any, distances: tuple[Any, ...]) -> bool:
    """Whether the average of ``form`` over the distances d is its value at their mean."""
    average = sum(form.subs(d, each) for each in distances) / len(distances)
    return is_zero(average - form.subs(d, mean))
