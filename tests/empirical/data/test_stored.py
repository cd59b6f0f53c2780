"""Images that stay as they are stored: which ones, where, and that their file does not change."""

import tracemalloc

import numpy as np
import pytest

from wildmiddle.empirical.data import load
from wildmiddle.empirical.data.split import gather_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (90, 6, 5), dtype=np.uint8)


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "images.npy", PIXELS)
    return tmp_path / "images.npy"


def sorted_rows(images: np.ndarray) -> np.ndarray:
    rows = images.reshape(len(images), -1)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("sizes", [(80, 10), (40, 20), (3, 1)])
def test_they_are_the_same_images_in_one_unit(file, sizes) -> None:
    before = file.read_bytes()
    options = {"train_size": sizes[0], "test_size": sizes[1], "value_range": (0, 3)}
    stored, scaled = load(file, as_stored=True, **options), load(file, **options)
    assert isinstance(stored.train, np.memmap)
    assert stored.train.dtype == stored.test.dtype == np.uint8
    assert stored.unit == 3 / 255
    np.testing.assert_allclose(stored.unit * stored.test, scaled.test, atol=1e-12)
    np.testing.assert_allclose(
        stored.unit * sorted_rows(stored.train), sorted_rows(scaled.train), atol=1e-12
    )
    np.testing.assert_array_equal(stored.train, PIXELS[stored.train_indices])
    np.testing.assert_array_equal(stored.test_indices, scaled.test_indices)
    assert stored.sigma_data == pytest.approx(scaled.sigma_data, rel=1e-12)
    assert stored.sha256 == scaled.sha256
    assert file.read_bytes() == before


def test_few_images_of_a_large_file_do_not_take_its_memory(tmp_path) -> None:
    pixels = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (2000, 64, 64, 3))
    pixels[::20] = np.linspace(0, 255, 100).astype(np.uint8)[:, None, None, None]
    del pixels
    tracemalloc.start()
    found = load(tmp_path / "a.npy", train_size=20, test_size=5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.train.shape == (20, 64, 64, 3)
    assert most < 2000 * 64 * 64 * 3 / 2


def test_copies_are_counted_as_bytes(tmp_path) -> None:
    np.save(tmp_path / "twice.npy", np.repeat(PIXELS[:40], 2, 0))
    options = {"train_size": 60, "test_size": 20}
    stored = load(tmp_path / "twice.npy", as_stored=True, **options)
    assert stored.copies == load(tmp_path / "twice.npy", **options).copies != ()


def test_floats_and_columns_first_are_read_as_ever(tmp_path) -> None:
    np.save(tmp_path / "floats.npy", PIXELS / 255.0)
    floats = load(tmp_path / "floats.npy", as_stored=True, value_range=(0, 1))
    np.testing.assert_array_equal(
        floats.train, load(tmp_path / "floats.npy", value_range=(0, 1)).train
    )
    assert floats.unit == 1
    np.save(tmp_path / "columns.npy", np.asfortranarray(PIXELS))
    columns = load(tmp_path / "columns.npy", as_stored=True)
    np.testing.assert_array_equal(columns.train, PIXELS[columns.train_indices])


def test_few_rows_move_and_a_fixed_pool_none() -> None:
    chosen = np.random.default_rng(1).permutation(90)[:85]
    pool = PIXELS.copy()
    rows, order = gather_rows(pool, chosen)
    np.testing.assert_array_equal(np.sort(order), np.sort(chosen))
    np.testing.assert_array_equal(rows, PIXELS[order])
    assert (pool != PIXELS).any(axis=(1, 2)).sum() <= 5
    fixed = PIXELS.copy()
    fixed.flags.writeable = False
    rows, order = gather_rows(fixed, chosen)
    np.testing.assert_array_equal(rows, PIXELS[chosen])
    np.testing.assert_array_equal(order, chosen)
