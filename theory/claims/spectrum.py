"""Section 4.2 by the spectrum (ours): the covariance bounds what a noised image tells."""

import numpy as np

from wildmiddle.theory import regimes, spectrum
from wildmiddle.theory.claims.assumptions import ENOUGH, NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="spectrum",
        number="Section 4.2, by the spectrum (ours)",
        title="A noised image tells of its number no more than a Gaussian channel carries",
        statement=r"I(I; x_I + \sigma Z) \le \frac12 \sum_k \log\Big(1 + \frac{\lambda_k}{\sigma^2}"
        r"\Big), \quad H_\sigma \ge \log N - \frac12 \sum_k \log\Big(1 + \frac{\lambda_k}{\sigma^2}"
        r"\Big), \quad \text{equal to 0 at } \sigma_c",
        assumptions=(
            ENOUGH,
            NOISE,
            Assumption(
                "eigenvalues of the covariance, not below 0",
                lambda eigenvalues: np.asarray(eigenvalues) >= 0,
            ),
        ),
        expression="spectrum:information",
        evaluate={
            "information at most": spectrum.information_upper,
            "entropy at least": spectrum.entropy_lower,
            "weight at most": regimes.weight_of_spectrum,
            "collapse scale (an estimate)": spectrum.collapse_scale,
            "speciation scale (an estimate)": spectrum.speciation_scale,
        },
        tight="Gaussian data, for which it is the information; large noise, where both sides are"
        " tr S/(2 sigma^2)",
        sharper="beside Jensen's bound from all distances the better one counts:"
        " wildmiddle.theory.regimes.danger_zone; the paper has no such bound",
        module="spectrum",
    ),
)
