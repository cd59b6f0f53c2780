"""Crossings and regimes of synthetic curves whose crossings are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from wildmiddle.empirical.intervals import Estimate
from wildmiddle.empirical.regimes import Crossing, crossing, read_regimes
from wildmiddle.theory.constants import Thresholds
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas

SIGMAS = np.geomspace(0.001, 100, 101)
HALF_WIDTH = 0.04


def band(mean: np.ndarray, half: float = HALF_WIDTH) -> Estimate:
    low, high = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
    return Estimate(mean, low, high, 100, 0.05, "synthetic")


def ramp(sigma: np.ndarray, start: float, end: float) -> np.ndarray:
    """Rises from 0 at ``start`` to 1 at ``end``, linearly in log sigma."""
    return np.clip(np.log(sigma / start) / np.log(end / start), 0, 1)


def two(coverage: np.ndarray, weight: np.ndarray) -> SimpleNamespace:
    """What the regimes are read from, of a :class:`wildmiddle.empirical.two_curves.Curves`."""
    return SimpleNamespace(sigmas=SIGMAS, coverage=band(coverage), max_weight=band(weight))


def at(start: float, end: float, level: float) -> float:
    return start * (end / start) ** level


@pytest.mark.parametrize("level", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_crossing_is_the_one_that_was_put_in(level, rising, order) -> None:
    up = ramp(SIGMAS, 0.3, 7.0)
    curve = up if rising else 1 - up
    found = crossing(SIGMAS[::order], band(curve[::order]), level, rising=rising)
    expected = at(0.3, 7.0, level if rising else 1 - level)
    # Linear between the knots but for the two at the ramp's ends.
    assert found.sigma == pytest.approx(expected, rel=1e-9)
    assert found.low < expected < found.high
    # The ends are the knots next to where the band's edges pass the level.
    width = (7.0 / 0.3) ** HALF_WIDTH
    step = SIGMAS[1] / SIGMAS[0]
    assert expected / (width * step) <= found.low <= expected / width * (1 + 1e-9)
    assert expected * width * (1 - 1e-9) <= found.high <= expected * width * step


@pytest.mark.parametrize("rising", [True, False])
def test_a_level_that_is_never_reached(rising) -> None:
    curve = 0.3 * ramp(SIGMAS, 0.3, 7.0)
    found = crossing(SIGMAS, band(curve if rising else 1 - curve), 0.5, rising=rising)
    assert found.sigma == math.inf
    assert found.low == SIGMAS[-1]
    assert math.isnan(found.high)


def test_a_level_that_is_passed_from_the_start() -> None:
    found = crossing(SIGMAS, band(np.full(101, 0.9)), 0.5, rising=True)
    assert (found.sigma, found.high) == (SIGMAS[0], SIGMAS[0])
    assert math.isnan(found.low)


def test_a_level_within_the_band_all_along_has_open_ends() -> None:
    found = crossing(SIGMAS, band(0.48 + 0.04 * ramp(SIGMAS, 0.3, 7.0)), 0.5, rising=True)
    assert found.sigma == pytest.approx(at(0.3, 7.0, 0.5))
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_regimes_by_the_default_thresholds() -> None:
    curves = two(ramp(SIGMAS, 0.05, 0.5), 1 - ramp(SIGMAS, 1.0, 20.0))
    small, medium, danger, large = read_regimes(curves)
    assert [r.name for r in (small, medium, danger, large)] == [
        "small",
        "medium",
        "danger",
        "large",
    ]
    covered, mostly = at(0.05, 0.5, 0.1), at(0.05, 0.5, 0.5)
    undecided, spread = at(1.0, 20.0, 0.25), at(1.0, 20.0, 0.9)
    ends = [(r.start.sigma, r.end.sigma) for r in (small, medium, danger, large)]
    expected = [(0, covered), (covered, spread), (mostly, undecided), (spread, math.inf)]
    np.testing.assert_allclose(ends, expected, rtol=1e-9)
    assert not any(r.empty for r in (small, medium, danger, large))
    assert small.start == Crossing(0.0, 0.0, 0.0)
    assert medium.start == small.end
    assert medium.end == large.start


def test_thresholds_move_the_ends() -> None:
    curves = two(ramp(SIGMAS, 0.05, 0.5), 1 - ramp(SIGMAS, 1.0, 20.0))
    small, medium, danger, large = read_regimes(curves, Thresholds(0.6, 0.3, 0.8, 0.2))
    ends = (small.end, medium.end, danger.start, danger.end)
    expected = [at(0.05, 0.5, 0.2), at(1, 20, 0.7), at(0.05, 0.5, 0.8), at(1, 20, 0.4)]
    np.testing.assert_allclose([end.sigma for end in ends], expected, rtol=1e-9)
    assert large.start == medium.end


def test_steps_are_those_whose_sigma_lies_inside() -> None:
    curves = two(ramp(SIGMAS, 0.05, 0.5), 1 - ramp(SIGMAS, 1.0, 20.0))
    edm, ddpm = edm_sigmas(18), ddpm_sigmas()
    for regime in read_regimes(curves):
        start, end = regime.start.sigma, regime.end.sigma
        assert regime.edm_steps == tuple(i for i, s in enumerate(edm) if start <= s < end)
        inside = [t for t, s in enumerate(ddpm) if start <= s < end]
        assert regime.ddpm_timesteps == (inside[0], inside[-1])
    small, medium, danger, large = read_regimes(curves)
    assert sorted(small.edm_steps + medium.edm_steps + large.edm_steps) == list(range(18))
    assert set(danger.edm_steps) < set(medium.edm_steps)
    assert small.ddpm_timesteps[0] == 0
    assert medium.ddpm_timesteps[0] == small.ddpm_timesteps[1] + 1
    assert large.ddpm_timesteps == (medium.ddpm_timesteps[1] + 1, 999)


def test_the_danger_zone_is_empty_where_the_weight_falls_first() -> None:
    curves = two(ramp(SIGMAS, 1.0, 20.0), 1 - ramp(SIGMAS, 0.05, 0.5))
    danger = read_regimes(curves)[2]
    assert danger.empty
    assert danger.edm_steps == ()
    assert danger.ddpm_timesteps == ()


def test_regimes_where_a_curve_never_gets_there() -> None:
    # Two training points: the weight never falls under 1/2, so medium has no upper end.
    curves = two(ramp(SIGMAS, 0.05, 0.5), 1 - 0.5 * ramp(SIGMAS, 1.0, 20.0))
    small, medium, danger, large = read_regimes(curves)
    assert [r.empty for r in (small, medium, danger, large)] == [False, False, False, True]
    assert medium.end.sigma == math.inf
    assert sorted(small.edm_steps + medium.edm_steps) == list(range(18))
    # Nothing is ever covered: all noise is small.
    curves = two(np.zeros(101), 1 - ramp(SIGMAS, 1.0, 20.0))
    small, medium, danger, large = read_regimes(curves)
    assert [r.empty for r in (small, medium, danger, large)] == [False, True, True, False]
    assert small.edm_steps == tuple(range(18))


@pytest.mark.parametrize(
    "values",
    [
        {"weight_high": 0.1},
        {"weight_low": 0.8},
        {"weight_low": 0.0},
        {"weight_high": 1.0},
        {"coverage_high": 0.05},
        {"coverage_low": -0.1},
        {"coverage_high": math.nan},
    ],
)
def test_thresholds_must_be_in_order(values) -> None:
    (name, value), *_ = values.items()
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        Thresholds(**values)
