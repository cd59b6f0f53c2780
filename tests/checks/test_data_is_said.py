"""What the commands say of their data, and in which units steps and timesteps are."""

import re
from pathlib import Path

import numpy as np
import pytest

from wildmiddle.checks.cli import main
from wildmiddle.checks.study import Study
from wildmiddle.checks.terminal import zone_page
from wildmiddle.empirical.data import DataError, load
from wildmiddle.empirical.regimes import read_regimes
from wildmiddle.empirical.two_curves import curves
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.schedules import ddpm_sigmas, edm_sigmas, steps_between

SEED = 20261127


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Floats in [0, 1]: of 30 held-out images 5 are training images, and 2 nearly are."""
    rng = np.random.default_rng(SEED)
    train, test = rng.uniform(0, 1, (60, 6, 6)), rng.uniform(0, 1, (30, 6, 6))
    train[9] = train[8]
    test[:5] = train[:5]
    test[5:7] = np.clip(train[5:7] + 0.002, 0, 1)
    np.savez(tmp_path / "leaky.npz", train=train, test=test)
    return tmp_path / "leaky.npz"


def test_zone_says_what_it_took_doubts_and_found(leaky: Path, capsys) -> None:
    assert main(["zone", "--data", str(leaky)]) == 0
    printed = capsys.readouterr()
    assert "leaky.npz, train: 60 images of 6x6 values" in printed.out
    assert "leaky.npz, test: floats from " in printed.out
    said = printed.err.splitlines()
    assert all(line.startswith("wildmiddle: leaky.npz, ") for line in said[:2])
    assert all("give --range=0,1" in line for line in said[:2])
    assert said[2].startswith(
        "wildmiddle: 1 of 60 training images are copies of others: 59 distinct"
    )
    assert said[3].startswith("wildmiddle: 5 of 30 held-out images are training images as well")
    assert said[4].startswith("wildmiddle: 2 of 30 held-out images are a near copy of a training")
    assert len(said) == 5
    assert main(["zone", "--data", str(leaky), "--range=0,1"]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_steps_are_those_of_the_range_of_the_schedules(capsys) -> None:
    # The same images in three ranges: sigma moves, steps and timesteps do not.
    rows: dict[int, list[str]] = {}
    starts: dict[int, float] = {}
    for low, high in ((-1, 1), (0, 1), (0, 255)):
        assert (
            main(["zone", "--train-size", "90", "--test-size", "40", f"--range={low},{high}"]) == 0
        )
        page = capsys.readouterr().out
        assert ("those of models for pixels in [-1, 1]" in page) == ((low, high) != (-1, 1))
        # A row's name, sigma, steps and timesteps stand in columns of their own.
        columns = [re.split(r"  +", line) for line in page.splitlines()]
        rows[high - low] = [cells[2:] for cells in columns if cells[0] in ("certain", "possible")]
        (start,) = (cells[1].split()[0] for cells in columns if cells[0] == "possible")
        starts[high - low] = float(start)
    assert starts[2] == pytest.approx(2 * starts[1], rel=1e-3)
    assert starts[255] == pytest.approx(255 * starts[1], rel=1e-3)
    assert rows[2] == rows[1] == rows[255]
    assert "none" not in rows[2][1]


def test_steps_between_scales_the_schedules() -> None:
    edm, ddpm = edm_sigmas(18), ddpm_sigmas()
    for value_range in ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)):
        width = value_range[1] - value_range[0]
        steps, timesteps = steps_between(0.5 * width / 2, 3.0 * width / 2, value_range)
        assert steps == tuple(np.flatnonzero((edm >= 0.5) & (edm < 3.0)))
        assert timesteps == tuple(np.flatnonzero((ddpm >= 0.5) & (ddpm < 3.0)))


def test_regimes_have_the_same_steps_in_every_range() -> None:
    data = load(train_size=60, test_size=40)
    sigmas = edm_sigmas(40)
    found = [
        read_regimes(
            curves(
                scale * data.train,
                scale * data.test,
                scale * sigmas,
                weight_queries=256,
                coverage_queries=256,
            ),
            value_range=(0.0, 2 * scale),
        )
        for scale in (1.0, 0.5)
    ]
    for one, half in zip(*found, strict=True):
        assert one.edm_steps == half.edm_steps
        assert one.ddpm_timesteps == half.ddpm_timesteps
    study = Study(data.train, data.test, value_range=data.value_range)
    assert study.value_range == (-1.0, 1.0)


def test_the_page_of_a_zone_is_in_the_range_of_the_data() -> None:
    data = load(train_size=20, test_size=10, value_range=(0, 1))
    edm = edm_sigmas(18)
    part = Zone(edm[9] / 2 * 0.999, edm[6] / 2 * 1.001)
    page = zone_page(data, PredictedZone(part, part))
    assert "6 to 9" in page


def test_a_study_refuses_an_offset_and_another_order() -> None:
    images = np.random.default_rng(SEED).uniform(-1, 1, (30, 8, 8, 3))
    with pytest.raises(DataError, match="subtract the offset"):
        Study(1e8 + images, 1e8 + images)
    with pytest.raises(ValueError, match="to_channels_first"):
        Study(images, np.moveaxis(images, -1, 1))


def test_verify_on_an_offset_is_refused_in_one_line_or_holds_centred(
    tmp_path: Path, capsys
) -> None:
    images = 1e8 + np.random.default_rng(SEED).uniform(-1, 1, (60, 6, 6))
    np.save(tmp_path / "far.npy", images)
    command = ["verify", "--data", str(tmp_path / "far.npy"), "--range=99999999,100000001"]
    command += ["--samples", "2000", "--output", str(tmp_path / "out"), "--claims", "4.8,4.9,4.11"]
    assert main(command) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert main([*command, "--centre", "--quiet"]) == 0
