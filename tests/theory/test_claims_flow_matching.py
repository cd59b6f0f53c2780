"""Lemma A.1, Corollary A.2, Eq. 20 to 24: symbols, numbers, and steps that can fail."""

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from wildmiddle.theory import denoising, flow_matching, schedules
from wildmiddle.theory.claims.flow_matching import CLAIMS
from wildmiddle.theory.proofs import alignment
from wildmiddle.theory.proofs import flow_matching as proofs

RNG = np.random.default_rng(31)
POINTS = RNG.standard_normal((5, 3))


@pytest.mark.parametrize(
    ("d_min", "sigma", "n", "w"),
    [(9.3, 1.5, 1000, 0.95), (2.0, 0.2, 2, 0.6), (5.0, 40.0, 50, 0.1), (30.0, 1.0, 50_000, 0.99)],
)
def test_failure_probability_is_its_expression(d_min, sigma, n, w):
    p = proofs
    expression = sp.lambdify((p.d_min, p.sigma, p.N, p.w), p.concentration_failure, "mpmath")
    with mp.workdps(50):
        exact = float(min(1, expression(mp.mpf(d_min), mp.mpf(sigma), mp.mpf(n), mp.mpf(w))))
    numeric = flow_matching.concentration_failure(d_min, sigma, n, w)
    assert numeric == pytest.approx(exact, rel=1e-11)


@given(
    st.floats(0, 200),
    st.floats(0, 300),
    st.integers(1, 200_000),
    st.floats(0.01, 0.99),
    st.floats(0.51, 0.99999),
    st.floats(0.1, 6),
    st.floats(0.1, 30),
)
def test_cosine_bounds_are_their_expressions(norm, diameter, d, t, w, a, b):
    p = alignment
    bound = flow_matching.cosine_bound(norm, 5.0, diameter, n=2, d=d, t=t, w=w, a=a, b=b)
    with mp.workdps(50):
        square = sp.lambdify((p.norm, p.a, p.d, p.b), p.shortest_target**2, "mpmath")(
            mp.mpf(norm), mp.mpf(a), mp.mpf(d), mp.mpf(b)
        )
        small = sp.lambdify((p.w, p.diam, p.t), p.field_error, "mpmath")(
            mp.mpf(w), mp.mpf(diameter), mp.mpf(t)
        )
        big = mp.sqrt(max(square, 0))
        assert flow_matching.shortest_target(norm, d, a, b) ** 2 == pytest.approx(
            float(max(square, 0)), rel=1e-12, abs=1e-13 * (norm**2 + 2 * a * norm + d)
        )
        missed = sp.lambdify((p.a, p.b), p.shortfall, "mpmath")(mp.mpf(a), mp.mpf(b))
        assert flow_matching.shortfall(a, b) == pytest.approx(float(missed), rel=1e-12)
        if big <= small * (1 + mp.mpf("1e-9")):
            return  # at B = e, or so near that rounding decides
        paper, ours = (
            float(sp.lambdify((p.B, p.e), expression, "mpmath")(big, small))
            for expression in (p.cosine_bound, p.sharp_cosine)
        )
    # B^2 is a difference: its digits are those of its terms.
    loss = 1e-14 * (norm**2 + 2 * a * norm + d) / float(big) ** 2
    assert bound.cosine == pytest.approx(paper, abs=1e-12 + loss)
    # The root has an infinite slope where the bound is 0.
    assert bound.sharp_cosine == pytest.approx(ours, abs=1e-12 + np.sqrt(loss))
    assert bound.sharp_cosine >= bound.cosine * (1 - 1e-15)


def test_nothing_is_claimed_where_the_target_is_too_short():
    bound = flow_matching.cosine_bound(3.0, 5.0, 1e3, n=10, d=4, t=0.5, w=0.9)
    assert bound.cosine == -1
    assert bound.sharp_cosine == -1


