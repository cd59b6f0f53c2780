"""Section 4.2: the weight as the chance of decoding right, and the bounds that follow.

The terms of the self-weight are those of Theorem 4.2: ``log t_j ~ N(-u^2/2, u^2)``,
``u = d_ij/sigma``.
"""

from itertools import product
from typing import Any

import sympy as sp

from wildmiddle.theory.proofs.any_size import (
    i,
    is_identity,
    j,
    norm2,
    over,
    split,
    vectors,
)
from wildmiddle.theory.proofs.coverage import union_below_sum
from wildmiddle.theory.proofs.noncentral import noncentral_derivative, overlap_falls, overlap_rises
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


# The weight


@step("regimes", "a single other point is mistaken with probability Phi(-u/2)", share=1)
def pairwise_error(share: int = 2) -> bool:
    """``t_j > 1`` exactly where ``xi_j > u/2``: the normal density integrated from there."""
    beyond = sp.integrate(normal_density(x), (x, u / share, sp.oo))
    return is_zero(beyond - normal_cdf(-u / 2))


@step("regimes", "on two points the weight is 1 - Phi(-u/2)", power=2)
def two_points(power: int = 1) -> bool:
    """``E max(1, t)/(1 + t) = 1 - E min(1, t)/(1 + t)``, and by symmetry it is ``1 - Phi(-u/2)``.

    With ``t = e^X``, ``X ~ N(-u^2/2, u^2)``, the density g of X obeys ``g(-x) = e^x g(x)``, so the
    two halves of ``E[min(1, t)/(1 + t)]`` add up to ``P(X > 0)``.
    """
    y = sp.symbols("y", real=True)
    density = sp.exp(-((y + u**2 / 2) ** 2) / (2 * u**2))
    mirrored = is_zero(density.subs(y, -y) / density - sp.exp(power * y))
    # At X = y > 0 the term is 1/(1 + e^y) g(y); at -y it is e^-y/(1 + e^-y) g(-y): together g(y).
    halves = 1 / (1 + sp.exp(y)) + sp.exp(-y) / (1 + sp.exp(-y)) * sp.exp(y)
    return mirrored and is_zero(halves - 1)


@step("regimes", "the closed end of the certified weight inverts the union bound", factor=1)
def concentrated_end(factor: int = 2) -> bool:
    """At ``sigma = d_min / (2 Phi^-1(1 - p/(N-1)))`` the union bound ``(N-1) Phi(-u/2)`` is p."""
    error = (N - 1) * normal_cdf(-d_min / (factor * zone_ends[1]))
    return is_zero(error - p)


# The entropy from below (Kolchinsky and Tracey 2017)


@step("regimes", "the posterior's entropy is E log(1 + sum t_j), by Eq. 9", sign=-1)
def entropy(sign: int = 1) -> bool:
    """``1/w_k = 1 + sum_j t_j`` for N points, from the softmax of the logits ``-a_j``."""
    logit, own = sp.IndexedBase("a"), sp.Symbol("a_k", real=True)
    total = sp.exp(-own) + over(sp.exp(-logit[j]), j)  # the noised point and the others
    terms = over(sp.exp(-logit[j]), j) / sp.exp(-own)
    return is_identity(total / sp.exp(-own) - (1 + sign * terms))


@step("regimes", "log-sum-exp is convex, so Jensen bounds the entropy below", sign=1)
def convexity(sign: int = -1) -> bool:
    """Its second derivative along any direction v is the variance of v under the softmax.

    ``E v^2 - (E v)^2 = 1/2 sum_ij w_i w_j (v_i - v_j)^2``, which is never negative; N heights.
    """
    height, v, tau = sp.IndexedBase("a"), sp.IndexedBase("v"), sp.Symbol("tau", real=True)
    weight = sp.exp(height[i])
    along = sp.diff(sp.log(over(sp.exp(height[i] + tau * v[i]))), tau, 2).subs(tau, 0)
    total = over(weight)
    pairs = over(over(sp.exp(height[i]) * sp.exp(height[j]) * (v[i] + sign * v[j]) ** 2, j))
    return is_identity(along - split(pairs) / (2 * total**2))


@step("regimes", "the mean of log t_j is -d^2/(2 sigma^2)", share=1)
def mean_log_term(share: int = 2) -> bool:
    """``E log t = -u^2/2``, by integrating ``-u^2/2 + u xi`` against the normal density of xi."""
    xi = sp.symbols("xi", real=True)
    mean = sp.integrate((-(u**2) / 2 + u * xi) * normal_density(xi), (xi, -sp.oo, sp.oo))
    return is_zero(mean + u**2 / share)


# Fano's inequality: the weight from above

share = sp.Symbol("q", positive=True)
"""A probability: that the most likely point is not the one, ``1 - max_i w_i`` given y."""


def binary_entropy(at: Any) -> Any:
    """``h``, in nats."""
    return -at * sp.log(at) - (1 - at) * sp.log(1 - at)


@step("regimes", "Fano: grouping, H(w) = h(q) + q H(the rest), q = 1 - w_max", power=2)
def grouping(power: int = 1) -> bool:
    """The other N - 1 weights are ``q v_j``, v their conditional law; ``sum_j v_j = 1``."""
    v, log_v = sp.IndexedBase("v"), sp.IndexedBase("log_v")
    rest = over(share * v[j] * (sp.log(share) + log_v[j]), j, N - 1)
    whole = -(1 - share) * sp.log(1 - share) - rest
    claimed = binary_entropy(share) - share**power * over(v[j] * log_v[j], j, N - 1)
    return is_identity(whole - claimed, {split(over(v[j], j, N - 1)): 1})


