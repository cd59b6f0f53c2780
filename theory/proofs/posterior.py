"""Definition 4.1, Theorem 4.2 and Remark 4.3, step by step.

``u`` is ``d_ij / sigma``, ``t_j`` the j-th term of identity (9), ``S = (1 - w) / w`` what the terms
sum to where ``w_i = w``, and ``e^-L = S / (N - 1)`` its even share.
"""

from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import (
    N,
    inner,
    is_identity,
    norm2,
    over,
    split,
    vectors,
)
from wildmiddle.theory.proofs.any_size import i as index
from wildmiddle.theory.proofs.step import step

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


@step("4.1", "W is the mean chance of the most likely training point: w_i p = p_i / N", prior=2)
def weight_times_density(prior: int = 1) -> bool:
    """Def 4.1: at every y, with ``p = sum_j p_j / N`` the density of the noised data.

    So ``E max_i w_i = int max_i p_i / N``, the chance of decoding to the most likely point.
    """
    p, one = sp.IndexedBase("p"), sp.Symbol("p_k", positive=True)
    mixture = over(p[index]) / N
    weight = one / over(p[index])  # Eq. 3 with the densities p_j
    return is_identity(weight * mixture - prior * one / N)


@step(
    "4.1",
    "E max_i w_i is the chance that the most likely point is the noised one",
    "numeric",
    channels=[((4, 1, 1), (1, 4, 1), (1, 1, 4))],
    inputs=4,
)
def weight_is_decoding_probability(channels: Any = None, inputs: int = 3) -> bool:
    """Def 4.1, exact: all channels of 3 inputs and 3 outputs whose entries are 1/6 to 4/6."""
    rows = [row for row in product(range(1, 5), repeat=3) if sum(row) == 6]
    return all(decodes(channel, inputs) for channel in channels or product(rows, repeat=3))


def decodes(channel: tuple[tuple[int, ...], ...], inputs: int) -> bool:
    """Whether the mean of the largest posterior weight is the chance of decoding rightly."""
    mean_weight = correct = Fraction(0)
    for column in zip(*channel, strict=True):
        marginal = Fraction(sum(column), 6 * inputs)
        mean_weight += marginal * max(Fraction(count, sum(column)) for count in column)
        decoded = column.index(max(column))
        correct += Fraction(1, len(channel)) * Fraction(column[decoded], 6)
    return mean_weight == correct


@step("4.1", "W of two points at distance d is Phi(d / (2 sigma)), by integration", crossing=u / 3)
def weight_of_two_points(crossing: Any = u / 2) -> bool:
    """Def 4.1: ``W = 1/2 int max(phi(x), phi(x - u)) dx``, split where the densities cross."""
    difference = sp.expand(-(x**2) / 2 + (x - u) ** 2 / 2)  # falls with x
    if sp.solve(difference, x) != [crossing] or not sp.diff(difference, x).is_negative:
        return False
    left = sp.integrate(normal_density(x), (x, -sp.oo, crossing))
    right = sp.integrate(normal_density(x), (x, crossing - u, sp.oo))
    weight = ((left + right) / 2).rewrite(sp.erf)
    return is_zero(weight - weight_of_two.subs(d, u * sigma))


@step("4.1", "P(t_j > 1) = Phi(-u/2), the term of the bound on 1 - W", share=1)
def error_of_one_pair(share: int = 2) -> bool:
    """Ours, for Def 4.1: the most likely point is not x_i only if some ``t_j > 1``."""
    return is_zero(log_term_above().subs(level, 0) - normal_cdf(-u / share))


@step("4.1", "it is 1/N where all distances are equal, and never less: N = 3", "instance", least=1)
def least_weight(least: Any = sp.Rational(1, 3)) -> bool:
    """Def 4.1: the largest of N weights that sum to 1 is at least their mean; distances 1 to 3."""
    same = is_zero(
        max_weight.subs(dict.fromkeys(distance_to, sp.Symbol("r", positive=True))) - least
    )
    others = (each for each in product((1, 2, 3), repeat=3) if len(set(each)) > 1)
    weights = (
        max_weight.subs({sigma: 1, **dict(zip(distance_to, r, strict=True))}) for r in others
    )
    return same and all(weight > least for weight in weights)


# Identity (9) and the distribution of its terms


