"""Equations 1 to 5: the loss, its minimiser, the weights, the sampling equation and the error."""

from typing import Any

import sympy as sp
from sympy.stats import Normal, density

from wildmiddle.theory.proofs.small_sets import (
    SIZES,
    Matrix,
    average,
    denoiser,
    points,
    posterior_weights,
    softmax,
    squared,
    uniform,
    vanishes,
    vector,
)
from wildmiddle.theory.proofs.step import step

N, M, K, d = sp.symbols("N M K d", integer=True, positive=True)
sigma, s = sp.symbols("sigma s", positive=True)
i, j, k, coordinate, m = sp.symbols("i j k l m", integer=True)
x, y, out, weighting = (sp.IndexedBase(name) for name in ("x", "y", "out", "lambda"))

training_loss = sp.Sum(
    weighting[k] * (out[k, m, i, coordinate] - x[i, coordinate]) ** 2,
    (coordinate, 0, d - 1),
    (i, 0, N - 1),
    (m, 0, M - 1),
    (k, 0, K - 1),
) / (N * M * K)
"""Eq. 1 over K noise levels and M noises a point; ``out[k, m, i]`` is ``m(x_i + sigma_k Z_mi)``."""

fixed_noise_error = sp.Sum(
    (out[m, i, coordinate] - x[i, coordinate]) ** 2,
    (coordinate, 0, d - 1),
    (i, 0, N - 1),
    (m, 0, M - 1),
) / (N * M)
"""Eq. 5 over M noises a point; ``out[m, i]`` is ``m(x_i + sigma Z_mi)``."""


def _closeness(index: Any) -> Any:
    return sp.exp(
        -sp.Sum((y[coordinate] - x[index, coordinate]) ** 2, (coordinate, 0, d - 1))
        / (2 * sigma**2)
    )


posterior_weight = _closeness(i) / sp.Sum(_closeness(j), (j, 0, N - 1))
"""Eq. 3: the weight of point i."""

optimal_denoiser = sp.Sum(x[i, k] * _closeness(i), (i, 0, N - 1)) / sp.Sum(
    _closeness(j), (j, 0, N - 1)
)
"""Eq. 2: the coordinate k of the denoiser."""

position, denoised = sp.symbols("x m", real=True)
ode_velocity = (position - denoised) / sigma
"""Eq. 4, in one coordinate."""


def noised_densities(at: Matrix, xs: list[Matrix]) -> list[Any]:
    """Density at a point of ``x_i + sigma Z``, a product over the coordinates, for each i."""
    factors = [
        [density(Normal("Y", c, sigma))(v) for c, v in zip(centre, at, strict=True)]
        for centre in xs
    ]
    return [sp.powsimp(sp.Mul(*of_one)) for of_one in factors]


@step("eq.1", "the posterior mean is where the loss at y is stationary, and nothing else is")
def stationary() -> bool:
    """Eq. 1 to 2: ``sum_i p(y | x_i) |f - x_i|^2`` has gradient 0 in f at Eq. 2, Hessian 2p > 0."""
    return all(_stationary(n, dim) for n, dim in SIZES)


def _stationary(n: int, dim: int) -> bool:
    xs, at, f = points(n, dim), vector("y", dim), vector("f", dim)
    densities = noised_densities(at, xs)
    loss = average(densities, [squared(f - point) for point in xs])
    gradient = sp.Matrix([sp.diff(loss, entry) for entry in f])
    best = denoiser(at, xs, sigma)
    at_best = gradient.subs(dict(zip(f, best, strict=True)), simultaneous=True)
    curvature = gradient.jacobian(f) - 2 * sp.Add(*densities) * sp.eye(dim)
    return vanishes(at_best) and vanishes(curvature)


@step("eq.1", "any other value costs its squared distance to the posterior mean more")
def excess() -> bool:
    """Eq. 1: ``E|f - x|^2 = E|m - x|^2 + |f - m|^2`` under any weights: one minimum only."""
    return excess_loss(1)


def excess_loss(factor: Any) -> bool:
    """Whether the excess is ``factor`` times the squared distance, for weights that sum to 1."""
    for n, dim in SIZES:
        xs, f = points(n, dim), vector("f", dim)
        free = sp.symbols(f"w_:{n - 1}", nonnegative=True)
        weights = [*free, 1 - sum(free)]
        mean = average(weights, xs)
        losses = [squared(f - point) - squared(mean - point) for point in xs]
        if not vanishes(average(weights, losses) - factor * squared(f - mean)):
            return False
    return True


@step("eq.2", "on two points it is the midpoint and a hyperbolic tangent along their difference")
def two_points() -> bool:
    """Eq. 2, N = 2: ``m = mid + (x_1 - x_0)/2 tanh(<y - mid, x_1 - x_0>/(2 sigma^2))``."""
    return hyperbolic(2)


