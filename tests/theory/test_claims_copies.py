"""Copies of training images: bounds with a prior against the weights of all that is listed."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy.special import entr
from scipy.stats import norm

from wildmiddle.theory import copies, copying, posterior, regimes, spectrum
from wildmiddle.theory.claims import select
from wildmiddle.theory.proofs import copies as proofs

SEED = 20261130
SIGMAS = np.geomspace(0.1, 30, 12)
COUNTS = np.array([1, 60, 2, 9, 1, 4, 25, 1])
DRAWS = 20_000


def to_others(points):
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    return apart[~np.eye(len(points), dtype=bool)].reshape(len(points), -1)


def points_of(seed, d=3):
    return np.random.default_rng(seed).standard_normal((len(COUNTS), d))


def weights_of_images(points, listed, group, sigma, n, rng):
    """Weights of the G images, the copies' own added up, and which one was noised."""
    chosen = rng.integers(len(listed), size=n)
    y = listed[chosen] + sigma * rng.standard_normal((n, points.shape[1]))
    every = posterior.weights(y, listed, sigma)
    return np.stack([every[:, group == k].sum(1) for k in range(len(points))], 1), chosen


@pytest.mark.parametrize("counts", [(4, 1), (1, 99), (1, 1)])
@pytest.mark.parametrize("d", [0.5, 3.0])
def test_two_images_have_the_weight_of_the_bound(counts, d):
    (claim,) = select("copies")
    first, second = np.array(counts) / sum(counts)
    ratios = copies.log_ratios(counts)
    for sigma in SIGMAS:
        at = {proofs.p_i: first, proofs.p_j: second, proofs.d: d, proofs.sigma: sigma}
        with mpmath.workdps(30):
            exact = 1 - float(claim.formula().subs(at).evalf(30))
        (bound,) = regimes.weight_lower([[d], [d]], sigma, ratios)
        assert bound == pytest.approx(exact, rel=1e-12)
        # By the density of y on the line: the larger of both, integrated.
        turn = d / 2 + sigma**2 * np.log(first / second) / d
        right = first * norm.cdf(turn / sigma) + second * norm.sf((turn - d) / sigma)
        assert bound == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 2.0, 8.0])
def test_bounds_with_a_prior_enclose_the_weights_of_all_that_is_listed(sigma, expect_rate):
    points = points_of(SEED)
    listed, group = np.repeat(points, COUNTS, axis=0), np.repeat(np.arange(8), COUNTS)
    rng = np.random.default_rng(SEED)
    weight, chosen = weights_of_images(points, listed, group, sigma, DRAWS, rng)
    apart, ratios = to_others(points), copies.log_ratios(COUNTS)
    low = regimes.weight_lower(apart, sigma, ratios)[0]
    high = regimes.weight_upper(apart, sigma, ratios)[0]
    jensen = regimes.posterior_entropy(apart, sigma, ratios)[0] / np.log(8)
    values = np.linalg.eigvalsh(np.cov(listed.T, bias=True))
    effective = copies.effective_number(COUNTS)
    fano = regimes.weight_of_spectrum(values, 8, sigma, effective)[0]
    least = spectrum.entropy_lower(values, effective, sigma)[0] / np.log(8)
    # W is the chance that the likeliest image is the one that was noised.
    right = int((weight.argmax(1) == group[chosen]).sum())
    for relation, bound in ((">=", low), ("<=", high), ("<=", fano)):
        expect_rate(right, DRAWS, relation, bound, seed=SEED, what=f"sigma {sigma:g}, W")
    # Hoeffding's inequality, at an error rate of 1e-9.
    entropy = entr(weight).sum(1).mean() / np.log(8)
    assert entropy + np.sqrt(np.log(1e9) / (2 * DRAWS)) >= max(jensen, least)
    assert max(jensen, least) > 0.05 or sigma < 1


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.6])
def test_copies_of_noised_and_held_out_images_are_at_least_the_bound(sigma, expect_rate):
    points = points_of(SEED + 1, 6)
    listed, rng = np.repeat(points, COUNTS, axis=0), np.random.default_rng(SEED)
    held_out = points + 0.2 * rng.standard_normal(points.shape)
    to_points = np.linalg.norm(held_out[:, None] - points, axis=2)
    from_nearest = np.linalg.norm(points[to_points.argmin(1)][:, None] - points, axis=2)
    for images, bound in (
        (listed, regimes.copying_lower(to_others(points), sigma, copies.log_ratios(COUNTS))),
        (held_out, copying.copying_lower(to_points, from_nearest, sigma, COUNTS)),
    ):
        y = images[rng.integers(len(images), size=3000)] + sigma * rng.standard_normal((3000, 6))
        outputs = posterior.weights(y, listed, sigma) @ listed
        near = np.sort(np.linalg.norm(outputs[:, None] - points, axis=2), axis=1)
        copied = int((near[:, 0] < near[:, 1] / 3).sum())
        assert bound[0] > 0.05
        expect_rate(copied, 3000, ">=", bound[0], seed=SEED, what=f"sigma {sigma:g}")


