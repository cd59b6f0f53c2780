"""Section 4.2: the noise regimes and the danger zone."""

from typing import Any

from wildmiddle.theory import coverage, regimes
from wildmiddle.theory.claims.claim import Assumption, Claim


def _zone() -> Any:
    from wildmiddle.theory.proofs.regimes import zone_ends

    return zone_ends


CLAIMS = (
    Claim(
        id="regimes",
        number="Section 4.2",
        title="The weight falls, the coverage rises, and distances place the danger zone",
        statement=r"1 - \frac1N \sum_{i \ne j} \Phi\Big(-\frac{d_{ij}}{2\sigma}\Big) \le W_\sigma,"
        r"\quad H_\sigma \le h(1 - W_\sigma) + (1 - W_\sigma)\log(N-1),"
        r"\quad H_\sigma \ge \frac1N \sum_i \log\sum_j e^{-d_{ij}^2/(2\sigma^2)}",
        assumptions=(
            Assumption("N >= 2", lambda N: N >= 2),
            Assumption("sigma > 0", lambda sigma: sigma > 0),
            Assumption("0 < level < share <= 1", lambda level, share: 0 < level < share <= 1),
        ),
        expression=_zone,
        evaluate={
            "weight at least": lambda distances, sigma: regimes.weight_lower(distances, sigma),
            "weight at most": lambda distances, sigma: regimes.weight_upper(distances, sigma),
            "weight >= level up to sigma": lambda d_min, share, level, N: (
                regimes.concentrated_below(d_min, share, level, N)
            ),
            "coverage >= level from sigma": lambda r_nn, share, level, d, c=5.0: (
                regimes.covered_above(r_nn, share, level, d, c)
            ),
            "half coverage near sigma": lambda r_nn, d, c=5.0: coverage.half_coverage_sigma(
                r_nn, d, c
            ),
        },
        tight="N = 2: the weight is 1 - Phi(-d/(2 sigma)) exactly",
        sharper="the paper gives the regimes in words only; the bounds are ours, the zone that is "
        "certain and the zone that is possible: theory.regimes.danger_zone",
        module="regimes",
    ),
)