def hyperbolic(factor: Any) -> bool:
    """Whether the tangent's argument is the projection over ``factor`` times sigma squared."""
    for dim in (1, 2, 3):
        (first, second), at = points(2, dim), vector("y", dim)
        middle, difference = (first + second) / 2, second - first
        argument = (at - middle).dot(difference) / (factor * sigma**2)
        # tanh a = 2 / (1 + e^(-2a)) - 1; the softmax is divided through by its second term.
        ratio = sp.exp(-2 * argument)
        exponent = (squared(at - second) - squared(at - first)) / (2 * sigma**2)
        share = 1 / (1 + sp.exp(exponent))
        direct = first * (1 - share) + second * share
        if not vanishes(middle + difference / 2 * (2 / (1 + ratio) - 1) - direct):
            return False
    return True


@step("eq.2", "the weighted mean is equivariant under shifts and scalings of data and noise")
def equivariant() -> bool:
    """Eq. 2: ``m_{a sigma}(a y + b)`` on ``a x + b`` is ``a m_sigma(y) + b``."""
    a = sp.Symbol("a", positive=True)
    for n, dim in SIZES:
        xs, at, b = points(n, dim), vector("y", dim), vector("b", dim)
        moved = denoiser(a * at + b, [a * point + b for point in xs], a * sigma)
        if not vanishes(moved - a * denoiser(at, xs, sigma) - b):
            return False
    return True


@step("eq.3", "Bayes' rule with Gaussian noise gives the softmax")
def bayes() -> bool:
    """Eq. 3: prior 1/N times normal density, normalised, against the softmax."""
    return bayes_softmax(2)


def bayes_softmax(factor: Any) -> bool:
    """Whether the exponent's denominator is ``factor`` times sigma squared."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        densities = noised_densities(at, xs)
        total = sp.Add(*densities)
        weights = softmax([-squared(at - point) / (factor * sigma**2) for point in xs])
        if not all(vanishes(p / total - w) for p, w in zip(densities, weights, strict=True)):
            return False
    return True


@step("eq.3", "only inner products with y matter")
def inner_products() -> bool:
    """Eq. 3: ``|y|^2`` drops out, the logits are ``(<y, x_i> - |x_i|^2/2) / sigma^2``."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        whole = [-squared(at - point) / (2 * sigma**2) for point in xs]
        short = [(at.dot(point) - squared(point) / 2) / sigma**2 for point in xs]
        # A softmax depends on the differences of its logits alone.
        shifts = [a - b for a, b in zip(whole, short, strict=True)]
        if not all(vanishes(shift - shifts[0]) for shift in shifts):
            return False
    return True


@step("eq.3", "the noised point's number, transformed by the weights, is uniform")
def uniform_transform() -> bool:
    """Eq. 3: given y, ``V = sum_{j<i} w_j + U w_i`` of a number i drawn by w has P(V <= v) = v."""
    return transform_is_uniform(1)


def transform_is_uniform(scale: int) -> bool:
    """Whether ``P(V <= v) = v`` where a number has ``scale`` times the probability of its cell."""
    v, before, w = sp.symbols("v before w", positive=True)
    # v lies in the cell of a number: all numbers before it, and this one where U <= (v - before)/w.
    below = before + scale * w * ((v - before) / w)
    return bool(sp.simplify(below - v) == 0)


