"""Checks of large sets: distances of drawn images in the place of all pairs."""

from dataclasses import replace

import numpy as np
import pytest

from wildmiddle.checks import study as module
from wildmiddle.checks.report import to_json
from wildmiddle.checks.report.formatting import zone_sentence
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.checks.verify import verify
from wildmiddle.empirical import danger_zone
from wildmiddle.empirical.data import load
from wildmiddle.theory import regimes

DATA = load("digits", train_size=400, test_size=60)
SIGMAS = np.array([0.5, 0.9, 1.5])


@pytest.fixture
def large(monkeypatch) -> Study:
    """A study that takes 400 digits for a large set."""
    monkeypatch.setattr(module, "ALL_PAIRS", 300)
    monkeypatch.setattr(module, "DRAWN", 256)
    monkeypatch.setattr(danger_zone, "LARGE", 10**6)
    return Study(DATA.train, DATA.test, Settings(samples=1000, device="cpu"))


@pytest.mark.parametrize("copies", [1, 100])
def test_a_limit_lies_below_the_mean_of_all(large, copies) -> None:
    # The first fifty images are listed a hundred times: they are most of what a mean is over.
    train = np.concatenate([DATA.train, np.repeat(DATA.train[:50], copies - 1, 0)])
    large = replace(large, images=train)

    def bound(apart, ratios):
        return np.stack(
            [
                regimes.weight_lower(apart, SIGMAS, ratios),
                regimes.posterior_entropy(apart, SIGMAS, ratios),
            ]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ALL_PAIRS", 400)
        whole = Study(train, DATA.test, Settings(device="cpu"))
        assert len(whole.examined) == 400
        exact = whole.mean_over_images(bound)
    top = np.array([[1.0], [np.log(len(train))]])
    sure, likely = (large.mean_over_images(bound, top=top, alpha=a) for a in (1e-6, 0.3))
    assert (sure <= likely).all()
    assert (sure <= exact).all()
    assert (likely > exact - 0.1 * top).all()


def test_distances_are_those_of_the_examined_images(large) -> None:
    rows = large.train
    assert 100 < len(large.examined) < 256
    for k in (0, 17, 90):
        number = int(large.examined[k])
        apart = np.delete(np.linalg.norm(rows - rows[number], axis=1), number)
        expected = apart.min(), apart.max()
        assert large.extremes_of(number) == pytest.approx(expected, rel=1e-9)
        assert (large.nearest[k], large.farthest[k]) == large.extremes_of(number)
    diameter = max(np.linalg.norm(rows - row, axis=1).max() for row in rows)
    assert diameter <= large.diameter < 2 * diameter


def test_what_is_drawn_violates_nothing_and_does_not_hang_on_the_clock(large) -> None:
    assert large.zone.drawn is not None
    result = verify(DATA, large.settings, claims="4.2.1,4.2.2,4.9,A.1,regimes")
    assert result.study.zone == large.zone
    assert result.verdict() != "violated"
    kinds = {record.quantity for record in result.records if record.verdict == "holds"}
    assert "W above the union bound on decoding errors" in kinds
    assert "largest loss on the shells" in kinds
    drawn = to_json(result)["regimes"]["predicted"]["drawn"]
    assert drawn["train"] == large.zone.drawn.train
    assert drawn["certain_end"] == list(large.zone.drawn.certain_end)
    assert f"{drawn['train']} training images, drawn at random" in zone_sentence(result)
