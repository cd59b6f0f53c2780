"""Equations 1 to 5: the loss, its minimiser, the weights, the sampling equation and the error."""

from typing import Any

import sympy as sp
from sympy.stats import Normal, density

from wildmiddle.theory.proofs.any_size import (
    N,
    i,
    inner,
    is_identity,
    j,
    norm2,
    over,
    vectors,
)
from wildmiddle.theory.proofs.step import step

M, K, d = sp.symbols("M K d", integer=True, positive=True)
sigma, s = sp.symbols("sigma s", positive=True)
k, coordinate, m = sp.symbols("k l m", integer=True)
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


p, w = sp.IndexedBase("p"), sp.IndexedBase("w")
"""Densities of y given each training point, any positive numbers; and weights that sum to 1."""

at, value = sp.symbols("y f", real=True)
"""One coordinate of y, and of the value of a denoiser at y."""

points = sp.IndexedBase("x")
"""One coordinate of the training points; losses and means are sums over the coordinates."""

mean = over(p[i] * points[i]) / over(p[i])
"""Eq. 2 in one coordinate, the weights of Eq. 3 being ``p_i / sum_j p_j``."""


def normal_density(position: Any, centre: Any, spread: Any) -> Any:
    """Density of a normal variable, one coordinate of the noised point."""
    return density(Normal("Y", centre, spread))(position)


@step(
    "eq.1", "the posterior mean is where the loss at y is stationary, and nothing else is", prior=2
)
def stationary(prior: int = 1) -> bool:
    """Eq. 1 to 2: ``sum_i p_i |f - x_i|^2`` has gradient 0 in f at Eq. 2, Hessian 2 sum_i p_i > 0.

    In each coordinate, at every y, for N points in d dimensions.
    """
    loss = over(p[i] * (value - points[i]) ** 2)
    gradient = sp.diff(loss, value)
    curvature = sp.diff(loss, value, 2) - 2 * over(p[i])
    return is_identity(gradient.subs(value, prior * mean)) and is_identity(curvature)


@step("eq.1", "the loss is the mean over noise levels of lambda times the error of Eq. 5", share=2)
def loss_of_levels(share: int = 1) -> bool:
    """Eq. 1 at every N, M, K and d: minimised where the error is, at each level by itself."""
    error = fixed_noise_error.replace(
        lambda part: isinstance(part, sp.Indexed) and part.base == out,
        lambda part: out[k, *part.indices],
    )
    return is_identity(training_loss - share * over(weighting[k] * error, k, K) / K)


@step("eq.1", "any other value costs its squared distance to the posterior mean more", factor=2)
def excess(factor: int = 1) -> bool:
    """Eq. 1: ``E|f - x|^2 = E|m - x|^2 + |f - m|^2`` under any weights: one minimum only."""
    loss = over(p[i] * ((value - points[i]) ** 2 - (mean - points[i]) ** 2)) / over(p[i])
    return is_identity(loss - factor * (value - mean) ** 2)


@step(
    "eq.2",
    "on two points it is the midpoint and a hyperbolic tangent along their difference",
    factor=1,
)
def two_points(factor: int = 2) -> bool:
    """Eq. 2, N = 2: ``m = mid + (x_1 - x_0)/2 tanh(<y - mid, x_1 - x_0>/(2 sigma^2))``, every d.

    ``tanh a = 2 / (1 + e^(-2a)) - 1``, and the share of x_1 is ``1 / (1 + e^(-2a))``.
    """
    first, second, y = vectors("x_0 x_1 y")
    middle, difference = (first + second) / 2, second - first
    argument = inner(y - middle, difference) / (factor * sigma**2)
    exponent = (norm2(y - second) - norm2(y - first)) / (2 * sigma**2)
    share = sp.Symbol("share", real=True)
    tanh = 2 * share - 1
    moved = sp.expand(first * (1 - share) + second * share - (middle + difference / 2 * tanh))
    return moved == 0 and sp.expand(exponent + 2 * argument) == 0


@step("eq.2", "it is the mean of the points under the weights of Equation 3", share=2)
def weighted_mean(share: int = 1) -> bool:
    """Eq. 2 with Eq. 3, in every coordinate, at every N and d."""
    return is_identity(share * over(posterior_weight * x[i, k]) - optimal_denoiser)


