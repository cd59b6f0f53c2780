"""Definition 4.1, Theorem 4.2 and Remark 4.3: the posterior weight."""

import numpy as np

from wildmiddle.theory import posterior
from wildmiddle.theory.claims.assumptions import DISTANCES, ENOUGH, NOISE, WEIGHT
from wildmiddle.theory.claims.claim import Assumption, Claim, then

FAILURE = Assumption("0 < delta < 1", lambda delta: (delta > 0) & (delta < 1))
NEAREST = Assumption("d_min >= 0, 0 for a duplicate", lambda d_min: d_min >= 0)
FARTHEST = Assumption("d_max >= 0", lambda d_max: d_max >= 0)


CLAIMS = (
    Claim(
        id="4.1",
        number="Definition 4.1",
        title="The posterior weight of a data set",
        statement=r"W_\sigma(D) = \mathbb{E}_{x \sim \mathrm{Unif}(D), Z}"
        r" \max_i w_i(x + \sigma Z, \sigma)",
        assumptions=(NOISE, DISTANCES),
        expression="posterior:max_weight",
        evaluate={
            "max_i w_i": lambda y, points, sigma: posterior.weights(y, points, sigma).max(-1),
            "1 - W at most, over x_i": posterior.decoding_error,
        },
        tight="N = 2: W = Phi(d_12 / (2 sigma)), which"
        " wildmiddle.theory.posterior.decoding_error attains",
        sharper="W is the chance of decoding rightly, so wildmiddle.theory.posterior.decoding_error"
        " bounds 1 - W above, and wildmiddle.theory.regimes.weight_upper bounds W above",
        module="posterior",
    ),
    Claim(
        id="4.2.1",
        number="Theorem 4.2, part 1",
        title="Above sigma_plus the posterior weight is low",
        statement=r"\sigma \ge \sigma_+ = d_{\max}\,\frac{z + \sqrt{z^2 + 2L}}{2L} \implies"
        r" P(w_i \le w \mid x_i) \ge 1 - \delta",
        assumptions=(ENOUGH, WEIGHT, FAILURE, FARTHEST),
        expression="posterior:sigma_plus",
        evaluate={
            "L": posterior.log_odds,
            "z": posterior.union_quantile,
            "sigma_plus": posterior.sigma_plus,
            "sigma_plus from all distances": posterior.sigma_plus_from_distances,
            "P(w_i > w) at most": posterior.above_probability,
        },
        tight="N = 2: at sigma_plus the weight exceeds w with probability exactly delta",
        sharper="all distances, and a count of small terms for the union bound:"
        " wildmiddle.theory.posterior.sigma_plus_from_distances, never above sigma_plus",
        module="posterior",
    ),
    Claim(
        id="4.2.2",
        number="Theorem 4.2, part 2",
        title="Below sigma_minus the posterior weight is high",
        statement=r"\sigma \le \sigma_- = \frac{d_{\min}}{z + \sqrt{z^2 + 2L}} \implies"
        r" P(w_i \ge w \mid x_i) \ge 1 - \delta",
        assumptions=(ENOUGH, WEIGHT, FAILURE, NEAREST),
        expression="posterior:sigma_minus",
        evaluate={
            "L": posterior.log_odds,
            "z": posterior.union_quantile,
            "sigma_minus": posterior.sigma_minus,
            "sigma_minus from all distances": posterior.sigma_minus_from_distances,
            "P(w_i < w) at most": lambda distances, sigma, w: np.minimum(
                posterior.below_probability(distances, sigma, w),
                posterior.split_probability(distances, sigma, w),
            ),
        },
        tight="N = 2: at sigma_minus the weight falls short of w with probability exactly delta",
        sharper="all distances, by Markov's inequality on truncated terms (the random-coding union"
        " bound of Polyanskiy, Poor and Verdu 2010) or the best split of S:"
        " wildmiddle.theory.posterior.sigma_minus_from_distances, never below sigma_minus",
        module="posterior",
    ),
    Claim(
        id="4.3",
        number="Remark 4.3",
        title="The thresholds of Theorem 4.2, averaged over points",
        statement=r"\frac{1}{M} \sum_{i=1}^{M} \sigma_-(d_{\min}(i)) ="
        r" \sigma_-\left( \frac{1}{M} \sum_{i=1}^{M} d_{\min}(i) \right),"
        r" \quad \text{and so for } \sigma_+ \text{ and } d_{\max}",
        assumptions=(ENOUGH, WEIGHT, FAILURE, NEAREST, FARTHEST),
        expression="posterior:mean_sigma_minus",
        evaluate={
            "mean sigma_minus": then(posterior.sigma_minus, np.mean),
            "mean sigma_plus": then(posterior.sigma_plus, np.mean),
        },
        tight="always: both thresholds are proportional to the distance, so averages commute",
        sharper="the average of wildmiddle.theory.posterior.sigma_minus_from_distances over the"
        " same points",
        module="posterior",
    ),
)