def test_one_prior_for_all_changes_nothing():
    points = points_of(SEED)
    apart, same = to_others(points), copies.log_ratios(np.full(8, 3.0))
    for bound in (
        regimes.weight_lower,
        regimes.weight_upper,
        regimes.posterior_entropy,
        regimes.copying_lower,
    ):
        np.testing.assert_allclose(bound(apart, SIGMAS, same), bound(apart, SIGMAS), rtol=1e-13)
    test = points + 0.3
    cross = np.linalg.norm(test[:, None] - points, axis=2)
    without = regimes.danger_zone(apart, cross, 3, c=0.7)
    assert copies.effective_number(np.full(8, 3.0)) == pytest.approx(8, rel=1e-14)
    ends = regimes.danger_zone(apart, cross, 3, prior=np.full(8, 1 / 8), c=0.7)
    for name, part in without.parts.items():
        np.testing.assert_allclose(ends.parts[name], part, rtol=1e-6, err_msg=name)


def test_what_falls_and_what_need_not():
    points = points_of(SEED)
    apart, ratios = to_others(points), copies.log_ratios(COUNTS)
    levels = np.geomspace(0.01, 1e4, 400)
    assert (np.diff(regimes.weight_upper(apart, levels, ratios)) <= 1e-9).all()
    assert (np.diff(regimes.posterior_entropy(apart, levels, ratios)) >= -1e-12).all()
    end = regimes.posterior_entropy(apart, 1e6, ratios)[0]
    assert end == pytest.approx(np.log(copies.effective_number(COUNTS)), rel=1e-9)
    # The union bound rises again: the heaviest image is never mistaken in the end.
    low = regimes.weight_lower(apart, levels, ratios)
    assert (np.diff(low) > 1e-3).any()
    assert low[-1] == pytest.approx(COUNTS.max() / COUNTS.sum(), abs=1e-3)
    cross = np.linalg.norm((points + 0.1)[:, None] - points, axis=2)
    nearest = np.linalg.norm(points[cross.argmin(1)][:, None] - points, axis=2)
    assert (np.diff(copying.copying_lower(cross, nearest, levels, COUNTS)) <= 1e-12).all()


def test_an_image_listed_so_often_that_its_weight_is_always_high_ends_no_zone():
    points = points_of(SEED)
    cross = np.linalg.norm((points + 0.3)[:, None] - points, axis=2)
    prior = np.array([93, *[1] * 7])
    zone = regimes.danger_zone(to_others(points), cross, 3, prior=prior, c=0.7)
    assert zone.certain.end == zone.possible.end == np.inf


def test_ratios_are_those_of_the_rows():
    for rows in (slice(None), slice(2, 5)):
        expected = [
            [np.log(COUNTS[j] / COUNTS[i]) for j in range(8) if j != i] for i in np.arange(8)[rows]
        ]
        np.testing.assert_allclose(copies.log_ratios(COUNTS, rows), expected, rtol=1e-14)
    values = np.random.default_rng(SEED).standard_normal((8, 2))
    mean = copies.mean_by_prior(values, copies.log_ratios(COUNTS))
    np.testing.assert_allclose(mean, np.average(values, axis=0, weights=COUNTS), rtol=1e-12)
    np.testing.assert_array_equal(copies.mean_by_prior(values, 0.0), values.mean(0))
    assert copies.mean_by_prior(np.ones((8, 1)), copies.log_ratios(COUNTS)) <= 1


def test_eigenvalues_by_a_prior_are_those_of_all_that_is_listed():
    points = points_of(SEED)
    found = spectrum.eigenvalues_of(to_others(points), COUNTS)
    known = np.linalg.eigvalsh(np.cov(np.repeat(points, COUNTS, axis=0).T, bias=True))[::-1]
    np.testing.assert_allclose(found[:3], known, rtol=1e-10)
    np.testing.assert_allclose(found[3:], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("prior", "message"),
    [([1, 0], "prior = 0"), ([1, np.inf], "prior = inf"), ([1.0], "G = 1 must be at least 2")],
)
def test_outside_the_domain(prior, message):
    for call in (copies.log_ratios, copies.effective_number):
        with pytest.raises(ValueError, match=message):
            call(prior)


def test_the_probability_of_the_heavier_by_the_margin():
    for u, ratio in itertools.product((0.3, 2.0), (-3.0, 0.0, 4.0)):
        found = posterior.decoding_error([u], 1.0, [ratio])
        assert float(found) == pytest.approx(norm.cdf(-u / 2 + ratio / u), rel=1e-12)