@step("regimes", "Fano: n weights have an entropy of log n at most, by log x <= x - 1", slope=2)
def most_entropy(slope: int = 1) -> bool:
    """``H - log n = sum_j v_j log(1/(n v_j)) <= sum_j (1/n - v_j) = 0`` for any n.

    ``slope (x - 1) - log x`` must be convex, with its least value 0 at x = 1.
    """
    n, v = sp.Symbol("n", integer=True, positive=True), sp.IndexedBase("v")
    gap = slope * (x - 1) - sp.log(x)
    least = gap.subs(x, 1) == 0 and sp.diff(gap, x).subs(x, 1) == 0
    convex = sp.diff(gap, x, 2).is_positive
    bound = over(v[j] * (1 / (n * v[j]) - 1), j, n)
    return bool(least and convex) and is_identity(bound, {split(over(v[j], j, n)): 1})


@step("regimes", "Fano: the bound is concave in q, so it holds for the means over y", sign=-1)
def fano_concave(sign: int = 1) -> bool:
    """Jensen: ``E[h(q) + q log(N-1)] <= h(E q) + E q log(N-1)``, and ``E q = 1 - W``."""
    left = binary_entropy(share) + share * sp.log(N - 1)
    return is_zero(sp.diff(left, share, 2) + sign / (share * (1 - share)))


@step("regimes", "Fano's left side rises up to q = 1 - 1/N, to log N", at=1 - 2 / N)
def fano_monotone(at: Any = 1 - 1 / N) -> bool:
    """``d/dq [h(q) + q log(N-1)] = log((1-q)(N-1)/q)``, 0 at ``1 - 1/N`` alone as it falls."""
    left = binary_entropy(share) + share * sp.log(N - 1)
    slope = sp.expand_log(sp.diff(left, share).subs(share, at), force=True)
    top = sp.expand_log(left.subs(share, at), force=True)
    return is_zero(slope) and is_zero(
        sp.expand(sp.expand_log(sp.simplify(top - sp.log(N)), force=True))
    )


# Copies of training points (theory.regimes.copying_lower)


@step(
    "regimes",
    "copying: at w > 1 - d_min/(4 d_max) the output is a copy by d_(1) < d_(2)/3",
    share=3,
)
def copy_certified(share: int = 4) -> bool:
    """The output is within ``(1 - w) d_max < d_min/4`` of x_i (Lemma A.1's sum of differences).

    So by the triangle inequality it is more than ``d_j - d_min/4`` from x_j, d_j >= d_min, and
    three times its distance from x_i is less than that.
    """
    margin, farther = sp.symbols("margin farther", positive=True)
    own = d_min / share - margin
    other = (d_min + farther) - own
    return bool(sp.expand(other - 3 * own).is_positive)


@step(
    "regimes",
    "copying: tight on two points, where the ratio is 1/3 at w = 3/4 exactly",
    weight=sp.Rational(2, 3),
)
def copy_of_two(weight: Any = sp.Rational(3, 4)) -> bool:
    """There d_min = d_max, and the output is at ``(1 - w) d`` and ``w d`` from the two points."""
    first, second = vectors("x_0 x_1")
    output = weight * first + (1 - weight) * second
    return bool(sp.expand(9 * norm2(output - first) - norm2(output - second)) == 0)


# The coverage over sigma. For one x, put w_i = (x_i - x)/sigma: the shells of Z around the w_i.


@step(
    "regimes", "coverage: what one quantile of distances covers, it covers from there on", sign=-1
)
def covered_above(sign: int = 1) -> bool:
    """For theory.regimes.coverage_threshold: p falls with r and rises with sigma (Def 4.7).

    So the share of points within ``nearest`` has at least p(nearest), and keeps it above.
    """
    few, rest, more = sp.symbols("share p_rest more", nonnegative=True)
    at = sp.Symbol("p_nearest", positive=True)
    mean = few * (at + sign * more) + rest  # of the share, and of the others
    kept = sp.expand(mean - few * at).is_nonnegative
    return bool(kept) and overlap_rises(2) and overlap_falls(2)


@step(
    "regimes",
    "coverage: a ball around 0 and w_i that holds z holds it for all s w_i, 0 <= s <= 1",
    sign=-1,
)
def balls_between(sign: int = 1) -> bool:
    """``(1-s)|z|^2 + s|z - w|^2 - |z - s w|^2 = s (1-s) |w|^2 >= 0``, in every d.

    So Z in the outer ball of 0 and in the shell of w_i at sigma is in the outer ball of ``s w_i``,
    its place at sigma/s: a shell covers it there, or it lies in the hole of one.
    """
    s = sp.Symbol("s", real=True)
    z, w = vectors("z w")
    between = (1 - s) * norm2(z) + s * norm2(z - w) - norm2(z - s * w)
    return bool(sp.expand(between - sign * s * (1 - s) * norm2(w)) == 0)


@step(
    "regimes", "coverage: its fall is at most P(|Z| > r_out) and the holes' probabilities", holes=0
)
def fall_of_coverage(holes: int = 1) -> bool:
    """For every Z: covered at a smaller sigma, less covered, is at most beyond r_out or in a hole.

    All cases of these four but those that :func:`balls_between` rules out: covered at a smaller
    sigma, within r_out, and at sigma neither covered nor in a hole. The holes' union is at most
    their sum, and the probability of one, ``F(r_in^2; d, |w|^2)``, falls with ``|w|``: its
    derivative is ``-f``.
    """
    falls = (
        before - now <= beyond + holes * hole
        for before, now, beyond, hole in product((0, 1), repeat=4)
        if beyond or not before or now or hole
    )
    return all(falls) and union_below_sum() and noncentral_derivative(-1)
