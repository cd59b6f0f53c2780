"""Shells, coverage and shell intersections against mpmath at 50 digits."""

import time

import numpy as np
import pytest

from wildmiddle.theory import coverage, shells, small_noise

DIMENSIONS = (1, 2, 3, 8, 64, 784, 3072, 196_608)


def shell_levels(d):
    """Values of c from thin shells to balls, whose inner radius is 0."""
    return (*(c for c in (1e-2, 0.2, 1.0, 5.0, 60.0, 250.0) if c < d / 4), d / 4, d / 3, 2 * d)


def assert_overlap(reference, computed, exact, d):
    """The overlap probability has the digits that its docstring promises at dimension d."""
    floor = 1e-60 if d >= 5 else 1e-35
    if exact < floor:
        assert 0 <= computed <= floor
    else:
        reference.assert_agrees(computed, exact, 1e-11 if d <= 3072 else 1e-9)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_radii(reference, d):
    for c in (*shell_levels(d), d / 4 * (1 - 1e-9), 1e-12):
        exact = [reference.mp.sqrt(r) for r in reference.squared_radii(d, c)]
        reference.assert_agrees(shells.radii(d, c), exact, 1e-15)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_outside_probability(reference, d):
    for c in shell_levels(d):
        exact = reference.outside_probability(d, c)
        tolerance = 1e-11 if exact > 1e-60 else 1e-10
        reference.assert_agrees(shells.outside_probability(d, c), exact, tolerance)
        reference.assert_agrees(shells.shell_probability(d, c), 1 - exact)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_tails(reference, d):
    # Down to 1e-300, whatever the threshold; a float64's own rounding costs 1e-12 there.
    for t in (1e-6, 0.05, 1.0, 20.0, 138.0, 690.0):
        width = 2 * reference.mp.sqrt(reference.mp.mpf(d) * t)
        lower = reference.chi_square_cdfs([max(0, d - width)], d)[0]
        upper = reference.chi_square_upper(d + width + 2 * reference.mp.mpf(t), d)
        tolerance = 1e-11 if t < 138 else 1e-10
        reference.assert_agrees(shells.tails(d, t), [lower, upper], tolerance)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_thin_shells(reference, d):
    # A thin shell is the difference of near numbers: 1e-13 of the numbers, less of the difference.
    for c in (1e-9, 1e-5):
        exact = 1 - reference.outside_probability(d, c)
        reference.assert_agrees(shells.shell_probability(d, c), exact, 1e-13, 1)
        reference.assert_agrees(shells.shifted_probability(0.0, d, c), exact, 1e-13, 1)


def test_tail_bounds_and_shell_bound(reference):
    mp = reference.mp
    for t in (1e-9, 0.3, np.log(2) + 1e-9, 5.0, 690.0):
        # Where the bound passes 0 it says nothing, and few of its digits are left.
        reference.assert_agrees(shells.shell_bound(t), 1 - 2 * mp.exp(-mp.mpf(t)), 1e-15, 1)
        for d in (1.0, 4 * t * (1 + 1e-9), 3072.0, 196_608.0):
            if d >= 1:
                width = 2 * mp.sqrt(mp.mpf(d) * mp.mpf(t))
                exact = (d - width, d + width + 2 * mp.mpf(t), mp.exp(-mp.mpf(t)))
                reference.assert_agrees(shells.tail_bounds(d, t), exact)


def shifts(d, count, c):
    """Distances in units of sigma, from one point to where p falls to about 1e-70."""
    # p is about exp(-(lambda - 2 sqrt(cd))^2 / (4 (d + 2 lambda))), lambda the square of these.
    far = np.sqrt(
        2 * np.sqrt(c * d) + 2 * c + 650 + np.sqrt(650 * (d + 4 * np.sqrt(c * d) + 4 * c))
    )
    return np.concatenate([[0.0, 1e-9, 1e-3], np.linspace(0.1, 1, count) * far])


@pytest.mark.parametrize(("d", "count"), [(d, 24 if d < 1000 else 5) for d in DIMENSIONS])
def test_overlap_probability(reference, d, count):
    widths = {min(5.0, d / 4), min(0.3, d / 5), *([0.3 * d, 2.0 * d] if d < 1000 else [])}
    for c in widths:
        for shift in (distances := shifts(d, count if c > 0.3 else 2, c).tolist()):
            exact = reference.overlap_probability(shift, 1.0, d, c)
            assert_overlap(reference, coverage.overlap_probability(shift, 1.0, d, c), exact, d)
        assert exact < 1e-45, (c, distances[-1], exact)  # the tail was there


