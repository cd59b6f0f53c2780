"""Classes, the first N, grayscale and size, on arrays made on the fly and on real images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from wildmiddle.empirical.data import DataError, load
from wildmiddle.empirical.data.resizing import reduce_images

SEED = 20260217


def pixels(*shape: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def save_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def as_stored(images: np.ndarray) -> np.ndarray:
    return np.rint((images + 1) * 127.5).astype(np.uint8)


# Classes and limit


def test_classes_of_the_digits(refused) -> None:
    target = load_digits().target
    data = load("digits", classes="8,3")
    assert data.classes == ("3", "8")
    assert data.title == "digits, 3 + 8"
    both = np.concatenate([data.train_indices, data.test_indices])
    assert sorted(both) == np.flatnonzero(np.isin(target, [3, 8])).tolist()
    np.testing.assert_array_equal(
        np.concatenate([data.train, data.test]), load_digits().images[both] / 8 - 1
    )
    assert load().classes == ()
    assert load().title == "digits"
    refused("digits", "class '10'", "0, 1, 2", classes=[10])


@pytest.mark.parametrize("labels", [[7, 2, 2, 7, 30, 7], ["b", "a", "a", "b", "c", "b"]])
@pytest.mark.parametrize("name", ["images", "faces", "train"])
def test_classes_of_one_array(tmp_path: Path, labels: list[Any], name: str, refused) -> None:
    images = pixels(6, 4, 4)
    key = "train_labels" if name == "train" else "labels"
    path = save_npz(tmp_path / "a.npz", **{name: images, key: np.array(labels)})
    data = load(path, classes=[labels[0]])
    assert data.classes == (str(labels[0]),)
    assert sorted(np.concatenate([data.train_indices, data.test_indices])) == [0, 3, 5]
    np.testing.assert_array_equal(as_stored(data.train), images[data.train_indices])
    refused(path, "class 'd'", "choose from", classes="d")
    refused(path, "2 images", "at least 3", classes=[labels[1]])


def test_classes_of_two_parts_and_limit_of_each(tmp_path: Path, refused) -> None:
    train, test = pixels(8, 3, 3), pixels(6, 3, 3, seed=1)
    path = save_npz(
        tmp_path / "a.npz",
        train=train,
        test=test,
        train_labels=np.array([0, 1, 1, 0, 1, 1, 1, 2]),
        test_labels=np.array([1, 0, 1, 1, 3, 1], dtype=np.uint8),
    )
    data = load(path, classes="1", limit=3)
    assert (sorted(data.train_indices), sorted(data.test_indices)) == ([1, 2, 4], [0, 2, 3])
    np.testing.assert_array_equal(as_stored(data.train), train[data.train_indices])
    np.testing.assert_array_equal(as_stored(data.test), test[data.test_indices])
    assert data.title == "a.npz, 1, first 3"
    assert data.limit == 3
    # A class that one part alone has is known, and what is missing from the other is said.
    refused(path, "a.npz, train: 1 images", classes="2,2")
    refused(path, "a.npz, train: 0 images", classes=[3])


def test_limit_takes_the_first_and_train_size_draws_from_them(tmp_path: Path, refused) -> None:
    path = tmp_path / "a.npy"
    np.save(path, pixels(50, 2, 2))
    data = load(path, limit=20)
    assert sorted(np.concatenate([data.train_indices, data.test_indices])) == list(range(20))
    smaller = load(path, limit=20, train_size=5, test_size=8)
    np.testing.assert_array_equal(smaller.train_indices, data.train_indices[:5])
    assert smaller.sha256 == data.sha256
    np.save(tmp_path / "first.npy", pixels(50, 2, 2)[:20])
    assert data.sha256 == load(tmp_path / "first.npy").sha256 != load(path).sha256
    assert load(path, limit=1000).sha256 == load(path).sha256
    refused(path, "train_size 20", "has 19", limit=20, train_size=20)
    refused(path, "limit 0", "at least 1", limit=0)
    refused(path, "limit 2.5", "an integer", limit=2.5)
    refused(path, "2 images", "at least 3", limit=2)


def test_sources_without_fitting_labels(tmp_path: Path, refused) -> None:
    np.save(tmp_path / "a.npy", pixels(5, 2, 2))
    refused(tmp_path / "a.npy", "no labels", ".npz file with labels", classes="1")
    images = pixels(5, 2, 2)
    path = save_npz(tmp_path / "a.npz", train=images, test=images, train_labels=np.arange(5))
    refused(path, "no labels", "test_labels", classes="1")
    for labels in (np.arange(4), np.eye(5), np.zeros(5), np.zeros((5, 1), dtype=int)):
        wrong = save_npz(tmp_path / "b.npz", images=images, labels=labels)
        refused(wrong, "b.npz", f"shape {labels.shape}", str(labels.dtype), classes="0")
        assert load(wrong).train.shape == (3, 2, 2)  # left alone unless asked for
    wrong = save_npz(tmp_path / "c.npz", images=images, labels=np.array([None] * 5))
    refused(wrong, "'labels' holds Python objects", classes="0")
    assert load(wrong).classes == ()
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    refused(folder, "no labels", classes="1")
    for nothing in ("", ",", []):
        with pytest.raises(DataError):
            load("digits", classes=nothing)


# Grayscale and size


def test_grayscale_is_the_luma_of_bt_601(tmp_path: Path) -> None:
    images = pixels(20, 6, 5, 3)
    path = tmp_path / "a.npy"
    np.save(path, images)
    data = load(path, grayscale=True)
    assert data.train.shape == (12, 6, 5)
    assert (data.title, data.grayscale) == ("a.npy, grayscale", True)
    exact = images[data.train_indices] @ [0.299, 0.587, 0.114]
    assert np.abs(as_stored(data.train) - exact).max() <= 0.5 + 1e-12
    np.save(path, images / 255)
    floats = load(path, grayscale=True, value_range=(0, 1))
    np.testing.assert_allclose(floats.train, exact / 255, rtol=0, atol=1e-15)
    gray = pixels(20, 6, 5)
    np.save(path, gray)
    assert load(path, grayscale=True).sha256 == load(path).sha256
    np.save(path, gray[..., None])
    np.testing.assert_array_equal(load(path, grayscale=True).train, load(path).train[..., 0])


def area_mean(image: np.ndarray, size: int) -> np.ndarray:
    """The average over the area of each new pixel, by the overlaps with the old ones."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side].astype(np.float64)
    new = np.arange(size)[:, None] * side / size
    old = np.arange(side)[None, :]
    overlap = np.minimum(new + side / size, old + 1) - np.maximum(new, old)
    weights = np.clip(overlap, 0, None) * size / side
    return np.einsum("ri,cj,ij...->rc...", weights, weights, square)


