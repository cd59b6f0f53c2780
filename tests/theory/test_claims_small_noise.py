"""Theorem 4.9: symbols against numbers, and proof steps that can fail."""

import numpy as np
import pytest
import sympy as sp

from wildmiddle.theory import small_noise
from wildmiddle.theory.claims.small_noise import CLAIMS
from wildmiddle.theory.proofs import small_noise as proofs
from wildmiddle.theory.shells import radii


@pytest.mark.parametrize("d", [1, 3, 64, 3072, 196608])
@pytest.mark.parametrize("share", [1e-6, 0.3, 1.0])
def test_the_expression_is_the_numeric_function(d, share):
    c = share * d / 4
    expression = sp.lambdify((proofs.d_min, proofs.d, proofs.c), proofs.disjoint_sigma, "mpmath")
    numeric = small_noise.disjoint_sigma(9.3, d, c)
    assert numeric == pytest.approx(float(expression(9.3, d, c)), rel=1e-13)


@pytest.mark.parametrize("ratio", [0.05, 0.4, 0.9, 1.5, 1.99, 2.01])
def test_overlap_in_space_is_made_of_lenses(ratio):
    # Two shells share: outer balls, less twice outer with inner, plus inner balls.
    r_in, r_out = (float(r) for r in radii(3, 0.2))
    distance = ratio * r_out
    lens = sp.lambdify((proofs.big, proofs.small, proofs.r), proofs.lens_volume, "math")

    def ball(radius):
        return 4 / 3 * np.pi * radius**3

    def common(a, b):
        if distance >= a + b:
            return 0.0
        if distance <= abs(a - b):
            return ball(min(a, b))
        return lens(a, b, distance)

    volume = common(r_out, r_out) - 2 * common(r_out, r_in) + common(r_in, r_in)
    expected = volume / (ball(r_out) - ball(r_in))
    assert small_noise.shell_overlap(distance, 1.0, 3, 0.2) == pytest.approx(expected, abs=1e-9)
    minimum = small_noise.two_point_minimum(distance, 1.0, 3, 0.2)
    assert minimum == pytest.approx(distance**2 / 2 * expected, abs=1e-9)


@pytest.mark.parametrize(("d", "factor"), [(2, 1.01), (16, 1.3), (3072, 20)])
def test_the_minimum_is_positive_above_the_threshold_alone(d, factor):
    # At d = 3072 the share is far below 1e-308 until the shells overlap by much.
    c = min(5.0, d / 8)
    sigma = float(small_noise.disjoint_sigma(1.0, d, c))
    assert small_noise.two_point_minimum(1.0, sigma * (1 - 1e-9), d, c) == 0
    assert small_noise.two_point_minimum(1.0, sigma * factor, d, c) > 0


def test_more_slips_fail():
    assert proofs.common_point(sp.Rational(19, 10)) is False
    # Farther than 2 r_out is no news.
    assert proofs.line(sp.Rational(5, 2)) is False


def test_the_claim_evaluates():
    (claim,) = CLAIMS
    values = {"d_min": 9.3, "d": 3072, "c": 5.0, "sigma": 0.07, "r": 9.3}
    assert all(assumption.check(values) for assumption in claim.assumptions)
    results = claim.at(values)
    assert results["disjoint_sigma"] == pytest.approx(0.0804, abs=5e-4)
    assert results["two_point_minimum"] == 0
    assert not claim.assumptions[1].check(values | {"sigma": 0.09})
