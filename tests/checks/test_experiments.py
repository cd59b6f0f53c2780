"""The experiments with denoisers whose answer is known, and one small run from the command line."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import figure1, figure2, samples, table1, trajectories
from wildmiddle.checks.experiments.results import summary, write
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.layout import MARKDOWN
from wildmiddle.checks.settings import Settings
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.extractors import Extractor
from wildmiddle.models.networks import DDPM, LAPTOP, PAPER
from wildmiddle.models.sampling import euler


@pytest.fixture
def tiny(tmp_path, tiny_text) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_text)
    return path


@pytest.fixture
def known(tiny, tmp_path) -> TrainedStudy:
    """The empirical optimum of 30 images in the place of one model, a Gaussian in the other's."""
    study = trained_study(read_scale(tiny), tmp_path, Settings(device="cpu"))
    rows = torch.as_tensor(study.data.train).flatten(1)
    vars(study)["memorizing"] = EmpiricalDenoiser(study.few, "cpu")
    vars(study)["generalizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    return study


def test_the_swap_of_known_denoisers_flips_where_the_optimum_decides(known) -> None:
    outcome = table1.run(known, 1e-3)
    rows = {(row[0], row[1]): row for row in outcome.rows}
    assert rows["memorizing", "none"][3] == 24
    assert rows["generalizing", "none"][3] == 0
    # The optimum copies once it has the last step; a Gaussian there undoes it.
    assert rows["memorizing", "small, by the curves"][3] < 12
    assert rows["generalizing", "small, by the curves"][3] > 12
    # The paper's middle, at the place of these images' zone; the curves' has other steps.
    assert rows["memorizing", "middle"][2] == "9 to 14"
    assert rows["memorizing", "middle, by the curves"][2] == "7 to 11"
    assert rows["memorizing", "none, by Heun"][2:4] == ("", 24)
    lost, gained, p = rows["memorizing", "steps 13 to 17"][7:]
    assert lost == 24 - rows["memorizing", "steps 13 to 17"][3]
    assert gained == 0
    assert p == pytest.approx(2 * 0.5**lost)
    verdicts = {record.instance: record.verdict for record in outcome.records}
    assert sum(record.alpha for record in outcome.records) == pytest.approx(1e-3)
    assert verdicts["memorizing denoiser, swapped: none"] == "holds"
    # The null of the copying test: held-out images stand beside the rates, at every threshold.
    assert outcome.rows[-1][:2] == (table1.HELD_OUT, "none")
    assert outcome.rows[-1][3:5] == (rows[table1.HELD_OUT, "none"][3], 40)
    swept = [row for row in outcome.tables["thresholds"][1] if row[0] == table1.HELD_OUT]
    assert [row[2] for row in swept] == table1.THRESHOLDS.tolist()
    assert (swept[0][3], swept[-1][3]) == (0, 1)
    # Swaps against one another: those that only one of the two changes.
    paired = {row[:3]: row[3:] for row in outcome.tables["paired"][1]}
    assert paired["generalizing", "middle", "large"] == (24, 0, pytest.approx(2 * 0.5**24))
    assert verdicts["generalizing denoiser, swapped: middle against large"] == "holds"
    assert paired["memorizing", "middle, by the curves", "small, by the curves"][:2] == (0, 19)
    assert verdicts["memorizing denoiser, swapped: middle against large"] == "inconclusive"
    # The claim that low noise has no part in it is false for the optimum, and is seen to be.
    assert verdicts["generalizing denoiser, swapped: small"] == "violated"


def test_one_step_memorization_of_the_optimum_does_not_fall_at_small_noise(known) -> None:
    outcome = figure2.run(known, 1e-3)
    verdicts = {record.quantity: record.verdict for record in outcome.records}
    assert verdicts["one-step memorization of the memorizing denoiser"] == "violated"
    assert verdicts["one-step memorization of the empirical optimum denoiser"] == "holds"


def test_errors_agree_at_large_noise(known) -> None:
    outcome = figure1.run(known, 1e-3)
    large = [record for record in outcome.records if "sigma = 80" in record.instance]
    assert len(large) == 3
    assert all(record.verdict != "violated" for record in large)
    errors = {(row[0], row[1], row[2]): row[3] for row in outcome.rows}
    assert errors["memorizing", "train", 0.002] < errors["memorizing", "test", 0.002] / 100


def test_states_along_a_trajectory_are_those_of_the_sampler(known) -> None:
    states, outputs = trajectories.record_trajectories(known, known.memorizing)
    assert states.shape == outputs.shape == (18, 24, 1, 8, 8)
    steps = known.sigmas.tolist()
    # From any step on, the sampler ends where it ended: the states are those it steps from.
    whole = samples.draw_samples(known, known.memorizing)
    torch.testing.assert_close(euler(known.memorizing, states[7], steps[7:]), whole)
    torch.testing.assert_close(euler(known.memorizing, states[0], steps), whole)
    torch.testing.assert_close(outputs[-1], whole)  # the last step goes to the output itself


def test_trajectories_count_shells_copies_and_choices(known) -> None:
    # By Heun's method, which follows the ODE closely enough for every sample to stay in its shell.
    vars(known)["scale"] = replace(known.scale, method="heun")
    outcome = trajectories.run(known, 1e-3)
    counts = {row[:3]: row[3] for row in outcome.rows}
    steps = known.sigmas.tolist()
    for what in trajectories.COUNTED:
        # Towards one image the ODE keeps (x - x_i) / sigma as it is: it stays in the shell.
        assert counts["memorizing", what, steps[-1]] == 24
    assert counts["generalizing", "copied in one step", steps[-1]] == 0
    assert counts["generalizing", "final image chosen", steps[-1]] == 24
    states, outputs = trajectories.record_trajectories(known, known.memorizing)
    few = known.few.flatten(1).double()
    for k in (0, 9, 11, 13):
        apart = torch.cdist(states[k].flatten(1).double(), few) / steps[k]
        inside = (apart**2 >= 64 - 320**0.5 * 2) & (apart**2 <= 64 + 320**0.5 * 2 + 10)
        assert counts["memorizing", "in a shell", steps[k]] == int(inside.any(1).sum())
        near = torch.cdist(outputs[k].flatten(1).double(), few).sort(1)
        copied = near.values[:, 0] < near.values[:, 1] / 3
        assert counts["memorizing", "copied in one step", steps[k]] == int(copied.sum())
    assert 0 < counts["memorizing", "final image chosen", steps[8]] < 24


def test_mirrored_images_are_training_images_where_training_mirrors(known) -> None:
    sigma, mirrored = float(known.sigmas[11]), known.few.flip(-1)
    noise = torch.randn(known.few.shape, generator=torch.Generator().manual_seed(0))
    states = mirrored + sigma * noise
    held_out = trajectories.held_out_in_shell(known)
    assert not trajectories.in_shell(known, states, sigma).all()
    other = replace(
        known, scale=replace(known.scale, training={**known.scale.training, "flips": True})
    )
    assert trajectories.in_shell(other, states, sigma).all()
    # On the same draws, and more of them.
    more = trajectories.held_out_in_shell(other)
    assert (more >= held_out).all()
    assert more.sum() > held_out.sum()
    x = other.fresh[:5] + noise[:5]
    torch.testing.assert_close(other.optimum(x.flip(-1), 1.0), other.optimum(x, 1.0).flip(-1))
    assert not torch.allclose(known.optimum(x.flip(-1), 1.0), known.optimum(x, 1.0).flip(-1))
    # Mirrored copies are as near to what was trained on as copies are.
    vars(other)["extractor"] = Extractor(torch.nn.Flatten(), "pixels")
    found = samples.evaluate(other, EmpiricalDenoiser(mirrored, "cpu"), "held-out")
    assert (found.count, float(found.against_held_out.closer.mean)) == (24, 1.0)


@pytest.mark.parametrize("steps", [18, 2])
def test_figure1_spends_no_more_than_its_error_rate(known, steps) -> None:
    vars(known)["sigmas"] = known.sigmas[:: 18 // steps]
    records = figure1.run(known, 1e-3).records
    assert len(records) == figure1.RECORDS
    assert sum(record.alpha for record in records) <= 1e-3 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 2.0, "base other base"),
        (0.0, 2.0, "other other base"),
        (1.0, np.inf, "base other other"),
        (0.0, np.inf, "other other other"),
    ],
)
def test_a_swap_is_between_its_ends(low, high, expected) -> None:
    mixed = table1.swap(lambda x, _: x * 0, lambda x, _: x * 0 + 1, low, high)
    found = [float(mixed(torch.ones(1, 2), sigma)[0, 0]) for sigma in (0.5, 1.0, 2.0)]
    assert " ".join("other" if value else "base" for value in found) == expected