@step("eq.4", "the velocity is -sigma times the score")
def score() -> bool:
    """Eq. 4: ``(y - m_sigma(y)) / sigma = -sigma grad log p_sigma(y)``, p_sigma the mixture."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        mixture = average(uniform(n), noised_densities(at, xs))
        gradient = sp.Matrix([sp.diff(mixture, entry) / mixture for entry in at])
        velocity = (at - denoiser(at, xs, sigma)) / sigma
        if not vanishes(velocity + sigma * gradient):
            return False
    return True


@step("eq.4", "the flow carries the noised densities into each other")
def continuity() -> bool:
    """Eq. 4: ``dp/dsigma + div(p v) = 0`` for the mixture, so samples keep their distribution."""
    return continuity_equation(1)


def continuity_equation(factor: Any) -> bool:
    """Whether ``factor`` times the velocity of Eq. 4 satisfies the continuity equation."""
    for n, dim in SIZES[:3]:
        xs, at = points(n, dim), vector("y", dim)
        mixture = average(uniform(n), noised_densities(at, xs))
        velocity = factor * (at - denoiser(at, xs, sigma)) / sigma
        flux = sp.Add(*(sp.diff(mixture * v, e) for v, e in zip(velocity, at, strict=True)))
        if not vanishes(sp.diff(mixture, sigma) + flux):
            return False
    return True


@step("eq.4", "for Gaussian data the solution grows as the deviation of the noised data does")
def gaussian_flow() -> bool:
    """Eq. 4, ``m = mu + s (y - mu)/(s + sigma^2)``: ``y - mu`` goes as ``sqrt(s + sigma^2)``."""
    return gaussian_path(sp.Rational(1, 2))


def gaussian_path(power: Any) -> bool:
    """Whether ``mu + (start - mu) (1 + sigma^2/s)^power`` solves it from ``start`` at sigma = 0.

    The equation is linear, so there is no other solution with this value at any sigma above 0.
    """
    mu, start = sp.symbols("mu start", real=True)
    path = mu + (start - mu) * (1 + sigma**2 / s) ** power
    velocity = (path - (mu + s * (path - mu) / (s + sigma**2))) / sigma
    return bool(sp.simplify(path.diff(sigma) - velocity) == 0 and path.subs(sigma, 0) == start)


@step("eq.5", "the error of a linear denoiser, by integration over the noise")
def linear_error() -> bool:
    """Eq. 5 for ``f(y) = a y + b``, d = 1, N = 3: ``mean ((a-1)x + b)^2 + a^2 sigma^2``."""
    a, b, z = sp.symbols("a b z", real=True)
    xs = sp.symbols("x_:3", real=True)
    normal = density(Normal("Z", 0, 1))(z)
    powers = [sp.integrate(z**order * normal, (z, -sp.oo, sp.oo)) for order in range(3)]
    total = sp.Poly(sum((a * (c + sigma * z) + b - c) ** 2 for c in xs), z)
    integral = sum(coefficient * powers[order] for (order,), coefficient in total.terms())
    closed = sum(((a - 1) * c + b) ** 2 for c in xs) / 3 + a**2 * sigma**2
    return bool(sp.expand(integral / 3 - closed) == 0)


@step("eq.5", "the optimal denoiser's error is at right angles to every function of y")
def orthogonal() -> bool:
    """Eq. 5: ``sum_i p(y | x_i) (m_sigma(y) - x_i) = 0`` at every y, so errors add in squares."""
    for n, dim in SIZES:
        xs, at = points(n, dim), vector("y", dim)
        best = denoiser(at, xs, sigma)
        if not vanishes(average(noised_densities(at, xs), [best - point for point in xs])):
            return False
    return True


@step("eq.5", "on two points the optimal error at y is w (1 - w) times their squared distance")
def two_point_error() -> bool:
    """Eq. 5 at N = 2: ``sum_i w_i |m - x_i|^2 = w_0 w_1 |x_0 - x_1|^2``."""
    for dim in (1, 2, 3):
        xs, at = points(2, dim), vector("y", dim)
        weights = posterior_weights(at, xs, sigma)
        best = average(weights, xs)
        error = average(weights, [squared(best - point) for point in xs])
        if not vanishes(error - weights[0] * weights[1] * squared(xs[0] - xs[1])):
            return False
    return True


@step("eq.5", "the optimal error at y is half the mean squared distance of two posterior draws")
def error_of_pairs() -> bool:
    """Eq. 5: ``sum_i w_i |m - x_i|^2 = sum_ij w_i w_j |x_i - x_j|^2 / 2``, whatever the weights.

    The image behind y and a draw from its weights are two such draws.
    """
    for n, dim in SIZES:
        xs, weights = points(n, dim), list(sp.symbols(f"w_:{n - 1}", positive=True))
        weights.append(1 - sum(weights))
        best = average(weights, xs)
        error = average(weights, [squared(best - point) for point in xs])
        pairs = sum(
            v * w * squared(a - b)
            for v, a in zip(weights, xs, strict=True)
            for w, b in zip(weights, xs, strict=True)
        )
        if not vanishes(error - pairs / 2):
            return False
    return True


@step("eq.5", "the posterior's entropy falls with 1/(2 sigma^2) at the rate of the optimal error")
def entropy_rate() -> bool:
    """Guo, Shamai and Verdu 2005 in terms of Eq. 3, on two points at distance r.

    With ``g = 1 / sigma^2`` and ``L = -r^2 g / 2 + r sqrt(g) Z`` the entropy is ``E log(1 + e^L)``
    and the error ``r^2 E w (1 - w)``, ``w = 1 / (1 + e^L)`` the noised point's weight. By Stein,
    ``E Z h(Z) = E h'(Z)``, the first changes with g at ``-r^2 E (1 - w)^2 / 2``; and given y the
    noised point is either with its weight, so that ``E (1 - w)^2 = E w (1 - w)``.
    """
    r, g, z, weight = sp.symbols("r g z w", positive=True)
    ell = -(r**2) * g / 2 + r * sp.sqrt(g) * z
    other = sp.exp(ell) / (1 + sp.exp(ell))
    rate = sp.diff(sp.log(1 + sp.exp(ell)), g)
    part = other * r / (2 * sp.sqrt(g))  # of the rate, what multiplies Z
    after_stein = rate - part * z + sp.diff(part, z)
    both = ((weight, 1 - weight), (1 - weight, weight))
    calibrated = sum(own * (rest**2 - own * rest) for own, rest in both)
    return vanishes(after_stein + r**2 * other**2 / 2) and sp.expand(calibrated) == 0
