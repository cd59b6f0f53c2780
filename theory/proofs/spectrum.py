"""The spectrum's bound on the information (ours), step by step, along the axes of S.

``p`` is the density of the noised image, ``p_i`` that of image i with its noise; along axis k the
images have the variance ``lambda_k``. All steps but the last hold for every N and d.
"""

from typing import Any

import sympy as sp
from mpmath import mp

from wildmiddle.theory.proofs.any_size import is_identity
from wildmiddle.theory.proofs.posterior import is_zero, normal_density
from wildmiddle.theory.proofs.step import step

N, d = sp.symbols("N d", integer=True, positive=True)
k = sp.Symbol("k", integer=True, positive=True)
sigma, lam, v = sp.symbols("sigma lambda v", positive=True)
x, z, mu = sp.symbols("x z mu", real=True)
eigenvalue = sp.IndexedBase("lambda", positive=True)
information = sp.Sum(sp.log(1 + eigenvalue[k] / sigma**2), (k, 1, d)) / 2
per_axis = sp.log(1 + lam / sigma**2) / 2


@step("spectrum", "the posterior's entropy is log N less the information", prior=1 / N**2)
def entropy_and_information(prior: Any = 1 / N) -> bool:
    """``w_i = p_i / (N p)``, so ``log N - log(p_i / p) = -log w_i``; the means are H and I."""
    p_i, p = sp.symbols("p_i p", positive=True)
    weight = prior * p_i / p
    return is_zero(sp.expand_log(sp.log(N) - sp.log(p_i / p) + sp.log(weight), force=True))


@step("spectrum", "along an axis the noised image has the variance lambda + sigma^2", noise=sigma)
def variance_adds(noise: Any = sigma**2) -> bool:
    """One image at x: ``E (x + sigma z - mu)^2 = (x - mu)^2 + sigma^2``; lambda is the mean."""
    mean = sp.integrate(
        sp.expand((x + sigma * z - mu) ** 2) * normal_density(z), (z, -sp.oo, sp.oo)
    )
    return is_zero(mean - (x - mu) ** 2 - noise)


@step("spectrum", "an entropy is at most the cross entropy to any density", slope=2)
def gibbs(slope: int = 1) -> bool:
    """Gibbs: ``t - 1 - log t`` is convex with its minimum 0 at ``t = g / p = 1``."""
    t = sp.Symbol("t", positive=True)
    gap = slope * (t - 1) - sp.log(t)
    least = sp.solve(sp.diff(gap, t), t) == [1] and gap.subs(t, 1) == 0
    return bool(least and sp.diff(gap, t, 2).is_positive)


def cross_entropy(variance: Any) -> Any:
    """``-E log g(Y)`` along one axis, g the normal density of that variance and Y's mean."""
    square = sp.Symbol("q", positive=True)  # (Y - mu)^2, of which the cross entropy takes the mean
    surprise = -sp.expand_log(sp.log(normal_density(sp.sqrt(square / variance))), force=True)
    return (surprise + sp.log(variance) / 2).subs(square, variance)


@step("spectrum", "the cross entropy to the Gaussian knows the variance alone", power=2)
def cross_entropy_of_variance(power: int = 1) -> bool:
    """``log(2 pi v)/2 + E (Y - mu)^2/(2v) = log(2 pi e v)/2``, whatever the density of Y."""
    return is_zero(cross_entropy(v) - sp.log(2 * sp.pi * sp.E * v**power) / 2)


@step(
    "spectrum",
    "given the image, only the noise is left: its entropy is log(2 pi e sigma^2)/2",
    variance=sigma,
)
def entropy_of_noise(variance: Any = sigma**2) -> bool:
    """``-E log`` of the normal density, integrated along one axis."""
    density = normal_density(x / sigma) / sigma
    surprise = x**2 / (2 * sigma**2) + sp.log(2 * sp.pi * sigma**2) / 2
    entropy = sp.integrate(surprise * density, (x, -sp.oo, sp.oo))
    right = sp.exp(-surprise) - density
    return is_zero(right) and is_zero(entropy - sp.log(2 * sp.pi * sp.E * variance) / 2)


