"""Symbols tied to numbers and steps that can fail: Lemmas 4.5 and B.1, Equation 6."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from wildmiddle.theory import shells
from wildmiddle.theory.claims import assumptions
from wildmiddle.theory.claims import shells as claims
from wildmiddle.theory.proofs import shells as proofs

CASES = [(4, 0.9), (20, 4.9), (64, 0.5), (64, 15.9), (3072, 5.0), (196_608, 30.0)]
CASES += [(1, 5.0), (4, 5.0), (19, 5.0), (64, 100.0)]  # c above d/4: balls


def claim(name):
    return next(claim for claim in claims.CLAIMS if claim.id == name)


def at_50_digits(symbols, expression):
    """The expression as a function of floats, evaluated at 50 digits."""
    function = sp.lambdify(symbols, expression, "mpmath")

    def evaluate(*values):
        with mp.workdps(50):
            value = function(*map(mp.mpf, values))
            return value if isinstance(value, bool) else float(value)

    return evaluate


# Symbols and numbers


@pytest.mark.parametrize(
    ("name", "expression"), [("r_in", proofs.inner_radius), ("r_out", proofs.r_out)]
)
def test_radii_are_their_expressions(name, expression):
    exact = at_50_digits((proofs.d, proofs.c), expression)
    computed = [claim("4.5").at({"d": d, "c": c})[name] for d, c in CASES]
    np.testing.assert_allclose(computed, [exact(*case) for case in CASES], rtol=1e-13)


def test_the_widest_shell_is_a_ball():
    assert shells.radii(4, 1.0)[0] == 0
    assert shells.radii(20, 5.0)[0] == 0
    assert shells.radii(20, 4.99)[0] > 0
    assert (shells.radii(20, [5.01, 50.0, 1e9])[0] == 0).all()
    assert shells.inside(0.0, 1.0, 4, 5.0)  # a ball holds its centre
    assert not shells.inside(0.0, 1.0, 64, 5.0)
    # Below 20 pixels the paper's c = 5 is above d/4; the lemma holds for a ball all the same.
    for d in range(1, 20):
        assert 1 - 2 * np.exp(-5) <= shells.shell_probability(d) < 1


def test_shell_probability_is_its_expression():
    exact = at_50_digits((proofs.d, proofs.c), proofs.shell_probability)
    computed = [claim("4.5").at({"d": d, "c": c})["exact"] for d, c in CASES]
    np.testing.assert_allclose(computed, [exact(*case) for case in CASES], rtol=1e-12)
    bound = at_50_digits((proofs.c,), proofs.shell_bound)
    for c in (0.01, np.log(2), 5.0, 30.0):
        np.testing.assert_allclose(shells.shell_bound(c), bound(c), rtol=1e-13, atol=1e-16)


def test_lemma_4_5_holds_by_its_expression():
    holds = at_50_digits((proofs.d, proofs.c), claim("4.5").formula())
    assert all(holds(*case) for case in CASES)


def test_tails_are_their_expressions():
    lemma = claim("B.1").formula()
    assert lemma == proofs.lemma_b1
    symbols = (proofs.d, proofs.t)
    lower = at_50_digits(symbols, proofs.chi2_cdf(proofs.d - proofs.excess_lower, proofs.d))
    upper = at_50_digits(symbols, 1 - proofs.chi2_cdf(proofs.d + proofs.excess_upper, proofs.d))
    holds = at_50_digits(symbols, lemma)
    for d, t in ((4, 0.3), (64, 5.0), (3072, 5.0), (3072, 60.0), (196_608, 20.0)):
        values = claim("B.1").at({"d": d, "t": t})
        np.testing.assert_allclose(values["exact lower tail"], lower(d, t), rtol=1e-12)
        np.testing.assert_allclose(values["exact upper tail"], upper(d, t), rtol=1e-12)
        np.testing.assert_allclose(values["bound"], np.exp(-t), rtol=1e-15)
        assert holds(d, t)


def test_no_lower_tail_beyond_a_quarter_of_d():
    lower, upper = shells.tails(8, np.array([1.9, 2.0, 5.0]))
    assert lower[0] > 0
    assert lower[1] == lower[2] == 0
    assert (upper > 0).all()


def test_shell_is_its_expression():
    holds = at_50_digits((proofs.r, proofs.sigma, proofs.d, proofs.c), claim("eq.6").formula())
    for r in (80.0, 106.0, 106.3, 111.0, 115.4, 115.5):
        values = claim("eq.6").at({"r": r, "sigma": 2.0, "d": 3072, "c": 5.0})
        assert values["inside"] == holds(r, 2.0, 3072, 5.0)
        inner, outer = values["inner radius"], values["outer radius"]
        assert values["inside"] == (inner <= r <= outer)


def test_assumptions():
    assert assumptions.WIDTH.check({"d": 19, "c": 5.0}) is True
    assert assumptions.WIDTH.check({"d": 19, "c": 0.0}) is False
    assert claims.LEVEL.check({"t": 0.0}) is False
    assert assumptions.DIMENSION.check({"c": 5.0}) is None


# A step must be able to fail


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        (proofs.ball_probability_is, {"cdf": proofs.chi2_cdf(proofs.x, sp.Integer(3)),
                                      "dimension": 2}),
        (proofs.upper_majorant, {"majorant": proofs.s**2}),
        (proofs.optimum_is, {"exponent": proofs.d * proofs.s**2 - proofs.s * proofs.excess_lower,
                             "best": sp.sqrt(proofs.t / proofs.d), "value": -2 * proofs.t}),
        (proofs.inversion, {"factor": sp.Rational(1, 2)}),
        (proofs.two_tails, {"count": 3}),
        # c below d/4: the tail is not empty
        (proofs.lower_tail_is, {"probability": 0, "more": -sp.Rational(1, 2)}),
        (proofs.holds_the_sphere, {"square": proofs.d - 4 * sp.sqrt(proofs.c * proofs.d)}),
    ],
)  # fmt: skip
def test_more_slips_fail(step, wrong):
    assert step(**wrong) is False
