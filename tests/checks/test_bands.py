"""What is worked out from a curve's band, and how intervals of sigma are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments import figure8, weight_and_coverage
from wildmiddle.empirical.intervals import Estimate, exact
from wildmiddle.empirical.regimes import Crossing, Regime

LOW = Estimate(
    np.array([0.9, 0.5, 0.1]), np.array([0.8, 0.4, 0]), np.array([1, 0.6, 0.2]), 9, 0.1, "known"
)
UP = Estimate(
    np.array([0.0, 0.5, 1]), np.array([0, 0.3, 0.9]), np.array([0.1, 0.7, 1]), 9, 0.1, "known"
)
LEVELS = np.array([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("curve", "rising", "place", "expected"),
    [
        (UP, True, Crossing(2.0, 1.0, 4.0), (0.5, 0.0, 1.0)),
        (UP, True, Crossing(2.0, 2.0, 2.0), (0.5, 0.3, 0.7)),
        (UP, True, Crossing(2**0.5, np.nan, 2.0), (0.25, 0.0, 0.7)),
        (UP, True, Crossing(np.inf, 4.0, np.nan), (1.0, 0.9, 1.0)),
        (LOW, False, Crossing(2.0, 1.0, 4.0), (0.5, 0.0, 1.0)),
        (LOW, False, Crossing(2.0, 2.0, np.nan), (0.5, 0.0, 0.6)),
        (LOW, False, Crossing(2.0, np.nan, 2.0), (0.5, 0.4, 1.0)),
    ],
)
def test_a_value_at_a_crossing_has_the_widest_interval(curve, rising, place, expected) -> None:
    order = [2, 0, 1]  # the schedule may come in any order
    mixed = replace(curve, mean=curve.mean[order], low=curve.low[order], high=curve.high[order])
    found = weight_and_coverage.value_at(LEVELS[order], mixed, place, rising=rising)
    assert (found.mean, found.low, found.high) == pytest.approx(expected)


def test_a_difference_takes_the_far_ends_and_a_rule_each_end() -> None:
    found = weight_and_coverage.difference(UP, LOW)
    np.testing.assert_allclose(found.mean, [-0.9, 0, 0.9])
    np.testing.assert_allclose(found.low, [-1, -0.3, 0.7])
    np.testing.assert_allclose(found.high, [-0.7, 0.3, 1])
    assert (found.n, found.alpha) == (9, 0.2)
    least = weight_and_coverage.reduce_band(
        weight_and_coverage.difference(UP, exact(np.array([0.0, 0.6, 0.5]))), np.min
    )
    assert (least.mean, least.low, least.high, least.n) == pytest.approx((-0.1, -0.3, 0.1, 9))


def test_bars_are_cut_at_the_panel_and_an_empty_one_is_said_to_be() -> None:
    axes = Figure().subplots()
    spans = {"inside": (0.5, 2.0), "empty one": (0.9, 0.4), "beyond": (1.0, np.inf)}
    levels, opacities = np.array([0.01, 10.0]), np.array([0.5, 0.5, 0.5])
    weight_and_coverage.draw_bars(axes, spans, levels, opacities)
    boxes = [each.get_paths()[0].get_extents() for each in axes.collections]
    np.testing.assert_allclose([(b.x0, b.x1) for b in boxes], [(0.5, 2.0), (1.0, 11.5)])
    np.testing.assert_allclose([(b.y0, b.y1) for b in boxes], [(-0.35, 0.35), (1.65, 2.35)])
    assert [text.get_text() for text in axes.texts] == ["0.5 to 2", "empty", "1 to inf"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(spans)


def test_a_share_of_octaves_has_the_widest_interval() -> None:
    inner = Regime("danger", Crossing(1.0, 0.5, 2.0), Crossing(4.0, 4.0, 8.0), (), ())
    outer = Regime("medium", Crossing(0.25, 0.25, 0.5), Crossing(8.0, 8.0, 16.0), (), ())
    share = figure8._share(inner, outer, 9, 0.1)
    assert (share.mean, share.low, share.high) == pytest.approx((2 / 5, 1 / 6, 4 / 4))
    # Ends that no level of the schedule fixes leave it open; what is empty has no length.
    open_ended = replace(inner, end=Crossing(4.0, np.nan, np.nan))
    share = figure8._share(open_ended, outer, 9, 0.1)
    assert (share.mean, share.low, share.high) == pytest.approx((2 / 5, 0, np.inf))
    empty = replace(inner, start=Crossing(9.0, 8.5, 10.0))
    assert figure8._share(empty, outer, 9, 0.1).mean == 0
