"""Theorem 4.10, Lemmas D.1 and D.3, and the torus: symbols, numbers, steps that can fail."""

from itertools import product

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.theory import locality
from wildmiddle.theory.claims.locality import CLAIMS
from wildmiddle.theory.proofs import locality as proofs
from wildmiddle.theory.proofs import torus

SIGMAS = st.floats(0.05, 20)


def even(values):
    """A spectrum that its mirror image in every axis at once leaves as it is."""
    values = np.asarray(values, float)
    axes = tuple(range(values.ndim))
    return (values + np.roll(np.flip(values), 1, axis=axes)) / 2


def spectrum(shape, seed):
    # Some frequencies are empty and the others spread over orders of magnitude.
    rng = np.random.default_rng(seed)
    return even(rng.lognormal(0, 2, shape) * (rng.random(shape) < 0.7))


def dense(eigenvalues):
    """The (block-)circulant covariance with these eigenvalues, pixels in row-major order."""
    shape = eigenvalues.shape
    block = np.fft.ifftn(eigenvalues).real
    pixels = np.array(list(product(*map(range, shape))))
    gaps = (pixels[None] - pixels[:, None]) % shape
    return block[tuple(np.moveaxis(gaps, -1, 0))]


def test_the_expressions_are_the_numeric_functions():
    p, d, sigma = proofs, 10, 0.8
    eigenvalues = spectrum((d,), 3)
    mu = locality.shrinkage(eigenvalues, sigma)
    variation = sp.lambdify((p.d, p.mu), p.total_variation, "math")
    kernel = sp.lambdify((p.d, p.rho, p.mu), p.kernel, "math")
    bound = sp.lambdify((p.tv, p.d, p.rho), p.sensitivity_bound, "math")
    harmonic = sp.lambdify((p.tv, p.rho), p.harmonic_bound, "math")
    tv = locality.total_variation(eigenvalues, sigma)
    assert tv == pytest.approx(variation(d, mu), rel=1e-13)
    rho = np.arange(1, d // 2 + 1)
    exact = [abs(kernel(d, int(r), mu)) for r in rho]
    np.testing.assert_allclose(locality.sensitivity(eigenvalues, sigma, rho), exact, rtol=1e-12)
    bounds = locality.sensitivity_bound(eigenvalues, sigma, rho)
    np.testing.assert_allclose(bounds, [bound(tv, d, r) for r in rho], rtol=1e-13)
    bounds = locality.harmonic_bound(eigenvalues, sigma, rho)
    np.testing.assert_allclose(bounds, [harmonic(tv, r) for r in rho], rtol=1e-13)
    row = np.fft.ifft(eigenvalues).real
    value = sp.lambdify((p.k, p.size, p.row), p.eigenvalue, "math")
    np.testing.assert_allclose(
        locality.circulant_eigenvalues(even(row)), [value(k, d, row) for k in range(d)], atol=1e-12
    )
    jacobian = sp.lambdify((p.s1, p.s2, p.s12, p.sigma), p.jacobian, "numpy")
    covariance = np.array([[2.0, 0.7], [0.7, 0.5]])
    np.testing.assert_allclose(
        locality.gaussian_jacobian(covariance, sigma), jacobian(2.0, 0.5, 0.7, sigma), rtol=1e-12
    )


def test_torus_expressions_are_the_numeric_function():
    p, sigma = torus, 0.6
    names = (p.tv1, p.tv2, p.mixed, p.n1, p.n2, p.rho1, p.rho2)
    row, column, both = (
        sp.lambdify(names, expression, "math")
        for expression in (p.row_bound, p.column_bound, p.mixed_bound)
    )
    for seed in range(3):
        eigenvalues = spectrum((6, 5), seed)
        mu = eigenvalues / (eigenvalues + sigma**2)
        parts = [np.abs(np.array(part, float)).sum() for part in p.differences(sp.Matrix(mu))]
        for rho1, rho2 in ((0, 2), (3, 0), (1, 1), (3, 2)):
            values = (*parts, 6, 5, rho1, rho2)
            expected = min(
                row(*values) if rho1 else np.inf,
                column(*values) if rho2 else np.inf,
                both(*values) if rho1 and rho2 else np.inf,
            )
            numeric = locality.torus_sensitivity_bound(eigenvalues, sigma, rho1, rho2)
            assert numeric == pytest.approx(expected, rel=1e-12)


@given(st.integers(2, 24), SIGMAS, st.integers(0, 2**31))
def test_bounds_hold_for_the_dense_jacobian(d, sigma, seed):
    eigenvalues = spectrum((d,), seed)
    jacobian = np.abs(locality.gaussian_jacobian(dense(eigenvalues), sigma)[0])
    rho = np.arange(1, d // 2 + 1)
    sharp = locality.sensitivity_bound(eigenvalues, sigma, rho)
    assert (jacobian[rho] <= sharp * (1 + 1e-9) + 1e-12).all()
    assert (sharp <= locality.harmonic_bound(eigenvalues, sigma, rho) * (1 + 1e-12)).all()
    np.testing.assert_allclose(
        locality.sensitivity(eigenvalues, sigma, rho), jacobian[rho], atol=1e-10
    )


@given(st.integers(1, 7), st.integers(2, 7), SIGMAS, st.integers(0, 2**31))
def test_torus_bound_holds_for_the_dense_jacobian(n1, n2, sigma, seed):
    eigenvalues = spectrum((n1, n2), seed)
    jacobian = np.abs(locality.gaussian_jacobian(dense(eigenvalues), sigma)[0]).reshape(n1, n2)
    for a, b in product(range(n1), range(n2)):
        if a or b:
            rho = min(a, n1 - a), min(b, n2 - b)
            bound = locality.torus_sensitivity_bound(eigenvalues, sigma, *rho)
            assert jacobian[a, b] <= bound * (1 + 1e-9) + 1e-12


def test_a_torus_of_one_row_is_the_cycle():
    eigenvalues = spectrum((1, 9), 5)
    rho = np.arange(1, 5)
    np.testing.assert_allclose(
        locality.torus_sensitivity_bound(eigenvalues, 0.7, 0, rho),
        locality.sensitivity_bound(eigenvalues[0], 0.7, rho),
        rtol=1e-13,
    )


def test_stacks_of_spectra_and_sigmas_broadcast():
    stack = np.stack([spectrum((4, 6), seed) for seed in range(3)])
    sigmas = np.array([0.1, 1.0, 4.0])
    together = locality.torus_sensitivity_bound(stack, sigmas, 1, 2)
    apart = [
        locality.torus_sensitivity_bound(values, sigma, 1, 2)
        for values, sigma in zip(stack, sigmas, strict=True)
    ]
    np.testing.assert_allclose(together, apart, rtol=1e-14)
    every = locality.torus_sensitivity_bound(stack[0], sigmas, 1, 2)
    assert every[1] == locality.torus_sensitivity_bound(stack[0], 1.0, 1, 2)


@pytest.mark.parametrize("d", [2, 4, 8, 50])
def test_alternating_spectra_are_tight(d):
    # Any two values will do; 0 and nearly infinity give mu = 0 and 1 and a sensitivity of 1/2.
    for low, high, expected in ((0.0, 1e30, 0.5), (0.3, 2.0, None)):
        eigenvalues = np.tile([low, high], d // 2)
        jacobian = locality.sensitivity(eigenvalues, 1.0, d // 2)
        bound = locality.sensitivity_bound(eigenvalues, 1.0, d // 2)
        assert jacobian == pytest.approx(float(bound), rel=1e-12)
        assert locality.harmonic_bound(eigenvalues, 1.0, d // 2) == pytest.approx(float(bound))
        if expected is not None:
            assert jacobian == pytest.approx(expected)


def test_torus_bound_is_tight_on_checkerboards_stripes_and_sums():
    n1, n2 = 6, 4
    k, m = np.arange(n1)[:, None], np.arange(n2)[None, :]
    checkerboard = 0.2 + 3.0 * ((k + m) % 2)
    stripes = 0.2 + 3.0 * (k % 2) + 0 * m
    # mu_kl = f_k + g_l: no mixed differences, and no sensitivity off the axes.
    mu = even(0.4 + 0.1 * np.cos(2 * np.pi * k / n1) + 0.2 * np.cos(2 * np.pi * m / n2))
    for eigenvalues, rho in (
        (checkerboard, (3, 2)),
        (stripes, (3, 0)),
        (stripes.T, (0, 3)),
        (mu / (1 - mu), (2, 1)),
    ):
        shape = eigenvalues.shape
        jacobian = locality.gaussian_jacobian(dense(eigenvalues), 1.0)[0].reshape(shape)
        bound = locality.torus_sensitivity_bound(eigenvalues, 1.0, *rho)
        assert abs(jacobian[rho]) == pytest.approx(float(bound), abs=1e-14)


def test_both_axes_beat_one_where_the_spectrum_is_smooth():
    k = np.minimum(np.arange(32), 32 - np.arange(32))
    eigenvalues = 1 / (1 + k[:, None] ** 2 + k[None, :] ** 2)
    mu = eigenvalues / (eigenvalues + 0.1**2)
    one_axis = np.abs(np.roll(mu, -1, 0) - mu).mean() / (2 * np.sin(np.pi * 16 / 32))
    assert locality.torus_sensitivity_bound(eigenvalues, 0.1, 16, 16) < 0.2 * one_axis


def test_torus_covariance_is_the_mean_over_positions():
    rng = np.random.default_rng(2)
    images = rng.standard_normal((7, 3, 4)).cumsum(2)
    centred = images - images.mean(0)
    block = locality.torus_covariance(images)
    for a, b in product(range(3), range(4)):
        moved = np.roll(centred, (-a, -b), axis=(1, 2))
        assert block[a, b] == pytest.approx((centred * moved).mean(), abs=1e-13)
    # Its eigenvalues are those of the dense matrix, none of them negative.
    eigenvalues = locality.torus_eigenvalues(block)
    assert eigenvalues.min() > -1e-12
    np.testing.assert_allclose(
        np.linalg.eigvalsh(dense(eigenvalues)), np.sort(eigenvalues, axis=None), atol=1e-12
    )
    # One row of pixels: the cyclic covariance.
    rows = images[:, :1]
    np.testing.assert_allclose(
        locality.torus_covariance(rows)[0], locality.cyclic_covariance(rows[:, 0]), atol=1e-13
    )


def test_more_slips_fail():
    assert proofs.alternating(sp.Rational(1, 2)) is False
    assert torus.stripes(4, 4, sp.Rational(1, 2)) is False
    assert proofs.variation_by_range(sp.Rational(3, 4)) is False


# Theorem 4.10's second sentence


@pytest.mark.parametrize("peaks", [0, 0.5, 4.5, np.nan])
def test_range_bound_needs_a_number_of_peaks_that_d_pixels_may_have(peaks):
    locality.range_bound(0.0, 1.0, 1.0, 2, 8, 1)
    locality.range_bound(0.0, 1.0, 1.0, 2, 8, 4)
    with pytest.raises(ValueError, match="peaks"):
        locality.range_bound(0.0, 1.0, 1.0, 2, 8, peaks)


def test_range_bound_is_its_expression():
    p = proofs
    symbols = (p.lowest, p.highest, p.sigma, p.rho, p.d, p.count)
    exact = sp.lambdify(symbols, p.range_bound, "mpmath")
    for values in (
        (0.5, 3.0, 1.3, 2, 10, 1),
        (1e-3, 1e6, 1e-4, 5, 10, 3),
        (2.0, 2.0, 1.0, 1, 4, 2),
    ):
        expected = float(exact(*map(sp.Float, values)))
        assert locality.range_bound(*values) == pytest.approx(expected, rel=1e-9, abs=1e-30)


@given(st.integers(2, 24), SIGMAS, st.integers(0, 2**31))
def test_range_bound_encloses_the_total_variation(d, sigma, seed):
    eigenvalues = spectrum((d,), seed)
    rho = np.arange(1, d // 2 + 1)
    low, high = eigenvalues.min(), eigenvalues.max()
    peaks = int(locality.count_peaks(eigenvalues))
    assert 1 <= peaks <= max(1, d // 2)
    wide = locality.range_bound(low, high, sigma, rho, d, peaks)
    assert (locality.sensitivity_bound(eigenvalues, sigma, rho) <= wide * (1 + 1e-9) + 1e-15).all()
    # A narrower range, a lower bound; at every distance.
    narrow = locality.range_bound(low + (high - low) / 4, high, sigma, rho, d, peaks)
    assert (narrow <= wide).all()
    narrow = locality.range_bound(low, high - (high - low) / 4, sigma, rho, d, peaks)
    assert (narrow <= wide).all()


@pytest.mark.parametrize(
    ("values", "peaks"),
    [([1, 1, 1], 1), ([0, 12] * 4, 4), ([3, 2, 1, 2], 1), ([1, 3, 3, 1, 2, 2, 0], 2), ([5], 1)],
)
def test_peaks_are_counted_around_the_cycle(values, peaks):
    for turn in range(len(values)):
        assert locality.count_peaks(np.roll(values, turn)) == peaks
    assert locality.count_peaks(np.stack([values, values])).tolist() == [peaks, peaks]


@pytest.mark.parametrize("d", [3, 8, 33])
def test_fewer_frequencies_make_no_faster_decay(d):
    # The spectrum that is most concentrated by frequency has no decay, the least an immediate one.
    one = np.zeros(d)
    one[0] = float(d)
    rho = np.arange(1, d // 2 + 1)
    flat = locality.sensitivity(np.ones(d), 0.7, rho)  # of the same sum
    found = locality.sensitivity(one, 0.7, rho)
    np.testing.assert_allclose(found, locality.single_frequency(d, 0.7, d), rtol=1e-12)
    assert (flat < 1e-15).all()


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
def test_autoregressive_rows_decay_more_slowly_the_more_they_are_concentrated(sigma):
    d, distances = 512, np.minimum(np.arange(512), 512 - np.arange(512))
    rates = []
    for a in (0.2, 0.5, 0.8, 0.95):
        eigenvalues = np.maximum(locality.circulant_eigenvalues(a**distances), 0)
        kernel = locality.sensitivity(eigenvalues, sigma, np.array([1, 2]))
        rates.append(kernel[1] / kernel[0])
        assert rates[-1] == pytest.approx(float(locality.autoregressive_decay(a, sigma)), rel=1e-6)
        assert rates[-1] < a
    assert (np.diff(rates) > 0).all()
    assert d == len(distances)


def test_the_range_orders_the_bound_but_not_every_sensitivity():
    # One smooth peak of a wide range, and a step of a narrow one: at some distance it has more.
    k = np.minimum(np.arange(16), 16 - np.arange(16))
    mu = 0.5 + 0.45 * np.cos(2 * np.pi * k / 16)  # J is 0 beyond distance 1
    step = np.where(k <= 2, 0.7, 0.3)
    wide, narrow = (
        locality.sensitivity(values / (1 - values), 1.0, np.arange(2, 9)) for values in (mu, step)
    )
    assert (wide < 1e-15).all()
    assert narrow.max() > 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: locality.range_bound(-1.0, 1.0, 1.0, 1, 4), r"lowest = -1\.0 "),
        (lambda: locality.range_bound(2.0, 1.0, 1.0, 1, 4), r"highest = 1\.0 "),
        (lambda: locality.range_bound(0.0, 1.0, 1.0, 3, 4), r"rho = 3\.0 "),
        (lambda: locality.range_bound(0.0, 1.0, 1.0, 1, 4, 3), r"peaks = 3\.0 "),
        (lambda: locality.single_frequency(1.0, 1.0, 0), r"d = 0\.0 "),
        (lambda: locality.autoregressive_decay(1.0, 1.0), r"correlation = 1\.0 "),
    ],
)
def test_the_second_sentence_has_a_domain(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_claims_evaluate():
    covariance = dense(np.array([3.0, 1.0, 0.2, 1.0]))
    values = {
        "S": covariance,
        "sigma": 0.5,
        "first_row": covariance[0],
        "first_block": covariance[:1],
        "eigenvalues": np.array([3.0, 1.0, 0.2, 1.0]),
        "torus_eigenvalues": spectrum((4, 4), 1),
        "rho": 2,
        "rho1": 1,
        "rho2": 2,
        "lambda_0": 3.0,
        "lambda_min": 0.2,
        "lambda_max": 3.0,
        "peaks": 1,
        "d": 4,
        "a": 0.5,
    }
    for claim in CLAIMS:
        assert all(assumption.check(values) for assumption in claim.assumptions)
        assert claim.at(values).keys() == claim.evaluate.keys()
    jacobian, _, bounds, ranged = (claim.at(values) for claim in CLAIMS)
    assert abs(jacobian["J"][0, 2]) == pytest.approx(bounds["sensitivity"])
    assert bounds["sensitivity"] <= bounds["bound"] <= bounds["harmonic_bound"]
    assert bounds["bound"] <= ranged["range_bound"] * (1 + 1e-12)
    assert not CLAIMS[1].assumptions[0].check({"first_row": [1.0, 0.5, 0.0, 0.0]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: locality.torus_sensitivity_bound(np.ones((4, 4)), 1.0, 3, 1), "rho1 = 3.0"),
        (lambda: locality.torus_sensitivity_bound(np.ones((4, 4)), 1.0, 1, -1), "rho2 = -1.0"),
        (lambda: locality.torus_sensitivity_bound(np.ones((4, 4)), 1.0, 0, 0), "different pixels"),
        (lambda: locality.torus_sensitivity_bound(-np.ones((4, 4)), 1.0, 1, 1), "eigenvalue = -1"),
        (lambda: locality.torus_eigenvalues([[1.0, 2.0, 3.0]]), "asymmetry = 1.0"),
        (lambda: locality.torus_covariance(np.ones((4, 4))), "images.ndim = 2"),
        (lambda: locality.sensitivity([1.0, 2.0], 0.0, 1), "sigma = 0.0"),
    ],
)
def test_values_outside_the_domain_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_variation_of_a_stack_is_that_of_each_spectrum():
    spectra, sigma = np.array([[4.0, 2.0, 1.0, 2.0], [9.0, 0.5, 0.0, 0.5]]), np.array([0.5, 2.0])
    each = [locality.total_variation(row, s) for row, s in zip(spectra, sigma, strict=True)]
    np.testing.assert_allclose(locality.total_variation(spectra, sigma), each, rtol=1e-15)
    mu = spectra / (spectra + sigma[:, None] ** 2)
    expected = np.abs(np.roll(mu, -1, axis=1) - mu).sum(1)
    np.testing.assert_allclose(each, expected, rtol=1e-13)
