"""Section 4.2: the noise regimes and the danger zone."""

from wildmiddle.theory import coverage, regimes
from wildmiddle.theory.claims.assumptions import ENOUGH, NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="regimes",
        number="Section 4.2",
        title="The weight falls, the coverage rises, and distances place the danger zone",
        statement=r"1 - \frac1N \sum_{i \ne j} \Phi\Big(-\frac{d_{ij}}{2\sigma}\Big) \le W_\sigma,"
        r"\quad H_\sigma \le h(1 - W_\sigma) + (1 - W_\sigma)\log(N-1),"
        r"\quad H_\sigma \ge \frac1N \sum_i \log\sum_j e^{-d_{ij}^2/(2\sigma^2)},"
        r"\quad C_{\sigma'} - C_\sigma \le P(|Z| > r_{\mathrm{out}}) + N \mathbb{E}"
        r" F_{d,\lambda}(r_{\mathrm{in}}^2), \; \lambda = (r_{nn}/\sigma)^2, \; \sigma' < \sigma",
        assumptions=(
            ENOUGH,
            NOISE,
            Assumption(
                "0 < level < share <= 1",
                lambda level, share: (level > 0) & (level < share) & (share <= 1),
            ),
        ),
        expression="regimes:zone_ends",
        evaluate={
            "weight at least": regimes.weight_lower,
            "weight at most": regimes.weight_upper,
            "weight >= level up to sigma": regimes.concentration_threshold,
            "coverage >= level from sigma": regimes.coverage_threshold,
            "fall of the coverage at most": coverage.fall_bound,
            "half coverage near sigma": coverage.half_coverage_sigma,
        },
        tight="N = 2: the weight is 1 - Phi(-d/(2 sigma)) exactly",
        sharper="the paper gives the regimes in words only; the entropy's bound is Kolchinsky and"
        " Tracey's (2017), the others are ours, and so is the zone that is "
        "certain and the zone that is possible: wildmiddle.theory.regimes.danger_zone",
        module="regimes",
    ),
)
