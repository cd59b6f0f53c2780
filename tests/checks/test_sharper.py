"""The sharper forms beside the paper's: never weaker, never past the truth, the same each time."""

import math
from dataclasses import replace

import numpy as np
import pytest

from wildmiddle.checks.posterior import weight_bounds
from wildmiddle.checks.regimes import section_4_2
from wildmiddle.checks.registry import sharper_forms
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.sharper import Sharper
from wildmiddle.checks.study import Study
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import load
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.regimes import posterior_entropy, weight_of_spectrum
from wildmiddle.theory.spectrum import entropy_lower

SEED = 20260411
SETS = {
    "grey images": (40, 6, 6),
    "colour images": (30, 4, 6, 3),
    "flat points": (50, 24),
    "two points": (2, 20),
    "rows of one pixel": (30, 24, 1),
}
ROUNDING = 1e-9


def study_of(shape: tuple[int, ...], *, seed: int = SEED, copies: bool = False) -> Study:
    rng = np.random.default_rng(seed)
    train, test = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, (20, *shape[1:]))
    # Held-out images that resemble some training image, as real ones do.
    test = 0.9 * train[rng.integers(len(train), size=20)] + 0.1 * test
    if copies:
        train[1] = train[0]
    return Study(train, test, Settings(seed=seed, samples=1000, device="cpu"))


def with_settings(study: Study, **changes: float) -> Study:
    return replace(study, settings=replace(study.settings, **changes))


def rows_of(study: Study) -> tuple[Sharper, ...]:
    return sharper_forms(study)


@pytest.fixture(scope="module", params=SETS)
def study(request: pytest.FixtureRequest) -> Study:
    return study_of(SETS[request.param])


def test_ours_is_never_weaker_than_the_paper_and_never_past_the_truth(study: Study) -> None:
    for row in rows_of(study):
        sign = 1 if row.better == "larger" else -1
        if row.paper is not None:
            assert sign * (row.ours - row.paper) >= -ROUNDING * abs(row.paper), row
        if row.truth is not None and row.truth.basis in ("exact", "measured"):
            # A crossing that the schedule does not show has no end: nan, nothing to contradict.
            end = row.truth.high if sign > 0 else row.truth.low
            assert math.isnan(end) or sign * (end - row.ours) >= -ROUNDING * abs(row.ours), row


def test_rows_name_claims_and_say_what_is_gained(study: Study) -> None:
    rows, known = rows_of(study), {claim.id for claim in CLAIMS}
    assert {row.claim for row in rows} <= known
    assert {"4.2.1", "4.2.2", "4.1", "4.5", "4.8", "4.11", "regimes"} <= {r.claim for r in rows}
    assert len({(row.claim, row.quantity, row.better) for row in rows}) == len(rows)
    assert all(row.gain for row in rows)


def test_same_study_gives_the_same_rows() -> None:
    first, second = (rows_of(study_of(SETS["grey images"])) for _ in range(2))
    assert repr(first) == repr(second)  # nan is not equal to itself
    assert repr(first) != repr(rows_of(study_of(SETS["grey images"], seed=SEED + 1)))


def test_digits_gain_in_every_row_that_has_a_number_of_the_paper() -> None:
    data = load("digits", train_size=100, test_size=60)
    rows = [
        row for row in rows_of(Study(data.train, data.test, Settings(samples=500))) if row.paper
    ]
    assert {r.claim for r in rows} >= {"4.2.1", "4.2.2", "4.5", "4.8", "4.10", "A.2", "regimes"}
    for row in rows:
        gained = row.ours / row.paper if row.better == "larger" else row.paper / row.ours
        assert gained > 1.01, row


def test_two_points_leave_nothing_to_gain_in_theorem_4_2() -> None:
    rows = [row for row in rows_of(study_of(SETS["two points"])) if row.claim.startswith("4.2")]
    assert [row.gain for row in rows] == ["none here"] * 2


@pytest.mark.parametrize(
    ("name", "locality"),
    [("grey images", 2), ("colour images", 2), ("flat points", 1), ("rows of one pixel", 0)],
)
def test_locality_has_a_row_for_each_form_that_the_shape_allows(name: str, locality: int) -> None:
    rows = [row for row in rows_of(study_of(SETS[name])) if row.claim == "4.10"]
    assert len(rows) == locality


def test_locality_on_the_torus_takes_the_mean_of_the_colours() -> None:
    study = study_of(SETS["colour images"])
    grey = replace(study, images=study.images.mean(-1), held_out=study.held_out.mean(-1))
    colour, mean = ([r for r in rows_of(s) if "torus" in r.quantity] for s in (study, grey))
    assert colour == mean


def test_theorem_4_2_has_no_truth_and_no_weight_where_copies_give_a_prior() -> None:
    plain, copied = (
        {
            (row.claim, row.better): row
            for row in rows_of(study_of(SETS["grey images"], copies=some))
        }
        for some in (False, True)
    )
    for claim in ("4.2.1", "4.2.2"):
        found = [row for (id, _), row in copied.items() if id == claim]
        assert [row.truth for row in found] == [None]
        assert "mean of 20 images" in found[0].quantity
    assert copied["4.1", "larger"].paper is None
    assert plain["4.1", "larger"].paper is not None
    # Listed twice each, all have one prior: as without copies.
    train = np.random.default_rng(SEED).uniform(-1, 1, (10, 24))
    once, twice = (
        Study(np.repeat(train, times, axis=0), train[:5], Settings(samples=200, device="cpu"))
        for times in (1, 2)
    )
    ours, known = ([row.ours for row in rows_of(each)] for each in (twice, once))
    assert ours == pytest.approx(known, rel=1e-12)


def test_paper_reaches_the_zone_end_only_where_its_weight_does() -> None:
    study = study_of(SETS["grey images"])
    for level, reached in ((0.75, True), (0.95, False)):  # w (1 - delta) is 0.9025
        rows = [r for r in rows_of(with_settings(study, weight_high=level)) if r.claim == "regimes"]
        (paper,) = [row.paper for row in rows if row.paper is not None]
        assert (paper > 0) == reached


def test_thresholds_move_the_zone_that_is_checked() -> None:
    study = with_settings(study_of(SETS["grey images"]), weight_high=0.9, coverage_high=0.3)
    zone = zone_of(study.train, study.test, weight_high=0.9, coverage_high=0.3, device="cpu")
    records = {
        record.quantity: record
        for record in section_4_2(study, 1e-3)
        if record.instance == "against the distances"
    }
    assert records["log2 of the zone's start"].bound == pytest.approx(np.log2(zone.possible.start))
    assert records["-log2 of the zone's end"].bound == pytest.approx(-np.log2(zone.possible.end))
    assert {record.verdict for record in records.values()} <= {"holds", "inconclusive"}


def test_the_better_of_two_entropies_bounds_the_weight(study: Study) -> None:
    sigmas = np.geomspace(0.1, 100, 13)
    _, high, entropy = weight_bounds(study, sigmas)
    by_distances = study.mean_over_images(lambda apart, _: posterior_entropy(apart, sigmas))
    by_spectrum = entropy_lower(study.eigenvalues, study.n, sigmas)
    np.testing.assert_array_equal(entropy, np.maximum(by_distances, by_spectrum))
    assert (high <= weight_of_spectrum(study.eigenvalues, study.n, sigmas)).all()
    assert (by_spectrum > by_distances).any()
