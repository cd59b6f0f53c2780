"""Definition 4.6's population (ours): what M held-out images say of all that could have come."""

from wildmiddle.theory import population
from wildmiddle.theory.claims.assumptions import DIMENSION, DISTANCES, NOISE, POINTS, WIDTH
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="population",
        number="Definition 4.6, from a sample (ours)",
        title="Held-out images enclose the population's coverage, with a stated error rate",
        statement=r"P\Big(C_\sigma(p, D) < \bar p_\sigma, \; M\, \mathrm{KL}(\bar p_\sigma,"
        r" C_\sigma(p, D)) > \log\frac{1}{\alpha}\Big) \le \alpha, \quad"
        r" \bar p_\sigma = \frac1M \sum_m p_\sigma(|X_m - X_{NN}|), \quad"
        r" X_m \sim p \text{ i.i.d.}",
        assumptions=(
            Assumption("M >= 1 independent held-out images", lambda m: m >= 1),
            Assumption("0 < alpha < 1", lambda alpha: (alpha > 0) & (alpha < 1)),
            DISTANCES,
            NOISE,
            WIDTH,
            POINTS,
            DIMENSION,
        ),
        expression="population:divergence",
        evaluate={
            "expectation at least": population.least_mean,
            "coverage at least": population.coverage_lower,
            "coverage at most": population.coverage_upper,
        },
        tight="mean 1: the limit is alpha^(1/M), and coins of that chance exceed it at rate alpha",
        sharper="where all chances are 0 or 1 Clopper and Pearson's limit is narrower, by a third"
        " near 1/2 at alpha = 0.05; this one takes any chances in [0, 1]",
        module="population",
    ),
)
