"""Section 3's memorization per noise level (ours): where distances force copies."""

from wildmiddle.theory import copying
from wildmiddle.theory.claims.assumptions import NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="copying",
        number="Section 3, per noise level (ours)",
        title="Up to some noise level the optimum's outputs on held-out images must be copies",
        statement=r"P(d_{(1)} < d_{(2)}/3) \ge 1 - \sum_j \mathbb{E}\min(1, b_j t_j),"
        r" \quad b_j = \frac{4 d_j}{d_{\min}} - 1,"
        r" \quad \log t_j \sim \mathrm{N}\Big(-\frac{r_j^2 - r_a^2}{2\sigma^2},"
        r" \frac{d_j^2}{\sigma^2}\Big)",
        assumptions=(
            NOISE,
            Assumption("r_j >= 0, to all training images", lambda to_points: to_points >= 0),
            Assumption(
                "d_j >= 0, from the nearest of them, 0 to itself",
                lambda from_nearest: from_nearest >= 0,
            ),
        ),
        expression="copying:truncated_mean",
        evaluate={"share of copies at least": copying.copying_lower},
        tight="N = 2: copies of the nearest have the chance 1 - P(3 t > 1)",
        sharper="the paper has no bound; a posterior weight of 3/4 makes a copy for two training"
        " images only, with more the weight must exceed 1 - d_min/(4 d_max) to be sure of one",
        module="copying",
    ),
)
