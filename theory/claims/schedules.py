"""Sections E.1 and E.7: the sampling schedule and the time parameterizations."""

from wildmiddle.theory import schedules
from wildmiddle.theory.claims.assumptions import NOISE
from wildmiddle.theory.claims.claim import Assumption, Claim

CLAIMS = (
    Claim(
        id="E.1",
        number="Section E.1",
        title="The sampling schedule falls in equal steps of sigma^(1/rho)",
        statement=r"\sigma_i = \left(\sigma_{\max}^{1/\rho} + \frac{i}{n - 1}"
        r" \left(\sigma_{\min}^{1/\rho} - \sigma_{\max}^{1/\rho}\right)\right)^\rho,"
        r" \quad i = 0, \dots, n - 1, \quad \sigma_n = 0",
        assumptions=(
            Assumption("n >= 2", lambda steps: steps >= 2),
            Assumption(
                "0 < sigma_min < sigma_max",
                lambda sigma_min, sigma_max: (sigma_min > 0) & (sigma_min < sigma_max),
            ),
            Assumption("rho > 0", lambda rho: rho > 0),
        ),
        expression="schedules:edm_sigma",
        evaluate={
            "sigmas": lambda steps, sigma_min=0.002, sigma_max=80.0, rho=7.0: schedules.edm_sigmas(
                int(steps), sigma_min, sigma_max, rho
            )
        },
        tight="a definition: both ends are met exactly",
        sharper="none: a definition; rho = 1 is linear and rho to infinity geometric",
        module="schedules",
    ),
    Claim(
        id="E.7",
        number="Section E.7",
        title="One noise level as sigma, DDPM timestep, flow time and log-SNR",
        statement=r"\sigma = \sqrt{\frac{1 - \bar\alpha}{\bar\alpha}} = \frac{1 - t}{t}"
        r" = e^{-\lambda / 2}, \quad \bar\alpha_k = \prod_{j \le k} (1 - \beta_j),"
        r" \quad \lambda \text{ the log-SNR}",
        assumptions=(
            NOISE,
            Assumption("0 < t <= 1", lambda t: (t > 0) & (t <= 1)),
            Assumption(
                "0 < alpha_bar <= 1",
                lambda alpha_bar: (alpha_bar > 0) & (alpha_bar <= 1),
            ),
        ),
        expression="schedules:sigma_of_alpha_bar",
        evaluate={
            "flow_time": schedules.sigma_to_flow_time,
            "log_snr": schedules.sigma_to_log_snr,
            "timestep": schedules.ddpm_timestep,
            "sigma_from_flow_time": schedules.flow_time_to_sigma,
            "sigma_from_log_snr": schedules.log_snr_to_sigma,
            "sigma_from_alpha_bar": schedules.alpha_bar_to_sigma,
            "sigmas_of_timesteps": lambda T: schedules.ddpm_sigmas(int(T)),
        },
        tight="identities, each conversion with its inverse; a timestep is the nearest of T",
        sharper="none: definitions; all of them hold in the units of the data the model sees",
        module="schedules",
    ),
)
