"""What arrays are taken for: layout, units and kind; what is said, doubted and refused."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wildmiddle.empirical.data import DataError, DataSet, DataWarning, load
from wildmiddle.empirical.data.conventions import (
    compare_units,
    extremes,
    read_layout,
    require_resolution,
    require_same_shape,
)

SEED = 20261125


def pixels(*shape: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


# Layout


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((50, 64), "each of the 50 rows"),
        ((50, 28, 28), "50 images of 28x28 values without"),
        ((50, 28, 20, 3), "50 images of 28x20, 3 channels last"),
        ((50, 28, 28, 1), "50 images of 28x28, 1 channels last"),
        ((50, 3, 28, 20), "50 images of 28x20, 3 channels first"),
        ((50, 1, 28, 20), "50 images of 28x20, 1 channels first"),
        ((3, 28, 28, 3), "3 images of 28x28, 3 channels last"),
        ((50, 5, 3), "50 images of 5x3"),
        ((3, 4, 5), "3 images of 4x5"),
    ],
)
def test_a_layout_is_said(tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    data = load(saved(tmp_path / "a.npy", pixels(*shape)))
    assert data.doubts == ()
    layout, units = data.notes
    assert said in layout
    assert units == "a.npy, images: integers 0..255 are mapped to [-1, 1]"


@pytest.mark.parametrize(
    ("shape", "fragment"),
    [
        ((28, 28), "if it is a single image"),
        ((3, 28, 28), "single image with channels first"),
        ((28, 28, 3, 4), "another one has as few values"),
        ((50, 3, 28, 3), "another one has as few values"),
        ((50, 28, 28, 9), "no axis of 1 to 4 channels"),
        ((50, 4, 4, 4, 3), "none of images"),
    ],
)
def test_a_layout_is_doubted(tmp_path: Path, shape: tuple[int, ...], fragment: str) -> None:
    with pytest.warns(DataWarning, match=fragment):
        data = load(saved(tmp_path / "a.npy", pixels(*shape)))
    assert len(data.doubts) == 1
    assert len(data.train) + len(data.test) == shape[0]


@pytest.mark.parametrize(
    ("shape", "fragment"),
    [
        ((32, 32, 3), "single image of 3 channels"),
        ((28, 20, 1), "single image of 1 channels"),
        ((28, 28, 4), "single image of 4 channels"),
        ((32, 32, 3, 500), "numpy.moveaxis(images, -1, 0)"),
        ((3, 32, 32, 500), "numpy.moveaxis(images, -1, 0)"),
        ((28, 28, 1, 60), "numpy.moveaxis(images, -1, 0)"),
    ],
)
def test_a_layout_is_refused(tmp_path: Path, refused, shape, fragment: str) -> None:
    refused(saved(tmp_path / "a.npy", pixels(*shape)), f"shape {shape}", fragment)


@pytest.mark.parametrize("count", [3, 8, 32])
def test_the_layout_of_a_folder_is_known(tmp_path: Path, count: int) -> None:
    for shape in ((count, 32, 3), (count, 16, 16), (count, 9, 3, 3)):
        folder = tmp_path / "-".join(map(str, shape))
        folder.mkdir()
        for i, image in enumerate(pixels(*shape)):
            Image.fromarray(image).save(folder / f"{i:02d}.png")
        data = load(folder)
        assert data.doubts == ()
        assert data.train.shape[1:] == shape[1:]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fid_statistics_are_no_images(tmp_path: Path, refused, dtype) -> None:
    features = np.random.default_rng(SEED).uniform(0, 0.5, (500, 64))
    mu, sigma = features.mean(0).astype(dtype), np.cov(features.T).astype(dtype)
    path = tmp_path / "fid_stats.npz"
    np.savez(path, mu=mu, sigma=sigma)
    refused(path, "symmetric matrix of 64 x 64", "FID", "images themselves")
    refused(saved(tmp_path / "a.npy", sigma), "symmetric")
    distances = np.linalg.norm(features[:9, None] - features[:9], axis=2)
    refused(saved(tmp_path / "a.npy", distances), "symmetric")


def test_square_arrays_that_are_not_symmetric_are_no_matrices() -> None:
    assert read_layout(pixels(64, 64), "a").doubts
    assert read_layout(np.zeros((64, 64)), "a").notes  # all equal: says nothing


# Units


def test_floats_that_may_start_at_black_are_doubted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", pixels(20, 5, 5) / 255)
    with pytest.warns(DataWarning, match="--range=0,1") as caught:
        assumed = load(path)
    assert caught[0].filename == __file__
    assert assumed.value_range == (-1, 1)
    for given in ((0, 1), (-1, 1)):
        data = load(path, value_range=given)
        assert data.doubts == ()
        np.testing.assert_array_equal(data.train, assumed.train)
    assert load(saved(path, pixels(20, 5, 5) / 127.5 - 1)).doubts == ()


@pytest.mark.parametrize("top", [1, 16, 100])
def test_integers_far_below_white_are_doubted(tmp_path: Path, top: int) -> None:
    images = np.random.default_rng(SEED).integers(0, top + 1, (20, 5, 5))
    with pytest.warns(DataWarning, match=rf"up to {top} .*--range=0,{top} "):
        data = load(saved(tmp_path / "a.npy", images))
    assert data.train.max() == top / 127.5 - 1  # as bytes, as it was said
    # The remedy that is named.
    remedied = load(saved(tmp_path / "a.npy", images.astype(float)), value_range=(0, top))
    assert remedied.doubts == ()
    assert (remedied.train.min(), remedied.train.max()) == (0, top)


def test_dark_photographs_and_the_digits_are_not_doubted(tmp_path: Path) -> None:
    assert load().doubts == ()
    assert load().notes == ("digits, images: integers 0..16 are mapped to [-1, 1]",)
    dark = pixels(20, 9, 9) // 4
    dark[3, 2, 2] = 140
    assert load(saved(tmp_path / "a.npy", dark)).doubts == ()


def test_floats_that_hardly_use_the_range_are_doubted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", pixels(20, 5, 5) / 255)
    with pytest.warns(DataWarning, match=r"a part of 0\.0039 of the range \[0, 255\]"):
        load(path, value_range=(0, 255))


def unit_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    one = pixels(40, 6, 6) / 255
    other = pixels(30, 6, 6, seed=1) / 255
    return {
        "[0, 1] against [-1, 1]": (one, 2 * other - 1),
        "[-1, 1] against [0, 1]": (2 * one - 1, other),
        "0..255 against [-1, 1]": (255 * one, 2 * other - 1),
        "[-1, 1] against 0..255": (2 * one - 1, 255 * other),
        "[0, 1] against 0..255": (one, 255 * other),
        "0..255 against [0, 1]": (255 * one, other),
    }


@pytest.mark.parametrize("name", unit_pairs())
def test_two_sets_in_different_units_are_told(tmp_path: Path, refused, name: str) -> None:
    test, train = unit_pairs()[name]
    assert "different units" in (compare_units(extremes(test), extremes(train), "test") or "")
    low, high = min(test.min(), train.min()), max(test.max(), train.max())
    np.savez(tmp_path / "a.npz", train=train, test=test)
    refused(tmp_path / "a.npz", "different units", "one range", value_range=(low, high))


def test_integer_parts_in_different_units_are_refused(tmp_path: Path, refused) -> None:
    np.savez(tmp_path / "a.npz", train=pixels(40, 6, 6), test=pixels(30, 6, 6) // 128)
    refused(tmp_path / "a.npz", "test has values from 0 to 1, train from 0 to 25")


@pytest.mark.parametrize("scale", [1, 0.5, 127.5])
def test_legitimate_sets_are_not_told_apart(scale: float) -> None:
    rng = np.random.default_rng(SEED)
    train = 2 * pixels(40, 6, 6) / 255 - 1
    legitimate = {
        "raw samples that overshoot": 1.2 * train + 0.05 * rng.standard_normal(train.shape),
        "dark": 0.3 * train - 0.7,
        "bright": 0.6 * train + 0.4,
        "soft": 0.2 * train,
        "one image": train[:1],
        "a few that diverged": np.concatenate([train, 100 * train[:15]]),
    }
    ends = extremes(scale * train)
    for name, samples in legitimate.items():
        for raw in (False, True):
            assert compare_units(extremes(scale * samples), ends, "x", raw=raw) is None, name
    # Raw samples overshoot in another range too.
    unsigned = extremes(scale * (0.5 * train + 0.45))
    assert compare_units(unsigned, ends, "x", raw=True) is not None
    # Bright and dark training images beside samples that are bright, as in one class of several.
    mixed = np.concatenate([train, 0.4 * train + 0.6])
    bright = extremes(scale * (0.4 * train + 0.6))
    assert compare_units(bright, extremes(scale * mixed), "x") is None
    flat = extremes(np.zeros((4, 9)))
    assert compare_units(extremes(np.ones((4, 9))), flat, "x") is None  # no range to compare with


# Shapes of two sets


@pytest.mark.parametrize(
    ("shape", "train_shape"),
    [
        ((12,), (12,)),
        ((3, 4), (12,)),
        ((1, 3, 4), (3, 4)),
        ((3, 4, 1), (1, 3, 4)),
        ((12,), (1, 3, 4)),
        ((3, 4, 5), (3, 4, 5)),
    ],
)
def test_shapes_that_agree(shape, train_shape) -> None:
    require_same_shape(shape, train_shape, "samples")


@pytest.mark.parametrize(
    ("shape", "train_shape", "fragment"),
    [
        ((3, 8, 8), (8, 8, 3), "to_channels_first"),
        ((8, 8, 3), (3, 8, 8), "to_channels_first"),
        ((192,), (8, 8, 3), "different orders; bring both to one shape"),
        ((3, 8, 8), (192,), "different orders"),
        ((4, 3), (3, 4), "different orders"),
        ((8, 8), (4, 16), "different orders"),
        ((8, 8, 3), (8, 8), "d = 64 and samples 192"),
    ],
)
def test_shapes_that_do_not(shape, train_shape, fragment: str) -> None:
    with pytest.raises(ValueError, match=fragment) as caught:
        require_same_shape(shape, train_shape, "samples")
    assert str(shape) in str(caught.value)
    assert str(train_shape) in str(caught.value)


# What float64 and float32 resolve


@pytest.mark.parametrize("offset", [1e3, -1e5, 1e8])
def test_an_offset_is_refused_and_centring_is_the_remedy(
    tmp_path: Path, refused, offset: float
) -> None:
    images = np.random.default_rng(SEED).uniform(-1, 1, (40, 6, 6))
    path = saved(tmp_path / "a.npy", offset + images)
    around = (offset - 1, offset + 1)
    refused(path, "subtract the offset", "--centre", value_range=around)
    centred = load(path, value_range=around, centre=True)
    plain = load(saved(path, images), centre=True)
    # The sum of N pixels rounds N times, each pixel once.
    atol = (len(images) + 1) * np.spacing(abs(offset) + 1)
    np.testing.assert_allclose(centred.train, plain.train, rtol=0, atol=atol)


def test_an_offset_of_each_pixel_is_one_too(tmp_path: Path, refused) -> None:
    rng = np.random.default_rng(SEED)
    images = rng.uniform(-1, 1, (6, 6)) + 1e-5 * rng.uniform(-1, 1, (40, 6, 6))
    refused(saved(tmp_path / "a.npy", np.clip(images, -1, 1)), "subtract the offset")


def test_what_float64_has_no_digits_for_is_refused(tmp_path: Path, refused) -> None:
    images = 1e12 + np.random.default_rng(SEED).uniform(-1, 1, (40, 6, 6))
    around = (1e12 - 2, 1e12 + 2)
    path = saved(tmp_path / "a.npy", images)
    for centre in (False, True):
        refused(path, "float64 has no digits", centre=centre, value_range=around)


@pytest.mark.parametrize("scale", [1e150, 1e20, 1e-20, 1e-150, 8e307])
def test_squares_beyond_the_arithmetic_are_refused(tmp_path: Path, refused, scale: float) -> None:
    images = scale * np.random.default_rng(SEED).uniform(-1, 1, (40, 6, 6))
    path = saved(tmp_path / "a.npy", images)
    refused(path, "overflow or underflow", value_range=(-scale, scale))
    refused(saved(path, pixels(40, 6, 6)), "overflow or underflow", value_range=(-scale, scale))


def test_equal_images_and_ordinary_ones_are_resolved() -> None:
    require_resolution(np.full((5, 4), 0.1))
    require_resolution(np.full((5, 4), 1e8))
    require_resolution(load().train)
    for size in (1e-9, 1e9):
        require_resolution(size * load().train)
    with pytest.raises(DataError):
        require_resolution(1e3 + load().train)


# Image files and file names


def write_png(path: Path, values: np.ndarray) -> None:
    import struct
    import zlib

    bits, channels = 8 * values.dtype.itemsize, values.shape[2]
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, channels - 1, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def test_sixteen_bits_a_channel_are_refused(tmp_path: Path, refused) -> None:
    deep = np.random.default_rng(SEED).integers(0, 2**16, (4, 16, 16, 3), dtype=np.uint16)
    folder = tmp_path / "images"
    folder.mkdir()
    for i, image in enumerate(deep):
        write_png(folder / f"{i}.png", (image >> 8).astype(np.uint8))
    stored = load(folder)
    np.testing.assert_array_equal(
        np.rint((stored.train + 1) * 127.5), deep[stored.train_indices] >> 8
    )
    write_png(folder / "2.png", deep[2])
    with Image.open(folder / "2.png") as image:
        assert image.mode == "RGB"  # as eight bits would be
    refused(folder, "2.png: 16 bits a channel", "8 bits", ".npz")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf_8(tmp_path: Path, refused) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    for i, image in enumerate(pixels(4, 5, 5)):
        Image.fromarray(image).save(folder / f"{i}.png")
    data: DataSet = load(folder)
    assert data.name == r"caf\xe9"
    for text in (data.name, data.title, *data.notes):
        text.encode("utf-8")
    (folder / "notes.txt").write_text("x")
    refused(folder, r"caf\xe9").encode("utf-8")
