"""What all claims have in common: symbols, names that lead somewhere, one list of subjects."""

import pkgutil
import re

import numpy as np
import pytest
import sympy as sp

from wildmiddle.theory import (
    SUBJECTS,
    claims,
    coverage,
    flow_matching,
    posterior,
    schedules,
    shells,
)
from wildmiddle.theory.claims import CLAIMS, Assumption, select
from wildmiddle.theory.claims.claim import parameters, then

PAPER = """
    B K M N S S1 S2 T a alpha alpha_bar b c d d_j d_max d_min delta diam distances effective
    eigenvalues failure first_block first_row lambda_0 lambda_max lambda_min level log_snr mean n
    noise norm p peaks phi points probability q r r_j r_nn ratios rho rho1 rho2 rows share sigma
    sigma_max sigma_min sigmas t torus_eigenvalues w weighting x y z
"""


def test_claims_speak_in_the_papers_symbols():
    used = {
        symbol
        for claim in CLAIMS
        for function in (*claim.evaluate.values(), *(a.holds for a in claim.assumptions))
        for symbol in parameters(function)
    }
    assert sorted(used) == PAPER.split()


@pytest.mark.parametrize(
    ("id_", "name", "values", "expected"),
    [
        ("4.2.1", "L", {"N": 10, "w": 0.5}, posterior.log_odds(10, 0.5)),
        ("4.6", "covered", {"distances": [3.0, 9.0], "sigma": 1, "d": 16, "c": 1}, True),
        (
            "4.7",
            "p_sigma",
            {"r": 5.0, "sigma": 1.2, "d": 12, "c": 1.5},
            coverage.overlap_probability(5.0, 1.2, 12, 1.5),
        ),
        (
            "4.8",
            "second-order upper",
            {"S1": 0.3, "S2": 0.1, "N": 3},
            coverage.second_order_upper(0.3, 0.1, 3),
        ),
        ("4.8", "lower", {"r_nn": 9.0, "sigma": 2.0, "d": 64}, coverage.lower_bound(9, 2, 64)),
        ("4.9", "disjoint_sigma", {"d_min": 9.3, "d": 64}, 9.3 / 2 / shells.radii(64)[1]),
        ("4.5", "r_out", {"d": 64}, shells.radii(64)[1]),
        ("A.1", "distance", {"w": 0.9, "diam": 20.0}, 2.0),
        ("D.1", "J", {"S": np.eye(2), "sigma": 1.0}, np.eye(2) / 2),
        ("E.1", "sigmas", {"n": 5.0}, schedules.edm_sigmas(5)),
        ("E.7", "sigmas_of_timesteps", {"T": 7.0}, schedules.ddpm_sigmas(7)),
    ],
)
def test_a_value_reaches_the_parameter_that_its_symbol_stands_for(id_, name, values, expected):
    (claim,) = select(id_)
    assert claim.missing(values)[name] == []
    np.testing.assert_allclose(claim.at(values)[name], expected, rtol=1e-14)
    for symbol in values:
        if symbol != "c":  # it has a default
            rest = {key: value for key, value in values.items() if key != symbol}
            assert claim.missing(rest)[name] == [symbol]
            assert name not in claim.at(rest)


def test_a_composed_function_keeps_the_parameters():
    mean = then(flow_matching.cosine_bound, lambda bound: bound.cosine, np.mean)
    assert set(parameters(mean)) == {"norm", "d_min", "diam", "N", "d", "t", "w", "a", "b"}
    values = {"norm": [30.0, 31.0], "d_min": 9.0, "diameter": 40.0, "n": 9, "d": 3072}
    values |= {"t": 0.9, "w": 0.999}
    assert mean(**values) == np.mean(flow_matching.cosine_bound(**values).cosine)


def test_assumptions_take_lists_and_need_all_their_values():
    positive = Assumption("N > r", lambda n, distance: n > distance)
    assert positive.check({"N": 3, "r": [1, 2]}) is True
    assert positive.check({"N": 2, "r": [1, 2]}) is False
    assert positive.check({"n": 3, "r": 1}) is None


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_names_in_a_claim_lead_somewhere(claim):
    formula = claim.formula()
    assert isinstance(formula, sp.Basic | sp.MatrixBase), claim.expression
    texts = f"{claim.tight} {claim.sharper}"
    for name in re.findall(r"\bwildmiddle(?:\.\w+)+", texts):
        assert callable(pkgutil.resolve_name(name)), name
    assert not re.search(r"(?<!wildmiddle\.)\btheory\.\w", texts), "name it as it is imported"


def test_every_subject_is_listed_once():
    shared = {"assumptions", "claim", "page"}
    found = {module.name for module in pkgutil.iter_modules(claims.__path__)} - shared
    assert found == set(SUBJECTS)
    assert len(SUBJECTS) == len(found)
    assert {claim.module for claim in CLAIMS} == found
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


def test_a_claim_is_found_by_the_names_that_the_paper_has_for_it():
    for asked, meant in (("Theorem 4.2", "4.2"), ("a.1", "A.1"), ("eq1", "eq.1"), ("B1", "B.1")):
        assert select(asked) == select(meant)
    assert len(select("4.1")) == 1  # and not 4.10 and 4.11
    for unknown in ("", "Theorem", "9.9"):
        with pytest.raises(ValueError, match="unknown"):
            select(unknown)
