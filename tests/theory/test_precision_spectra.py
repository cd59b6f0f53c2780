"""Locality and large noise against mpmath at 50 digits."""

import numpy as np
import pytest

from wildmiddle.theory import large_noise, locality

SIGMAS = (1e-4, 0.01, 1.0, 80.0, 1e4)


@pytest.mark.parametrize("d", [1, 2, 9, 64, 196_608])
def test_circulant_eigenvalues(reference, d):
    # A Fourier transform's error is relative to the whole row, not to each eigenvalue.
    mp, row = reference.mp, np.zeros(d)
    for lag, value in ((0, 2.0), (1, 0.7), (d // 3, 0.2)):
        row[lag % d] += value
        row[-lag % d] += value
    computed = locality.circulant_eigenvalues(row)
    chosen = sorted({0, 1 % d, d // 7, d // 2, d - 1})
    lags = [lag for lag in range(d) if row[lag] != 0]
    exact = [
        mp.fsum(mp.mpf(row[lag]) * mp.cos(2 * mp.pi * k * lag / d) for lag in lags) for k in chosen
    ]
    reference.assert_agrees(computed[chosen], exact, 1e-14, np.abs(row).sum())


def spectrum(d):
    """d eigenvalues over sixteen decades, some of them 0, neighbours close and far."""
    rng = np.random.default_rng(d)
    values = 10.0 ** np.concatenate([rng.uniform(-8, 8, d // 2), rng.uniform(0, 0.01, d - d // 2)])
    values[:2] = 0
    return values


@pytest.mark.parametrize("sigma", SIGMAS)
def test_cycle(reference, sigma):
    mp, d, repeats = reference.mp, 64, 3072
    values = spectrum(d)
    values = (values + np.roll(values[::-1], 1)) / 2  # that of a real covariance
    mu = [reference.shrinkage(v, sigma) for v in values]
    reference.assert_agrees(locality.shrinkage(values, sigma), mu)
    variation = reference.total_variation(values, sigma)
    reference.assert_agrees(locality.total_variation(values, sigma), variation)
    for rho in (1, 7, 32):
        exact = variation / (2 * d * mp.sin(mp.pi * rho / d))
        reference.assert_agrees(locality.sensitivity_bound(values, sigma, rho), exact)
        reference.assert_agrees(locality.harmonic_bound(values, sigma, rho), variation / (4 * rho))
    # The same 3,072 times over, d = 196,608: the variation grows so, and J is thinned out.
    many = np.tile(values, repeats)
    reference.assert_agrees(locality.total_variation(many, sigma), repeats * variation)
    for m in (1, 5, 32):
        exact = abs(mp.fsum(v * mp.cos(2 * mp.pi * k * m / d) for k, v in enumerate(mu))) / d
        scale = mp.fsum(mu) / d  # what cancels is of this size
        reference.assert_agrees(locality.sensitivity(values, sigma, m), exact, 1e-14, scale)
        reference.assert_agrees(locality.sensitivity(many, sigma, m * repeats), exact, 1e-14, scale)
        bound = repeats * variation / (2 * d * repeats * mp.sin(mp.pi * m / d))
        reference.assert_agrees(locality.sensitivity_bound(many, sigma, m * repeats), bound)


def test_variation_of_a_narrow_spectrum(reference):
    # At sigma = 1e-4 all mu are within 1e-8 of 1: their differences must not be taken.
    values = np.random.default_rng(8).uniform(1, 4, 36)
    for sigma in SIGMAS:
        exact = reference.total_variation(values, sigma)
        reference.assert_agrees(locality.total_variation(values, sigma), exact)
        rows = [reference.total_variation(row, sigma) for row in values.reshape(6, 6)]
        computed = locality.torus_sensitivity_bound(values.reshape(6, 6), sigma, 0, 3)
        reference.assert_agrees(computed, sum(rows) / (2 * 36))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_torus(reference, sigma):
    mp, n1, n2 = reference.mp, 6, 8
    values = spectrum(n1 * n2).reshape(n1, n2)
    mu = [[reference.shrinkage(v, sigma) for v in row] for row in values]
    ks, ms = range(n1), range(n2)

    def down(k, m):
        return mu[(k + 1) % n1][m % n2] - mu[k][m % n2]

    def across(k, m):
        return mu[k][(m + 1) % n2] - mu[k][m]

    tv1 = mp.fsum(abs(down(k, m)) for k in ks for m in ms)
    tv2 = mp.fsum(abs(across(k, m)) for k in ks for m in ms)
    both = mp.fsum(abs(down(k, m + 1) - down(k, m)) for k in ks for m in ms)
    for rho1, rho2 in ((1, 0), (0, 1), (1, 1), (3, 4), (2, 4)):
        sine1, sine2 = mp.sin(mp.pi * rho1 / n1), mp.sin(mp.pi * rho2 / n2)
        pairs = [(tv1, 2 * sine1), (tv2, 2 * sine2), (both, 4 * sine1 * sine2)]
        bounds = [variation / sine for variation, sine in pairs if sine > 0]
        exact = min(bounds) / (n1 * n2)
        reference.assert_agrees(locality.torus_sensitivity_bound(values, sigma, rho1, rho2), exact)


def test_torus_eigenvalues_and_covariance(reference):
    mp = reference.mp
    images = np.random.default_rng(3).uniform(-1, 1, (5, 3, 4))
    _, centred, _ = reference.moments(images.reshape(5, 12))
    block = [
        mp.fsum(
            centred[s, 4 * i + j] * centred[s, 4 * ((i + a) % 3) + (j + b) % 4]
            for s in range(5)
            for i in range(3)
            for j in range(4)
        )
        / 60
        for a in range(3)
        for b in range(4)
    ]
    covariance = locality.torus_covariance(images)
    reference.assert_agrees(covariance, block, 1e-14, block[0])
    exact = [
        mp.fsum(
            mp.mpf(covariance[a, b]) * mp.cos(2 * mp.pi * (mp.mpf(k * a) / 3 + mp.mpf(m * b) / 4))
            for a in range(3)
            for b in range(4)
        )
        for k in range(3)
        for m in range(4)
    ]
    eigenvalues = locality.torus_eigenvalues(covariance)
    reference.assert_agrees(eigenvalues, exact, 1e-14, np.abs(covariance).sum())


def test_cyclic_covariance_of_long_rows(reference):
    d = 196_608
    points = np.random.default_rng(4).uniform(-1, 1, (2, d))
    computed = locality.cyclic_covariance(points)
    half = (
        points[0] - points[1]
    ) / 2  # the centred points are this and its opposite; exact to 1e-16
    lags = (0, 1, 1000, d // 2)
    shifted = [np.roll(half, -lag) for lag in lags]
    exact = list(reference.products([half], shifted) / d)
    reference.assert_agrees(computed[list(lags)], exact, 1e-14, exact[0])


@pytest.mark.parametrize("sigma", SIGMAS)
def test_gaussian_jacobian(reference, sigma):
    # Rounding S by 1e-16 moves J by 1e-16 |S| / sigma^2: at sigma = 1e-4, |S| = 5, that is 5e-8.
    mp = reference.mp
    root = np.random.default_rng(5).normal(size=(6, 6))
    covariance = root @ root.T
    exact_covariance = mp.matrix(covariance.tolist())
    exact = exact_covariance * (exact_covariance + mp.mpf(sigma) ** 2 * mp.eye(6)) ** -1
    size = np.linalg.norm(covariance, 2)
    scale = min(1, size / sigma**2) * max(1, size / sigma**2)
    computed = locality.gaussian_jacobian(covariance, sigma)
    reference.assert_agrees(computed, list(exact), 1e-14, scale)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 8), (9, 4)])
def test_gaussian_denoiser(reference, sigma, n, d):
    mp, rng = reference.mp, np.random.default_rng(n)
    points = rng.uniform(-1, 1, (n, d))
    for y in (points[0] + sigma * rng.normal(size=d), rng.normal(size=d)):
        exact = reference.gaussian_denoiser(y, points, sigma)
        computed = large_noise.gaussian_denoiser(y, points, sigma)
        reference.assert_agrees(computed, exact, 1e-12, max(1, np.abs(y).max()))
        t = 1 / (1 + sigma)
        mean, _, covariance = reference.moments(points)
        mixed = mp.mpf(t) ** 2 * covariance + (1 - mp.mpf(t)) ** 2 * mp.eye(d)
        rest = mp.lu_solve(mixed, (mp.matrix([y.tolist()]) - mp.mpf(t) * mean).T)
        exact = mean.T + mp.mpf(t) * covariance * rest
        computed = large_noise.gaussian_flow_denoiser(y, points, t)
        reference.assert_agrees(computed, list(exact), 1e-12, max(1, np.abs(y).max()))
        exact = covariance * mp.matrix(y.tolist())
        reference.assert_agrees(
            large_noise.initial_slope(y, points), list(exact), 1e-14, np.abs(y).max()
        )


def test_gaussian_denoiser_in_many_dimensions(reference):
    # S (S + sigma^2)^-1 u = X^T (X X^T + N sigma^2)^-1 X u: three equations, not 196,608.
    mp, d, rng = reference.mp, 196_608, np.random.default_rng(6)
    points = np.round(rng.uniform(-1, 1, (2, d)) * 2**30) / 2**30
    points = np.array([*points, -points.sum(0)])  # the mean is 0, exactly
    sigmas = (1e-4, 1.0, 1e4)
    y = points[0] + np.array(sigmas)[:, None] * rng.normal(size=d)
    gram = reference.products(points, points)  # singular, since the rows sum to 0
    right = reference.products(points, y)
    for k, sigma in enumerate(sigmas):
        found = mp.lu_solve(gram + 3 * mp.mpf(sigma) ** 2 * mp.eye(3), right[:, k])
        computed = large_noise.gaussian_denoiser(y[k], points, sigma)
        chosen = [0, 1, 77_777, d - 1]
        exact = [mp.fsum(found[i] * mp.mpf(points[i, j]) for i in range(3)) for j in chosen]
        # An entry's error is one of the vector, whose length is about that of 443 entries.
        length = mp.sqrt((found.T * gram * found)[0])
        reference.assert_agrees(computed[chosen], exact, 1e-13, length)


def test_leading_term_and_remainder(reference):
    mp, rng = reference.mp, np.random.default_rng(7)
    n, d = 5, 3
    points = rng.uniform(-1, 1, (n, d))
    mean, centred, covariance = reference.moments(points)
    squares = [mp.fsum(centred[i, k] ** 2 for k in range(d)) for i in range(n)]
    cubic = [mp.fsum(centred[i, k] * squares[i] for i in range(n)) / n for k in range(d)]
    size = max(abs(v) for v in cubic)
    reference.assert_agrees(large_noise.leading_term(points), [-v / 2 for v in cubic], 1e-13, size)
    for sigma in SIGMAS:
        y = rng.normal(size=d) * sigma
        z = [(mp.mpf(v) - mean[k]) / mp.mpf(sigma) for k, v in enumerate(y.tolist())]
        along = [mp.fsum(centred[i, k] * z[k] for k in range(d)) for i in range(n)]
        radius = mp.sqrt(max(squares))
        tilt = max(abs(v) for v in along) + radius**2 / mp.mpf(sigma)
        top = max(mp.eigsy(covariance, eigvals_only=True))
        third = 4 * radius * tilt**3 + 3 * radius**3 * tilt
        length = mp.sqrt(mp.fsum(v**2 for v in z))
        exact = (third / 6 + top**2 * length) / mp.mpf(sigma) ** 3
        reference.assert_agrees(large_noise.remainder_bound(points, y, sigma), exact)
        direct = rng.normal(size=d)
        along = [mp.fsum(centred[i, k] * mp.mpf(direct[k]) for k in range(d)) for i in range(n)]
        exact = [
            (mp.fsum(centred[i, k] * along[i] ** 2 for i in range(n)) / n - cubic[k]) / 2
            for k in range(d)
        ]
        reference.assert_agrees(large_noise.leading_term(points, direct), exact, 1e-13, size)


OUTSIDE = [
    (locality.circulant_eigenvalues, ([1.0, 0.5, 0.2],), r"asymmetry = 0\.3"),
    (locality.shrinkage, ([1.0, -0.5], 1.0), r"eigenvalue = -0\.5"),
    (locality.shrinkage, ([1.0, np.inf], 1.0), "eigenvalue = inf"),
    (locality.shrinkage, ([1.0, 0.5], 0.0), r"sigma = 0\.0"),
    (locality.total_variation, ([1.0, np.nan], 1.0), "eigenvalue = nan"),
    (locality.sensitivity, ([1.0, 2.0], -1.0, 1), r"sigma = -1\.0"),
    (locality.sensitivity_bound, (np.ones(8), 1.0, 0), r"rho = 0\.0"),
    (locality.harmonic_bound, (np.ones(8), 1.0, 5), r"rho = 5\.0"),
    (locality.torus_sensitivity_bound, (np.ones((4, 4)), 1.0, 3, 0), r"rho1 = 3\.0"),
    (locality.torus_sensitivity_bound, (np.ones((4, 4)), 1.0, 0, 0), r"rho1 \+ rho2 = 0\.0"),
    (locality.gaussian_jacobian, (np.eye(2), 0.0), r"sigma = 0\.0"),
    (locality.torus_covariance, (np.ones((2, 2)),), r"images\.ndim = 2"),
    (large_noise.gaussian_denoiser, ([0.0], [[1.0], [2.0]], 0.0), r"sigma = 0\.0"),
    (large_noise.gaussian_denoiser, ([0.0], [1.0, 2.0], 1.0), r"points\.ndim = 1"),
    (large_noise.gaussian_flow_denoiser, ([0.0], [[1.0], [2.0]], 1.0), r"t = 1\.0"),
    (large_noise.remainder_bound, ([[1.0], [2.0]], [0.0], -1.0), r"sigma = -1\.0"),
    (large_noise.leading_term, ([1.0, 2.0],), r"points\.ndim = 1"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), OUTSIDE)
def test_outside_the_domain(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