@pytest.mark.parametrize("sigma", [1e-4, 1.0, 1e4])
def test_overlap_probability_over_sigma(reference, sigma):
    for shift in (0.5, 15.0, 42.0):
        exact = reference.overlap_probability(shift * sigma, sigma, 3072, 5.0)
        computed = coverage.overlap_probability(shift * sigma, sigma, 3072, 5.0)
        assert_overlap(reference, computed, exact, 3072)


@pytest.mark.parametrize("d", [1, 2, 3072, 196_608])
def test_overlap_probability_at_its_limits(d):
    c = min(5.0, d / 4)
    own = shells.shell_probability(d, c)
    np.testing.assert_allclose(coverage.overlap_probability(0.0, 1e-4, d, c), own, rtol=1e-13)
    np.testing.assert_allclose(coverage.overlap_probability(1e-9, 1e4, d, c), own, rtol=1e-13)
    far = coverage.overlap_probability([1e3, 1e6, 1e300, 1e308], 1e-4, d, c)
    assert far.tolist() == [0, 0, 0, 0]
    assert coverage.overlap_probability(1e4, [1e200, 1e300], d, c) == pytest.approx(own, rel=1e-13)
    assert shells.shifted_probability(np.empty((0, 2)), d, c).shape == (0, 2)


def test_overlap_probability_in_closed_form(reference):
    # On a line the shell is two intervals, and a normal distribution gives their probability.
    for c in (0.05, 0.24):
        ends = [reference.mp.sqrt(r) for r in reference.squared_radii(1, c)]
        for shift in (0.0, 0.7, 3.0, 6.0, 12.0, 36.0):
            masses = [
                abs(reference.upper_normal(shift + a) - reference.upper_normal(shift + b))
                for a, b in (ends, [-end for end in ends])
            ]
            computed = coverage.overlap_probability(shift, 1.0, 1, c)
            assert_overlap(reference, computed, sum(masses), 1)


def test_overlap_probability_is_fast():
    # A million take about 3 s of a core at this d; the bound leaves room for a slow machine.
    distances = np.random.default_rng(0).uniform(0, 25, 100_000)
    start = time.process_time()
    coverage.overlap_probability(distances, 1.0, 3072)
    assert time.process_time() - start < 2


def test_expected_coverage(reference):
    mp = reference.mp
    cases = [
        (q, n) for q in (1e-300, 1e-20, 1e-7, 0.01, 0.5, 1 - 1e-12) for n in (1, 2, 10**3, 10**7)
    ]
    q, n = np.array(cases).T
    with mp.workdps(400):
        exact = [1 - (1 - mp.mpf(hit)) ** mp.mpf(count) for hit, count in cases]
    reference.assert_agrees(coverage.expected_coverage(q, n), exact)
    assert coverage.expected_coverage([0.0, 1.0], 10).tolist() == [0, 1]


def test_bounds_of_theorem_4_8(reference):
    mp = reference.mp
    nearest, sigmas = np.array([0.0, 3.0, 11.0]), np.array([0.2, 1.0])
    exact = [
        mp.fsum(reference.overlap_probability(r, s, 64, 5.0) for r in nearest) / 3 for s in sigmas
    ]
    reference.assert_agrees(coverage.lower_bound(nearest, sigmas, 64), exact, 1e-11)
    means = np.array([0.0, 1e-300, 1e-9, 1.0])
    reference.assert_agrees(
        coverage.upper_bound(means, 10**7), [min(1, 10**7 * mp.mpf(m)) for m in means]
    )


def test_half_coverage_sigma(reference):
    mp = reference.mp
    for d, c in ((1, 0.1), (3072, 5.0), (196_608, 1e-6)):
        exact = 13 / mp.sqrt(2 * mp.sqrt(mp.mpf(c) * d) + 2 * mp.mpf(c))
        reference.assert_agrees(coverage.half_coverage_sigma(13.0, d, c), exact, 1e-15)


