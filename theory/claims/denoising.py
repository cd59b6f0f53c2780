"""Equations 1 to 5: the loss, the optimal denoiser, the weights, sampling and the error."""

from typing import Any

from wildmiddle.theory import denoising, posterior
from wildmiddle.theory.claims.assumptions import NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

WEIGHTING = Assumption("lambda(sigma) > 0", lambda weighting: weighting > 0)


def _optimal(points: Any) -> denoising.Denoiser:
    return lambda y, sigma: denoising.optimal_denoiser(y, points, sigma)


CLAIMS = (
    Claim(
        id="eq.1",
        number="Equation 1",
        title="The training loss has one minimiser, the posterior mean",
        statement=r"\min_m E_{x, \sigma, Z}\, \lambda(\sigma) |m(x + \sigma Z, \sigma) - x|^2"
        r" \quad \text{at} \quad m_\sigma(y) = E[x \mid x + \sigma Z = y] \quad \text{alone}",
        assumptions=(NOISE, WEIGHTING),
        expression="denoising:training_loss",
        evaluate={
            "loss_of_optimum": lambda points, noise, sigma, weighting: denoising.training_loss(
                _optimal(points), points, noise, sigma, weighting
            )
        },
        tight="an identity: any other f costs E|f - m|^2 more at every noise level",
        sharper="none needed: the excess over the minimum is known exactly",
        module="denoising",
    ),
    Claim(
        id="eq.2",
        number="Equation 2",
        title="The empirical optimal denoiser is a weighted mean of the training points",
        statement=r"m_\sigma(y) = \sum_{i=1}^N w_i(y, \sigma)\, x_i",
        assumptions=(NOISE,),
        expression="denoising:optimal_denoiser",
        evaluate={"m": denoising.optimal_denoiser},
        tight="an identity at every y and every noise level above 0",
        sharper="none needed: the formula is exact; on two points it is a hyperbolic tangent",
        module="denoising",
    ),
    Claim(
        id="eq.3",
        number="Equation 3",
        title="The weights are a softmax of squared distances, the posterior over training points",
        statement=r"w_i(y, \sigma) = \frac{\exp(-|y - x_i|^2 / (2 \sigma^2))}"
        r"{\sum_{j=1}^N \exp(-|y - x_j|^2 / (2 \sigma^2))} = P(x = x_i \mid x + \sigma Z = y)",
        assumptions=(NOISE,),
        expression="denoising:posterior_weight",
        evaluate={"w": posterior.weights},
        tight="an identity at every y and every noise level above 0",
        sharper="none needed: the formula is exact",
        module="denoising",
    ),
    Claim(
        id="eq.4",
        number="Equation 4",
        title="The sampling equation carries the noised data from one noise level to the next",
        statement=r"\frac{dx}{d\sigma} = \frac{x - m_\sigma(x)}{\sigma}"
        r" = -\sigma \nabla \log p_\sigma(x), \quad p_\sigma \text{ the density of } x + \sigma Z",
        assumptions=(NOISE,),
        expression="denoising:ode_velocity",
        evaluate={
            "dx_dsigma": lambda y, points, sigma: denoising.ode_velocity(
                y, denoising.optimal_denoiser(y, points, sigma), sigma
            )
        },
        tight="an identity; that sampling starts at sigma_max Z, without the data, is beside it",
        sharper="none needed: the continuity equation holds exactly",
        module="denoising",
    ),
    Claim(
        id="eq.5",
        number="Equation 5",
        title="At one noise level the loss is the mean squared error, on train or on test data",
        statement=r"\mathrm{MSE}(m, \sigma, p) = E_{x \sim p, Z}"
        r" |m(x + \sigma Z, \sigma) - x|^2",
        assumptions=(NOISE,),
        expression="denoising:fixed_noise_error",
        evaluate={
            "error_of_optimum": lambda points, noise, sigma: denoising.fixed_noise_error(
                _optimal(points), points, noise, sigma
            )
        },
        tight="a definition; on the training points no denoiser is below the optimal one",
        sharper="none: a definition",
        module="denoising",
    ),
)
