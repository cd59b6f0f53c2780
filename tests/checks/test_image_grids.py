"""Grids of images, pixel by pixel; and that the pictures show what the tables count."""

import csv
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.experiments import (
    figure2,
    figure10,
    figures11_16,
    figures17_19,
    table1,
    timestep_grids,
)
from wildmiddle.checks.experiments.gaps import timestep_gaps, zone_gaps
from wildmiddle.checks.experiments.results import ExperimentResult, write
from wildmiddle.checks.experiments.samples import draw_samples, pixels
from wildmiddle.checks.experiments.scale import Scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.options import EXPERIMENTS, module_name
from wildmiddle.checks.report.image_grids import (
    FRAME,
    Strip,
    draw_strips,
    hstack_pairs,
    mosaic,
    split_into_rows,
    vstack_pairs,
)
from wildmiddle.checks.settings import Settings
from wildmiddle.models.denoisers import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.images import prepare_training_set
from wildmiddle.models.settings import Training
from wildmiddle.theory.regimes import PredictedZone, Zone
from wildmiddle.theory.schedules import edm_sigmas


def study_of(folder: Path, **data) -> TrainedStudy:
    """30 images for one model, 60 for the other, 24 samples, 200 outputs."""
    scale = Scale(
        name="tiny",
        group="",
        data={"train_size": 60, "test_size": 40, **data},
        memorizing=30,
        generalizing=60,
        training={"steps": 12, "batch_size": 8},
        samples=24,
        outputs=200,
        steps=18,
        window=5,
        checkpoints=2,
    )
    return trained_study(scale, folder, Settings(device="cpu"))


@pytest.fixture
def known(tmp_path) -> TrainedStudy:
    """The empirical optimum of 30 digits as one model, the Gaussian of 60 as all others."""
    study = study_of(tmp_path)
    rows = study.pool.flatten(1)
    vars(study)["memorizing"] = EmpiricalDenoiser(study.few, "cpu")
    vars(study)["generalizing"] = GaussianDenoiser(rows.mean(0), rows.T.cov())
    return study


@pytest.fixture
def colour(tmp_path) -> Path:
    """100 images of 4 x 4, red, green and blue last."""
    images = np.random.default_rng(0).integers(0, 256, (100, 4, 4, 3), np.uint8)
    path = tmp_path / "colour.npz"
    np.savez(path, train=images[:60], test=images[60:])
    return path


def pictures(outcome: ExperimentResult) -> list[np.ndarray]:
    """The pictures in an outcome's figure, one for each of its axes."""
    figure = Figure()
    outcome.draw(figure)
    found = [axes.images[0] for axes in figure.axes]
    assert all(image.get_interpolation() == "none" for image in found)
    return [np.asarray(image.get_array()) for image in found]


def framed(tile: np.ndarray) -> bool:
    """Whether the pixels around a tile that starts at (1, 1) are a frame; or else white."""
    edge = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
    if (edge == FRAME).all():
        return True
    assert (edge == 1).all()
    return False


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0), (-3.0, 5.0)])
def test_pixels_are_those_of_the_file(tmp_path, colour, value_range, centre) -> None:
    study = study_of(tmp_path, source=colour, value_range=value_range, centre=centre)
    stored = np.load(colour)["train"][study.data.train_indices] / 255
    assert pixels(study, study.pool) == pytest.approx(stored, abs=1e-6)
    assert (study.data.mean is not None) == centre


def test_pixels_beyond_the_range_are_cut_and_one_channel_is_grey(tmp_path) -> None:
    study = study_of(tmp_path, value_range=(-1.0, 3.0))
    images = torch.tensor([-9.0, -1.0, 0.0, 1.0, 3.0, 9.0]).reshape(1, 1, 2, 3)
    found = pixels(study, images)
    assert found.shape == (1, 2, 3, 3)
    for channel in range(3):
        assert found[0, ..., channel].flatten().tolist() == [0, 0, 0.25, 0.5, 1, 1]


def test_a_mosaic_pixel_by_pixel() -> None:
    dark, light = np.zeros((1, 2, 3, 3)), np.full((1, 2, 3, 3), 0.5)
    line = Strip(np.concatenate([light, dark]), np.array([False, True]))
    whole, middles = mosaic([line, Strip(vstack_pairs(dark, light))])
    grey = np.full((12, 12), 1.0)
    grey[1:3, 1:4], grey[1:3, 8:11] = 0.5, 0.0
    grey[7:9, 1:4], grey[10:12, 1:4] = 0.0, 0.5
    red = np.zeros((13, 12), bool)
    red[0:4, 7:12] = True
    red[1:3, 8:11] = False
    assert whole.shape == (13, 12, 3)
    assert (whole[red] == FRAME).all()
    assert (whole[~red] == np.vstack([grey, np.ones((1, 12))])[~red][:, None]).all()
    assert middles == [1.5, 9.0]


