"""Copies of training images: the weight and its bounds with a prior (ours), for every N and d.

``u = d_ij / sigma`` and ``l = log(p_j / p_i)``; the terms are those of Theorem 4.2: ``log t_j ~
N(-u^2/2, u^2)``, here moved by l.
"""

import sympy as sp

from wildmiddle.theory.proofs.any_size import N, is_identity, j, over, split
from wildmiddle.theory.proofs.posterior import is_zero, normal_cdf, normal_density
from wildmiddle.theory.proofs.step import step

d, sigma, u, p_i, p_j = sp.symbols("d sigma u p_i p_j", positive=True)
x, level = sp.symbols("x l", real=True)

exponent = level - u**2 / 2 + u * x
"""``log(e^l t_j)``, x for the standard normal xi_j."""
mistaken = normal_cdf(-u / 2 + level / u)
"""``P(e^l t_j > 1)``: that the image j is taken for the noised image i, of these two alone."""
error_of_two = (p_i * mistaken + p_j * mistaken.subs(level, -level)).subs(
    {level: sp.log(p_j / p_i), u: d / sigma}
)
"""``1 - W`` of two images with the prior ``p_i + p_j = 1``."""


@step("copies", "n equal images have together n times the weight of one", power=2)
def weight_of_copies(power: int = 1) -> bool:
    """Softmax over the listed images, for any numbers of copies n_j: ``1 + sum_j (n_j / n_i) t_j``.

    The share of the noised image's copies is ``n_i e^-a_i`` over all, ``t_j = e^(a_i - a_j)``.
    """
    count, height = sp.IndexedBase("n"), sp.IndexedBase("a")
    own, mine, copy = sp.Symbol("a_i", real=True), sp.Symbol("n_i", positive=True), sp.Symbol("k")
    listed = split(over(sp.exp(-height[j]), copy, count[j]))  # all copies of one image
    others = over(listed, j, N)
    ratio = over((count[j] / mine) ** power * sp.exp(own - height[j]), j, N)
    whole = mine * sp.exp(-own) + others
    return is_identity(sp.expand(whole / (mine * sp.exp(-own))) - 1 - sp.powsimp(sp.expand(ratio)))


@step("copies", "e^l t_j > 1 with probability Phi(-u/2 + l/u)", share=1)
def pairwise_error(share: int = 2) -> bool:
    """``-u^2/2 + u xi + l`` rises with xi and is 0 at ``u/2 - l/u``; xi is standard normal."""
    turn = u / share - level / u
    return is_zero(exponent.subs(x, turn)) and is_zero(mistaken - normal_cdf(-turn))


@step("copies", "on two images the error rises with sigma, whatever the prior", sign=-1)
def two_images(sign: int = 1) -> bool:
    """Its derivative by u is ``-p_j phi(u/2 + l/u)``: the shares of ``+-l/u^2`` cancel."""
    error = error_of_two.subs({sigma: d / u, p_i: p_j * sp.exp(-level)})
    slope = sp.diff(error, u) + sign * p_j * normal_density(u / 2 + level / u)
    return is_zero(sp.expand(slope.rewrite(sp.exp)))


@step(
    "copies", "that the lighter image is taken for the heavier is likeliest at u^2 = -2 l", times=1
)
def one_way(times: int = 2) -> bool:
    """Below it, at more noise, the term falls again: the union bound need not fall with sigma."""
    heavy = sp.Symbol("h", positive=True)  # -l
    slope = sp.diff(mistaken.subs(level, -heavy), u)
    bent = sp.simplify(slope / normal_density(u / 2 + heavy / u))
    return is_zero(bent.subs(u, sp.sqrt(times * heavy))) and is_zero(
        bent - (heavy / u**2 - sp.Rational(1, 2))
    )


@step("copies", "W falls with sigma for every prior: the largest of means is not above", sign=-1)
def more_noise(sign: int = 1) -> bool:
    """Weights given more noise are means of those given less (the chain is Markov).

    With ``top`` the largest of either's weights, ``s top + (1 - s) top'`` is not below any of the
    means ``s w_k + (1 - s) w_k'``, so not below the largest.
    """
    s, rest = sp.symbols("s rest", nonnegative=True)  # rest = 1 - s
    top, other, below, beneath = sp.symbols("top other below beneath", nonnegative=True)
    mean = s * (top - sign * below) + rest * (other - sign * beneath)
    return bool(sp.expand(s * top + rest * other - mean).is_nonnegative)


@step("copies", "the mean of log(e^l t_j) is l - u^2/2, so Jensen's bound takes e^l", share=1)
def mean_log_term(share: int = 2) -> bool:
    """The exponent is linear in xi, whose mean is 0; convexity is a step of claim regimes."""
    linear = is_zero(sp.diff(exponent, x, 2))
    return linear and is_zero(exponent.subs(x, 0) - level + u**2 / share)


@step("copies", "at large sigma Jensen's bound is the entropy of the prior", power=2)
def entropy_of_prior(power: int = 1) -> bool:
    """``1 + sum_j p_j / p_i = 1 / p_i``, j over the others, since all p add up to 1."""
    p = sp.IndexedBase("p")
    total = p_i + over(p[j], j, N)
    return is_identity(1 + over(p[j] / p_i**power, j, N) - total / p_i)


@step("copies", "of copies of held-out images: from b = 1 on P(b t > e^-y) rises", sign=-1)
def raised_to_one(sign: int = 1) -> bool:
    """``min(1, b t)`` rises with b, so ``max(1, b)`` bounds as well; gap >= 0 and y >= 0."""
    gap, y, log_b = sp.symbols("gap y log_b", nonnegative=True)
    slope = sp.diff((log_b + y - sign * gap / sigma**2) / (d / sigma), sigma)
    return bool(sp.expand(slope).is_nonnegative)