@step("spectrum", "the difference is log(1 + lambda/sigma^2)/2 along each axis", share=1)
def difference_per_axis(share: int = 2) -> bool:
    """Both are sums over the axes of S, since the Gaussian's density is a product along them."""
    claimed = sp.log(1 + lam / sigma**2) / share
    gap = cross_entropy(lam + sigma**2) - cross_entropy(sigma**2) - claimed
    same = is_zero(sp.exp(2 * sp.expand_log(gap, force=True)) - 1)
    total = sp.Sum(claimed.subs(lam, eigenvalue[k]), (k, 1, d))
    return same and is_identity(total - information)


@step("spectrum", "Gaussian data: the bound is the information itself", noise=2)
def gaussian_is_tight(noise: int = 1) -> bool:
    """Data N(0, lambda): ``E log p(y | x) / p(y)``, by the second moments of x and the noise."""
    y = sp.sqrt(lam) * x + noise * sigma * z  # x and z independent standard normals
    total = lam + sigma**2
    log_ratio = sp.log(total / sigma**2) / 2 - z**2 / 2 + y**2 / (2 * total)
    terms = sp.Poly(log_ratio, x, z).as_dict()
    moments = {(0, 0): 1, (2, 0): 1, (0, 2): 1, (1, 1): 0}
    mean = sum(value * moments[powers] for powers, value in terms.items())
    return is_zero(sp.exp(2 * (sp.simplify(mean) - per_axis)) - 1)


@step(
    "spectrum",
    "the bound grows with 1/sigma^2 at half the error of the best linear denoiser",
    share=1,
)
def rate_is_linear_error(share: int = 2) -> bool:
    """A second proof (Guo, Shamai and Verdu 2005): the information grows at half the least error.

    That is at most the error of ``a y`` with the best a, ``lambda / (1 + lambda s)``, where
    ``s = 1/sigma^2``.
    """
    s, a = sp.symbols("s a", positive=True)
    error = (1 - a) ** 2 * lam + a**2 / s
    (best,) = sp.solve(sp.diff(error, a), a)
    rate = sp.diff(per_axis.subs(sigma, 1 / sp.sqrt(s)), s)
    return is_zero(error.subs(a, best) / share - rate)


@step("spectrum", "it falls with sigma, and is lambda/(2 sigma^2) at large sigma", share=1)
def falls_to_first_order(share: int = 2) -> bool:
    """The slope is negative; ``sigma^2`` times the bound tends to ``lambda / 2``."""
    return bool(sp.simplify(sp.diff(per_axis, sigma)).is_negative) and is_zero(
        sp.limit(sigma**2 * per_axis, sigma, sp.oo) - lam / share
    )


@step("spectrum", "sigma_c lies between what one eigenvalue and what the trace say", power=1)
def collapse_is_bracketed(power: int = 2) -> bool:
    """One has log N at ``lambda/(N^2 - 1)``; ``log(1 + x) <= x``: log N at ``tr/(2 log N)``."""
    alone = per_axis.subs(sigma, sp.sqrt(lam / (N**power - 1)))
    u = sp.Symbol("u", positive=True)
    gap = u - sp.log(1 + u)
    rises = sp.simplify(sp.diff(gap, u)).is_positive and gap.subs(u, 0) == 0
    return is_zero(sp.exp(2 * alone) - N**2) and bool(rises)


@step(
    "spectrum",
    "two points at distance 2: the information by quadrature is below it",
    "numeric",
    factor=0.5,
)
def two_points_by_quadrature(factor: float = 1) -> bool:
    """At sigma 1/4 to 4, to 50 digits; the bound is ``log(1 + 1/sigma^2)/2``."""
    levels = (0.25, 0.5, 1, 2, 4)
    return all(information_of_pair(level) < bound_of_pair(level, factor) for level in levels)


def bound_of_pair(level: float, factor: float = 1) -> Any:
    """The bound for the points -1 and 1, their variance times ``factor``."""
    with mp.workdps(50):
        return mp.log(1 + factor / mp.mpf(level) ** 2) / 2


def information_of_pair(level: float) -> Any:
    """I(I; Y) for the points -1 and 1: ``log 2 - E log(1 + exp(-2 (1 + sigma z) / sigma^2))``."""
    with mp.workdps(50):
        s = mp.mpf(level)

        def surprise(z: Any) -> Any:
            density = mp.exp(-(z**2) / 2) / mp.sqrt(2 * mp.pi)
            return density * mp.log1p(mp.exp(-2 * (1 + s * z) / s**2))

        return mp.log(2) - mp.quad(surprise, [-mp.inf, -1 / s, 0, mp.inf])