@given(
    height=st.integers(4, 19),
    width=st.integers(4, 19),
    size=st.integers(1, 9),
    colour=st.booleans(),
    floats=st.booleans(),
)
def test_size_crops_the_centre_and_averages_by_area(
    height: int, width: int, size: int, colour: bool, floats: bool
) -> None:
    images: np.ndarray = pixels(3, height, width, *([3] if colour else []))
    if floats:
        images = images / 127.5 - 1
    if size > min(height, width):
        with pytest.raises(DataError, match=f"{width}x{height}, too small for size {size}"):
            reduce_images(images, "a", grayscale=False, size=size)
        return
    found = reduce_images(images, "a", grayscale=False, size=size)
    assert found.dtype == images.dtype
    exact = np.stack([area_mean(image, size) for image in images])
    assert np.abs(found - exact).max() <= (0 if floats else 0.5) + 1e-12


def test_size_of_equal_blocks_is_their_mean(tmp_path: Path, refused) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.kron(pixels(6, 4, 4), np.ones((1, 3, 3), dtype=np.uint8)))
    data = load(path, size=4)
    np.testing.assert_array_equal(as_stored(data.train), pixels(6, 4, 4)[data.train_indices])
    assert (data.size, data.title) == (4, "a.npy, 4x4")
    assert load(path, size=12).sha256 == load(path).sha256
    refused(path, "12x12", "too small for size 13", size=13)
    refused(path, "size 0", "at least 1", size=0)


def test_size_brings_two_parts_together(tmp_path: Path, refused) -> None:
    path = save_npz(tmp_path / "a.npz", train=pixels(4, 8, 6, 3), test=pixels(3, 5, 9))
    data = load(path, size=4, grayscale=True)
    assert (data.train.shape, data.test.shape) == ((4, 4, 4), (3, 4, 4))
    refused(path, "(4, 4, 3)", "(4, 4)", "one size", size=4)


@pytest.mark.parametrize("shape", [(5, 7), (5, 4, 4, 2), (5, 3, 4, 4), (5, 2, 4, 4, 3)])
def test_arrays_that_are_no_images(tmp_path: Path, shape: tuple[int, ...], refused) -> None:
    path = tmp_path / "a.npy"
    np.save(path, pixels(*shape))
    refused(path, str(shape[1:]), "no rows and columns", "(N, H, W, 3)", size=2)
    refused(path, str(shape[1:]), "no rows and columns", grayscale=True)


def test_automobiles_of_the_real_images_in_gray(shared) -> None:
    path = shared("cifar10_subset.npz")
    data = load(path, classes="1", grayscale=True, size=16)
    with np.load(path, allow_pickle=False) as archive:
        labels, images = archive["train_labels"], archive["train"]
    assert data.train.shape == (int((labels == 1).sum()), 16, 16)
    assert set(data.train_indices) == set(np.flatnonzero(labels == 1))
    exact = area_mean(images[data.train_indices[0]] @ [0.299, 0.587, 0.114], 16)
    assert np.abs(as_stored(data.train[0]) - exact).max() <= 0.5 + 1e-12