@step(
    "eq.2", "the weighted mean is equivariant under shifts and scalings of data and noise", power=1
)
def equivariant(power: int = 2) -> bool:
    """Eq. 2: ``m_{a sigma}(a y + b)`` on ``a x + b`` is ``a m_sigma(y) + b``, every N and d.

    The exponents do not change, and the mean under equal weights is linear.
    """
    a, shift = sp.Symbol("a", positive=True), sp.Symbol("b", real=True)
    y, x_i, b = vectors("y x_i b")
    moved = norm2((a * y + b) - (a * x_i + b)) / (a**power * sigma**2)
    linear = over(p[i] * (a * points[i] + shift)) / over(p[i]) - (a * mean + shift)
    return sp.expand(moved - norm2(y - x_i) / sigma**2) == 0 and is_identity(linear)


@step("eq.3", "Bayes' rule with Gaussian noise gives the softmax", factor=1)
def bayes(factor: int = 2) -> bool:
    """Eq. 3: log density and exponent of the softmax differ by nothing that depends on the point.

    Coordinate by coordinate, so in every dimension; the prior 1/N and the normalisation drop out.
    """
    centre, position = sp.symbols("x y", real=True)
    log_density = sp.expand_log(sp.log(normal_density(position, centre, sigma)), force=True)
    gap = log_density + (position - centre) ** 2 / (factor * sigma**2)
    return bool(sp.simplify(sp.diff(gap, centre)) == 0)


@step("eq.3", "the weights sum to 1", total=2)
def sums_to_one(total: int = 1) -> bool:
    """Eq. 3 at every N and d."""
    return is_identity(over(posterior_weight) - total)


@step("eq.3", "only inner products with y matter", share=sp.Integer(1))
def inner_products(share: Any = sp.Rational(1, 2)) -> bool:
    """Eq. 3: ``|y|^2`` drops out, the logits are ``(<y, x_i> - |x_i|^2/2) / sigma^2``."""
    y, x_i = vectors("y x_i")
    short = (inner(y, x_i) - share * norm2(x_i)) / sigma**2
    common = -norm2(y) / (2 * sigma**2)  # the same for all i: the softmax does not see it
    return bool(sp.expand(-norm2(y - x_i) / (2 * sigma**2) - short - common) == 0)


@step("eq.3", "the noised point's number, transformed by the weights, is uniform", scale=2)
def uniform_transform(scale: int = 1) -> bool:
    """Eq. 3: given y, ``V = sum_{j<i} w_j + U w_i`` of a number i drawn by w has P(V <= v) = v.

    A number has ``scale`` times the probability of its cell.
    """
    v, before, own = sp.symbols("v before w", positive=True)
    # v lies in the cell of a number: all numbers before it, and this one where U <= (v - before)/w.
    below = before + scale * own * ((v - before) / own)
    return bool(sp.simplify(below - v) == 0)


@step("eq.4", "the velocity is -sigma times the score", power=1)
def score(power: int = 2) -> bool:
    """Eq. 4: ``(y - m_sigma(y)) / sigma = -sigma grad log p_sigma(y)``, p_sigma the mixture.

    In each coordinate: a component's log derivative there is ``(x_i - y) / sigma^2``, by its
    density; the other coordinates are factors that stay.
    """
    centre = sp.Symbol("x", real=True)
    slope = sp.simplify(sp.diff(sp.log(normal_density(at, centre, sigma)), at))
    gradient = over(p[i] * slope.subs(centre, points[i])) / over(p[i])
    velocity = ode_velocity.subs({position: at, denoised: mean})
    return is_identity(velocity + sigma ** (power - 1) * gradient)


@step("eq.4", "the flow carries the noised densities into each other", factor=2)
def continuity(factor: int = 1) -> bool:
    """Eq. 4: ``dp/dsigma + div(p v) = 0`` for the mixture, so samples keep their distribution.

    ``p v`` is ``-sigma grad p`` by the score, so this is ``dp/dsigma = sigma Laplacian p``. It is
    linear in p, and for a product over coordinates both sides are sums of one term a coordinate.
    """
    centre = sp.Symbol("x", real=True)
    one = normal_density(at, centre, sigma)
    change, spread = sp.diff(one, sigma), sigma * sp.diff(one, at, 2)
    return bool(sp.simplify((change - factor * spread) / one) == 0)


