"""The network whose features the experiments judge samples in, and the distance itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra train")
pytest.importorskip("torchmetrics", reason="needs the extra train")

from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import trained as module
from wildmiddle.checks.experiments.samples import quality
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.experiments.trained import TrainedStudy, trained_study
from wildmiddle.checks.settings import Settings
from wildmiddle.models.extractors import Extractor


def study_of(folder: Path, **data: Any) -> TrainedStudy:
    chosen = {"source": "digits", "train_size": 300, "test_size": 40, **data}
    scale = replace(read_scale("laptop"), data=chosen, memorizing=30, generalizing=300)
    return trained_study(scale, folder)


@pytest.fixture
def whole(tmp_path) -> TrainedStudy:
    return study_of(tmp_path)


def test_a_classifier_of_all_training_images_judges(whole, monkeypatch) -> None:
    asked = {}

    def train_classifier(images, labels, *, data_name):
        asked.update(images=images, labels=labels, name=data_name)
        return Extractor(torch.nn.Flatten(), "pixels")

    monkeypatch.setattr(module, "train_classifier", train_classifier)
    found = quality(whole, whole.pool, "training")
    assert asked["images"].shape == (300, 1, 8, 8)
    assert asked["images"].equal(whole.pool)
    np.testing.assert_array_equal(asked["labels"], whole.data.train_labels)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert (found.n, found.reference_n) == (300, 300)
    assert found.reference == "digits, all training images"
    held_out = quality(whole, whole.fresh, "held-out")
    assert (held_out.value, held_out.reference_n) == (pytest.approx(0, abs=1e-9), len(whole.fresh))
    assert held_out.reference == "digits, all held-out images"
    # In the pixels themselves: everything moved by one is 64 away.
    assert quality(whole, whole.pool[:150] + 1, "training").value > 64
    assert quality(whole, whole.pool + 1, "training").value == pytest.approx(64, rel=1e-6)


def test_the_classifier_learns_the_digits_whatever_the_seed(whole) -> None:
    found = whole.extractor
    assert "10 classes trained here on 240 images of digits (held-out accuracy 9" in found.name
    again = replace(whole, settings=Settings(seed=5)).extractor
    images = whole.pool[:4]
    assert found.network(images).equal(again.network(images))
    assert found is whole.extractor


@pytest.mark.parametrize("labels", [None, "8"])
def test_without_labels_it_says_what_to_give(tmp_path, labels) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (400, 8, 8)))
    data = {"source": path} if labels is None else {"source": "digits", "classes": labels}
    scale = replace(read_scale("laptop"), data=data, memorizing=5, generalizing=10)
    unlabelled = trained_study(scale, tmp_path)
    with pytest.raises(ValueError, match=r"no labels of two classes.* --inception FILE"):
        _ = unlabelled.extractor


def test_inception_takes_the_pixels_before_centring(whole, tmp_path, monkeypatch) -> None:
    asked = {}

    def inception(weights, *, value_range, mean):
        asked.update(weights=weights, range=value_range, mean=mean)
        return Extractor(torch.nn.Flatten(), "Inception")

    monkeypatch.setattr(module, "inception", inception)
    given = replace(whole, inception=Path("weights.pth"))
    assert given.extractor.name == "Inception"
    assert asked == {"weights": Path("weights.pth"), "range": (-1.0, 1.0), "mean": None}
    centred = replace(
        study_of(tmp_path, centre=True, value_range=(0, 1)), inception=given.inception
    )
    assert centred.extractor.name == "Inception"
    assert asked["range"] == (0, 1)
    assert asked["mean"].shape == (1, 8, 8)
    plain = study_of(tmp_path, value_range=(0, 1))
    torch.testing.assert_close(centred.pool + asked["mean"], plain.pool, rtol=0, atol=1e-6)


def test_weights_that_are_not_there_are_one_line(tmp_path, capsys) -> None:
    folder = tmp_path / "out"
    command = ["reproduce", "figure4", "--inception", "none.pth", "--output", str(folder)]
    assert main(command) == 2
    assert "--inception none.pth: no such file" in capsys.readouterr().err
    assert not folder.exists()


def test_images_without_labels_are_refused_before_any_training(tmp_path, tiny_text, capsys) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8), np.uint8)
    np.savez(tmp_path / "plain.npz", images=images)
    scale, folder = tmp_path / "tiny.toml", tmp_path / "out"
    scale.write_text(tiny_text)
    command = ["reproduce", "figure4", "--scale", str(scale), "--output", str(folder)]
    assert main([*command, "--data", str(tmp_path / "plain.npz")]) == 2
    assert "has no labels of two classes or more" in capsys.readouterr().err
    assert not folder.exists()
