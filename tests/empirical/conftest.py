"""Point sets that the tests of the estimates share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def cloud() -> np.ndarray:
    """Thirty points in [-1, 1]^5, three of them close together."""
    points = np.random.default_rng(31).uniform(-1, 1, (30, 5))
    points[1] = points[0] + 0.01
    points[2] = points[0] - 0.003
    return points


@pytest.fixture(scope="session")
def small_images() -> np.ndarray:
    """Twenty images of 8x8 pixels in [-1, 1]."""
    return np.random.default_rng(32).uniform(-1, 1, (20, 8, 8))
