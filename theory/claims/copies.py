"""Section 4.2 where training images have copies (ours): one image with a prior."""

from wildmiddle.theory import copies, regimes
from wildmiddle.theory.claims.assumptions import DISTANCES, NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="copies",
        number="Section 4.2, with copies (ours)",
        title="Equal training images are one image whose prior is its share of the list",
        statement=r"1 - \sum_{i \ne j} p_i \Phi\Big(-\frac{d_{ij}}{2\sigma}"
        r" + \frac{\sigma}{d_{ij}} \log\frac{p_j}{p_i}\Big) \le W_\sigma,"
        r"\quad H_\sigma \ge \sum_i p_i \log\sum_j \frac{p_j}{p_i} e^{-d_{ij}^2/(2\sigma^2)},"
        r"\quad H_\sigma \ge H(p) - \frac12 \sum_k \log\Big(1 + \frac{\lambda_k}{\sigma^2}\Big),"
        r"\quad W_{\sigma'} \ge W_\sigma, \; \sigma' < \sigma",
        assumptions=(
            NOISE,
            DISTANCES,
            Assumption("p_i > 0, the share of each image", lambda prior: prior > 0),
        ),
        expression="copies:error_of_two",
        evaluate={
            "log(p_j/p_i)": copies.log_ratios,
            "effective number": copies.effective_number,
            "weight at least": regimes.weight_lower,
            "entropy at least": regimes.posterior_entropy,
        },
        tight="two images, with any numbers of copies: the weight is the bound",
        sharper="the paper takes N different images; listed twice each, they would have a weight of"
        " 1/2 at most, and no copies by d_(1) < d_(2)/3",
        module="copies",
    ),
)
