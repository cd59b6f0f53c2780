"""Two short trainings and their swap: under a minute of the paper's main experiment.

Ten digits and 1,400, 400 steps each. The swap is at the upper end of the zone that the distances
between the ten and the held-out digits predict, before any training.
"""

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments.table1 import swap
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import load
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models.sampling import sample
from wildmiddle.models.training import Training, train

SAMPLES = 64
ALPHA = 1e-6
"""That an interval misses its rate."""


@pytest.fixture(scope="module")
def rates(tmp_path_factory) -> dict[str, tuple[float, float]]:
    data = load("digits", train_size=1400, test_size=300)
    few = data.train[:10]
    folder = tmp_path_factory.mktemp("models")
    training = Training(steps=400, batch_size=48)
    small = train(few, training, folder / "few")
    large = train(data.train, training, folder / "many")
    end = zone_of(few.reshape(10, -1), data.test.reshape(300, -1)).possible.end
    denoisers = {
        "few": small,
        "few, swapped above the zone": swap(small, large, end, np.inf),
        "few, swapped from the zone down": swap(small, large, 0, end),
        "many": large,
        "many, swapped above the zone": swap(large, small, end, np.inf),
        "many, swapped from the zone down": swap(large, small, 0, end),
    }
    found = {}
    for name, denoiser in denoisers.items():
        drawn = sample(denoiser, (1, 8, 8), range(SAMPLES))
        rate = memorization(drawn, few[:, None], alpha=ALPHA)
        found[name] = rate.low, rate.high
    return found


@pytest.mark.parametrize(
    "name", ["few", "few, swapped above the zone", "many, swapped from the zone down"]
)
def test_most_samples_are_copies(rates, name) -> None:
    low, high = rates[name]
    assert low > 0.5, f"{name}: [{low:.3f}, {high:.3f}] of {SAMPLES} samples at {ALPHA:g}"


@pytest.mark.parametrize(
    "name", ["many", "many, swapped above the zone", "few, swapped from the zone down"]
)
def test_few_samples_are_copies(rates, name) -> None:
    low, high = rates[name]
    assert high < 0.5, f"{name}: [{low:.3f}, {high:.3f}] of {SAMPLES} samples at {ALPHA:g}"