@step(
    "eq.4", "for Gaussian data the solution grows as the deviation of the noised data does", power=1
)
def gaussian_flow(power: Any = sp.Rational(1, 2)) -> bool:
    """Eq. 4, ``m = mu + s (y - mu)/(s + sigma^2)``: ``y - mu`` goes as ``sqrt(s + sigma^2)``.

    ``mu + (start - mu) (1 + sigma^2/s)^power`` solves it from ``start`` at sigma = 0, along each
    eigenvector. The equation is linear: no other solution has this value at any sigma above 0.
    """
    mu, start = sp.symbols("mu start", real=True)
    path = mu + (start - mu) * (1 + sigma**2 / s) ** power
    velocity = (path - (mu + s * (path - mu) / (s + sigma**2))) / sigma
    return bool(sp.simplify(path.diff(sigma) - velocity) == 0 and path.subs(sigma, 0) == start)


@step("eq.5", "the error of a linear denoiser, by integration over the noise", noise=1)
def linear_error(noise: int = 2) -> bool:
    """Eq. 5 for ``f(y) = a y + b`` in one coordinate: ``mean ((a-1)x + b)^2 + a^2 sigma^2``."""
    a, b, z = sp.symbols("a b z", real=True)
    normal = density(Normal("Z", 0, 1))(z)
    powers = [sp.integrate(z**order * normal, (z, -sp.oo, sp.oo)) for order in range(3)]
    one = fixed_noise_error.subs({M: 1, d: 1}).doit()  # one noise for each point
    (square,) = one.atoms(sp.Sum)
    known = {out[m, i, 0]: a * (points[i] + sigma * z) + b, x[i, 0]: points[i]}
    total = sp.Poly(sp.expand(square.function.subs(known)), z)
    integral = over(sum(c * powers[order] for (order,), c in total.terms())) * (one / square)
    closed = over(((a - 1) * points[i] + b) ** 2) / N + a**2 * sigma**noise
    return is_identity(integral - closed)


@step("eq.5", "the optimal denoiser's error is at right angles to every function of y", prior=2)
def orthogonal(prior: int = 1) -> bool:
    """Eq. 5: ``sum_i p(y | x_i) (m_sigma(y) - x_i) = 0`` at every y, so errors add in squares."""
    return is_identity(over(p[i] * (prior * mean - points[i])))


@step(
    "eq.5",
    "on two points the optimal error at y is w (1 - w) times their squared distance",
    power=2,
)
def two_point_error(power: int = 1) -> bool:
    """Eq. 5 at N = 2: ``sum_i w_i |m - x_i|^2 = w_0 w_1 |x_0 - x_1|^2``, every d."""
    own = sp.Symbol("w", positive=True)
    first, second = vectors("x_0 x_1")
    best = own * first + (1 - own) * second
    error = own * norm2(best - first) + (1 - own) * norm2(best - second)
    return bool(sp.expand(error - own * (1 - own) ** power * norm2(first - second)) == 0)


@step(
    "eq.5",
    "the optimal error at y is half the mean squared distance of two posterior draws",
    share=1,
)
def error_of_pairs(share: int = 2) -> bool:
    """Eq. 5: ``sum_i w_i |m - x_i|^2 = sum_ij w_i w_j |x_i - x_j|^2 / 2``, whatever the weights.

    The image behind y and a draw from its weights are two such draws.
    """
    total = over(p[i])
    error = over(p[i] * (mean - points[i]) ** 2) / total
    pairs = over(over(p[i] * p[j] * (points[i] - points[j]) ** 2, j)) / total**2
    return is_identity(error - pairs / share)


@step("eq.5", "two points: the entropy falls with 1/(2 sigma^2) at the rate of the error", share=1)
def entropy_rate(share: int = 2) -> bool:
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
    rest_of_rate = sp.simplify(after_stein + r**2 * other**2 / share)
    return bool(rest_of_rate == 0 and sp.expand(calibrated) == 0)
