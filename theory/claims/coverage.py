"""Definitions 4.6 and 4.7, Theorem 4.8 and Lemmas B.2 to B.5: the shell coverage."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from wildmiddle.theory import coverage
from wildmiddle.theory.claims.claim import Assumption, Claim
from wildmiddle.theory.claims.shells import DISTANCE, NOISE, WIDTH

POINTS = Assumption("N >= 1", lambda N: N >= 1)
DISTANCES = Assumption("distances >= 0", lambda distances: np.greater_equal(distances, 0))
HIT = Assumption("0 <= q <= 1", lambda q: np.equal(np.clip(q, 0, 1), q))
MOMENTS = Assumption(
    "0 <= S1 <= N and 0 <= S2 <= S1 (N - 1)/2",
    lambda S1, S2, N: (S1 >= 0) & (S1 <= N) & (S2 >= 0) & (2 * S2 <= S1 * (N - 1)),
)
LAW = Assumption(
    "Y's probabilities are not negative and sum to 1",
    lambda probability: (
        np.all(np.greater_equal(probability, 0))
        & np.isclose(np.sum(probability), 1, rtol=0, atol=1e-12)
    ),
)
BOUNDED = Assumption("phi is finite, so integrable", lambda phi: np.isfinite(phi))


def _proved(name: str) -> Callable[[], Any]:
    # Builds the expression when it is asked for: importing the claims must not import sympy.
    return lambda: getattr(import_module("wildmiddle.theory.proofs.coverage"), name)


def _overlap(r: Any, sigma: Any, d: Any, c: Any = 5.0) -> Any:
    return coverage.overlap_probability(r, sigma, d, c)


CLAIMS = (
    Claim(
        id="4.6",
        number="Definition 4.6",
        title="The coverage: held-out noise that the training shells hold",
        statement=r"C_\sigma(p, D) = P_{x \sim p, Z}\left( x + \sigma Z \in"
        r" \bigcup_{i=1}^{N} S_\sigma(x_i) \right)",
        assumptions=(POINTS, DISTANCES, NOISE, WIDTH),
        expression=_proved("union_indicator"),
        evaluate={
            "covered": lambda distances, sigma, d, c=5.0: coverage.covered(distances, sigma, d, c)
        },
        tight="none: a definition; at N = 1 it is the mean of p_sigma(|x - x_1|)",
        sharper="its mean over training sets, exactly: theory.coverage.expected_coverage",
        module="coverage",
    ),
    Claim(
        id="4.7",
        number="Definition 4.7",
        title="The overlap of a noisy point with a shell at distance r",
        statement=r"p_\sigma(r) = F_{d,\lambda}(r_{\mathrm{out}}^2)"
        r" - F_{d,\lambda}(r_{\mathrm{in}}^2), \quad \lambda = (r/\sigma)^2",
        assumptions=(DISTANCE, NOISE, WIDTH),
        expression=_proved("p_sigma"),
        evaluate={
            "p_sigma": _overlap,
            "sigma of half coverage, about": lambda r, d, c=5.0: coverage.half_coverage_sigma(
                r, d, c
            ),
        },
        tight="always: the noncentral chi-square law is exact; at r = 0 it is Lemma 4.5's value",
        sharper="this closed form stands for the paper's Monte Carlo estimate:"
        " theory.coverage.overlap_probability",
        module="coverage",
    ),
    Claim(
        id="4.8",
        number="Theorem 4.8",
        title="The coverage between the nearest point's overlap and the union bound",
        statement=r"\mathbb{E}\, p_\sigma(|X - X_{NN}|) \le \mathbb{E}\, C_\sigma(p, D) \le"
        r" \min\{1, N\, \mathbb{E}\, p_\sigma(|X - X'|)\}; \quad"
        r" \text{for two fixed sets too, with means over their points and pairs}",
        assumptions=(POINTS, DISTANCES, NOISE, WIDTH, MOMENTS),
        expression=_proved("theorem_4_8"),
        evaluate={
            "lower": lambda r_nn, sigma, d, c=5.0: coverage.lower_bound(
                np.ravel(r_nn), np.ravel(sigma), d, c
            ),
            "upper": lambda distances, N, sigma, d, c=5.0: coverage.upper_bound(
                np.mean(_overlap(distances, sigma, d, c)), N
            ),
            "Bonferroni lower": lambda S1, S2: coverage.bonferroni_lower(S1, S2),
            "Dawson-Sankoff lower": lambda S1, S2: coverage.dawson_sankoff_lower(S1, S2),
            "second-order upper": lambda S1, S2, N: coverage.second_order_upper(S1, S2, N),
            "exact, mean over q": lambda q, N: np.mean(coverage.expected_coverage(q, N)),
        },
        tight="N = 1: both bounds are the coverage",
        sharper="from shells and pairs of shells: theory.coverage.dawson_sankoff_lower and"
        " second_order_upper (never above the paper's); exactly: expected_coverage",
        module="coverage",
    ),
    Claim(
        id="B.2",
        number="Lemma B.2",
        title="Conditioning on one of two independent variables",
        statement=r"\mathbb{E}[\varphi(X, Y) \mid X] = g(X), \quad"
        r" g(x) = \mathbb{E}\, \varphi(x, Y), \quad X, Y \text{ independent}",
        assumptions=(LAW, BOUNDED),
        expression=_proved("weighted_mean"),
        evaluate={"g": lambda phi, probability: coverage.conditional_mean(phi, probability)},
        tight="always: an identity",
        sharper="none: an identity; it fails for dependent X and Y",
        module="coverage",
    ),
    Claim(
        id="B.3",
        number="Lemma B.3",
        title="Given the noisy point, the shells' hits are independent and equally likely",
        statement=r"1[Y \in S_\sigma(X_1)], \ldots, 1[Y \in S_\sigma(X_N)] \mid Y"
        r" \text{ i.i.d. Bernoulli}(q(Y)), \quad q(y) = P(y \in S_\sigma(X')),"
        r" \quad \mathbb{E}\, C_\sigma = \mathbb{E}[1 - (1 - q(Y))^N]",
        assumptions=(POINTS, HIT),
        expression=_proved("exact_coverage"),
        evaluate={
            "P(covered | Y)": lambda q, N: coverage.expected_coverage(q, N),
            "coverage": lambda q, N: np.mean(coverage.expected_coverage(q, N)),
        },
        tight="always: an identity",
        sharper="the identity for the coverage is ours; Theorem 4.8 bounds it from outside",
        module="coverage",
    ),
    Claim(
        id="B.4",
        number="Lemma B.4",
        title="Only the distance counts, not the direction",
        statement=r"P(x + \sigma Z \in S_\sigma(x')) = p_\sigma(|x - x'|)",
        assumptions=(DISTANCE, NOISE, WIDTH),
        expression=_proved("overlap_of_offset"),
        evaluate={"P(x + sigma Z in the shell of x')": _overlap},
        tight="always: an identity",
        sharper="none: an identity; p_sigma itself is known exactly, see Definition 4.7",
        module="coverage",
    ),
    Claim(
        id="B.5",
        number="Lemma B.5",
        title="The same for random points that are independent of the noise",
        statement=r"\mathbb{E}[1[X + \sigma Z \in S_\sigma(X')] \mid X, X'] = p_\sigma(|X - X'|)",
        assumptions=(DISTANCE, DISTANCES, NOISE, WIDTH),
        expression=_proved("overlap_of_pair"),
        evaluate={
            "given X and X'": _overlap,
            "mean over pairs": lambda distances, sigma, d, c=5.0: np.mean(
                _overlap(distances, sigma, d, c)
            ),
        },
        tight="always: an identity",
        sharper="none: an identity; a point chosen by looking at Z is outside of it",
        module="coverage",
    ),
)
