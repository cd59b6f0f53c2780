"""Where functions of the noise level pass zero: on plateaus, far away, and where windows differ."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from wildmiddle.empirical.crossings import Curve, crossings, near_crossing

Array = np.ndarray


def find(function: Callable[[Array], Array], guess: float, error: float = 0.0) -> float:
    """The crossing in log sigma, about 0; the values of every second window are off by an error."""
    windows = 0

    def look(centres: Array, around: Array) -> Iterator[tuple[Curve, Curve]]:
        nonlocal windows
        windows += 1
        assert windows < 400
        levels = centres[0] + around[0] * np.linspace(-1, 1, 13)
        rising = function(levels) + error * (-1) ** windows
        yield (levels, rising), (levels[::2], rising[::2])

    return float(np.log(crossings(look, np.array([guess]), 0.15, 1.0, 1e-4)[0]))


@pytest.mark.parametrize("guess", [-6.0, -2.0, 0.0, 0.9, 1.1, 4.0])
@pytest.mark.parametrize("error", [0.0, 1e-17, -1e-17])
def test_a_plateau_at_the_level_gives_its_upper_end(guess, error) -> None:
    def function(level: Array) -> Array:
        return np.maximum(level - 1, 0) + np.minimum(level + 3, 0)

    assert find(function, guess, error) == pytest.approx(1, abs=2e-4)
    near = near_crossing(lambda sigmas: -function(np.log(sigmas)) - error, 1, 1.0)
    assert near == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("guess", [-3.0, 0.0, 2.0])
def test_windows_that_disagree_on_what_they_share_end_the_search(guess) -> None:
    found = find(lambda level: 1e-9 * level, guess, 1e-8)
    assert abs(1e-9 * found) <= 1e-8  # nothing more is known


def test_of_several_crossings_within_a_window_it_is_the_last() -> None:
    assert find(lambda level: (level + 0.1) * level * (level - 0.1), 0.05) == pytest.approx(0.1)


@pytest.mark.parametrize("shift", [-8.0, -0.4, 0.0, 0.4, 8.0])
def test_the_window_moves_to_the_crossing(shift) -> None:
    assert find(lambda level: np.tanh(level - shift), 0.0) == pytest.approx(shift, abs=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_does_not_cross_gives_the_end(sign) -> None:
    assert find(lambda level: np.full_like(level, -sign), 15.0 * sign) == pytest.approx(20 * sign)
