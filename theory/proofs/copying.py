"""The bound on copying of held-out images (ours), step by step, for every N and d.

``x_a`` is the training image nearest to the held-out x; ``gap = (r_j^2 - r_a^2)/2``, ``b = 4 d_j /
d_min - 1``, ``level = log b``.
"""

from functools import cache
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.posterior import is_zero, normal_cdf, normal_density
from wildmiddle.theory.proofs.step import step

d, d_min, sigma, u, level = sp.symbols("d_j d_min sigma u l", positive=True)
gap, y = sp.symbols("gap y", nonnegative=True)
mean, x, z = sp.symbols("m x z", real=True)
truncated_mean = normal_cdf(mean / u) + sp.exp(mean + u**2 / 2) * normal_cdf(-mean / u - u)
"""``E min(1, e^X)`` for ``X ~ N(m, u^2)``; ``m = log b_j - gap/sigma^2`` and ``u = d_j/sigma``."""


@step(
    "copying", "log t_j is normal: mean -(r_j^2 - r_a^2)/(2 sigma^2), deviation d_j/sigma", factor=1
)
def exponent_per_coordinate(factor: int = 2) -> bool:
    """``|y - x_j|^2 - |y - x_a|^2`` in one coordinate; over all: <Z, x_a - x_j> of the noise."""
    a, b = sp.symbols("a b", real=True)
    noisy = x + sigma * z
    left = (noisy - b) ** 2 - (noisy - a) ** 2
    return is_zero(left - ((x - b) ** 2 - (x - a) ** 2 + factor * sigma * z * (a - b)))


@step("copying", "an output within d_min/4 of a training image is a copy", share=3)
def near_is_copy(share: int = 4) -> bool:
    """All others are at ``d_min - delta`` or more, above ``3 delta`` if ``delta < d_min / 4``."""
    delta, room = sp.symbols("delta room", positive=True)
    others = d_min - delta
    return bool(sp.expand((others - 3 * delta).subs(d_min, share * delta + room)).is_positive)


@step("copying", "sum_j w_j d_j < d_min/4 says sum_j b_j t_j < 1", share=3)
def in_odds(share: int = 4) -> bool:
    """``w_j = t_j / (1 + T)``; T and Q are the sums of ``t_j`` and ``t_j d_j``, however many."""
    T, Q = sp.symbols("T Q", positive=True)
    room = d_min / share - Q / (1 + T)
    return is_zero(room * 4 * (1 + T) / d_min - (1 - (4 * Q / d_min - T)))


@step("copying", "E min(1, b t) in closed form", shift=2 * u)
def truncated_closed_form(shift: Any = u) -> bool:
    """The mass above 0 and the mean of ``e^X`` below it, integrated."""
    return closed_form_is(truncated_mean.subs(mean / u + u, mean / u + shift))


def closed_form_is(form: Any) -> bool:
    """Whether ``E min(1, e^X)`` is ``form``, for ``X = m + u xi``."""
    return is_zero((integrated() - form).rewrite(sp.erf))


@cache
def integrated() -> Any:
    """``E min(1, e^X)`` by two integrals."""
    above = sp.integrate(normal_density(x), (x, -mean / u, sp.oo))
    below = sp.integrate(sp.exp(mean + u * x) * normal_density(x), (x, -sp.oo, -mean / u))
    return above + below


@step("copying", "the bound falls with sigma: every P(b t > e^-y), y >= 0, rises", sign=-1)
def rises_with_sigma(sign: int = 1) -> bool:
    """``E min(1, b t)`` is their integral over ``e^-y dy``.

    ``r_j >= r_a``, and ``b >= 3`` since ``d_j >= d_min``. At ``y = log(N - 1)``: the union bound.
    """
    deviation = (sign * (level + y) - gap / sigma**2) / (d / sigma)
    excess = sp.Symbol("e", nonnegative=True)
    factor = (4 * d / d_min - 1).subs(d, d_min + excess)
    at_least_three = sp.simplify(factor - 3).is_nonnegative
    return bool(sp.expand(sp.diff(deviation, sigma)).is_positive and at_least_three)


@step(
    "copying", "tight at N = 2: the output is a copy of the nearest exactly where 3 t < 1", times=2
)
def two_points(times: int = 3) -> bool:
    """On the segment it is ``w d`` from x_a and ``(1 - w) d`` from the other, ``w = t/(1 + t)``."""
    t = sp.Symbol("t", positive=True)
    w = t / (1 + t)
    room = (1 - w) * d / times - w * d
    return is_zero(room * 3 * (1 + t) / d - (1 - 3 * t))


@step(
    "copying",
    "a weight of 3/4 is enough for two training images and not for three",
    "instance",
    times=2,
)
def three_quarters(times: int = 3) -> bool:
    """Two: ``(1 - w) d < w d / 3`` from w = 3/4 on.

    Three on a line, at 0, 1 and D: with all of the rest on the far one, the output ``(1 - w) D``
    passes the middle one where D is above 4.
    """
    w = sp.Symbol("w", positive=True)
    turn = sp.solve((1 - w) - w / times, w)
    far = sp.Symbol("D", positive=True)
    passes = sp.solve((1 - w).subs(w, sp.Rational(3, 4)) * far - 1, far)
    return turn == [sp.Rational(3, 4)] and passes == [4]
