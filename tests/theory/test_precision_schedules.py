"""Noise schedules and their conversions against mpmath at 50 digits."""

import numpy as np
import pytest

from wildmiddle.theory import schedules

SIGMAS = (1e-4, 0.01, 1.0, 80.0, 1e4)


@pytest.mark.parametrize(
    ("n", "rhos"), [(2, [7.0]), (18, [0.5, 1.0, 7.0, 1e3, 1e7]), (1000, [7.0])]
)
@pytest.mark.parametrize(("low", "high"), [(0.002, 80.0), (1e-4, 1e4), (1.0, 1.0 + 1e-9)])
def test_edm_sigmas(reference, n, rhos, low, high):
    mp = reference.mp
    for rho in rhos:
        start, end = (mp.mpf(s) ** (1 / mp.mpf(rho)) for s in (high, low))
        exact = [(start + (end - start) * i / (n - 1)) ** mp.mpf(rho) for i in range(n)]
        reference.assert_agrees(schedules.edm_sigmas(n, low, high, rho), exact)


# Worked out from Karras et al. 2022, Eq. 5, at 50 digits: n = 18, from 80 to 0.002, rho = 7.
EIGHTEEN = (
    80.0,
    57.585984721248158,
    40.785573796507958,
    28.374584604156837,
    19.352452980325221,
    12.910082380757316,
    8.4009353090998212,
    5.3151945217963789,
    3.2568215197655383,
    1.9233398370400499,
    1.0881706365452794,
    0.5853481231945423,
    0.29644228447915726,
    0.13951646873101648,
    0.059947311235471567,
    0.022934518372333368,
    0.0075280199627840704,
    0.002,
)


def test_the_eighteen_values_of_section_e_7():
    np.testing.assert_allclose(schedules.edm_sigmas(18), EIGHTEEN, rtol=1e-14)


def test_steps_between_are_those_inside():
    # 1.923, 1.088 and 0.585 of the values above; sigma_145 is the first of DDPM from 0.5 on.
    assert schedules.steps_between(0.5, 2.0) == ((9, 10, 11), tuple(range(145, 396)))
    assert schedules.steps_between(80.0, 81.0) == ((0,), (930,))  # the start belongs to it
    assert schedules.steps_between(0.002, 80.0)[0] == tuple(range(1, 18))  # the end does not
    assert schedules.steps_between(81.0, 81.0) == ((), ())


def test_edm_sigmas_of_a_tiny_rho():
    # The powers would overflow; all weight is on the first step.
    assert schedules.edm_sigmas(3, 0.002, 80.0, 1e-3) == pytest.approx([80, 80 * 0.5**1e-3, 0.002])


@pytest.mark.parametrize(
    ("steps", "low", "high"), [(1000, 1e-4, 0.02), (1, 0.3, 0.3), (7, 1e-9, 0.9)]
)
def test_ddpm_sigmas(reference, steps, low, high):
    mp, alpha_bar, exact = reference.mp, reference.mp.mpf(1), []
    for t in range(steps):
        alpha_bar *= 1 - (low + (mp.mpf(high) - low) * t / max(steps - 1, 1))
        exact.append(mp.sqrt((1 - alpha_bar) / alpha_bar))
    reference.assert_agrees(schedules.ddpm_sigmas(steps, low, high), exact)


def test_ddpm_timestep_is_the_nearest():
    table = schedules.ddpm_sigmas()
    sigma = np.geomspace(1e-4, 1e4, 997)
    nearest = np.abs(np.log(sigma)[:, None] - np.log(table)).argmin(1)
    assert schedules.ddpm_timestep(sigma).tolist() == nearest.tolist()


def test_conversions(reference):
    mp = reference.mp
    sigma = np.array([0.0, 1e-300, *SIGMAS, 1e300])
    exact = [1 / (1 + mp.mpf(s)) for s in sigma]
    reference.assert_agrees(schedules.sigma_to_flow_time(sigma), exact)
    t = np.array([1e-300, 1e-4, 0.5, 1 - 1e-12, 1.0])
    exact = [(1 - mp.mpf(v)) / mp.mpf(v) for v in t]
    reference.assert_agrees(schedules.flow_time_to_sigma(t), exact)
    exact = [mp.sqrt(value) for value in exact]
    reference.assert_agrees(schedules.alpha_bar_to_sigma(t), exact)
    positive = sigma[1:]
    # Near sigma = 1 the logarithm is near 0: its digits are those of sigma - 1, and they are exact.
    near = np.array([*positive, 1 + 1e-9])
    exact = [-2 * mp.log(mp.mpf(s)) for s in near]
    reference.assert_agrees(schedules.sigma_to_log_snr(near), exact)
    snr = np.array([-1400.0, -18.0, 1e-9, 18.0, 1370.0])
    reference.assert_agrees(schedules.log_snr_to_sigma(snr), [mp.exp(-mp.mpf(v) / 2) for v in snr])


def test_flow_time_and_back():
    # t is rounded twice on the way, by 2^-53 of it each: that is 2^-52 (1 + sigma) of sigma.
    sigma = np.geomspace(1e-4, 1e4, 200)
    back = schedules.flow_time_to_sigma(schedules.sigma_to_flow_time(sigma))
    assert (np.abs(back - sigma) <= 2**-52 * (1 + 2 * sigma)).all()


OUTSIDE = [
    (schedules.edm_sigmas, (1,), "n = 1"),
    (schedules.edm_sigmas, (18, 0.0), r"sigma_min = 0\.0"),
    (schedules.edm_sigmas, (18, 1.0, 0.5), r"sigma_max = 0\.5"),
    (schedules.edm_sigmas, (18, 1.0, np.inf), "sigma_max = inf"),
    (schedules.edm_sigmas, (18, 0.002, 80.0, 0.0), r"rho = 0\.0"),
    (schedules.ddpm_sigmas, (0,), "timesteps = 0"),
    (schedules.ddpm_sigmas, (10, 0.0), r"beta_start = 0\.0"),
    (schedules.ddpm_sigmas, (10, 0.03, 0.02), r"beta_start = 0\.03"),
    (schedules.ddpm_sigmas, (10, 0.1, 1.0), r"beta_end = 1\.0"),
    (schedules.ddpm_timestep, (0.0,), r"sigma = 0\.0"),
    (schedules.sigma_to_flow_time, (-1.0,), r"sigma = -1\.0"),
    (schedules.sigma_to_flow_time, (np.nan,), "sigma = nan"),
    (schedules.flow_time_to_sigma, (0.0,), r"t = 0\.0"),
    (schedules.flow_time_to_sigma, (1.5,), r"t = 1\.5"),
    (schedules.sigma_to_log_snr, (0.0,), r"sigma = 0\.0"),
    (schedules.log_snr_to_sigma, (-1e4,), r"log_snr = -10000\.0"),
    (schedules.alpha_bar_to_sigma, (0.0,), r"alpha_bar = 0\.0"),
    (schedules.alpha_bar_to_sigma, (1.1,), r"alpha_bar = 1\.1"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), OUTSIDE)
def test_outside_the_domain(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