@step("4.2.1", "identity (9) from the softmax: each term's exponent, in every dimension", share=3)
def identity_9(share: int = 2) -> bool:
    """Theorem 4.2, Eq. 9: ``1/w_i = sum_j exp(e_j - e_i)``, e the exponents of the softmax.

    On one side the squared distances of the noised point, on the other ``d_ij`` and ``xi_j``.
    """
    own, other, noise = vectors("x_i x_j Z")
    noisy, apart = own + sigma * noise, other - own
    exponent = (norm2(noisy - own) - norm2(noisy - other)) / (2 * sigma**2)
    along = inner(noise, apart)  # d_ij xi_j
    return is_zero(exponent - (-norm2(apart) / (share * sigma**2) + along / sigma))


@step("4.2.1", "xi_j = <Z, e> is N(0, 1) for every unit vector e: its mgf", length=2)
def direction_is_normal(length: int = 1) -> bool:
    """Theorem 4.2: the log of the mgf, added up over d coordinates; ``|e| = length``."""
    e = sp.IndexedBase("e")
    log_mgf = sp.expand_log(sp.log(normal_mgf()), force=True)
    total = split(over(log_mgf.subs(s, s * e[index]), count=sp.Symbol("d", integer=True)))
    squared = split(over(e[index] ** 2, count=sp.Symbol("d", integer=True)))
    return is_zero(total.subs(squared, length**2) - s**2 / 2)


@cache
def normal_mgf() -> Any:
    """``E exp(s xi)`` for a standard normal xi, integrated."""
    return sp.simplify(sp.integrate(sp.exp(s * x) * normal_density(x), (x, -sp.oo, sp.oo)))


@step("4.2.1", "log t_j ~ N(-u^2/2, u^2): the mgf by two integrals", share=1)
def distribution_of_log_term(share: int = 2) -> bool:
    """Theorem 4.2: over ``xi_j`` by (9), and over the claimed density; E t_j = 1 at s = 1."""
    by_noise = sp.exp(-s * u**2 / share) * normal_mgf().subs(s, s * u)
    by_density = sp.integrate(sp.exp(s * x) * log_term_density(), (x, -sp.oo, sp.oo))
    return is_zero(by_noise - by_density) and is_zero(by_noise.subs(s, 1) - 1)


# From the terms to the thresholds


@step("4.2.1", "N - 1 terms of e^-L make the weight w, and larger ones a smaller weight", others=N)
def even_share(others: Any = N - 1) -> bool:
    """Theorem 4.2: ``1/w_i - 1/w`` is what the terms exceed ``e^-L`` by, added up over them."""
    excess = sp.IndexedBase("excess")
    inverse = 1 + over(sp.exp(-log_odds) + excess[index], count=others)
    return is_identity(sp.simplify(split(inverse - 1 / w - over(excess[index], count=others))))


@step("4.2.1", "L > 0 iff w > 1/N", at=2 / N)
def log_odds_sign(at: Any = 1 / N) -> bool:
    """Theorem 4.2: L has its one zero at w = 1/N and rises on (0, 1)."""
    return rises_through_zero(log_odds, at)


def rises_through_zero(expression: Any, at: Any) -> bool:
    """Whether the log-odds are 0 at ``at`` alone and its derivative is positive on (0, 1)."""
    zeros = sp.solve(sp.exp(expression) - 1, w)
    a = sp.Symbol("a", positive=True)
    slope = sp.simplify(sp.diff(expression, w).subs(w, 1 / (1 + a)))
    return len(zeros) == 1 and is_zero(zeros[0] - at) and bool(slope.is_positive)


@step("4.2.1", "P(t_j < e^-L) = Phi(tau)", tau=-margin)
def lower_probability(tau: Any = margin) -> bool:
    """Theorem 4.2, Eq. 11: the density of ``log t_j`` integrated up to -L."""
    return is_zero(log_term_below().subs({level: -L, u: d / sigma}) - normal_cdf(tau))


@step("4.2.2", "P(t_j > e^-L) = Phi(-tau)", tau=d / sigma - L * sigma / d)
def upper_probability(tau: Any = margin) -> bool:
    """Theorem 4.2, Eq. 15: the density of ``log t_j`` integrated from -L."""
    return is_zero(log_term_above().subs({level: -L, u: d / sigma}) - normal_cdf(-tau))


@step("4.2.1", "tau falls with sigma", tau=d / (2 * sigma) + L * sigma / d)
def margin_falls(tau: Any = margin) -> bool:
    """Theorem 4.2, Eqs. 13 and 17: so a threshold in sigma settles the whole half-line."""
    return bool(sp.diff(tau, sigma).is_negative)


@step("4.2.2", "tau rises with d", tau=d / (2 * sigma) - L * d / sigma)
def margin_rises(tau: Any = margin) -> bool:
    """Theorem 4.2, end of the proof: so the nearest point decides part 2, the farthest part 1."""
    return bool(sp.diff(tau, d).is_positive)


