"""Sections E.1 and E.7: symbols against numbers, and proof steps that can fail."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.theory import schedules
from wildmiddle.theory.claims.schedules import CLAIMS
from wildmiddle.theory.proofs import schedules as proofs

SIGMAS = st.floats(1e-4, 1e4)


@pytest.mark.parametrize(
    ("n", "low", "high", "rho"), [(18, 0.002, 80.0, 7.0), (40, 0.002, 80.0, 7.0), (5, 1e-4, 1e4, 1)]
)
def test_edm_expression_is_the_numeric_function(n, low, high, rho):
    p = proofs
    expression = sp.lambdify((p.i, p.n, p.sigma_min, p.sigma_max, p.rho), p.edm_sigma, "mpmath")
    with mp.workdps(50):
        exact = [
            float(expression(k, mp.mpf(n), mp.mpf(low), mp.mpf(high), mp.mpf(rho)))
            for k in range(n)
        ]
    np.testing.assert_allclose(schedules.edm_sigmas(n, low, high, rho), exact, rtol=1e-12)


@pytest.mark.parametrize(("timesteps", "count"), [(2, 2), (5, 3), (1000, 1), (1000, 40)])
def test_ddpm_expression_is_the_numeric_function(timesteps, count):
    p = proofs
    rates = {p.beta_start: sp.Rational(1, 10_000), p.beta_end: sp.Rational(1, 50)}
    known = {p.last: count, p.T: timesteps} | rates
    exact = float(p.ddpm_sigma.subs(known).doit().evalf(50))
    assert schedules.ddpm_sigmas(timesteps)[count - 1] == pytest.approx(exact, rel=1e-12)


@given(SIGMAS)
def test_conversions_are_their_expressions(sigma):
    p = proofs
    t, share = 1 / (1 + sigma), 1 / (1 + sigma**2)
    pairs = [
        (p.flow_time, p.sigma, sigma, schedules.sigma_to_flow_time),
        (p.sigma_of_flow_time, p.t, t, schedules.flow_time_to_sigma),
        (p.sigma_of_alpha_bar, p.alpha_bar, share, schedules.alpha_bar_to_sigma),
        (p.log_snr_of_sigma, p.sigma, sigma, schedules.sigma_to_log_snr),
        (p.sigma_of_log_snr, p.log_snr, np.log(sigma), schedules.log_snr_to_sigma),
    ]
    with mp.workdps(50):
        for expression, symbol, value, numeric in pairs:
            exact = float(sp.lambdify(symbol, expression, "mpmath")(mp.mpf(value)))
            assert numeric(value) == pytest.approx(exact, rel=1e-12, abs=1e-15)


@given(SIGMAS)
def test_round_trips(sigma):
    # 1 - t keeps sigma/eps digits of a small sigma.
    back = schedules.flow_time_to_sigma(schedules.sigma_to_flow_time(sigma))
    assert back == pytest.approx(sigma, rel=1e-15 * (2 + 1 / sigma))
    back = schedules.log_snr_to_sigma(schedules.sigma_to_log_snr(sigma))
    assert back == pytest.approx(sigma, rel=1e-14)


def test_every_timestep_is_nearest_to_its_own_sigma():
    table = schedules.ddpm_sigmas()
    np.testing.assert_array_equal(schedules.ddpm_timestep(table), np.arange(1000))
    middle = np.sqrt(table[300] * table[301])
    assert schedules.ddpm_timestep(middle * (1 - 1e-9)) == 300
    assert schedules.ddpm_timestep(middle * (1 + 1e-9)) == 301


def test_the_claims_evaluate():
    edm, conversions = CLAIMS
    values = {"n": 18, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
    assert all(assumption.check(values) for assumption in edm.assumptions)
    assert edm.at(values)["sigmas"][[0, -1]].tolist() == [80.0, 0.002]
    values = {"sigma": 1.0, "t": 0.5, "log_snr": 0.0, "alpha_bar": 0.5, "T": 1000}
    assert all(assumption.check(values) for assumption in conversions.assumptions)
    results = conversions.at(values)
    assert results.keys() == conversions.evaluate.keys()
    for name in ("sigma_from_flow_time", "sigma_from_log_snr", "sigma_from_alpha_bar"):
        assert results[name] == 1.0
    assert results["flow_time"] == 0.5
    assert results["sigmas_of_timesteps"][results["timestep"]] == pytest.approx(1, rel=5e-3)


def test_steps_between_take_the_start_and_leave_the_end():
    edm, ddpm = schedules.edm_sigmas(18), schedules.ddpm_sigmas()
    assert schedules.steps_between(edm[9], edm[4])[0] == (5, 6, 7, 8, 9)
    assert schedules.steps_between(ddpm[200], ddpm[203])[1] == (200, 201, 202)
    assert schedules.steps_between(1e3, 2e3) == ((), ())