@pytest.mark.parametrize("d", [2, 3, 12])
def test_shell_overlap(reference, d):
    for c in (d / 4.5, d / 3):  # a shell and a ball
        r_in, r_out = (float(r) for r in shells.radii(d, c))
        for gap in (0.3, r_out - r_in, max(r_in, 0.9), r_out, 1.6 * r_out):
            exact = reference.shell_overlap(gap * 0.7, 0.7, d, c)
            reference.assert_agrees(small_noise.shell_overlap(gap * 0.7, 0.7, d, c), exact)


@pytest.mark.parametrize("d", [1, 2, 64, 3072, 196_608])
def test_shell_overlap_by_volumes(reference, d):
    # At d = 196,608 a cap's share is a beta CDF at u, and u is a float64: in the tail its last
    # place moves the share by 1e-12 and more.
    c, tolerance = min(5.0, d / 4.5), 1e-11 if d > 10**5 else 1e-12
    for sigma, gap in ((1e-4, 1e-3), (1.0, 0.3), (1e4, 1.6), (1.0, 2.5), (1.0, 15.0), (1.0, 34.0)):
        exact = reference.shell_overlap_by_volumes(gap * sigma, sigma, d, c)
        computed = small_noise.shell_overlap(gap * sigma, sigma, d, c)
        reference.assert_agrees(computed, exact, tolerance)
    assert small_noise.shell_overlap(1e300, 1e-300, d, c) == 0


def test_disjoint_sigma(reference):
    for d, c in ((1, 0.25), (3, 7.0), (3072, 5.0), (196_608, 40.0)):
        exact = 5 / (2 * reference.mp.sqrt(reference.squared_radii(d, c)[1]))
        reference.assert_agrees(small_noise.disjoint_sigma(5.0, d, c), exact, 1e-15)


OUTSIDE = [
    (shells.radii, (0, 0.1), "d = 0"),
    (shells.radii, (np.inf, 0.1), "d = inf"),
    (shells.radii, (16, np.inf), "c = inf"),
    (shells.radii, (16, 0.0), r"c = 0\.0"),
    (shells.shell_probability, (16, np.nan), "c = nan"),
    (shells.outside_probability, (16, -1.0), r"c = -1\.0"),
    (shells.shell_bound, (0.0,), r"c = 0\.0"),
    (shells.tail_bounds, (0, 1.0), "d = 0"),
    (shells.tail_bounds, (4, 0.0), r"t = 0\.0"),
    (shells.shifted_probability, (-1.0, 64), r"shift = -1\.0"),
    (shells.inside, (-1.0, 1.0, 64), r"distance = -1\.0"),
    (shells.inside, (1.0, 0.0, 64), r"sigma = 0\.0"),
    (coverage.overlap_probability, (-1.0, 1.0, 64), r"distance = -1\.0"),
    (coverage.overlap_probability, (np.nan, 1.0, 64), "distance = nan"),
    (coverage.overlap_probability, (1.0, 0.0, 64), r"sigma = 0\.0"),
    (coverage.overlap_probability, (1.0, 1.0, 16, -5.0), r"c = -5\.0"),
    (coverage.lower_bound, ([-1.0], [1.0], 64), r"distance = -1\.0"),
    (coverage.upper_bound, (1.1, 10), r"mean_overlap = 1\.1"),
    (coverage.upper_bound, (0.1, 0), r"n = 0"),
    (coverage.expected_coverage, (-0.1, 10), r"hit_probability = -0\.1"),
    (coverage.expected_coverage, (0.1, 0.5), r"n = 0\.5"),
    (coverage.expected_coverage, (0.0, np.inf), "n = inf"),
    (coverage.half_coverage_sigma, (-1.0, 64), r"nearest = -1\.0"),
    (small_noise.disjoint_sigma, (-1.0, 64), r"min_distance = -1\.0"),
    (small_noise.shell_overlap, (0.0, 1.0, 64), r"distance = 0\.0"),
    (small_noise.shell_overlap, (1.0, 0.0, 64), r"sigma = 0\.0"),
    (small_noise.shell_overlap, (1.0, 1.0, 64, 1e-40), "c = 1e-40"),
    (small_noise.shell_overlap, (1.0, 1.0, 0.5, 0.1), r"d = 0\.5"),
    (small_noise.two_point_minimum, (-1.0, 1.0, 64), r"distance = -1\.0"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), OUTSIDE)
def test_outside_the_domain(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
