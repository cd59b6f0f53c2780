"""Equations 20 to 24 and Lemma A.1: the fields of flow matching and their concentration."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import N, i, is_identity, norm2, over, vectors
from wildmiddle.theory.proofs.denoising import mean, normal_density, p, points
from wildmiddle.theory.proofs.schedules import sigma_of_flow_time
from wildmiddle.theory.proofs.step import step

d_min, diam, sigma, L = sp.symbols("d_min diam sigma L", positive=True)
t, w = sp.symbols("t w", positive=True)
x, y, z, m = sp.symbols("x y z m", real=True)

conditional_field = (x - y) / (1 - t)
"""Eq. 20, in one coordinate."""

optimal_field = (m - y) / (1 - t)
"""Eq. 21, in one coordinate, with m the denoiser of Eq. 22."""

denoiser_of_field = y + (1 - t) * sp.Symbol("u", real=True)
"""Eq. 22, in one coordinate, with u the optimal field."""

log_odds = sp.log(w * (N - 1) / (1 - w))
tau = d_min / (2 * sigma) - log_odds * sigma / d_min
"""Lemma A.1: what a standard normal must stay below."""

concentration_failure = (N - 1) * sp.erfc(tau / sp.sqrt(2)) / 2
"""Lemma A.1: ``(N - 1)(1 - Phi(tau))``."""

denoiser_distance = (1 - w) * diam
"""Lemma A.1: how far the denoiser may be from x_i where the weight is at least w."""

flow_time = 1 / (1 + sigma)
"""(23): the time of a noise level; its inverse is ``(1 - t)/t``."""


# Equations 20 to 24


@step("eq.20", "at x_t the conditional field is x - Z, the velocity of the path", power=2)
def straight_path(power: int = 1) -> bool:
    """Eq. 20 with ``x_t = (1-t) Z + t x``: by substitution, and as dx_t/dt."""
    path = (1 - t) ** power * z + t * x
    field = sp.simplify(conditional_field.subs(y, path))
    return sp.expand(field - (x - z)) == 0 and sp.expand(path.diff(t) - (x - z)) == 0


@step("eq.21", "the optimal field is the posterior mean of the conditional fields", factor=2)
def mean_field(factor: int = 1) -> bool:
    """Eq. 21: the weights by Bayes from ``x_t ~ N(t x_i, (1-t)^2 I)``, and the mean of the fields.

    Coordinate by coordinate the log density is the softmax's exponent, centres ``factor t x_i``.
    """
    log_density = sp.expand_log(sp.log(normal_density(y, t * x, 1 - t)), force=True)
    same = sp.diff(log_density + (y - factor * t * x) ** 2 / (2 * (1 - t) ** 2), x)
    fields = over(p[i] * (points[i] - y) / (1 - t)) / over(p[i])
    return sp.simplify(same) == 0 and is_identity(fields - optimal_field.subs(m, mean))


@step("eq.21", "it minimises the flow-matching loss at every y", share=2)
def least_loss(share: int = 1) -> bool:
    """Eq. 21: ``sum_i w_i |f - u_i|^2`` has gradient 0 at the mean of the u_i and nowhere else."""
    f = sp.Symbol("f", real=True)
    loss = over(p[i] * (f - (points[i] - y) / (1 - t)) ** 2)
    gradient = sp.diff(loss, f).subs(f, share * (mean - y) / (1 - t))
    return is_identity(gradient) and is_identity(sp.diff(loss, f, 2) - 2 * over(p[i]))


@step("eq.22", "denoiser and optimal field give each other", power=2)
def denoiser_from_field(power: int = 1) -> bool:
    """Eq. 21 and 22: ``m_t(y) = y + (1 - t) u*_t(y)``, from the weighted sum of Eq. 21."""
    field = over(p[i] * (points[i] - y) / (1 - t) ** power) / over(p[i])
    return is_identity(denoiser_of_field.subs(sp.Symbol("u", real=True), field) - mean)


@step("eq.23", "m_sigma(y) = m_t(t y) at t = 1/(1 + sigma)", factor=2)
def sigma_from_flow(factor: int = 1) -> bool:
    """(23): the exponents of both softmaxes agree, whatever the point and the dimension."""
    time = factor * flow_time
    at, point = vectors("y x_i")
    flow = norm2(time * at - time * point) / (2 * (1 - time) ** 2)
    return bool(sp.simplify(flow - norm2(at - point) / (2 * sigma**2)) == 0)


@step("eq.24", "m_t(y) = m_sigma(y/t) at sigma = (1 - t)/t", factor=2)
def flow_from_sigma(factor: int = 1) -> bool:
    """(24), as (23); ``(1 - t)/t`` inverts the time of (23)."""
    level = factor * sigma_of_flow_time
    at, point = vectors("y x_i")
    inverse = sp.solve(sp.Eq(flow_time, t), sigma)[0]
    flow = norm2(at - t * point) / (2 * (1 - t) ** 2)
    by_sigma = norm2(at / t - point) / (2 * level**2)
    return sp.simplify(inverse - level) == 0 and bool(sp.simplify(flow - by_sigma) == 0)


# Lemma A.1


@step(
    "A.1", "a term of (9) is at most e^-L exactly where its normal variable is at most tau", share=1
)
def term_below(share: int = 2) -> bool:
    """A.1: ``-u^2/2 + u xi <= -L`` with ``u = d_ij/sigma``, solved for xi."""
    xi = sp.Symbol("xi", real=True)
    u = d_min / sigma
    root = sp.solve(sp.Eq(-(u**2) / share + u * xi, -L), xi)
    rising = sp.diff(-(u**2) / share + u * xi, xi).is_positive
    return bool(len(root) == 1 and rising and sp.simplify(root[0] - tau.subs(log_odds, L)) == 0)


@step("A.1", "N - 1 terms of e^-L leave the weight w", others=N)
def weight_from_terms(others: Any = N - 1) -> bool:
    """A.1: ``1 / (1 + (N-1) e^-L) = w`` with ``L = log(w (N-1)/(1-w))``."""
    return bool(sp.simplify(1 / (1 + others * sp.exp(-log_odds)) - w) == 0)


@step("A.1", "N - 1 normal variables may exceed tau: the union bound on their tails", others=N)
def union_of_tails(others: Any = N - 1) -> bool:
    """A.1: ``(N - 1)(1 - Phi(tau))``, the tail of the normal density integrated from tau."""
    least = sp.Symbol("least", real=True)
    tail = sp.integrate(normal_density(z, 0, 1), (z, least, sp.oo)).subs(least, tau)
    return bool(sp.simplify((concentration_failure - others * tail).rewrite(sp.erf)) == 0)


@step("A.1", "tau grows with the distance, so the nearest point decides", sign=-3)
def nearest_decides(sign: int = 1) -> bool:
    """A.1: ``dtau/dd = 1/(2 sigma) + L sigma/d^2 > 0``, L > 0."""
    slope = sp.diff(tau.subs(log_odds, sign * L), d_min)
    return bool(slope.is_positive)


@step("A.1", "the denoiser's distance is a weighted sum of differences to the other points", own=2)
def weighted_differences(own: int = 1) -> bool:
    """A.1, every N: ``m - x_0 = sum_j w_j (x_j - x_0)``, whose own term is 0.

    The other weights sum to ``1 - w_0``, so ``|m - x_0| <= (1 - w_0) max_j d_0j``.
    """
    origin = sp.Symbol("x_0", real=True)
    rest = over(p[i] * (points[i] - origin)) / over(p[i])
    return is_identity(mean - own * origin - rest)


@step("A.1", "on two points it is an equality: |m - x_0| = (1 - w_0) d_01", power=2)
def two_points(power: int = 1) -> bool:
    """A.1, N = 2, every d, d_01 the diameter: both events are ``w_0 >= w``, that is xi <= tau."""
    own = sp.Symbol("w_0", positive=True)
    first, second = vectors("x_0 x_1")
    gap = norm2(own * first + (1 - own) * second - first)
    return bool(sp.expand(gap - (1 - own) ** (2 * power) * norm2(first - second)) == 0)