def test_a_frame_grows_with_the_image() -> None:
    whole, middles = mosaic([Strip(np.zeros((2, 32, 48, 3)), np.array([True, True]))])
    assert whole.shape == (36, 2 * 52 + 4, 3)
    assert (whole[17, 50:58, 0] == [FRAME[0]] * 2 + [1] * 4 + [FRAME[0]] * 2).all()
    assert middles == [17.5]


def test_pairs_and_rows() -> None:
    left, right = np.zeros((5, 2, 2, 3)), np.full((5, 2, 2, 3), 0.25)
    pairs = hstack_pairs(left, right)
    assert pairs[0, 1, :, 2].tolist() == [0, 0, 1, 0.25, 0.25]
    strips = split_into_rows(pairs, np.array([True, False, False, True, False]), 3)
    assert [len(strip.tiles) for strip in strips] == [3, 2]
    assert [list(strip.framed) for strip in strips] == [[True, False, False], [True, False]]
    whole, _ = mosaic(strips)
    assert (whole[6:, 18:] == 1).all()  # where the last row has no third pair


def test_labels_and_notes_stand_beside_their_strips() -> None:
    axes = Figure().subplots()
    tiles = np.zeros((1, 8, 8, 3))
    draw_strips(
        axes, [Strip(tiles, label="a", note="1%"), Strip(tiles, label="b", note="2%")], "title"
    )
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.get_yticks().tolist() == [4.5, 16.5]
    notes = [(text.get_text(), text.get_position()[1]) for text in axes.texts]
    assert notes == [("1%", 4.5), ("2%", 16.5)]
    assert (axes.get_title(), axes.get_xticks().size) == ("title", 0)


def test_figure10_shows_the_samples_that_table1_counts(known) -> None:
    outcome, table = figure10.run(known, 1e-3), table1.run(known, 1e-3)
    counted = {(row[0], row[1]): row[3] for row in table.rows}
    assert [row[:2] for row in outcome.rows] == [
        (name, part)
        for name in ("memorizing", "generalizing")
        for part in ("none", "large", "middle", "small")
    ]
    (picture,) = pictures(outcome)
    ends = table1.paper_parts(known)
    models = known.memorizing, known.generalizing
    for at, row in enumerate(outcome.rows):
        name, part, memorized, samples = row[:4]
        assert (memorized, samples) == (counted[name, part], 24)
        base, other = models if name == "memorizing" else models[::-1]
        denoiser = base if part == "none" else table1.swap(base, other, *ends[part])
        shown = pixels(known, draw_samples(known, denoiser))
        found = outcome.samples[f"{name}, swapped: {part}"]
        for column in range(16):
            tile = picture[12 * at : 12 * at + 10, 12 * column : 12 * column + 10]
            assert framed(tile) == (found.ratio[column] < 1 / 3)
            assert (tile[1:-1, 1:-1] == shown[column]).all()
    assert picture.shape == (8 * 12 - 2, 16 * 12 - 2, 3)
    outcome.draw(figure := Figure())
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "memorizing: 100.0%"
    assert labels[7] == f"small swapped: {100 * counted['generalizing', 'small'] / 24:.1f}%"


def test_the_papers_parts_are_its_steps_on_cifar10_and_move_with_the_zone(known) -> None:
    levels = edm_sigmas(18)
    for start, first, last in ((table1.PAPER_START, 7, 13), (0.441, 9, 14)):
        vars(known)["zone"] = PredictedZone(Zone(start, 2 * start), Zone(start / 2, 4 * start))
        parts = table1.paper_parts(known)
        steps = {
            name: np.flatnonzero((levels >= low) & (levels < high)).tolist()
            for name, (low, high) in parts.items()
        }
        assert steps == {
            "large": list(range(first)),
            "middle": list(range(first, last + 1)),
            "small": list(range(last + 1, 18)),
        }


def test_a_zone_without_a_start_gives_no_place_for_the_papers_middle(known) -> None:
    vars(known)["zone"] = PredictedZone(Zone(np.inf, 1.0), Zone(0.5, 4.0))
    with pytest.raises(ValueError, match="starts at inf"):
        table1.paper_parts(known)


def test_the_parts_fill_the_schedule_around_medium_noise(known) -> None:
    medium, parts = known.regime("medium"), table1.curve_parts(known)
    assert parts["middle"] == (medium.start.sigma, medium.end.sigma)
    assert parts["small"] == (0, medium.start.sigma)
    assert parts["large"] == (medium.end.sigma, np.inf)