def test_fields_are_their_expressions():
    p = proofs
    y, t = RNG.standard_normal(3), 0.4
    m = flow_matching.flow_denoiser(y, POINTS, t)
    conditional = sp.lambdify((p.x, p.y, p.t), p.conditional_field)
    optimal = sp.lambdify((p.m, p.y, p.t), p.optimal_field)
    back = sp.lambdify((p.y, p.t, sp.Symbol("u", real=True)), p.denoiser_of_field)
    field = flow_matching.optimal_field(y, POINTS, t)
    np.testing.assert_allclose(
        flow_matching.conditional_field(y, POINTS[0], t), conditional(POINTS[0], y, t), rtol=1e-14
    )
    np.testing.assert_allclose(field, optimal(m, y, t), rtol=1e-14)
    np.testing.assert_allclose(back(y, t, field), m, rtol=1e-13, atol=1e-14)
    # Eq. 21 is the mean of the conditional fields, Eq. 22 of the points, by the same weights.
    logits = -np.square(y - t * POINTS).sum(1) / (2 * (1 - t) ** 2)
    weights = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    fields = flow_matching.conditional_field(y, POINTS, np.full(5, t))
    np.testing.assert_allclose(field, weights @ fields, rtol=1e-12)


@given(st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_sigma_and_flow_time_give_one_denoiser(sigma, seed):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((4, 2))
    y = points[0] + sigma * rng.standard_normal(2)
    t = float(schedules.sigma_to_flow_time(sigma))
    flow = flow_matching.flow_denoiser(t * y, points, t)
    # Near the data (1 - t) keeps the digits of sigma less those of 1; the logits are large there.
    np.testing.assert_allclose(
        denoising.optimal_denoiser(y, points, sigma), flow, atol=1e-9 + 1e-13 / sigma**2
    )


def test_lemma_a1_is_an_equality_on_two_points():
    # The denoiser's distance is (1 - w_0) d_01, whatever the noise.
    pair = POINTS[:2]
    gap = np.linalg.norm(pair[0] - pair[1])
    for z in RNG.standard_normal((20, 3)):
        y = pair[0] + 0.8 * z
        w = np.exp(-np.square(y - pair).sum(1) / (2 * 0.8**2))
        moved = np.linalg.norm(denoising.optimal_denoiser(y, pair, 0.8) - pair[0])
        assert moved == pytest.approx((1 - w[0] / w.sum()) * gap, rel=1e-12)


def test_the_sharper_cosine_is_attained():
    # A difference of length e at right angles to the optimal field encloses the angle arcsin(e/B).
    big, small = 5.0, 3.0
    optimal = np.array([np.sqrt(big**2 - small**2), 0.0])
    conditional = optimal + np.array([0.0, small])
    assert np.linalg.norm(conditional) == pytest.approx(big)
    cosine = optimal @ conditional / np.linalg.norm(optimal) / big
    bound = sp.lambdify((alignment.B, alignment.e), alignment.sharp_cosine)(big, small)
    assert cosine == pytest.approx(float(bound), rel=1e-14)


def test_more_slips_fail():
    assert alignment.sharp_bound(sp.Rational(1, 2)) is False
    assert alignment.target_length(3) is False


# The exact law of |x - Z|^2


@pytest.mark.parametrize(
    ("length", "norm", "d"), [(1.2, 0.0, 3), (5.9, 7.5, 64), (59.5, 30.0, 3072), (1.0, 3.0, 1)]
)
def test_exact_shortfall_is_its_expression(length, norm, d):
    p = alignment
    expression = sp.lambdify((p.B, p.d, p.norm), p.exact_shortfall, "mpmath")
    with mp.workdps(30):
        exact = float(expression(mp.mpf(length), mp.mpf(d), mp.mpf(norm)))
    assert flow_matching.exact_shortfall(length, norm, d) == pytest.approx(exact, rel=1e-9)


@given(
    st.floats(0, 60),
    st.integers(1, 4000),
    st.floats(0.2, 4),
    st.floats(0.2, 8),
)
def test_exact_shortfall_is_never_above_the_papers(norm, d, a, b):
    length = flow_matching.shortest_target(norm, d, a, b)
    paper = flow_matching.shortfall(a, b)
    assert flow_matching.exact_shortfall(length, norm, d) <= paper
    if paper < 1:
        assert flow_matching.exact_target(paper, norm, d) >= length * (1 - 1e-9)


@pytest.mark.parametrize("failure", [1e-6, 0.01, 0.5, 0.99])
@pytest.mark.parametrize(("norm", "d"), [(0.0, 1), (3.0, 5), (7.5, 64), (30.0, 3072)])
def test_exact_target_inverts_the_exact_shortfall(failure, norm, d):
    length = flow_matching.exact_target(failure, norm, d)
    assert flow_matching.exact_shortfall(length, norm, d) == pytest.approx(failure, rel=1e-7)


def test_the_papers_failure_is_hundreds_of_times_the_exact_one():
    # Norms of images in [-1, 1]: the digits (d = 64) and CIFAR-10 (d = 3072).
    for norm, d in ((7.5, 64), (30.0, 3072), (35.0, 3072)):
        length = flow_matching.shortest_target(norm, d)
        ratio = flow_matching.shortfall(3.0, 5.0) / flow_matching.exact_shortfall(length, norm, d)
        assert ratio > 200, (norm, d, ratio)


def test_the_exact_probability_adds_lemma_a1():
    bound = flow_matching.cosine_bound(7.5, 3.0, 9.0, n=50, d=64, t=0.8, w=0.95)
    failure = flow_matching.concentration_failure(3.0, 0.25, 50, 0.95)
    short = flow_matching.exact_shortfall(flow_matching.shortest_target(7.5, 64), 7.5, 64)
    assert bound.exact_probability == pytest.approx(1 - short - failure, rel=1e-12)
    assert bound.exact_probability > bound.probability


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flow_matching.exact_shortfall(-1.0, 1.0, 3), r"length = -1\.0 "),
        (lambda: flow_matching.exact_shortfall(1.0, 1.0, 0), r"d = 0\.0 "),
        (lambda: flow_matching.exact_target(1.0, 1.0, 3), r"failure = 1\.0 "),
        (lambda: flow_matching.exact_target(0.5, -1.0, 3), r"norm = -1\.0 "),
    ],
)
def test_exact_forms_refuse_what_is_no_length(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_claims_evaluate():
    values = {
        "y": [0.3, -0.2, 0.5], "x": POINTS[0], "points": POINTS, "t": 0.7, "sigma": 3 / 7,
        "norm": np.array([30.0, 28.0]), "d_min": np.array([9.0, 11.0]), "diam": 60.0, "N": 1000,
        "d": 3072, "w": 0.99, "a": 3.0, "b": 5.0, "B": 55.0, "failure": 0.01,
    }  # fmt: skip
    for claim in CLAIMS:
        assert all(assumption.check(values) for assumption in claim.assumptions)
        assert claim.at(values).keys() == claim.evaluate.keys()
    results = {claim.id: claim.at(values) for claim in CLAIMS}
    for name in ("eq.23", "eq.24"):
        np.testing.assert_allclose(results[name]["m_t"], results[name]["m_sigma"], rtol=1e-11)
    assert results["A.3"]["mean_cosine"] == results["A.2"]["cosine"].mean()
    assert (results["A.2"]["sharp_cosine"] > results["A.2"]["cosine"]).all()
    assert (results["A.2"]["probability"] > 0.98).all()


@pytest.mark.parametrize("t", [-0.5, 1.0])
def test_flow_times_outside_the_domain_are_named(t):
    with pytest.raises(ValueError, match=f"t = {t}"):
        flow_matching.flow_denoiser([0.0] * 3, POINTS, t)
    with pytest.raises(ValueError, match=f"t = {t}"):
        flow_matching.conditional_field([0.0] * 3, POINTS[0], t)


@pytest.mark.parametrize("d", [1, 2, 64])
def test_a_norm_whose_square_is_no_normal_number_changes_nothing(d):
    length = np.sqrt(d)
    at_0 = flow_matching.exact_shortfall(length, 0.0, d)
    for norm in (5e-324, 1e-170, 1.1e-156, 1e-154, 1e-150):
        assert flow_matching.exact_shortfall(length, norm, d) == pytest.approx(at_0, abs=1e-13)
        assert flow_matching.exact_target(at_0, norm, d) == pytest.approx(length, rel=1e-9)


@pytest.mark.parametrize("d", [16, 3072])
def test_the_exact_law_far_out_is_that_of_a_normal_length(d):
    # scipy's noncentral chi-square ends before |x_i|^2 = 1e11; there the length is normal.
    near, far = 9e4, 1e7
    deviations = np.array([-4.0, -1.0, 0.0, 2.0])
    for norm in (near, far):
        mean = norm + (d - 1) / (2 * norm)
        found = flow_matching.exact_shortfall(mean + deviations, norm, d)
        np.testing.assert_allclose(found, ndtr(deviations), rtol=1e-4)
        target = flow_matching.exact_target(ndtr(deviations), norm, d)
        np.testing.assert_allclose(target - mean, deviations, atol=1e-4)
