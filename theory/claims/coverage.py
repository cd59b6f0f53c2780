"""Definitions 4.6 and 4.7, Theorem 4.8 and Lemmas B.2 to B.5: the shell coverage."""

import numpy as np

from wildmiddle.theory import coverage
from wildmiddle.theory.claims.assumptions import DISTANCE, DISTANCES, NOISE, POINTS, WIDTH
from wildmiddle.theory.claims.claim import Assumption, Claim, then
from wildmiddle.theory.constants import SHELL_WIDTH

HIT = Assumption("0 <= q <= 1", lambda q: (q >= 0) & (q <= 1))
MOMENTS = Assumption(
    "0 <= S1 <= N and 0 <= S2 <= S1 (N - 1)/2",
    lambda s1, s2, n: (s1 >= 0) & (s1 <= n) & (s2 >= 0) & (2 * s2 <= s1 * (n - 1)),
)
DISTRIBUTION = Assumption(
    "Y's probabilities are not negative and sum to 1",
    lambda probability: (probability >= 0) & np.isclose(probability.sum(), 1, rtol=0, atol=1e-12),
)
INTEGRABLE = Assumption("phi is finite, so integrable", lambda phi: np.isfinite(phi))

CLAIMS = (
    Claim(
        id="4.6",
        number="Definition 4.6",
        title="The coverage: held-out noise that the training shells hold",
        statement=r"C_\sigma(p, D) = P_{x \sim p, Z}\left( x + \sigma Z \in"
        r" \bigcup_{i=1}^{N} S_\sigma(x_i) \right)",
        assumptions=(POINTS, DISTANCES, NOISE, WIDTH),
        expression="coverage:union_indicator",
        evaluate={"covered": coverage.is_covered},
        tight="none: a definition; at N = 1 it is the mean of p_sigma(|x - x_1|)",
        sharper="its mean over training sets, exactly:"
        " wildmiddle.theory.coverage.expected_coverage",
        module="coverage",
    ),
    Claim(
        id="4.7",
        number="Definition 4.7",
        title="The overlap of a noisy point with a shell at distance r",
        statement=r"p_\sigma(r) = F_{d,\lambda}(r_{\mathrm{out}}^2)"
        r" - F_{d,\lambda}(r_{\mathrm{in}}^2), \quad \lambda = (r/\sigma)^2",
        assumptions=(DISTANCE, NOISE, WIDTH),
        expression="noncentral:p_sigma",
        evaluate={
            "p_sigma": coverage.overlap_probability,
            "sigma of half coverage, about": lambda r, d, c=SHELL_WIDTH: (
                coverage.half_coverage_sigma(r, d, c)
            ),
        },
        tight="always: the noncentral chi-square distribution is exact; at r = 0 it is Lemma 4.5's"
        " value",
        sharper="this closed form stands for the paper's Monte Carlo estimate:"
        " wildmiddle.theory.coverage.overlap_probability",
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
        expression="coverage:theorem_4_8",
        evaluate={
            "lower": coverage.lower_bound,
            "upper": lambda distances, N, sigma, d, c=SHELL_WIDTH: coverage.upper_bound(
                np.mean(coverage.overlap_probability(distances, sigma, d, c)), N
            ),
            "Bonferroni lower": coverage.bonferroni_lower,
            "Dawson-Sankoff lower": coverage.dawson_sankoff_lower,
            "second-order upper": coverage.second_order_upper,
            "exact, mean over q": then(coverage.expected_coverage, np.mean),
        },
        tight="N = 1: both bounds are the coverage",
        sharper="from shells and pairs of shells (Dawson and Sankoff 1967; Sobel and Uppuluri 1972,"
        " Kwerel 1975): wildmiddle.theory.coverage.dawson_sankoff_lower"
        " and wildmiddle.theory.coverage.second_order_upper, never above the paper's; exactly:"
        " wildmiddle.theory.coverage.expected_coverage",
        module="coverage",
    ),
    Claim(
        id="B.2",
        number="Lemma B.2",
        title="Conditioning on one of two independent variables",
        statement=r"\mathbb{E}[\varphi(X, Y) \mid X] = g(X), \quad"
        r" g(x) = \mathbb{E}\, \varphi(x, Y), \quad X, Y \text{ independent}",
        assumptions=(DISTRIBUTION, INTEGRABLE),
        expression="coverage:weighted_mean",
        evaluate={"g": coverage.conditional_mean},
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
        expression="coverage:exact_coverage",
        evaluate={
            "P(covered | Y)": coverage.expected_coverage,
            "coverage": then(coverage.expected_coverage, np.mean),
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
        expression="coverage:overlap_of_offset",
        evaluate={"P(x + sigma Z in the shell of x')": coverage.overlap_probability},
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
        expression="coverage:overlap_of_pair",
        evaluate={
            "given X and X'": coverage.overlap_probability,
            "mean over pairs": lambda distances, sigma, d, c=SHELL_WIDTH: np.mean(
                coverage.overlap_probability(distances, sigma, d, c)
            ),
        },
        tight="always: an identity",
        sharper="none: an identity; a point chosen by looking at Z is outside of it",
        module="coverage",
    ),
)
