"""Hypothesis profiles, the exact tests that every simulation ends in, and files of real images.

``--hypothesis-profile=thorough`` asks for the longer profile.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from scipy.stats import binomtest, kstest

# Derandomised: the same examples in every run. No deadline: shared machines are slow by turns.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("thorough", derandomize=True, deadline=None, max_examples=1000)
settings.load_profile("default")

ERROR_RATE = 1e-6
"""Chance that one simulation fails although the code is right."""

ALTERNATIVES = {"==": "two-sided", "<=": "greater", ">=": "less"}


@pytest.fixture(scope="session")
def expect_rate() -> Callable[..., None]:
    """Fail where ``successes`` of ``n`` refute that their rate is ==, <= or >= ``p``."""

    def check(successes: int, n: int, relation: str, p: float, *, seed: int, what: str) -> None:
        value = binomtest(int(successes), n, p, alternative=ALTERNATIVES[relation]).pvalue
        assert value >= ERROR_RATE, (
            f"{what}: rate {successes / n:.6g} is not {relation} {p:.6g}; "
            f"p value {value:.3g} under the error rate {ERROR_RATE:g}, seed {seed}, n {n}"
        )

    return check


@pytest.fixture(scope="session")
def expect_law() -> Callable[..., None]:
    """Fail where the exact Kolmogorov test refutes that ``samples`` follow ``cdf``."""

    def check(samples: Any, cdf: Any, *, seed: int, what: str) -> None:
        result = kstest(samples, cdf, method="exact")
        assert result.pvalue >= ERROR_RATE, (
            f"{what}: the largest gap of the distributions is {result.statistic:.4g}; p value "
            f"{result.pvalue:.3g} under the error rate {ERROR_RATE:g}, seed {seed}, "
            f"n {len(samples)}"
        )

    return check


@pytest.fixture(scope="session")
def reference_weights() -> Callable[..., np.ndarray]:
    """Posterior weights of Eq. 3 for one y, the slow way: sums of squared differences, in turn."""

    def weights(noisy: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
        y, rows = noisy.tolist(), points.tolist()
        squared = [math.fsum((a - b) ** 2 for a, b in zip(y, x, strict=True)) for x in rows]
        least = min(squared)
        terms = [math.exp((least - value) / (2 * sigma**2)) for value in squared]
        return np.array([term / math.fsum(terms) for term in terms])

    return weights


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a file of real images by its name; the test is skipped where it is not there."""

    def find(name: str) -> Path:
        default = Path(__file__).resolve().parents[2] / "shared" / "data"
        path = Path(os.environ.get("WILDMIDDLE_DATA", default)) / name
        if not path.is_file():
            pytest.skip(f"no {path}: set WILDMIDDLE_DATA to the folder that holds it")
        return path

    return find
