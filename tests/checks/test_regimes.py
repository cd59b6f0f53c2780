"""Bounds over all pairs of training images, some images at a time."""

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist

from wildmiddle.checks.posterior import weight_bounds
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory import regimes
from wildmiddle.theory.copies import effective_number, log_ratios
from wildmiddle.theory.spectrum import eigenvalues_of, entropy_lower

SIGMAS = np.array([0.5, 1.0, 2.0, 4.0])


def test_bounds_of_more_than_one_block_are_those_of_all_distances(result) -> None:
    # A last, shorter block whose points lie farther apart, and some of all are listed more often.
    n = BLOCK + 40
    points = np.random.default_rng(5).standard_normal((n, 20))
    points[BLOCK:] *= 3
    counts = np.ones(n, int)
    counts[:30], counts[-9:] = 4, 11
    apart = cdist(points, points)[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    for times, prior in ((np.ones(n, int), None), (np.full(n, 2), None), (counts, counts)):
        train, ratios = (
            np.repeat(points, times, axis=0),
            0.0 if prior is None else log_ratios(prior),
        )
        effective = n if prior is None else effective_number(prior)
        study = replace(result.study, images=train, held_out=points[:5] + 1)
        assert study.n == n
        low, high, entropy = weight_bounds(study, SIGMAS)
        np.testing.assert_allclose(low, regimes.weight_lower(apart, SIGMAS, ratios), rtol=1e-9)
        by_spectrum = entropy_lower(eigenvalues_of(apart, prior), effective, SIGMAS)
        least = np.maximum(regimes.posterior_entropy(apart, SIGMAS, ratios), by_spectrum)
        np.testing.assert_allclose(entropy, least, rtol=1e-9)
        np.testing.assert_allclose(high, regimes.weight_of_entropy(least, n), rtol=1e-9)
        copied = study.mean_over_images(lambda rows, r: regimes.copying_lower(rows, SIGMAS, r))
        expected = regimes.copying_lower(apart, SIGMAS, ratios)
        np.testing.assert_allclose(copied, expected, rtol=1e-9)
        assert 0 < copied[0] < 1


def test_copies_change_neither_the_zone_nor_what_the_curves_hold(result) -> None:
    train, test = result.study.images[:60], result.study.held_out
    plain, twice = (
        replace(result.study, images=np.repeat(train, times, axis=0), held_out=test)
        for times in (1, 2)
    )
    assert plain.distinct.sentences() == ()
    assert twice.distinct.sentences() == (
        "60 of 120 training images are copies of others: 60 distinct images, each with the weight "
        "of its copies",
    )
    assert twice.zone == plain.zone
    np.testing.assert_array_equal(twice.zone.eigenvalues, plain.zone.eigenvalues)
    for name in ("covered_draws", "nearest", "mean_overlap"):
        np.testing.assert_array_equal(getattr(twice.curves, name), getattr(plain.curves, name))
    # Other images are noised by the same noise: the intervals of one mean meet.
    for name in ("max_weight", "self_weight", "squared_weight"):
        one, other = getattr(twice.curves, name), getattr(plain.curves, name)
        assert ((one.low <= other.high) & (other.low <= one.high)).all(), name
    assert twice.curves.max_weight.mean.max() > 0.99


def test_near_copies_are_merged_by_the_setting(result) -> None:
    rng = np.random.default_rng(6)
    train = np.concatenate([result.study.images[:40]] * 2)
    train[40:] += 1e-3 * rng.uniform(-1, 1, train[40:].shape)
    apart = replace(result.study, images=train)
    merged = replace(apart, settings=replace(apart.settings, copies_within=0.05))
    assert (apart.n, merged.n) == (80, 40)
    np.testing.assert_array_equal(merged.images, np.concatenate([train[:40]] * 2))
    assert merged.zone == replace(apart, images=train[:40]).zone
    (said,) = merged.distinct.sentences(0.05)
    assert said.startswith("40 of 80 training images are copies of others, or within 0.05 of one: ")