def test_mcnemar_is_the_exact_test_of_the_discordant_pairs() -> None:
    before = np.array([True] * 6 + [False] * 4)
    after = np.array([False] * 5 + [True] * 2 + [False] * 3)
    assert samples.mcnemar(before, after) == (5, 1, pytest.approx(2 * 7 / 64))
    assert samples.mcnemar(before, before) == (0, 0, 1.0)


def test_a_run_writes_its_files_and_finds_its_models_again(tiny, tmp_path, capsys) -> None:
    folder = tmp_path / "found"
    command = ["reproduce", "figure2", "--scale", str(tiny), "--output", str(folder)]
    command += ["--device", "cpu"]
    assert main(command) in (0, 1)
    assert "figure2" in capsys.readouterr().out
    lines = list(csv.reader((folder / "figure2.csv").read_text().splitlines()))
    assert len(lines) == 1 + 3 * 18
    assert len(json.loads((folder / "figure2.json").read_text())["records"]) == 3
    assert (folder / "figure2.svg").read_text().startswith("<?xml")
    page = (folder / "experiments.html").read_text()
    assert "Claim tested" in page
    assert '"device": "cpu"' in (folder / "figure2.json").read_text()
    assert "30 images, the generalizing one 60" in page
    checkpoint = folder / "models" / "memorizing" / "step-00000012" / "checkpoint.json"
    before = checkpoint.stat().st_mtime_ns, (folder / "figure2.csv").read_bytes()
    assert main([*command, "--quiet"]) in (0, 1)
    assert before == (checkpoint.stat().st_mtime_ns, (folder / "figure2.csv").read_bytes())


