"""The noise level at which a model memorizes most, against the zone of its images."""

import numpy as np
import pytest
import torch

from wildmiddle.checks.memorization import copies_among_samples, peak
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.study import Study
from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.theory.regimes import Zone

SIGMAS = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])


def record(copies, zone, **options):
    return peak(SIGMAS, np.array(copies), 1000, zone, alpha=1e-6, seed=3, **options)


def test_a_clear_peak_is_measured_in_octaves_from_the_nearer_end() -> None:
    copies = [0, 0, 10, 900, 20, 0]
    for zone, octaves in ((Zone(4.0, 9.0), 2), (Zone(0.1, 0.25), 2), (Zone(0.5, 2.0), 0)):
        found = record(copies, zone)
        assert (found.estimate, found.low, found.high) == (octaves, octaves, octaves)
        ends = {"from": zone.start, "to": zone.end}
        assert found.parameters == ends | {"peak": 1.0, "candidates": 1}
        assert found.verdict == ("holds" if octaves <= 1 else "violated")


def test_levels_that_may_be_the_peak_span_the_interval() -> None:
    found = record([0, 480, 0, 500, 0, 0], Zone(1.0, 2.0))
    assert (found.estimate, found.low, found.high) == (0, 0, 1)
    assert found.parameters == {"from": 1.0, "to": 2.0, "peak": 1.0, "candidates": 2}
    assert (found.relation, found.bound, found.margin) == ("<=", 0, 1)
    assert found.verdict == "holds"
    assert record([0, 480, 0, 500, 0, 0], Zone(1.0, 2.0), octaves=0.5).verdict == "inconclusive"


def test_intervals_of_all_levels_hold_together() -> None:
    # Each is taken at a sixth of 0.5, and 560 and 600 of 1,000 cannot be told apart at that; at 0.5
    # they could.
    levels = SIGMAS, np.array([0, 560, 0, 600, 0, 0]), 1000, Zone(1, 2)
    assert peak(*levels, alpha=0.5, seed=3).parameters["candidates"] == 2
    assert peak(*levels, alpha=0.5 * 6, seed=3).parameters["candidates"] == 1


@pytest.mark.parametrize(("limit", "verdict"), [(0.99, "violated"), (1.0, "holds")])
def test_samples_of_the_optimum_are_all_copies(limit, verdict) -> None:
    rng = np.random.default_rng(0)
    study = Study(rng.normal(size=(20, 6)), rng.normal(size=(9, 6)), Settings())
    record = copies_among_samples(study, EmpiricalDenoiser(study.images), limit, 0.05, 400)
    assert (record.estimate, record.verdict) == (1.0, verdict)


def test_samples_of_a_gaussian_are_none() -> None:
    rng = np.random.default_rng(0)
    study = Study(rng.normal(size=(20, 30)), rng.normal(size=(9, 30)), Settings())
    gaussian = GaussianDenoiser(torch.zeros(30), torch.eye(30))
    record = copies_among_samples(study, gaussian, 0.1, 1e-6)
    assert (record.estimate, record.verdict) == (0.0, "holds")
    with pytest.raises(ValueError, match="a share in"):
        copies_among_samples(study, gaussian, 1.5, 1e-6)