def test_figure10_says_which_changed_samples_keep_their_image(known) -> None:
    outcome = figure10.run(known, 1e-3)
    for name, part, *_, same, changed, changed_same, median in outcome.rows:
        before, now = (outcome.samples[f"{name}, swapped: {which}"] for which in ("none", part))
        both = list(zip(before.nearest, now.nearest, before.ratio, now.ratio, strict=True))
        flips = [a == b for a, b, r, s in both if (r < 1 / 3) != (s < 1 / 3)]
        assert same == sum(a == b for a, b, _, _ in both)
        assert (changed, changed_same) == (len(flips), sum(flips))
        assert median == np.median(now.ratio)
    rows = {row[:2]: row for row in outcome.rows}
    assert rows["memorizing", "none"][4:7] == (24, 0, 0)
    assert rows["generalizing", "middle"][5] > 0


def test_figures11_16_show_noised_images_and_figure2_s_rates(known) -> None:
    outcome = figures11_16.run(known, 1e-3)
    levels = [0, 3, 7, 10, 14, 17]
    assert [row[0] for row in outcome.rows[:: 3 * 8]] == levels
    assert len(outcome.rows) == 6 * 3 * 8
    rates = {(row[0], row[1]): row[2] for row in figure2.run(known, 1e-3).rows}
    panels = dict(zip(levels, pictures(outcome), strict=True))
    clean, few = known.fresh[:8], known.few.flatten(1).double()
    shown, images, noises = pixels(known, clean), pixels(known, known.few), []
    for name, denoiser in (("generalizing", known.generalizing), ("empirical optimum", None)):
        for k in levels:
            rows = [row for row in outcome.rows if (row[0], row[3]) == (k, name)]
            assert [row[2] for row in rows] == list(range(8))
            assert {row[1] for row in rows} == {float(known.sigmas[k])}
            assert {row[7:] for row in rows} == {(rates[name, float(known.sigmas[k])], 200)}
            first = 24 + 21 * (1 if denoiser else 2)
            for i, (*_, nearest, ratio, copy, _, _) in enumerate(rows):
                tile = panels[k][first : first + 19, 12 * i : 12 * i + 10]
                assert framed(tile) == copy == (ratio < 1 / 3)
                assert (tile[10:-1, 1:-1] == images[nearest]).all()
                assert (panels[k][1:9, 12 * i + 1 : 12 * i + 9] == shown[i]).all()
    # At the smallest noise the optimum's answer is the image nearest to the held-out one.
    last = [row for row in outcome.rows if (row[0], row[3]) == (17, "empirical optimum")]
    expected = torch.cdist(clean.flatten(1).double(), few).argmin(1).tolist()
    assert [row[4] for row in last] == expected
    # Each image has noise of its own, the same at all levels: signs at the two largest agree.
    for k in (0, 3):
        line = panels[k][13:21]
        noises.append([line[:, 12 * i + 1 : 12 * i + 9, 0] > 0.5 for i in range(8)])
    assert np.mean(np.array(noises[0]) == np.array(noises[1])) > 0.98
    assert all(np.mean(noises[0][0] == noises[0][i]) < 0.8 for i in range(1, 8))


def test_figures17_19_pair_each_sample_with_its_nearest_image(known, monkeypatch) -> None:
    asked = {}

    def train_denoiser(self, count, name, **changes):
        asked[name] = count, changes
        return self.optimum if name == "dummy" else self.generalizing

    monkeypatch.setattr(TrainedStudy, "train_denoiser", train_denoiser)
    outcome = figures17_19.run(known, 1e-3)
    gap = zone_gaps(known)["possible zone"]
    assert asked == {"dummy": (30, {"dummy": True}), "gap-possible": (30, {"gap": (gap,)})}
    title = f"gap, σ {gap[0]:g} to {gap[1]:g}"
    assert [row[:3] for row in outcome.rows] == [
        ("baseline", 24, 24),
        ("dummy class", 24, 24),
        (title, 0, 24),
    ]
    panels = pictures(outcome)
    samples = pixels(known, draw_samples(known, known.generalizing))
    nearest = pixels(known, known.few)[outcome.samples[title].nearest]
    for i in range(24):
        row, column = divmod(i, 16)
        at = slice(12 * row, 12 * row + 10), slice(21 * column, 21 * column + 19)
        assert framed(panels[0][at])
        assert not framed(panels[2][at])
        assert (panels[2][at][1:-1, 1:9] == samples[i]).all()
        assert (panels[2][at][1:-1, 10:-1] == nearest[i]).all()


