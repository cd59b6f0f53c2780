"""A gap in the terms of other people's loops: which levels are left, and by which law."""

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from scipy.stats import norm, truncnorm

from wildmiddle.models.gap import Gap
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.schedules import ddpm_sigmas

EXAMPLES = Path(__file__).parents[2] / "examples"
GAP = Gap(0.2, 0.8)


def test_the_ends_belong_as_they_do_in_training() -> None:
    sigma = torch.tensor([0.1, 0.2, 0.5, 0.8, 3.0])
    assert GAP.keep(sigma).tolist() == [True, False, False, True, True]
    assert GAP.weight(sigma).tolist() == [1, 0, 0, 1, 1]
    assert GAP.weight(sigma.double()).dtype == torch.float64


@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
def test_timesteps_are_those_whose_sigma_lies_outside(kind) -> None:
    left = GAP.timesteps(kind())
    sigmas = ddpm_sigmas()
    outside = [t for t in range(1000) if not 0.2 <= sigmas[t] < 0.8]
    assert left.tolist() == outside
    assert 100 < len(outside) < 900


def test_timesteps_of_flow_matching_are_in_its_own_units() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    left = GAP.timesteps(scheduler).tolist()
    shares = [float(t) / 1000 for t in scheduler.timesteps]
    # The sigma of the image with noise, whatever the factor of both.
    outside = sorted(1000 * s for s in shares if s == 1 or not 0.2 <= s / (1 - s) < 0.8)
    assert left == pytest.approx(outside, abs=1e-3)


def test_a_schedule_that_ends_without_signal_keeps_its_last_timestep() -> None:
    scheduler = DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert Gap(50, 1e6).timesteps(scheduler).tolist()[-1] == 999


def test_sigmas_have_the_law_of_redrawing(expect_law) -> None:
    drawn = GAP.sample_sigmas(20_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    low, high = ((math.log(end) + 1.2) / 1.2 for end in (GAP.low, GAP.high))
    mass = norm.cdf(high) - norm.cdf(low)

    def cdf(sigma):
        z = (np.log(sigma) + 1.2) / 1.2
        inside = np.clip(norm.cdf(z) - norm.cdf(low), 0, mass)
        return (norm.cdf(z) - inside) / (1 - mass)

    assert GAP.keep(torch.as_tensor(drawn)).float().mean() > 1 - 1e-3  # float32 rounds at the ends
    expect_law(drawn, cdf, seed=0, what="sigma outside of the gap")
    below = drawn[drawn < 0.2]
    expect_law(
        (np.log(below) + 1.2) / 1.2, truncnorm(-np.inf, low).cdf, seed=0, what="below the gap"
    )


def test_flow_times_have_the_law_of_redrawing(expect_law) -> None:
    t = GAP.sample_flow_times(20_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    low, high = 1 / 1.8, 1 / 1.2

    def cdf(value):
        inside = np.clip(value - low, 0, high - low)
        return ((value - inside) - 1e-4) / (1 - 2e-4 - (high - low))

    expect_law(t, cdf, seed=0, what="flow time outside of the gap")
    assert not ((t > low + 1e-6) & (t < high - 1e-6)).any()


@pytest.mark.parametrize(
    ("draw", "what"),
    [
        (lambda gap: gap.sample_sigmas(3), "sigma"),
        (lambda gap: gap.sample_flow_times(3), "flow time"),
        (lambda gap: gap.timesteps(DDPMScheduler()), "timesteps"),
    ],
)
def test_a_gap_over_everything_is_refused(draw, what) -> None:
    with pytest.raises(ValueError, match=rf"nothing to train on.*|{what}"):
        draw(Gap(0, 1e9))


@pytest.mark.parametrize("ends", [(0.5, 0.5), (-1, 1), (math.nan, 1)])
def test_ends_that_are_none_are_refused(ends) -> None:
    with pytest.raises(ValueError, match="need 0 <= low < high"):
        Gap(*ends)


def test_a_file_gives_back_the_gap_to_the_bit(tmp_path) -> None:
    gap = Gap(0.1 + 0.2, 1 / 3, (0.0, 1.0))
    gap.save(tmp_path / "gap.json")
    assert Gap.load(tmp_path / "gap.json") == gap


TURNED = '{"format": "wildmiddle-gap/1", "sigma": {"low": 2, "high": 1}, "value_range": [-1, 1]}'


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no", '{"format": "other/1"}', '{"format": 3}', TURNED]
)
def test_other_files_are_refused(tmp_path, text) -> None:
    (tmp_path / "gap.json").write_text(text)
    with pytest.raises(ValueError, match=r"gap\.json is no gap of wildmiddle"):
        Gap.load(tmp_path / "gap.json")


def test_pixels_in_another_range_have_the_gap_in_their_units() -> None:
    assert GAP.rescaled((0.0, 1.0)) == Gap(0.1, 0.4, (0.0, 1.0))


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0,), (0.0, math.inf)])
def test_a_range_that_is_none_is_refused(ends) -> None:
    with pytest.raises(ValueError, match="give two numbers"):
        GAP.rescaled(ends)
    with pytest.raises(ValueError, match="give two numbers"):
        Gap(0.2, 0.8, ends)


def test_noise_levels_may_be_numbers_lists_and_arrays() -> None:
    assert GAP.weight(0.3) == 0
    assert GAP.weight([0.1, 0.3, 1]).tolist() == [1, 0, 1]
    assert GAP.keep(np.array([0.1, 0.3])).tolist() == [True, False]
    assert GAP.weight(torch.tensor([1, 2])).dtype == torch.float32


def test_fewer_than_no_noise_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="n = -1"):
        GAP.sample_sigmas(-1)


def test_the_gap_of_a_zone_lies_an_octave_lower() -> None:
    zone = PredictedZone(certain=Zone(0.5, 0.9), possible=Zone(0.4, 1.6))
    assert Gap.of_zone(zone) == Gap(0.2, 0.8)
    assert Gap.of_zone(PredictedZone(Zone(1, 0), Zone(2, 1))) is None


@pytest.mark.parametrize("script", ["ddpm_loop.py", "edm_loop.py", "flow_loop.py"])
def test_the_examples_run_and_their_samples_can_be_audited(tmp_path, monkeypatch, script) -> None:
    GAP.save(tmp_path / "gap.json")
    options = {"--gap": tmp_path / "gap.json", "--steps": 2, "--samples": 3}
    options["--output"] = tmp_path / "run"
    command = [script, *(str(part) for pair in options.items() for part in pair)]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.syspath_prepend(EXAMPLES)  # as Python itself does for a script
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    samples = np.load(tmp_path / "run" / "samples.npy")
    assert samples.shape == (3, 8, 8)
    assert np.isfinite(samples).all()
    assert json.loads((tmp_path / "gap.json").read_text())["sigma"] == {"low": 0.2, "high": 0.8}