def test_the_page_names_what_the_paper_says(known, tmp_path) -> None:
    outcome = figure2.run(known, 1e-3)
    written = write(outcome, tmp_path / "new").read_text()
    assert written.startswith(summary(outcome, MARKDOWN))
    assert "![figure2](figure2.svg)" in written
    assert "The paper: the trained denoiser memorizes most at medium noise" in written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "no such file"),
        (("\n[data]", "[data"), "Expected"),
        (("samples = 24", ""), "samples is missing"),
        (("memorizing = 30", "memorizing = 80"), "need 2 <= memorizing < generalizing"),
        (("window = 5", "window = 18"), "window = 18 must be below steps = 18"),
        (("generalizing = 60", "generalizing = 70"), "60 training images"),
        (
            ("window = 5", 'window = 5\nmethod = "ddim"'),
            "steps = 18 of 'ddim' must divide timesteps = 1000",
        ),
        (("samples = 24", "samples = 1"), "samples = 1 must be at least 2"),
        (("outputs = 200", "outputs = 1"), "outputs = 1 must be at least 2"),
        (
            ("checkpoints = 2", "checkpoints = 13"),
            "checkpoints = 13 with checkpoint_every = 1 do not fit into steps = 12",
        ),
        (
            ("batch_size = 8", "batch_size = 8\ncheckpoint_every = 12"),
            "checkpoints = 2 with checkpoint_every = 12 do not fit into steps = 12",
        ),
        (("batch_size = 8", "batch_size = 8\nseed = 5"), "[training] has seed = 5; give --seed"),
        (("window = 5", "window = 5\ntimestep_gaps = [[1, 9], [1, 9]]"), "give each pair once"),
        (("window = 5", "window = 5\ntimestep_gaps = [[1, 1001]]"), "[first, end] up to 1000"),
        (("window = 5", "window = 5\ntimestep_gaps = [[0, 1000]]"), "leaves 0 of the draws"),
    ],
)
def test_a_bad_scale_is_one_line_and_exit_code_2(
    tmp_path, tiny_text, capsys, change, message
) -> None:
    path = tmp_path / "scale.toml"
    if change is not None:
        assert change[0] in tiny_text
        path.write_text(tiny_text.replace(*change))
    folder = tmp_path / "out"
    command = ["reproduce", "table1", "--scale", str(path), "--output", str(folder)]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not folder.exists()


def test_a_group_of_experiments_may_have_its_own_values() -> None:
    scale = read_scale("laptop")
    assert (scale.memorizing, scale.generalizing, scale.method) == (100, 1400, "euler")
    assert (scale.group, read_scale("laptop", "gaps")) == ("", scale)
    steps = read_scale("laptop", "timestep_gaps")
    assert (steps.group, steps.method, steps.memorizing) == ("timestep_gaps", "ddpm", 100)
    assert steps.training == {**scale.training, "objective": "ddpm", "steps": 3000}


@pytest.mark.parametrize("group", ["", "gaps", "timestep_gaps"])
@pytest.mark.parametrize(
    ("name", "network"), [("faces", LAPTOP), ("cars", LAPTOP), ("paper", PAPER)]
)
def test_the_larger_scales_want_images_and_train_their_networks(
    tmp_path, name, network, group
) -> None:
    with pytest.raises(ValueError, match="give --data; "):
        read_scale(name, group)
    scale = read_scale(name, group, "images")
    digits = replace(scale, data={"source": "digits"}, memorizing=10, generalizing=20)
    study = trained_study(digits, tmp_path)
    training = study.training()
    timesteps = group == "timestep_gaps"
    expected = DDPM if timesteps and name == "paper" else network
    assert (scale.data["source"], training.network) == ("images", expected)
    assert training.objective == ("ddpm" if timesteps else "edm")
    assert len(study.checkpoint_steps) == 8
    assert study.checkpoint_steps[-1] == training.steps
    assert all(step % training.checkpoint_every == 0 for step in study.checkpoint_steps[:-1])
    assert study.models == tmp_path / "models" / scale.group


@pytest.mark.parametrize(
    ("name", "file", "count"), [("faces", "olivetti_faces", 320), ("cars", "cifar10_subset", 366)]
)
def test_real_images_have_a_scale(tmp_path, shared, name, file, count) -> None:
    scale = read_scale(name, "", shared(f"{file}.npz"))
    study = trained_study(scale, tmp_path, Settings(device="cpu"))
    assert study.few.shape == (50, 1, 16, 16)
    assert study.pool.shape == (count, 1, 16, 16)
    assert len(study.fresh) == 80
    assert 0.1 < study.zone.certain.start < study.zone.certain.end < 10
    with pytest.raises(ValueError, match="no labels of two classes"):
        _ = study.extractor
