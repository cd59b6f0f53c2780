"""Training with gaps, timestep gaps and the dummy class, with known denoisers in their place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")
pytest.importorskip("torchmetrics", reason="needs the extra train")

from wildmiddle.checks import cli
from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import (
    distances,
    figure4,
    figure5,
    figure8,
    figure9,
    figures17_19,
    gap_rule,
)
from wildmiddle.checks.experiments.gaps import timestep_gaps, zone_gaps
from wildmiddle.checks.experiments.samples import Evaluation, evaluate, reduction_record
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.settings import Settings
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.intervals import exact
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.empirical.three_samples import ThreeSamples
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.extractors import Extractor
from wildmiddle.models.quality import FrechetDistance, frechet_distance
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.schedules import ddpm_sigmas, ddpm_timestep


def study_of(folder: Path, group: str = "") -> TrainedStudy:
    scale = read_scale("laptop", group)
    data = {"source": "digits", "train_size": 60, "test_size": 40}
    steps = 50 if scale.method == "ddpm" else 18
    small = replace(
        scale, data=data, memorizing=30, generalizing=60, samples=24, steps=steps, checkpoints=2
    )
    study = trained_study(small, folder, Settings(device="cpu"))
    rows = study.pool.double().flatten(1)
    vars(study).update(
        memorizing=EmpiricalDenoiser(study.few, "cpu"),
        generalizing=GaussianDenoiser(rows.mean(0), rows.T.cov()),
        extractor=Extractor(torch.nn.Flatten(), "pixels"),
    )
    return study


def zone_from(start: float, end: float) -> PredictedZone:
    return PredictedZone(Zone(start, end), Zone(start, end))


@pytest.fixture
def known(tmp_path) -> TrainedStudy:
    """The empirical optimum of 30 images for the baseline; Gaussian is what a remedy gives."""
    return study_of(tmp_path)


@pytest.fixture
def ddpm(tmp_path) -> TrainedStudy:
    return study_of(tmp_path, "timestep_gaps")


def test_gaps_that_the_scale_names_take_the_place_of_the_zones(ddpm) -> None:
    vars(ddpm)["scale"] = replace(ddpm.scale, timestep_gaps=[[100, 350], [100, 275]])
    assert timestep_gaps(ddpm) == {
        (100, 350): "of timesteps 100 to 350",
        (100, 275): "of timesteps 100 to 275",
    }
    for wrong in ([[350, 100]], [[-1, 4]], [[1, 2, 3]]):
        with pytest.raises(ValueError, match="give pairs"):
            replace(ddpm.scale, timestep_gaps=wrong)


def test_gaps_are_the_zones_of_the_distances_to_three_digits(known) -> None:
    zone = zone_of(known.few.double(), known.fresh.double())
    found = zone_gaps(known)
    for name, each in (("certain zone", zone.certain), ("possible zone", zone.possible)):
        assert found[name] == pytest.approx((each.start, each.end), rel=0.005)
        assert all(str(end) == f"{end:.3g}" for end in found[name])
    assert found["lowered zone"] == pytest.approx(np.divide(zone.possible, 2), rel=0.005)


def test_nine_timestep_gaps_lie_around_the_zone(ddpm) -> None:
    vars(ddpm)["zone"] = zone_from(0.4, 2.0)
    found = timestep_gaps(ddpm)
    sigmas = ddpm_sigmas()
    factors = [(a, b) for a in (1 / 4, 1 / 2, 1) for b in (2, 1, 1 / 2)]
    assert len(found) == 9
    assert list(found.values())[:2] == [
        "from a quarter of the zone's start to twice its end",
        "from a quarter of the zone's start to its end",
    ]
    for (start, end), (a, b) in zip(found, factors, strict=True):
        # Exactly the timesteps whose sigma lies between the ends are left out.
        inside = (sigmas >= a * 0.4) & (sigmas < b * 2.0)
        np.testing.assert_array_equal(np.flatnonzero(inside), np.arange(start, end))
    vars(ddpm)["zone"] = zone_from(2.0, 1.5)
    assert all(start < end for start, end in timestep_gaps(ddpm))
    assert len(timestep_gaps(ddpm)) == 6  # 0.5 to 3, 1.5, 0.75; 1 to 3, 1.5; 2 to 3


def test_timesteps_are_those_of_the_trainings_own_schedule(ddpm) -> None:
    own = {**ddpm.scale.training, "timesteps": 500, "beta_start": 2e-4, "beta_end": 0.03}
    vars(ddpm)["scale"] = replace(ddpm.scale, training=own)
    vars(ddpm)["zone"] = zone_from(0.4, 2.0)
    table = ddpm_sigmas(500, 2e-4, 0.03)
    np.testing.assert_array_equal(ddpm.sigmas, table[::10][::-1])
    first, end = widest = next(iter(timestep_gaps(ddpm)))
    np.testing.assert_array_equal(
        np.arange(first, end), np.flatnonzero((table >= 0.1) & (table < 4.0))
    )
    known = table[first], table[end]
    one = evaluate(ddpm, ddpm.generalizing, "held-out")
    rows = figure5.table_rows(ddpm, {figure5.NONE: one, widest: one}, 0.05)
    assert rows[1][:4] == (first, end, *known)
    vars(ddpm)["zone"] = zone_from(*known)
    assert gap_rule.trainings(ddpm)["gap-rule-ddpm-gap"][1]["gap"] == (
        tuple(np.searchsorted(table, zone_gaps(ddpm)["lowered zone"])),
    )
    drawn = {row[0]: row[2] for row in figure8.run(ddpm, 1e-3).rows}
    for end, sigma in zip(("start", "end"), zone_gaps(ddpm)["possible zone"], strict=True):
        assert drawn[f"gap over the possible zone, {end}"] == ddpm_timestep(sigma, table)


def test_a_gap_in_sigma_is_one_of_timesteps_where_these_are_trained(ddpm, monkeypatch) -> None:
    wanted = {each.name: each for each in figure4.conditions(ddpm)}
    table = ddpm_sigmas()
    for name, (low, high) in zone_gaps(ddpm).items():
        inside = np.flatnonzero((table >= low) & (table < high))
        each = wanted[f"gap over the {name}"]
        assert (each.changes, each.gap) == ({"gap": ((inside[0], inside[-1] + 1),)}, (low, high))
    asked = {}

    def train_denoiser(self, count, name, **changes):
        asked[name] = changes
        return self.generalizing

    monkeypatch.setattr(TrainedStudy, "train_denoiser", train_denoiser)
    outcome = figures17_19.run(ddpm, 1e-3)
    assert asked["gap-possible"] == wanted["gap over the possible zone"].changes
    assert outcome.rows[-1][0] == "gap, σ {:g} to {:g}".format(*zone_gaps(ddpm)["possible zone"])
    # Between two timesteps there is nothing to leave out.
    between = {"possible zone": (table[400] * 1.001, table[400] * 1.002)}
    monkeypatch.setattr(figure4, "zone_gaps", lambda _: between)
    assert [each.name for each in figure4.conditions(ddpm)] == ["baseline", "dummy class"]


def test_without_timesteps_or_a_zone_there_are_no_timesteps_to_leave_out(known, ddpm) -> None:
    with pytest.raises(ValueError, match=r"^objective = 'edm'; figure5, .* in \[timestep_gaps.tr"):
        timestep_gaps(known)
    vars(ddpm)["zone"] = zone_from(9.0, 0.5)
    with pytest.raises(ValueError, match=r"images, 9 to 0\.5, has no gap around it; give"):
        timestep_gaps(ddpm)


def test_what_cannot_be_trained_is_refused_before_anything_is(
    tmp_path, tiny_text, capsys, monkeypatch
) -> None:
    path, folder = tmp_path / "tiny.toml", tmp_path / "found"
    path.write_text(tiny_text)
    names = []
    monkeypatch.setattr(cli, "_run_experiments", lambda _, scales, *more: names.extend(scales) or 0)
    command = ["--scale", str(path), "--output", str(folder), "--device", "cpu", "--quiet"]
    assert main(["reproduce", "figure2", "figure5", *command]) == 2
    assert capsys.readouterr().err.count("objective = 'edm'; figure5, figure9 and") == 1
    assert not folder.exists()
    assert main(["reproduce", "all", *command]) == 0
    assert "figure4" in names
    assert not {"figure5", "figure9", "timestep-grids"} & set(names)


def test_figure4_judges_every_checkpoint_and_the_last_decides(known, monkeypatch) -> None:
    asked = {}

    def train_denoiser(self, count, name, **changes):
        asked[name] = count, changes

    def checkpoint(self, name, step):
        copies = name in ("memorizing", "gap-certain") or (step == 2000 and name != "gap-lowered")
        return self.memorizing if copies else self.generalizing

    monkeypatch.setattr(TrainedStudy, "train_denoiser", train_denoiser)
    monkeypatch.setattr(TrainedStudy, "checkpoint", checkpoint)
    gaps = zone_gaps(known)
    if gaps["certain zone"][0] >= gaps["certain zone"][1]:
        gaps |= {"certain zone": (0.5, 0.6)}
        monkeypatch.setattr(figure4, "zone_gaps", lambda _: gaps)
    outcome = figure4.run(known, 1e-3)
    assert asked == {
        "memorizing": (30, {}),
        "dummy": (30, {"dummy": True}),
        "gap-certain": (30, {"gap": (gaps["certain zone"],)}),
        "gap-possible": (30, {"gap": (gaps["possible zone"],)}),
        "gap-lowered": (30, {"gap": (gaps["lowered zone"],)}),
    }
    *samples, held_out = outcome.rows
    assert held_out[:4] == ("held-out images", "", 0, len(known.fresh))
    counts = {(row[0].split(",")[0], row[1]): row[2:4] for row in samples}
    assert counts == {
        ("baseline", 2000): (24, 24),
        ("baseline", 4000): (24, 24),
        ("dummy class", 2000): (24, 24),
        ("dummy class", 4000): (0, 24),
        ("gap over the certain zone", 2000): (24, 24),
        ("gap over the certain zone", 4000): (24, 24),
        ("gap over the possible zone", 2000): (24, 24),
        ("gap over the possible zone", 4000): (0, 24),
        ("gap over the lowered zone", 2000): (0, 24),
        ("gap over the lowered zone", 4000): (0, 24),
    }
    lost = {(row[0].split(",")[0], row[1]): row[6:9] for row in samples}
    assert lost["dummy class", 4000] == (24, 0, pytest.approx(2 * 0.5**24))
    assert lost["gap over the certain zone", 4000] == (0, 0, 1.0)
    # C_T, and the probability of being nearer than a held-out image: copies are, the others not.
    nearer = {(row[0].split(",")[0], row[1]): row[10:] for row in samples}
    score, rate, low, high = nearer["baseline", 4000]
    assert score < -3
    assert low < rate == high == 1.0
    assert nearer["dummy class", 4000][1] < 0.5
    verdicts = {(r.instance.split(",")[0], r.quantity[:9]): r.verdict for r in outcome.records}
    assert verdicts == {
        ("baseline", "memorized"): "holds",
        ("dummy class", "share of "): "holds",
        ("dummy class", "memorized"): "holds",
        ("gap over the certain zone", "share of "): "inconclusive",
        ("gap over the certain zone", "memorized"): "violated",
        ("gap over the possible zone", "share of "): "holds",
        ("gap over the possible zone", "memorized"): "holds",
        ("gap over the lowered zone", "share of "): "holds",
        ("gap over the lowered zone", "memorized"): "holds",
    }
    assert sum(record.alpha for record in outcome.records) == pytest.approx(1e-3)
    reported = [r.parameters["paper"] for r in outcome.records if "paper" in r.parameters]
    assert reported == [0.788, 0.09, 0.007, 0.007]
    # The paper trained without the zone itself, not without the one an octave below it.
    assert not any("lowered" in r.instance for r in outcome.records if "paper" in r.parameters)
    # The distance is that of the samples the row counts: the optimum's are training images.
    distance = {(row[0].split(",")[0], row[1]): row[9] for row in samples}
    assert distance["dummy class", 2000] == distance["baseline", 4000]
    assert distance["dummy class", 4000] != distance["baseline", 4000]
    figure = Figure()
    outcome.draw(figure)
    heights = [line.get_ydata().tolist() for line in figure.axes[0].lines]
    assert heights == [[100, 100], [100, 0], [100, 100], [100, 0], [0, 0]]


def test_distances_are_those_of_each_training_from_both_references(known, monkeypatch) -> None:
    made = {"memorizing": known.optimum, "gap-possible": known.gaussian}

    def train_denoiser(self, count, name, **changes):
        return made.get(name, lambda x, sigma: known.optimum(x, sigma) + 0.5)

    monkeypatch.setattr(TrainedStudy, "train_denoiser", train_denoiser)
    outcome = distances.run(known, 1e-3)
    found = {(row[0].split(",")[0], *row[1:4]): row[4:] for row in outcome.rows}
    assert len(found) == len(figure4.conditions(known)) * 2 * 3 * 18
    some = known.sigmas[9]
    for (name, reference, place, sigma), (mean, low, high) in found.items():
        assert low <= mean <= high
        if (name, reference) in (
            ("baseline", "empirical optimum"),
            ("gap over the possible zone", "Gaussian"),
        ):
            assert mean == 0
        if (name, reference) == ("dummy class", "empirical optimum") and sigma == some:
            # Half on all 64 pixels, but for those that it lifts out of the range.
            assert 0 < mean <= 64 / 4
        if (name, reference) == ("baseline", "Gaussian"):
            other = found["gap over the possible zone", "empirical optimum", place, sigma]
            assert other == (mean, low, high)
    # On the shell of its image the optimum's answer at little noise is that image, as on the noise.
    small = known.sigmas[-1]
    key = "baseline", "Gaussian"
    shells, noised, held_out = (
        found[(*key, place, small)][0]
        for place in (
            "shells of training images",
            "training images, noised",
            "held-out images, noised",
        )
    )
    assert shells == pytest.approx(noised, abs=1e-3)
    assert held_out > 100 * noised
    figure = Figure()
    outcome.draw(figure)
    assert len(figure.axes) == 6
    gaps = [gap for gap in zone_gaps(known).values() if gap[0] < gap[1]]
    inside = [[s for s in known.sigmas.tolist() if start <= s < end] for start, end in gaps]
    for axes in figure.axes:
        dotted = [line for line in axes.lines if line.get_marker() == "o"]
        assert [line.get_xdata().tolist() for line in dotted] == inside
    assert all(inside[1:])
    assert not outcome.records


SAME = ThreeSamples(0.0, 1, exact(0.5))
"""Samples as near to the training images as held-out ones are."""


def test_a_gap_that_makes_copies_is_seen(known) -> None:
    samples = known.few[:20]
    far = known.fresh[:20]
    distance = FrechetDistance(1.0, "pixels", 20, "images", 60)
    none, all_of_them = (
        Evaluation(memorization(each, known.few), distance, SAME) for each in (far, samples)
    )
    assert (none.count, all_of_them.count) == (0, 20)
    record = reduction_record(known, "x", "y", (none, all_of_them), 1e-3)
    assert (record.verdict, record.n) == ("violated", 20)
    assert reduction_record(known, "x", "y", (all_of_them, none), 1e-3).verdict == "holds"


def test_figures5_and_9_train_every_gap_and_find_the_front(ddpm, monkeypatch) -> None:
    asked = []

    def train_denoiser(self, count, name, gap=()):
        asked.append((count, name, gap))
        return self.generalizing if gap and gap[0][0] < 100 else self.memorizing

    vars(ddpm)["zone"] = zone_from(0.4, 2.0)
    monkeypatch.setattr(TrainedStudy, "train_denoiser", train_denoiser)
    outcome = figure5.run(ddpm, 1e-3)
    gaps = timestep_gaps(ddpm)
    assert asked[0] == (30, "memorizing", ())
    assert asked[1:] == [(30, f"gap-{a}-{b}", ((a, b),)) for a, b in gaps]
    *rows, held_out = outcome.rows
    assert held_out[:6] == ("held-out images", "", "", "", 0, len(ddpm.fresh))
    counts = [row[4] for row in rows]
    assert counts == [24] + [0 if a < 100 else 24 for a, _ in gaps]
    assert outcome.rows[1][2] == pytest.approx(0.1, rel=0.02)
    assert outcome.rows[1][3] == pytest.approx(4.0, rel=0.02)
    verdicts = [record.verdict for record in outcome.records]
    assert verdicts[:2] == ["holds", "holds"]
    assert verdicts[2:] == ["holds" if a < 100 else "inconclusive" for a, _ in gaps]
    assert sum(record.alpha for record in outcome.records) == pytest.approx(1e-3)
    assert ddpm.training().objective == "ddpm"
    assert (len(ddpm.sigmas), ddpm.sigmas[-1]) == (50, ddpm_sigmas()[0])
    plane = figure9.run(ddpm, 1e-3)
    assert [row[:-1] for row in plane.rows] == [list(r) if isinstance(r, list) else r for r in rows]
    best = min(row[11] for row in rows if row[4] == 0)
    other = min(row[11] for row in rows)
    expected = [
        int((row[4] == 0 and row[11] == best) or (other < best and row[11] == other))
        for row in rows
    ]
    assert [row[-1] for row in plane.rows] == expected


def test_the_front_keeps_what_no_other_beats() -> None:
    def one(count: int, distance: float) -> Evaluation:
        points = np.array([[0.0], [10.0]])
        samples = np.array([[0.1]] * count + [[5.0]] * (10 - count))
        value = FrechetDistance(distance, "pixels", 10, "images", 60)
        return Evaluation(memorization(samples, points), value, SAME)

    found = {
        (0, 0): one(9, 1.0),
        (1, 2): one(5, 2.0),
        (1, 3): one(5, 3.0),
        (1, 4): one(2, 4.0),
        (1, 5): one(3, 4.0),
        (1, 6): one(3, 9.0),
    }
    assert figure9.front(found) == {(0, 0), (1, 2), (1, 4)}


def test_a_whole_run_trains_and_judges(tmp_path, capsys) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(
        "[data]\nsource = 'digits'\ntrain_size = 60\ntest_size = 40\n"
        "[models]\nmemorizing = 30\ngeneralizing = 60\n"
        "[training]\nsteps = 4\nbatch_size = 8\n"
        "[measures]\nsamples = 8\noutputs = 20\nsteps = 4\nwindow = 1\ncheckpoints = 2\n"
    )
    folder = tmp_path / "found"
    command = ["reproduce", "figure4", "--scale", str(path), "--output", str(folder)]
    assert main([*command, "--device", "cpu", "--quiet"]) in (0, 1)
    assert capsys.readouterr().out == ""
    lines = (folder / "figure4.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} >= {"baseline", "dummy class"}
    steps = {path.name for path in (folder / "models" / "dummy").glob("step-*")}
    assert steps == {"step-00000002", "step-00000004"}
    real = frechet_distance(
        torch.rand(8, 1, 8, 8),
        torch.rand(60, 1, 8, 8),
        Extractor(torch.nn.Flatten(), "pixels"),
        reference_name="noise",
    )
    assert "n = 8 samples against 60" in str(real)