def test_without_a_zone_there_is_no_gap_to_show(known, monkeypatch) -> None:
    monkeypatch.setattr(
        TrainedStudy, "train_denoiser", lambda self, count, name, **_: self.generalizing
    )
    monkeypatch.setattr(figures17_19, "zone_gaps", lambda _: {"possible zone": (2.0, 2.0)})
    outcome = figures17_19.run(known, 1e-3)
    assert [row[0] for row in outcome.rows] == ["baseline", "dummy class"]
    assert len(pictures(outcome)) == 2


def test_a_dummy_trained_denoiser_samples_the_real_class(tmp_path) -> None:
    study = study_of(tmp_path)
    images = study.data.train[:30]
    prepared = prepare_training_set(images, None, Training(dummy=True))
    real = prepared.images[prepared.labels == prepared.label]
    assert (real[:, 0] == images.astype(np.float32)).all()
    denoiser = study.train_denoiser(30, "dummy", dummy=True)
    x = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = denoiser(x, 1.0)
    assert torch.equal(found, denoiser(x, 1.0, labels=prepared.label))
    assert not torch.equal(found, denoiser(x, 1.0, labels=1 - prepared.label))


def test_timestep_grids_show_the_samples_that_figure5_counts(known, monkeypatch) -> None:
    gaps = ((100, 350), (150, 250))
    monkeypatch.setattr(
        timestep_grids,
        "train_gaps",
        lambda study: {(0, 0): study.optimum, gaps[0]: study.generalizing, gaps[1]: study.optimum},
    )
    outcome = timestep_grids.run(known, 1e-3)
    assert outcome.rows == ((0, 0, 24, 24, 16), (*gaps[0], 0, 24, 0), (*gaps[1], 24, 24, 16))
    panels = pictures(outcome)
    assert len(panels) == 3
    samples = pixels(known, draw_samples(known, known.generalizing))
    nearest = outcome.samples["without timesteps 100 to 350"].nearest
    images = pixels(known, known.few)[nearest]
    for i in range(16):
        row, column = divmod(i, 4)
        at = slice(12 * row, 12 * row + 10), slice(21 * column, 21 * column + 19)
        assert framed(panels[0][at])
        assert not framed(panels[1][at])
        assert (panels[1][at][1:-1, 1:9] == samples[i]).all()
        assert (panels[1][at][1:-1, 10:-1] == images[i]).all()


@pytest.mark.parametrize("name", ["figure10", "figures11-16", "figures17-19", "timestep-grids"])
def test_pictures_have_files_and_no_verdict(known, tmp_path, monkeypatch, name) -> None:
    monkeypatch.setattr(
        TrainedStudy, "train_denoiser", lambda self, count, name, **_: self.generalizing
    )
    module = import_module(f"wildmiddle.checks.experiments.{module_name(name)}")
    panels = 0
    if name == "timestep-grids":
        own = {**known.scale.training, "objective": "ddpm"}
        vars(known)["scale"] = replace(known.scale, training=own)
        panels = 1 + len(timestep_gaps(known))
    outcome = module.run(known, 1e-3)
    page = write(outcome, tmp_path / "new")
    assert page.name == f"{name}.md"
    assert page.read_text().startswith(f"# {name}: no verdict\n\nThe paper: ")
    assert f"![{name}]({name}.svg)" in page.read_text()
    svg = ElementTree.fromstring((tmp_path / "new" / f"{name}.svg").read_text(encoding="utf-8"))
    images = list(svg.iter("{http://www.w3.org/2000/svg}image"))
    assert (
        len(images)
        == {"figure10": 1, "figures11-16": 6, "figures17-19": 3, "timestep-grids": panels}[name]
    )
    for image in images:
        assert image.attrib["{http://www.w3.org/1999/xlink}href"].startswith(
            "data:image/png;base64,"
        )
        assert "pixelated" in image.attrib["style"]  # sharp at any size
    assert json.loads((tmp_path / "new" / f"{name}.json").read_text())["shows_images"]
    lines = list(csv.reader((tmp_path / "new" / f"{name}.csv").read_text().splitlines()))
    assert {len(line) for line in lines} == {len(outcome.header)}
    samples = tmp_path / "new" / f"{name}-samples.csv"
    conditions = {"figure10": 8, "figures11-16": 0, "figures17-19": 3, "timestep-grids": panels}[
        name
    ]
    assert samples.exists() == bool(conditions)
    if conditions:
        assert len(samples.read_text().splitlines()) == 1 + 24 * conditions
    groups = {"figures17-19": "gaps", "timestep-grids": "timestep_gaps"}
    assert EXPERIMENTS[name] == groups.get(name, "")
