"""The limits of the population's coverage: exact where they are, valid where they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from wildmiddle.theory import population, regimes
from wildmiddle.theory.claims import select
from wildmiddle.theory.coverage import lower_bound, overlap_probability
from wildmiddle.theory.proofs import population as proofs

SEED = 20261125


@given(st.floats(0, 1), st.integers(1, 10**5), st.floats(1e-9, 0.5))
def test_the_limit_is_where_the_divergence_says(mean, m, alpha):
    low = float(population.least_mean(mean, m, alpha))
    assert 0 <= low <= mean
    at = rel_entr(mean, low) + rel_entr(1 - mean, 1 - low)
    if low > 1e-12 and mean - low > 1e-6:
        assert m * at == pytest.approx(-np.log(alpha), rel=1e-4)


def test_the_limit_rises_with_mean_and_draws_and_falls_with_confidence():
    means = np.linspace(0, 1, 50)
    assert (np.diff(population.least_mean(means, 20, 0.05)) >= 0).all()
    assert (np.diff(population.least_mean(0.7, np.arange(1, 100), 0.05)) > 0).all()
    assert population.least_mean(0.7, 20, 0.01) < population.least_mean(0.7, 20, 0.1)
    np.testing.assert_allclose(
        population.least_mean(1.0, [1, 3, 50], 0.05), 0.05 ** (1 / np.array([1, 3, 50])), rtol=1e-12
    )


@pytest.mark.parametrize("m", [1, 4, 30, 300])
def test_the_limit_fails_no_more_often_than_it_says(m, expect_rate):
    rng, n, alpha = np.random.default_rng(SEED), 4000, 0.1
    for name, draws, mean in (
        ("coins", rng.random((n, m)) < 0.7, 0.7),
        ("uniform", rng.random((n, m)), 0.5),
        ("rare", np.where(rng.random((n, m)) < 0.02, 1.0, 0.1), 0.118),
    ):
        failed = (population.least_mean(draws.mean(1), m, alpha) > mean).sum()
        expect_rate(failed, n, "<=", alpha, seed=SEED, what=f"{name}, {m} draws")


def test_the_limits_enclose_the_bounds_of_the_given_images():
    nearest, sigmas = np.linspace(1, 6, 40), np.geomspace(0.05, 5, 20)
    low = population.coverage_lower(nearest, sigmas, 32, 0.05)
    high = population.coverage_upper(nearest, sigmas, 100, 32, 0.05)
    assert (low < lower_bound(nearest, sigmas, 32)).all()
    hits = np.minimum(1, 100 * overlap_probability(nearest, sigmas[:, None], 32)).mean(1)
    assert (high >= hits).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    batch = population.coverage_lower(np.stack([nearest, 2 * nearest]), 1.0, 32, 0.05)
    assert batch[0] == population.coverage_lower(nearest, 1.0, 32, 0.05)
    assert batch[1] < batch[0]


def zone_of(held_out, seed=3):
    rng = np.random.default_rng(seed)
    train = rng.standard_normal((40, 64))
    test = rng.standard_normal((held_out, 64))
    apart = np.linalg.norm(train[:, None] - train[None], axis=-1)
    apart = apart[~np.eye(40, dtype=bool)].reshape(40, -1)
    return regimes.danger_zone(apart, np.linalg.norm(test[:, None] - train, axis=-1), 64)


def test_one_held_out_image_certifies_and_excludes_nothing_of_the_population():
    zone = zone_of(1)
    assert not zone.certain.empty
    assert zone.certain_of_population.empty
    assert zone.possible_of_population == (0.0, zone.possible.end)


def test_more_held_out_images_narrow_the_gap():
    few, many = zone_of(20), zone_of(2000)
    for zone in (few, many):
        assert zone.possible_of_population.start < zone.possible.start
        assert zone.certain.start < zone.certain_of_population.start
        assert zone.certain_of_population.end == zone.certain.end
    gap_of_few, gap_of_many = (
        np.log(zone.certain_of_population.start / zone.certain.start) for zone in (few, many)
    )
    assert gap_of_many < gap_of_few / 3


def test_expression_is_the_numeric_function():
    (claim,) = select("population")
    value = claim.at({"mean": 0.7, "M": 20, "alpha": 0.05})["expectation at least"]
    at = {proofs.a: 0.7, proofs.q: float(value)}
    assert 20 * float(claim.formula().subs(at).evalf(50)) == pytest.approx(-np.log(0.05), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: population.least_mean(1.1, 5, 0.05), "mean = 1.1"),
        (lambda: population.least_mean(0.5, 0, 0.05), "m = 0.0"),
        (lambda: population.least_mean(0.5, 5, 1.0), "alpha = 1.0"),
        (lambda: population.coverage_upper([1.0], 1.0, 0, 64, 0.05), "n = 0"),
    ],
)
def test_outside_the_domain(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_steps_can_fail():
    # The divergence of the other order does not rise with the mean at the same rate.
    assert proofs.inside(proofs.a - proofs.q, proofs.a, proofs.q).is_positive
    assert not proofs.inside(proofs.a - proofs.q, proofs.q, proofs.a).is_positive
