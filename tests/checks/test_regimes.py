"""Bounds over all pairs of training images, some images at a time."""

from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist

from wildmiddle.checks.posterior import weight_bounds
from wildmiddle.empirical.noise import BLOCK
from wildmiddle.theory import regimes
from wildmiddle.theory.spectrum import eigenvalues_of, entropy_lower

SIGMAS = np.array([0.5, 1.0, 2.0, 4.0])


def test_bounds_of_more_than_one_block_are_those_of_all_distances(result) -> None:
    # A last, shorter block whose points lie farther apart, and one copy.
    n = BLOCK + 40
    train = np.random.default_rng(5).standard_normal((n, 20))
    train[BLOCK:] *= 3
    train[1] = train[0]
    apart = cdist(train, train)[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    study = replace(result.study, images=train, held_out=train[:5] + 1)
    low, high, entropy = weight_bounds(study, SIGMAS)
    np.testing.assert_allclose(low, regimes.weight_lower(apart, SIGMAS), rtol=1e-9)
    by_spectrum = entropy_lower(eigenvalues_of(apart), n, SIGMAS)
    least = np.maximum(regimes.posterior_entropy(apart, SIGMAS), by_spectrum)
    np.testing.assert_allclose(entropy, least, rtol=1e-9)
    np.testing.assert_allclose(high, regimes.weight_of_entropy(least, n), rtol=1e-9)
    copies = study.mean_over_images(lambda rows: regimes.copying_lower(rows, SIGMAS))
    np.testing.assert_allclose(copies, regimes.copying_lower(apart, SIGMAS), rtol=1e-9)
    assert 0 < copies[0] < 1
