"""A claim's page in the terminal: plain text, and where to find what stands behind the claim."""

from pathlib import Path

import pytest

from wildmiddle.checks.plain_text import plain_text
from wildmiddle.checks.registry import mutants, reasons_for_no_check
from wildmiddle.checks.terminal import claim_page, zone_page
from wildmiddle.empirical.data import DataSet
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.regimes import PredictedZone, Zone

ROOT = Path(__file__).parents[2]
STATEMENTS = {claim.id: claim.statement for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_no_page_has_latex_in_it(claim) -> None:
    page = claim_page(claim, {})
    assert "\\" not in page
    # The braces of a set are no LaTeX; there are no others.
    assert page.count("{") == page.count("}") == claim.statement.count(r"\{")
    assert "  " not in plain_text(claim.statement)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_page_names_check_wrong_theorems_and_files(claim) -> None:
    page = claim_page(claim, {})
    checked = f"wildmiddle verify --claims {claim.id}, by wildmiddle.checks.{claim.module}"
    wrong = [each for each in mutants() if each.check == claim.id and not each.true_because]
    assert (checked in page) == bool(wrong) == (claim.id not in reasons_for_no_check())
    words = " ".join(page.split())
    assert all(mutant.name in words for mutant in wrong)
    files = page.split("Code and tests\n")[1].split("\n\n")[0].split()
    assert len(files) == (6 if wrong else 3)
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("4.2.1", "σ ≥ σ_+ = d_max (z + √(z^2 + 2L))/(2L) ⟹ P(w_i ≤ w | x_i) ≥ 1 - δ"),
        ("4.2.2", "σ ≤ σ_- = d_min/(z + √(z^2 + 2L)) ⟹ P(w_i ≥ w | x_i) ≥ 1 - δ"),
        (
            "4.5",
            "P(r_in ≤ |Z| ≤ r_out) ≥ 1 - 2 e^(-c),\n"
            "r_in^2 = max(0, d - 2√(cd)),\n"
            "r_out^2 = d + 2√(cd) + 2c",
        ),
        (
            "4.8",
            "E p_σ(|X - X_NN|) ≤ E C_σ(p, D) ≤ min{1, N E p_σ(|X - X'|)};\n"
            "for two fixed sets too, with means over their points and pairs",
        ),
        (
            "4.10",
            "|J_ij| ≤ TV_σ/(2 d sin(π ρ / d)) ≤ TV_σ/(4 ρ),\n"
            "TV_σ = ∑_k |μ_(k+1) - μ_k|,\n"
            "μ_k = λ_k/(λ_k + σ^2),\n"
            "ρ = min(|i - j|, d - |i - j|)",
        ),
        (
            "A.1",
            "P(w_i ≥ w and |m_σ(x_i + σ Z) - x_i| ≤ (1 - w) diam) ≥ 1 - (N - 1)(1 - Φ(τ)),\n"
            "τ = d_min/(2 σ) - (L σ)/d_min,\n"
            "L = log ((w (N - 1))/(1 - w))",
        ),
        (
            "regimes",
            "1 - 1/N ∑_(i ≠ j) Φ(-d_ij/(2σ)) ≤ W_σ,\n"
            "H_σ ≤ h(1 - W_σ) + (1 - W_σ) log(N-1),\n"
            "H_σ ≥ 1/N ∑_i log ∑_j e^(-d_ij^2/(2σ^2)),\n"
            "C_(σ') - C_σ ≤ P(|Z| > r_out) + N E F_(d,λ)(r_in^2), λ = (r_nn/σ)^2, σ' < σ",
        ),
    ],
)
def test_a_statement_reads_as_it_is_meant(claim: str, text: str) -> None:
    assert plain_text(STATEMENTS[claim]) == text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{a}{b}", "a/b"),
        (r"\frac{a + b}{2c}", "(a + b)/(2c)"),
        (r"\frac12 x", "1/2 x"),
        (r"\tfrac12 x", "1/2 x"),
        (r"\frac{\frac{a}{b}}{c}", "(a/b)/c"),
        (r"\log \frac{a}{b}", "log (a/b)"),
        (r"e^{-\lambda / 2}", "e^(-λ / 2)"),
        (r"x_{ij}^2", "x_ij^2"),
        (r"x^{n+1}_{i,j}", "x^(n+1)_(i,j)"),
        (r"\sqrt{\frac{1 - a}{a}}", "√((1 - a)/a)"),
        (r"\bar\alpha_k", "α̅_k"),
    ],
)
def test_precedence_is_kept(latex: str, text: str) -> None:
    assert plain_text(latex) == text


@pytest.mark.parametrize("latex", [r"a \unheardof b", r"\sqrt[3]{x}", r"\hat x"])
def test_what_has_no_plain_text_is_refused(latex: str) -> None:
    with pytest.raises(ValueError, match="no plain text is known"):
        plain_text(latex)


def test_the_zone_is_printed_with_the_steps_inside_of_it() -> None:
    class Images:
        title, value_range, centred, dimension = "two images", (-1.0, 1.0), False, 4
        notes = ()
        train, test = (0, 1), (2,)
        scale, pixels, schedule_range = 1, DataSet.pixels, DataSet.schedule_range

    zone = PredictedZone(Zone(0.5, 2.0), Zone(0.1, 9.0))
    lines = zone_page(Images(), zone).splitlines()
    # Counted in tests/theory/test_precision_schedules.py: EDM steps from 0, as DDPM's timesteps.
    assert lines[4].split() == ["certain", "0.5", "to", "2", "9", "to", "11", "145", "to", "395"]
    assert lines[5].split() == ["possible", "0.1", "to", "9", "6", "to", "13", "27", "to", "658"]
    # The gap is the possible zone an octave lower.
    (gap,) = [line.split() for line in lines if line.startswith("gap to leave out")]
    assert gap[4:] == ["0.05", "to", "4.5", "8", "to", "14", "11", "to", "547"]
    assert "\ncertain               none\n" in zone_page(
        Images(), PredictedZone(Zone(2.0, 1.0), Zone(1.0, 2.0))
    )


def test_assumptions_are_checked_with_the_numbers_that_stand_for_what_is_not_given() -> None:
    page = claim_page(next(c for c in CLAIMS if c.id == "4.9"), {"d_min": 2, "d": 64, "sigma": 5})
    assert "sigma < d_min / (2 r_out)   NO" in page
    assert "\nValues, c = 5\n" in page
    assert "   yes" not in claim_page(next(c for c in CLAIMS if c.id == "A.2"), {})
