"""Section 4.2: the weight as the chance of decoding right, and the bounds that follow.

The terms of the self-weight are those of Theorem 4.2: ``log t_j ~ N(-u^2/2, u^2)``,
``u = d_ij/sigma``.
"""

import sympy as sp

from wildmiddle.theory.proofs.posterior import is_zero, normal_cdf, normal_density
from wildmiddle.theory.proofs.step import step

d, c, N, sigma, r_nn, d_min = sp.symbols("d c N sigma r_nn d_min", positive=True)
u, x = sp.symbols("u x", positive=True)
p = sp.symbols("p", positive=True)

zone_ends = sp.Tuple(
    r_nn / sp.sqrt(2 * sp.sqrt(c * d) + 2 * c),
    d_min / (2 * sp.sqrt(2) * sp.erfinv(1 - 2 * p / (N - 1))),
)
"""About where the coverage passes 1/2, and up to where all weights are decoded but for p."""


def _error_by_integration(scale: sp.Expr) -> sp.Expr:
    # P(log t > 0) for log t ~ N(-u^2/2, u^2), by integrating the density of the standardised xi.
    return sp.integrate(normal_density(x), (x, u / scale, sp.oo))


@step("regimes", "a single other point is mistaken with probability Phi(-u/2)")
def pairwise_error() -> bool:
    """``t_j > 1`` exactly where ``xi_j > u/2``, of probability ``Phi(-u/2)``."""
    return is_zero(_error_by_integration(sp.Integer(2)) - normal_cdf(-u / 2))


@step("regimes", "on two points the weight is 1 - Phi(-u/2)")
def two_points() -> bool:
    """``E max(1, t)/(1 + t) = 1 - E min(1, t)/(1 + t)``, and by symmetry it is ``1 - Phi(-u/2)``.

    With ``t = e^X``, ``X ~ N(-u^2/2, u^2)``, the density g of X obeys ``g(-x) = e^x g(x)``, so the
    two halves of ``E[min(1, t)/(1 + t)]`` add up to ``P(X > 0)``.
    """
    y = sp.symbols("y", real=True)
    density = sp.exp(-((y + u**2 / 2) ** 2) / (2 * u**2))
    mirrored = is_zero(density.subs(y, -y) / density - sp.exp(y))
    # At X = y > 0 the term is 1/(1 + e^y) g(y); at -y it is e^-y/(1 + e^-y) g(-y): together g(y).
    halves = 1 / (1 + sp.exp(y)) + sp.exp(-y) / (1 + sp.exp(-y)) * sp.exp(y)
    return mirrored and is_zero(halves - 1)


@step("regimes", "the posterior's entropy is E log(1 + sum t_j), by Eq. 9")
def entropy() -> bool:
    """``-log w_i = log(1 + sum_j t_j)`` for three points, from the softmax."""
    a, b, k = sp.symbols("a b k", real=True)
    w = sp.exp(-k) / (sp.exp(-k) + sp.exp(-a) + sp.exp(-b))
    terms = sp.exp(k - a) + sp.exp(k - b)
    return is_zero(1 / w - (1 + terms))


@step("regimes", "log-sum-exp is convex, so Jensen bounds the entropy below")
def convexity() -> bool:
    """The Hessian of ``log(1 + e^a + e^b)`` has positive trace and determinant."""
    a, b = sp.symbols("a b", real=True)
    value = sp.log(1 + sp.exp(a) + sp.exp(b))
    hessian = sp.hessian(value, (a, b)).subs({a: sp.log(x), b: sp.log(u)})
    trace, determinant = sp.factor(hessian.trace()), sp.factor(sp.simplify(hessian.det()))
    return bool(trace.is_positive and determinant.is_positive)


@step("regimes", "the mean of log t_j is -d^2/(2 sigma^2)")
def mean_log_term() -> bool:
    """``E log t = -u^2/2``, by integrating ``-u^2/2 + u xi`` against the normal density of xi."""
    xi = sp.symbols("xi", real=True)
    mean = sp.integrate((-(u**2) / 2 + u * xi) * normal_density(xi), (xi, -sp.oo, sp.oo))
    return is_zero(mean + u**2 / 2)


@step("regimes", "Fano's left side rises up to p = 1 - 1/N")
def fano_monotone() -> bool:
    """``d/dp [h(p) + p log(N-1)] = log((1-p)(N-1)/p)``, which is 0 at ``1 - 1/N`` alone."""
    share = sp.symbols("q", positive=True)
    left = -share * sp.log(share) - (1 - share) * sp.log(1 - share) + share * sp.log(N - 1)
    slope = sp.diff(left, share)
    zero = sp.simplify(sp.expand_log(slope.subs(share, 1 - 1 / N), force=True))
    falling = is_zero(sp.diff(slope, share) + 1 / (share * (1 - share)))
    return bool(zero == 0) and falling


@step("regimes", "the closed end of the certified weight inverts the union bound")
def concentrated_end() -> bool:
    """At ``sigma = d_min / (2 Phi^-1(1 - p/(N-1)))`` the union bound ``(N-1) Phi(-u/2)`` is p."""
    error = (N - 1) * normal_cdf(-d_min / (2 * zone_ends[1]))
    return is_zero(error - p)
