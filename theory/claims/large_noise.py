"""Equation 7, Lemmas C.1 to C.3, Theorems 4.11 and C.4: what is left at large noise is Gaussian."""

import numpy as np

from wildmiddle.theory import denoising, flow_matching, large_noise
from wildmiddle.theory.claims.assumptions import NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

TIME = Assumption("0 <= t < 1", lambda t: (t >= 0) & (t < 1))
BOUNDED = Assumption("the data are bounded", lambda points: np.isfinite(points))

CLAIMS = (
    Claim(
        id="eq.7",
        number="Equation 7",
        title="The denoiser of the Gaussian with the data's mean and covariance is linear",
        statement=r"m^G_\sigma(y) = \mu + S (S + \sigma^2 I)^{-1} (y - \mu)",
        assumptions=(NOISE,),
        expression="large_noise:gaussian_denoiser",
        evaluate={"m_G": large_noise.gaussian_denoiser},
        tight="an identity for Gaussian data; for any data the best linear denoiser",
        sharper="none needed: the formula is exact",
        module="large_noise",
    ),
    Claim(
        id="C.1",
        number="Lemma C.1",
        title="In flow time the denoiser is twice continuously differentiable down to t = 0",
        statement=r"t \mapsto m_t(y) = \frac{E[x\, e^{h_t(x)}]}{E[e^{h_t(x)}]} \in C^2[0, 1),"
        r" \quad h_t(x) = \frac{t \langle y, x \rangle}{(1 - t)^2}"
        r" - \frac{t^2 |x|^2}{2 (1 - t)^2}",
        assumptions=(TIME, BOUNDED),
        expression="large_noise:flow_exponent_on_a_line",
        evaluate={"m_t": flow_matching.flow_denoiser},
        tight="no inequality: a statement of smoothness, up to but not at t = 1",
        sharper="on finitely many points m_t is analytic on [0, 1), by the same formula",
        module="large_noise",
    ),
    Claim(
        id="C.2",
        number="Lemma C.2",
        title="In flow time the Gaussian denoiser is as smooth",
        statement=r"m^G_t(y) = \mu + t S (t^2 S + (1 - t)^2 I)^{-1} (y - t \mu) \in C^2[0, 1)",
        assumptions=(TIME,),
        expression="large_noise:gaussian_flow_denoiser",
        evaluate={"m_G_t": large_noise.gaussian_flow_denoiser},
        tight="no inequality: the formula is exact and rational in t",
        sharper="it is analytic, also at t = 1 where S is positive definite",
        module="large_noise",
    ),
    Claim(
        id="C.3",
        number="Lemma C.3",
        title="Both denoisers start from the mean with the same slope",
        statement=r"m_0(y) = \mu, \quad \partial_t m_t(y) |_{t = 0} = S y,"
        r" \quad \text{and the same for } m^G_t",
        assumptions=(BOUNDED,),
        expression="large_noise:initial_gaussian_slope",
        evaluate={
            "value": lambda points: np.mean(points, axis=0),
            "slope": large_noise.initial_slope,
        },
        tight="an identity",
        sharper="the second derivatives differ by 2 T(y):"
        " wildmiddle.theory.large_noise.leading_term",
        module="large_noise",
    ),
    Claim(
        id="4.11",
        number="Theorems 4.11 and C.4",
        title="At large noise the denoiser is a Gaussian's, up to order sigma^-2",
        statement=r"m_\sigma(y) = m^G_\sigma(y) + \frac{T(z)}{\sigma^2} + O(\sigma^{-3}),"
        r" \quad z = \frac{y - \mu}{\sigma}, \quad T(z) = \tfrac12 E[X \langle X, z \rangle^2]"
        r" - \tfrac12 E[X |X|^2], \quad X = x - \mu, \quad"
        r" |m_\sigma(y) - m^G_\sigma(y)| \le \frac{C(K, \sigma_0)}{\sigma^2}"
        r" \text{ for every K, all } |y| \le K \sigma \text{ and } \sigma \ge \sigma_0",
        assumptions=(NOISE, BOUNDED),
        expression="leading_term:leading_term",
        evaluate={
            "m": denoising.optimal_denoiser,
            "m_G": large_noise.gaussian_denoiser,
            "T": lambda points, z: large_noise.leading_term(points, z),
            "T_at_fixed_y": lambda points: large_noise.leading_term(points),
            "remainder": large_noise.remainder_bound,
            "C": large_noise.ball_bound,
        },
        tight="C is reached but for 2/((N - 1)^2 + 1) of it, at K = 0 and large sigma, by N - 1"
        " points in one place and one elsewhere; the order is 2 wherever T does not vanish:"
        " along sigma z for almost all z if some third central moment is not 0, at a fixed y if"
        " E[X |X|^2] is not",
        sharper="wildmiddle.theory.large_noise.leading_term gives the limit of the paper's bounded"
        " function, wildmiddle.theory.large_noise.remainder_bound what is left, and"
        " wildmiddle.theory.large_noise.ball_bound a bound on every ball, for every sigma_0 > 0",
        module="large_noise",
    ),
)
