"""Equations 20 to 24, Lemma A.1, Corollary A.2, Remark A.3: alignment of the flow fields."""

from operator import attrgetter
from typing import Any

import numpy as np

from wildmiddle.theory import denoising, flow_matching, posterior
from wildmiddle.theory.claims.assumptions import ENOUGH, NOISE, TIME, WEIGHT
from wildmiddle.theory.claims.claim import Assumption, Claim, then
from wildmiddle.theory.schedules import flow_time_to_sigma, sigma_to_flow_time

CONSTANTS = Assumption("a > 0 and b > 0", lambda a, b: (a > 0) & (b > 0))
LONG_ENOUGH = Assumption(
    "B > e",
    lambda norm, d, a, b, w, diameter, t: (
        flow_matching.shortest_target(norm, d, a, b) > _field_error(w, diameter, t)
    ),
)


def _field_error(w: Any, diameter: Any, t: Any) -> Any:
    return (1 - np.asarray(w)) * np.asarray(diameter) / (1 - np.asarray(t))


COSINE = then(flow_matching.cosine_bound, attrgetter("cosine"))
SHARP_COSINE = then(flow_matching.cosine_bound, attrgetter("sharp_cosine"))
PROBABILITY = then(flow_matching.cosine_bound, attrgetter("probability"))
EXACT_PROBABILITY = then(flow_matching.cosine_bound, attrgetter("exact_probability"))

