"""Equations 20 to 24 and Lemma A.1: the fields of flow matching and their concentration."""

from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.denoising import noised_densities
from wildmiddle.theory.proofs.denoising import sigma as noise_level
from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    Matrix,
    average,
    denoiser,
    points,
    softmax,
    squared,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

N = sp.Symbol("N", integer=True, positive=True)
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


def flow_denoiser(at: Matrix, xs: list[Matrix], time: Any) -> Matrix:
    """Eq. 22 with the weights of Eq. 21."""
    logits = [-squared(at - time * point) / (2 * (1 - time) ** 2) for point in xs]
    return average(softmax(logits), xs)


# Equations 20 to 24


@step("eq.20", "at x_t the conditional field is x - Z, the velocity of the path")
def straight_path() -> bool:
    """Eq. 20 with ``x_t = (1-t) Z + t x``: by substitution, and as dx_t/dt."""
    path = (1 - t) * z + t * x
    field = sp.simplify(conditional_field.subs(y, path))
    return sp.expand(field - (x - z)) == 0 and sp.expand(path.diff(t) - (x - z)) == 0


@step("eq.21", "the optimal field is the posterior mean of the conditional fields")
def mean_field() -> bool:
    """Eq. 21: weights by Bayes from ``x_t ~ N(t x_i, (1-t)^2 I)``, N = 2 and 3, d = 1 and 2."""
    return mean_of_fields(1)


def mean_of_fields(factor: Any) -> bool:
    """Whether ``(m - y)/(1 - t)``, centres at ``factor t x_i``, is that posterior mean."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        densities = [
            density.subs(noise_level, 1 - t)
            for density in noised_densities(at, [t * point for point in xs])
        ]
        total = sp.Add(*densities)
        fields = [(point - at) / (1 - t) for point in xs]
        mean = average([density / total for density in densities], fields)
        logits = [-squared(at - factor * t * point) / (2 * (1 - t) ** 2) for point in xs]
        best = average(softmax(logits), xs)
        if not vanishes(mean - (best - at) / (1 - t)):
            return False
    return True


@step("eq.21", "it minimises the flow-matching loss at every y")
def least_loss() -> bool:
    """Eq. 21: ``sum_i w_i |f - u_i|^2`` has gradient 0 at the mean of the u_i and nowhere else."""
    for n in (2, 3):
        xs, at, f = points(n, 2), vector("y", 2), vector("f", 2)
        free = sp.symbols(f"w_:{n - 1}", nonnegative=True)
        weights = [*free, 1 - sum(free)]
        loss = average(weights, [squared(f - (point - at) / (1 - t)) for point in xs])
        root = sp.solve([sp.diff(loss, entry) for entry in f], list(f), dict=True)
        expected = (average(weights, xs) - at) / (1 - t)
        if len(root) != 1 or not vanishes(sp.Matrix([root[0][v] for v in f]) - expected):
            return False
    return True


@step("eq.22", "denoiser and optimal field give each other")
def denoiser_from_field() -> bool:
    """Eq. 21 and 22: ``m_t(y) = y + (1 - t) u*_t(y)``, from the weighted sum of Eq. 21."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        logits = [-squared(at - t * point) / (2 * (1 - t) ** 2) for point in xs]
        field = average(softmax(logits), [(point - at) / (1 - t) for point in xs])
        if not vanishes(at + (1 - t) * field - flow_denoiser(at, xs, t)):
            return False
    return True


@step("eq.23", "m_sigma(y) = m_t(t y) at t = 1/(1 + sigma)")
def sigma_from_flow() -> bool:
    """(23), N = 2 and 3, d = 1 and 2: the exponents agree as rational functions."""
    return sigma_matches(flow_time.subs(sigma, noise_level))


def sigma_matches(time: Any) -> bool:
    """Whether (23) holds with this time as a function of sigma."""
    return all(
        vanishes(
            denoiser(vector("y", dim), points(n, dim), noise_level)
            - flow_denoiser(time * vector("y", dim), points(n, dim), time)
        )
        for n, dim in SIZES
    )


@step("eq.24", "m_t(y) = m_sigma(y/t) at sigma = (1 - t)/t")
def flow_from_sigma() -> bool:
    """(24), the same sizes; ``(1 - t)/t`` inverts the time of (23)."""
    inverse = sp.solve(sp.Eq(flow_time, t), sigma)[0]
    level = (1 - t) / t
    return vanishes(inverse - level) and all(
        vanishes(
            flow_denoiser(vector("y", dim), points(n, dim), t)
            - denoiser(vector("y", dim) / t, points(n, dim), level)
        )
        for n, dim in SIZES
    )


# Lemma A.1


@step("A.1", "a term of (9) is at most e^-L exactly where its normal variable is at most tau")
def term_below() -> bool:
    """A.1: ``-u^2/2 + u xi <= -L`` with ``u = d_ij/sigma``, solved for xi."""
    return threshold(sp.Rational(1, 2))


def threshold(share: Any) -> bool:
    """Whether tau is the threshold of ``-share u^2 + u xi <= -L``."""
    xi = sp.Symbol("xi", real=True)
    u = d_min / sigma
    root = sp.solve(sp.Eq(-share * u**2 + u * xi, -L), xi)
    rising = sp.diff(-share * u**2 + u * xi, xi).is_positive
    return bool(len(root) == 1 and rising and sp.simplify(root[0] - tau.subs(log_odds, L)) == 0)


@step("A.1", "N - 1 terms of e^-L leave the weight w")
def weight_from_terms() -> bool:
    """A.1: ``1 / (1 + (N-1) e^-L) = w`` with ``L = log(w (N-1)/(1-w))``."""
    return bool(sp.simplify(1 / (1 + (N - 1) * sp.exp(-log_odds)) - w) == 0)


@step("A.1", "tau grows with the distance, so the nearest point decides")
def nearest_decides() -> bool:
    """A.1: ``dtau/dd = 1/(2 sigma) + L sigma/d^2 > 0``, L > 0."""
    slope = sp.diff(tau.subs(log_odds, L), d_min)
    return bool(slope.is_positive)


@step("A.1", "the denoiser's distance is a weighted sum of differences to the other points")
def weighted_differences() -> bool:
    """A.1: ``m - x_0 = sum_{j>0} w_j (x_j - x_0)``, so ``|m - x_0| <= (1 - w_0) max_j d_0j``."""
    for n, dim in SIZES:
        xs = points(n, dim)
        others = list(sp.symbols(f"w_1:{n}", nonnegative=True))
        weights = [1 - sp.Add(*others), *others]
        rest = average(others, [point - xs[0] for point in xs[1:]])
        if not vanishes(average(weights, xs) - xs[0] - rest):
            return False
        if not vanishes(sum(others) - (1 - weights[0])):
            return False
    return True


@step("A.1", "on two points it is an equality: |m - x_0| = (1 - w_0) d_01")
def two_points() -> bool:
    """A.1, N = 2, d_01 the diameter: both events are ``w_0 >= w``, that is xi <= tau."""
    return pair_distance(1)


def pair_distance(power: int) -> bool:
    """Whether ``|m - x_0|^2 = (1 - w_0)^(2 power) d_01^2``."""
    own = sp.Symbol("w_0", positive=True)
    for dim in (1, 2, 3):
        first, second = points(2, dim)
        gap = squared(own * first + (1 - own) * second - first)
        if not vanishes(gap - (1 - own) ** (2 * power) * squared(first - second)):
            return False
    return True
