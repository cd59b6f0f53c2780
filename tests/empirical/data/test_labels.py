"""The labels that travel with the images, and what centring subtracted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from wildmiddle.empirical.data import load
from wildmiddle.empirical.data.cifar import BINARY

SEED = 20260218


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 256, size=shape, dtype=np.uint8)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_labels_of_the_digits_stand_beside_their_images() -> None:
    target = load_digits().target
    for data in (load(), load(classes="3,8", limit=50, size=4), load(centre=True, seed=3)):
        assert data.train_labels is not None
        assert data.test_labels is not None
        assert data.train_labels.dtype == data.test_labels.dtype == np.int64
        np.testing.assert_array_equal(data.train_labels, target[data.train_indices])
        np.testing.assert_array_equal(data.test_labels, target[data.test_indices])


def test_labels_of_cifar(tmp_path: Path) -> None:
    labels = np.random.default_rng(SEED).integers(0, 10, 18)
    records = [bytes([k]) + pixels(3072).tobytes() for k in labels]
    folder = tmp_path / "small"
    folder.mkdir()
    for k, name in enumerate((*BINARY.train, BINARY.test)):
        (folder / name).write_bytes(b"".join(records[3 * k : 3 * k + 3]))
    data = load(folder, train_size=9)
    np.testing.assert_array_equal(data.train_labels, labels[data.train_indices])
    np.testing.assert_array_equal(data.test_labels, labels[15:][data.test_indices])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([3, 1, 300, 1, 3, 7], dtype=np.uint16), [3, 1, 300, 1, 3, 7]),
        (np.array(["b", "a", "ccc", "a", "b", "b"]), [1, 0, 2, 0, 1, 1]),
    ],
)
def test_labels_of_an_npz_file(tmp_path: Path, labels: np.ndarray, expected: list[int]) -> None:
    whole = load(saved(tmp_path / "a.npz", images=pixels(6, 4, 4), labels=labels))
    assert whole.train_labels is not None
    np.testing.assert_array_equal(whole.train_labels, np.array(expected)[whole.train_indices])
    np.testing.assert_array_equal(whole.test_labels, np.array(expected)[whole.test_indices])
    # Names are numbered over both parts together.
    parts = {"train": pixels(4, 4, 4), "test": pixels(2, 4, 4)}
    apart = saved(tmp_path / "b.npz", **parts, train_labels=labels[2:], test_labels=labels[:2])
    data = load(apart)
    np.testing.assert_array_equal(data.train_labels, np.array(expected)[2:][data.train_indices])
    np.testing.assert_array_equal(data.test_labels, np.array(expected)[:2][data.test_indices])
    one = load(saved(tmp_path / "c.npz", **parts, train_labels=labels[2:]))
    assert one.train_labels is not None
    assert one.test_labels is None
    for other in (data, one):
        np.testing.assert_array_equal(other.train, load(saved(tmp_path / "d.npz", **parts)).train)
        assert other.sha256 == load(tmp_path / "d.npz").sha256


def test_names_of_the_test_part_alone_have_a_place(tmp_path: Path) -> None:
    parts = {"train": pixels(2, 4, 4), "test": pixels(3, 4, 4)}
    names = {"train_labels": np.array(["c", "c"]), "test_labels": np.array(["bbb", "d", "c"])}
    data = load(saved(tmp_path / "a.npz", **parts, **names))
    assert data.train_labels is not None
    assert data.train_labels.tolist() == [1, 1]
    np.testing.assert_array_equal(data.test_labels, np.array([0, 2, 1])[data.test_indices])


def test_sources_without_labels(tmp_path: Path) -> None:
    for array in (
        np.eye(6),
        np.arange(5),
        np.arange(6.0),
        np.arange(6)[:, None],
        np.array([None] * 6),
    ):
        found = load(saved(tmp_path / "a.npz", images=pixels(6, 4, 4), labels=array))
        assert found.train_labels is found.test_labels is None
    np.save(tmp_path / "a.npy", pixels(6, 4, 4))
    assert load(tmp_path / "a.npy").train_labels is None
    folder = tmp_path / "images"
    folder.mkdir()
    for k, image in enumerate(pixels(4, 4, 4)):
        Image.fromarray(image).save(folder / f"{k}.png")
    assert load(folder).test_labels is None


def test_the_mean_gives_centred_images_back() -> None:
    data, centred = load(), load(centre=True)
    assert data.mean is None
    assert centred.mean is not None
    np.testing.assert_allclose(centred.train + centred.mean, data.train, atol=1e-15)
    np.testing.assert_allclose(centred.test + centred.mean, data.test, atol=1e-15)