CLAIMS = (
    Claim(
        id="eq.20",
        number="Equation 20",
        title="The conditional field points straight from the noise to the training point",
        statement=r"u_t(x_t \mid x) = \frac{x - x_t}{1 - t} = x - Z,"
        r" \quad x_t = (1 - t) Z + t x",
        assumptions=(TIME,),
        expression="flow_matching:conditional_field",
        evaluate={"u": flow_matching.conditional_field},
        tight="an identity",
        sharper="none needed: the formula is exact",
        module="flow_matching",
    ),
    Claim(
        id="eq.21",
        number="Equation 21",
        title="The empirical optimal field is the posterior mean of the conditional ones",
        statement=r"u^*_t(y) = \sum_i w_i \frac{x_i - y}{1 - t},"
        r" \quad w = \mathrm{softmax}\left(-\frac{|y - t x_i|^2}{2 (1 - t)^2}\right)",
        assumptions=(TIME,),
        expression="flow_matching:optimal_field",
        evaluate={"u_star": flow_matching.optimal_field},
        tight="an identity",
        sharper="none needed: the formula is exact",
        module="flow_matching",
    ),
    Claim(
        id="eq.22",
        number="Equation 22",
        title="The denoiser in flow time has the weights of the optimal field",
        statement=r"m_t(y) = \sum_i w_i x_i = y + (1 - t) u^*_t(y)",
        assumptions=(TIME,),
        expression="flow_matching:denoiser_of_field",
        evaluate={"m_t": flow_matching.flow_denoiser},
        tight="an identity",
        sharper="none needed: the formula is exact",
        module="flow_matching",
    ),
    Claim(
        id="eq.23",
        number="Equation 23",
        title="The denoiser at a noise level is the one at a flow time, at a scaled input",
        statement=r"m_\sigma(y) = m_t(t y), \quad t = \frac{1}{1 + \sigma}",
        assumptions=(NOISE,),
        expression="flow_matching:flow_time",
        evaluate={
            "m_sigma": denoising.optimal_denoiser,
            "m_t": lambda y, points, sigma: flow_matching.flow_denoiser(
                sigma_to_flow_time(sigma) * np.asarray(y, np.float64),
                points,
                float(sigma_to_flow_time(sigma)),
            ),
        },
        tight="an identity",
        sharper="none needed: the formula is exact",
        module="flow_matching",
    ),
    Claim(
        id="eq.24",
        number="Equation 24",
        title="The denoiser at a flow time is the one at a noise level, at a scaled input",
        statement=r"m_t(y) = m_\sigma(y / t), \quad \sigma = \frac{1 - t}{t}",
        assumptions=(TIME,),
        expression="schedules:sigma_of_flow_time",
        evaluate={
            "m_t": flow_matching.flow_denoiser,
            "m_sigma": lambda y, points, t: denoising.optimal_denoiser(
                np.asarray(y, np.float64) / t, points, flow_time_to_sigma(t)
            ),
        },
        tight="an identity",
        sharper="none needed: the formula is exact",
        module="flow_matching",
    ),
    Claim(
        id="A.1",
        number="Lemma A.1",
        title="A concentrated posterior brings the denoiser close to the noised point",
        statement=r"P\left(w_i \ge w \text{ and } |m_\sigma(x_i + \sigma Z) - x_i|"
        r" \le (1 - w)\, \mathrm{diam}\right) \ge 1 - (N - 1)(1 - \Phi(\tau)), \quad"
        r" \tau = \frac{d_{\min}}{2 \sigma} - \frac{L \sigma}{d_{\min}},"
        r" \quad L = \log \frac{w (N - 1)}{1 - w}",
        assumptions=(ENOUGH, WEIGHT, NOISE),
        expression="flow_matching:concentration_failure",
        evaluate={
            "tau": lambda d_min, sigma, N, w: posterior.margin(
                d_min, sigma, posterior.log_odds(N, w)
            ),
            "failure": flow_matching.concentration_failure,
            "distance": flow_matching.denoiser_reach,
        },
        tight="N = 2: the two events are one, of probability exactly Phi(tau)",
        sharper="the distance is at most (1 - w) d_max(i), no larger than (1 - w) diam; the"
        " probability from all distances is wildmiddle.theory.posterior.below_probability",
        module="flow_matching",
    ),
    Claim(
        id="A.2",
        number="Corollary A.2",
        title="The optimal field points where the conditional one does",
        statement=r"P\left(\cos(u^*_t, u_t) \ge \frac{B - e}{B + e}\right) \ge 1 - \Phi(-a)"
        r" - e^{-b} - (N - 1)(1 - \Phi(\tau)), \quad B^2 = |x_i|^2 - 2 a |x_i| + d"
        r" - 2 \sqrt{d b}, \quad e = \frac{(1 - w)\, \mathrm{diam}}{1 - t}",
        assumptions=(ENOUGH, WEIGHT, TIME, CONSTANTS, LONG_ENOUGH),
        expression="alignment:cosine_bound",
        evaluate={
            "B": flow_matching.shortest_target,
            "e": _field_error,
            "cosine": COSINE,
            "sharp_cosine": SHARP_COSINE,
            "probability": PROBABILITY,
            "exact_probability": EXACT_PROBABILITY,
            "P(|x_i - Z| < B)": flow_matching.exact_shortfall,
            "B at a failure": flow_matching.exact_target,
        },
        tight="none of the whole: failures are added up; on its event the sharper cosine is an"
        " equality where the fields' difference is at right angles to u*, and the exact chance that"
        " |x_i - Z| < B always is",
        sharper="sqrt(1 - (e/B)^2) on the same event, wildmiddle.theory.flow_matching.cosine_bound;"
        " Phi(-a) + e^-b is 2,000 times the exact F(B^2; d, |x_i|^2) at |x_i| = 30, d = 3,072, and"
        " about as large where |x_i| is far above sqrt(d): a noncentral chi-square CDF,"
        " wildmiddle.theory.flow_matching.exact_shortfall, or by"
        " wildmiddle.theory.flow_matching.exact_target a longer B at the same failure;"
        " and d_max(i) may stand for diam in e",
        module="flow_matching",
    ),
    Claim(
        id="A.3",
        number="Remark A.3",
        title="Averaged over images, the cosine bound is close to 1 in high dimension",
        statement=r"\frac{1}{n} \sum_{i=1}^n \frac{B_i - e}{B_i + e}"
        r" \to 1 \text{ as } d \to \infty \text{ at a fixed } e,"
        r" \quad B_i^2 = |x_i|^2 - 2 a |x_i| + d - 2 \sqrt{d b}",
        assumptions=(ENOUGH, WEIGHT, TIME, CONSTANTS, LONG_ENOUGH),
        expression="alignment:shortest_target",
        evaluate={
            "mean_cosine": then(COSINE, np.mean),
            "mean_sharp_cosine": then(SHARP_COSINE, np.mean),
            "mean_probability": then(PROBABILITY, np.mean),
            "mean_exact_probability": then(EXACT_PROBABILITY, np.mean),
        },
        tight="none: an average of bounds over the images at hand",
        sharper="the average of sqrt(1 - (e/B)^2): it loses (e/B)^2/2 where the paper's loses 2e/B;"
        " and of the probability by wildmiddle.theory.flow_matching.exact_shortfall",
        module="flow_matching",
    ),
)