def is_only_root(value: Any, side: int) -> bool:
    """Whether ``value`` is the one positive root of ``2L u^2 + 2 side z u - 1`` in u."""
    quadratic = sp.Poly(2 * L * u**2 + 2 * side * z * u - 1, u)
    leading, _, last = quadratic.all_coeffs()
    opposite_signs = (last / leading).is_negative  # the roots' product
    larger = sp.radsimp(value - last / leading / value).factor().is_positive  # than the other
    return is_zero(quadratic.as_expr().subs(u, value)) and bool(opposite_signs and larger)


@step("4.2.1", "sigma_plus is the positive root of 2L u^2 - 2z u - 1 = 0", side=1)
def plus_solves(side: int = -1) -> bool:
    """Theorem 4.2, part 1, with ``u = sigma / d_max``."""
    return is_only_root(plus_root, side)


@step("4.2.2", "sigma_minus is the positive root of 2L u^2 + 2z u - 1 = 0", side=-1)
def minus_solves(side: int = 1) -> bool:
    """Theorem 4.2, part 2, with ``u = sigma / d_min``."""
    return is_only_root(minus_root, side)


@step("4.2.1", "the quadratic says tau = -z, and sigma_plus fulfils it", root=minus_root)
def plus_margin(root: Any = plus_root) -> bool:
    """Theorem 4.2, Eq. 12."""
    quadratic = (margin + z).subs(d, 1) * 2 * sigma + 2 * L * sigma**2 - 2 * z * sigma - 1
    return is_zero(quadratic) and is_zero(margin.subs({d: 1, sigma: root}) + z)


@step("4.2.2", "the quadratic says tau = z, and sigma_minus fulfils it", root=plus_root)
def minus_margin(root: Any = minus_root) -> bool:
    """Theorem 4.2, Eq. 16."""
    quadratic = (margin - z).subs(d, 1) * 2 * sigma + 2 * L * sigma**2 + 2 * z * sigma - 1
    return is_zero(quadratic) and is_zero(margin.subs({d: 1, sigma: root}) - z)


@step("4.2.1", "the two written forms of sigma_plus are equal", sign=1)
def plus_forms(sign: int = -1) -> bool:
    """Theorem 4.2, part 1."""
    other = d_max / (sp.sqrt(z**2 + 2 * L) + sign * z)
    return is_zero(sigma_plus - other.subs({z: union_quantile, L: log_odds}))


@step("4.2.2", "the two written forms of sigma_minus are equal", sign=1)
def minus_forms(sign: int = -1) -> bool:
    """Theorem 4.2, part 2."""
    other = d_min * (sp.sqrt(z**2 + 2 * L) + sign * z) / (2 * L)
    return is_zero(sigma_minus - other.subs({z: union_quantile, L: log_odds}))


@step("4.2.1", "N - 1 failures of Phi(-z) each make delta", others=N)
def union_makes_delta(others: Any = N - 1) -> bool:
    """Theorem 4.2, Eqs. 10 and 14."""
    return is_zero(others * normal_cdf(-union_quantile) - delta)


@step("4.2.1", "tight at N = 2: at sigma_plus the failure probability is delta", share=2)
def plus_is_tight(share: int = 1) -> bool:
    """Theorem 4.2, part 1: ``P(w_1 > w) = P(t < e^-L)``, integrated at the threshold."""
    return fails_with(plus_root, share * delta, below=True)


@step("4.2.2", "tight at N = 2: at sigma_minus the failure probability is delta", share=2)
def minus_is_tight(share: int = 1) -> bool:
    """Theorem 4.2, part 2: ``P(w_1 < w) = P(t > e^-L)``, integrated at the threshold."""
    return fails_with(minus_root, share * delta, below=False)


def fails_with(threshold: Any, probability: Any, *, below: bool) -> bool:
    """Whether two points fail with ``probability`` at ``sigma / d = threshold``."""
    failure = log_term_below() if below else log_term_above()
    at_threshold = sp.simplify(failure.subs(level, -L).subs(u, 1 / threshold))
    return is_zero(at_threshold.subs(z, union_quantile.subs(N, 2)) - probability)


@step("4.3", "both thresholds are proportional to the distance, so averages may be taken", power=2)
def averages(power: int = 1) -> bool:
    """Remark 4.3: over M points the average threshold is that at the average distance."""
    distance = sp.IndexedBase("d_min")
    average = sp.Sum((sigma_minus / d_min) * distance[_i] ** power, (_i, 1, _points)) / _points
    proportional = not (sigma_plus / d_max).has(d_max) and not (sigma_minus / d_min).has(d_min)
    return proportional and is_identity(average - mean_sigma_minus)
