"""Reading, refusing, scaling and splitting of data sets, on files made on the fly."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from wildmiddle.empirical.data import DataError, DataSet, load

SEED = 20260217


def pixels(*shape: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    np.save(path, array, **options)
    return path


def save_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def save_images(folder: Path, images: np.ndarray, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}{suffix}")
    return folder


def all_images(data: DataSet) -> np.ndarray:
    """The pool a split was drawn from, put back in its order (all images must be in use)."""
    order = np.argsort(np.concatenate([data.train_indices, data.test_indices]))
    return np.concatenate([data.train, data.test])[order]


def as_stored(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] back to bytes, exactly."""
    back = (images + 1) * 127.5
    assert np.abs(back - np.rint(back)).max() < 1e-9
    return np.rint(back).astype(np.uint8)


# Digits


def test_digits_are_scaled_and_split_as_documented() -> None:
    data = load()
    source = load_digits().images
    assert (data.name, data.dimension, data.centred) == ("digits", 64, False)
    assert data.train.shape == (1000, 8, 8)
    assert data.test.shape == (797, 8, 8)
    assert data.train.dtype == data.test.dtype == np.float64
    np.testing.assert_array_equal(all_images(data), source / 8 - 1)
    assert data.sigma_data == pytest.approx(data.train.std(), rel=1e-12)
    assert data.duplicates == 0


def test_the_split_is_the_same_on_every_machine() -> None:
    data = load()
    assert data.train_indices[:4].tolist() == [1153, 1439, 652, 293]
    assert data.test_indices[:4].tolist() == load(train_size=10).test_indices[:4].tolist()


def test_digits_in_another_range() -> None:
    data = load(value_range=(0, 16))
    assert data.value_range == (0.0, 16.0)
    np.testing.assert_array_equal(all_images(data), load_digits().images)
    assert data.sigma_data == pytest.approx(8 * load().sigma_data, rel=1e-12)


def test_a_folder_named_digits_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_images(tmp_path / "digits", pixels(4, 5, 5))
    monkeypatch.chdir(tmp_path)
    assert load("digits").dimension == 64
    assert load("./digits").dimension == load(Path("digits")).dimension == 25


# The split


@given(count=st.integers(3, 60), seed=st.integers(0, 2**70), sizes=st.data())
def test_split_is_disjoint_nested_and_repeats(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, sizes: st.DataObject
) -> None:
    path = save(tmp_path_factory.mktemp("split") / "a.npy", pixels(count, 2, 2))
    n_test = sizes.draw(st.integers(1, count - 2))
    n_train = sizes.draw(st.integers(2, count - n_test))
    one = load(path, train_size=n_train, test_size=n_test, seed=seed)
    assert (len(one.train), len(one.test)) == (n_train, n_test)
    both = np.concatenate([one.train_indices, one.test_indices])
    assert len(set(both.tolist())) == n_train + n_test
    assert set(both.tolist()) <= set(range(count))
    again = load(path, train_size=n_train, test_size=n_test, seed=seed)
    np.testing.assert_array_equal(one.train_indices, again.train_indices)
    np.testing.assert_array_equal(one.test_indices, again.test_indices)
    smaller = load(path, train_size=2, test_size=n_test, seed=seed)
    np.testing.assert_array_equal(smaller.train_indices, one.train_indices[:2])
    np.testing.assert_array_equal(smaller.test_indices, one.test_indices)


@pytest.mark.parametrize(
    ("count", "train", "test"), [(3, 2, 1), (4, 2, 2), (10, 6, 4), (1700, 1000, 700)]
)
def test_default_sizes_from_one_pool(tmp_path: Path, count: int, train: int, test: int) -> None:
    data = load(save(tmp_path / "a.npy", pixels(count, 2)))
    assert (len(data.train), len(data.test)) == (train, test)


def test_default_sizes_stop_at_a_thousand_of_each(tmp_path: Path) -> None:
    for path in (
        save(tmp_path / "pool.npy", pixels(2500, 2)),
        save_npz(tmp_path / "parts.npz", train=pixels(1200, 2), test=pixels(1100, 2)),
    ):
        data = load(path)
        assert (len(data.train), len(data.test)) == (1000, 1000)
    data = load(path, train_size=1200, test_size=1)
    assert (len(data.train), len(data.test)) == (1200, 1)


def test_one_size_given_leaves_room_for_the_other(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", pixels(10, 2))
    assert len(load(path, train_size=9).test) == 1
    assert len(load(path, test_size=8).train) == 2


def test_parts_are_drawn_from_at_random_and_nested(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", train=pixels(500, 2), test=pixels(500, 2, seed=1))
    data, smaller = load(path), load(path, train_size=50, test_size=60)
    for order in (data.train_indices, data.test_indices):
        assert sorted(order) == list(range(500))
        assert order.tolist() != list(range(500))
    assert data.train_indices.tolist() != data.test_indices.tolist()
    np.testing.assert_array_equal(smaller.train_indices, data.train_indices[:50])
    np.testing.assert_array_equal(smaller.test_indices, data.test_indices[:60])
    assert load(path, seed=1).train_indices.tolist() != data.train_indices.tolist()


def test_another_split_seed_gives_another_split() -> None:
    assert load(seed=1).train_indices.tolist() != load(seed=0).train_indices.tolist()


def test_wrong_sizes_seeds_and_ranges(tmp_path: Path, refused) -> None:
    pool = save(tmp_path / "a.npy", pixels(10, 2, 2))
    refused(pool, "train_size 10", "has 9", "at most", train_size=10)
    refused(pool, "train_size 8", "has 7", train_size=8, test_size=3)
    refused(pool, "test_size 9", "has 8", "at most", test_size=9)
    refused(pool, "train_size 1", "at least 2", train_size=1)
    refused(pool, "test_size 0", "at least 1", test_size=0)
    refused(pool, "train_size 2.5", "an integer", train_size=2.5)
    refused(pool, "test_size True", "an integer", test_size=True)
    parts = save_npz(tmp_path / "a.npz", train=pixels(5, 2), test=pixels(4, 2))
    refused(parts, "train_size 6", "has 5", train_size=6)
    refused(parts, "test_size 5", "has 4", test_size=5)
    refused(pool, "seed -1", "at least 0", seed=-1)
    refused(pool, "seed 'x'", "an integer", seed="x")
    for wrong in [(1, -1), (0, 0), (0, float("nan")), (-1e308, 1e308), (0, 10**400), (1, 2, 3), 5]:
        refused(pool, f"range {wrong!r}", "two finite numbers", value_range=wrong)


def test_too_few_images(tmp_path: Path, refused) -> None:
    refused(save(tmp_path / "a.npy", pixels(2, 4)), "a.npy: 2 images", "at least 3")
    few = save_npz(tmp_path / "few.npz", train=pixels(1, 4), test=pixels(5, 4))
    refused(few, "few.npz, train: 1 images", "at least 2")
    none = save_npz(tmp_path / "none.npz", train=pixels(5, 4), test=pixels(0, 4))
    refused(none, "none.npz, test: 0 images", "at least 1")


# Pixel values


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, ">i4"])
def test_integers_are_taken_as_bytes(tmp_path: Path, dtype: str) -> None:
    images = pixels(6, 4, 4)
    images[0, 0] = [0, 255, 1, 254]
    data = load(save(tmp_path / "a.npy", images.astype(dtype)))
    np.testing.assert_allclose(all_images(data), images / 127.5 - 1, rtol=0, atol=1e-15)
    assert (all_images(data).min(), all_images(data).max()) == (-1.0, 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_floats_are_left_as_they_are(tmp_path: Path, dtype: str) -> None:
    images = (pixels(6, 4) / 255).astype(dtype)
    data = load(save(tmp_path / "a.npy", images), value_range=(0, 1))
    np.testing.assert_array_equal(all_images(data), images.astype(np.float64))
    assert data.train.dtype == np.float64
    assert data.train.dtype.isnative


def test_floats_outside_the_range(tmp_path: Path, refused) -> None:
    images = np.zeros((5, 2, 2))
    images[3, 0, 0], images[4, 1, 1] = -0.25, 255
    path = save(tmp_path / "a.npy", images)
    refused(path, "-0.25", "255", "-1 to 1", "--range")
    assert load(path, value_range=(-1, 255)).value_range == (-1.0, 255.0)
    images[...] = 1 + 0.9e-6
    assert load(save(path, images)).train.max() == 1 + 0.9e-6
    images[0] = 1 + 1.1e-6
    refused(save(path, images), "1.0000011", "--range")
    refused(save(path, -images), "-1.0000011", "--range")


@pytest.mark.parametrize("wrong", [-1, 256, 2**40])
def test_integers_outside_bytes(tmp_path: Path, wrong: int, refused) -> None:
    images = np.full((5, 2, 2), 7, dtype=np.int64)
    images[2, 1, 1] = wrong
    refused(save(tmp_path / "a.npy", images), f"integer {wrong}", "0..255", "uint8", "floats")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite(tmp_path: Path, wrong: float, refused) -> None:
    images = np.zeros((6, 2, 2))
    images[3, 0], images[5, 1, 1] = wrong, wrong
    path = save(tmp_path / "a.npy", images)
    refused(path, "3 pixels", "image 3", "repair", value_range=(-1, 1))
    parts = save_npz(tmp_path / "a.npz", train=np.zeros((2, 2, 2)), test=images)
    refused(parts, "a.npz, test", "3 pixels", "image 3")


@pytest.mark.parametrize("dtype", [bool, complex, "U3", "M8[s]", "u1,f4"])
def test_other_types_are_refused(tmp_path: Path, dtype: Any, refused) -> None:
    array: np.ndarray = np.zeros((4, 2, 2), dtype=dtype)
    refused(save(tmp_path / "a.npy", array), f"type {array.dtype}", "uint8", "floats")


@pytest.mark.parametrize("shape", [(), (5,), (5, 0), (5, 2, 0)])
def test_shapes_without_images(tmp_path: Path, shape: tuple[int, ...], refused) -> None:
    refused(save(tmp_path / "a.npy", pixels(*shape)), f"shape {shape}", "(N, ...)")


def test_centring_subtracts_the_training_mean_from_both(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", pixels(20, 3, 3))
    plain, centred = load(path), load(path, centre=True)
    assert centred.centred
    assert centred.value_range == plain.value_range
    mean = plain.train.mean(axis=0)
    np.testing.assert_array_equal(centred.train, plain.train - mean)
    np.testing.assert_array_equal(centred.test, plain.test - mean)
    assert np.abs(centred.train.mean(axis=0)).max() < 1e-14
    assert np.abs(centred.test.mean(axis=0)).max() > 1e-3
    assert centred.sigma_data == pytest.approx((plain.train - mean).std(), rel=1e-12)
    assert centred.sigma_data < plain.sigma_data


def test_duplicates_count_every_image_with_a_copy(tmp_path: Path) -> None:
    train = pixels(9, 3, 3)
    train[4] = train[7] = train[0]
    train[5] = train[6]
    for test, leaked in ((pixels(2, 3, 3, seed=1), 0), (train[:2], 2)):
        path = save_npz(tmp_path / "a.npz", train=train, test=test)
        for data in (load(path), load(path, centre=True)):
            assert (data.duplicates, data.test_duplicates, data.leaked) == (5, 0, leaked)
    path = save_npz(tmp_path / "a.npz", train=train, test=train[[0, 0, 3, 5, 0]])
    data = load(path)
    assert (data.duplicates, data.test_duplicates, data.leaked) == (5, 3, 5)
    signed = np.zeros((3, 2))
    signed[1] = -0.0
    signed[2] = 0.5
    signed_path = save_npz(path, train=signed, test=signed)
    assert load(signed_path, value_range=(-1, 1)).duplicates == 2


def test_hash_is_of_type_shape_and_bytes(tmp_path: Path) -> None:
    train, test = pixels(4, 2, 3), pixels(3, 2, 3, seed=1)
    digest = hashlib.sha256(b"|u1 (4, 2, 3) " + train.tobytes())
    path = tmp_path / "a.npy"
    assert load(save(path, train)).sha256 == f"sha256:{digest.hexdigest()}"
    assert load(save(path, np.asfortranarray(train))).sha256 == f"sha256:{digest.hexdigest()}"
    digest.update(b"|u1 (3, 2, 3) " + test.tobytes())
    parts = save_npz(tmp_path / "a.npz", train=train, test=test)
    assert load(parts).sha256 == f"sha256:{digest.hexdigest()}"
    # The hash is of the source: what is drawn from it and how it is scaled make no difference.
    assert load(parts, seed=5, train_size=2, centre=True, value_range=(0, 1)).sha256 == (
        load(parts).sha256
    )
    floats = train / 255
    one = load(save(path, floats), value_range=(0, 1)).sha256
    assert one == load(save(path, floats.astype(">f8")), value_range=(0, 1)).sha256
    others: list[np.ndarray] = [floats.reshape(4, 3, 2), floats[::-1], floats.astype(np.float32)]
    assert all(load(save(path, other), value_range=(0, 1)).sha256 != one for other in others)


# NumPy files


def test_npz_with_a_split_ignores_labels(tmp_path: Path) -> None:
    train, test = pixels(6, 4, 4, 3), pixels(5, 4, 4, 3, seed=1)
    path = save_npz(
        tmp_path / "a.npz",
        train=train,
        test=test,
        train_labels=np.eye(6),
        test_labels=np.arange(5),
        classes=np.array(["cat", None], dtype=object),
    )
    data = load(path)
    assert (data.name, data.dimension) == ("a.npz", 48)
    np.testing.assert_array_equal(as_stored(data.train), train[data.train_indices])
    np.testing.assert_array_equal(as_stored(data.test), test[data.test_indices])


def test_npz_with_one_array(tmp_path: Path) -> None:
    images = pixels(6, 4, 4)
    for arrays in (
        {"images": images, "boxes": np.zeros((6, 4))},
        {"faces": images, "subjects": np.arange(6)},
        {"train": images, "train_labels": np.arange(6)},
    ):
        data = load(save_npz(tmp_path / "a.npz", **arrays))
        np.testing.assert_array_equal(as_stored(all_images(data)), images)


def test_npz_that_leaves_the_choice_open(tmp_path: Path, refused) -> None:
    path = save_npz(tmp_path / "a.npz", faces=pixels(6, 4), masks=pixels(6, 5), ids=np.arange(6))
    refused(path, "a.npz", "2 arrays", "faces (6, 4)", "masks (6, 5)", "ids (6,)", "images")
    refused(save_npz(path, ids=np.arange(6)), "0 arrays", "ids (6,)", "train and test")
    refused(save_npz(path), "0 arrays", "no arrays")


def test_npz_parts_that_differ(tmp_path: Path, refused) -> None:
    path = save_npz(tmp_path / "a.npz", train=pixels(6, 4, 4), test=pixels(6, 4, 5))
    refused(path, "a.npz", "(4, 4)", "(4, 5)", "one size")
    save_npz(path, train=pixels(6, 4), test=np.zeros((6, 4)))
    refused(path, "uint8", "float64", "one size and type")


class Trap:
    """Unpickling makes a file: the proof that it happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickles_are_refused_unopened(tmp_path: Path, refused) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([[Trap(sprung), None]], dtype=object)
    path = save(tmp_path / "a.npy", trap, allow_pickle=True)
    refused(path, "a.npy", "Python objects", "uint8 or float")
    for name in ("train", "images", "other"):
        refused(save_npz(tmp_path / "a.npz", **{name: trap, "test": trap}), "a.npz", "objects")
    raw = tmp_path / "raw.npy"
    raw.write_bytes(pickle.dumps(Trap(sprung)))
    message = refused(raw, "raw.npy", "not a NumPy file", "numpy.save")
    assert "allow_pickle" not in message
    (tmp_path / "a.pkl").write_bytes(raw.read_bytes())
    refused(tmp_path / "a.pkl", "a.pkl", "can run code", "cifar-10-binary.tar.gz")
    assert not sprung.exists()
    np.load(path, allow_pickle=True)  # the trap does work
    assert sprung.exists()


# Folders of images


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG"])
@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 3)])
def test_folder_round_trip(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    images = pixels(*shape)
    folder = save_images(tmp_path / "faces", images, suffix)
    (folder / ".hidden").write_text("not an image")
    data = load(folder)
    assert data.name == "faces"
    np.testing.assert_array_equal(as_stored(all_images(data)), images)
    assert data.sha256 == load(save(tmp_path / "a.npy", images)).sha256


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_folder_of_lossy_images(tmp_path: Path, suffix: str) -> None:
    flat = np.broadcast_to(np.array([10, 60, 110, 160], dtype=np.uint8), (8, 8, 3, 4))
    images = np.ascontiguousarray(flat.transpose(3, 0, 1, 2))
    data = load(save_images(tmp_path / "a", images, suffix))
    assert np.abs(as_stored(all_images(data)).astype(int) - images).max() <= 3


def test_folder_with_a_split(tmp_path: Path, refused) -> None:
    train, test = pixels(5, 4, 4, 3), pixels(3, 4, 4, 3, seed=1)
    save_images(tmp_path / "a" / "train", train)
    save_images(tmp_path / "a" / "test", test)
    (tmp_path / "a" / "README.txt").write_text("beside the two folders, nothing else is read")
    data = load(tmp_path / "a")
    np.testing.assert_array_equal(as_stored(data.train), train[data.train_indices])
    np.testing.assert_array_equal(as_stored(data.test), test[data.test_indices])
    assert sorted(data.train_indices) == list(range(5))
    assert sorted(data.test_indices) == list(range(3))
    save_images(tmp_path / "a" / "test", pixels(3, 5, 4, 3))
    refused(tmp_path / "a", "(4, 4, 3)", "(5, 4, 3)", "one size")


def test_folders_that_are_refused(tmp_path: Path, refused) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    refused(folder, f"{folder}: no images", ".png")
    save_images(folder, pixels(4, 6, 5))
    stray = folder / "notes.txt"
    stray.write_text("x")
    refused(folder, str(stray), "move it out")
    stray.rename(folder / "loop.gif")
    refused(folder, "loop.gif", ".webp", "convert it")
    (folder / "loop.gif").unlink()
    (folder / "train").mkdir()
    refused(folder, str(folder / "train"), "subfolder", "train/ and test/")
    (folder / "test").mkdir()
    refused(folder, f"{folder / 'train'}: no images")


def test_images_that_differ_in_size_or_mode(tmp_path: Path, refused) -> None:
    folder = save_images(tmp_path / "a", pixels(4, 6, 5))
    Image.fromarray(pixels(6, 7)).save(folder / "002.png")
    Image.fromarray(pixels(9, 9)).save(folder / "003.png")
    refused(folder, "002.png: 7x6 grayscale", "000.png is 5x6 grayscale", "one size")
    Image.fromarray(pixels(6, 5, 3)).save(folder / "002.png")
    refused(folder, "002.png: 5x6 RGB", "000.png is 5x6 grayscale", "one size and mode")


@pytest.mark.parametrize(("mode", "name"), [("I;16", "1.png"), ("CMYK", "1.jpg")])
def test_other_image_modes(tmp_path: Path, mode: str, name: str, refused) -> None:
    folder = save_images(tmp_path / "a", pixels(3, 6, 5))
    Image.new(mode, (5, 6)).save(folder / name)
    refused(folder, name, f"mode {mode}", "8-bit RGB or grayscale")


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_modes_that_say_the_same_as_another_are_read_as_that(
    tmp_path: Path, mode: str, refused
) -> None:
    few = pixels(4, 6, 5, 3) if mode in ("P", "RGBA") else pixels(4, 6, 5)
    images = [Image.fromarray(image) for image in few]
    if mode == "1":
        images = [image.point(lambda value: 255 * (value > 100)) for image in images]
    if mode == "P":  # of 30 colours: each has a place in the palette
        images = [image.quantize(30) for image in images]
    plain = [image.convert("RGB" if mode in ("P", "RGBA") else "L") for image in images]
    save_images(tmp_path / "plain", np.stack([np.asarray(image) for image in plain]))
    (tmp_path / "mode").mkdir()
    for k, image in enumerate(images):
        image.convert(mode).save(tmp_path / "mode" / f"{k:03}.png")
    with Image.open(tmp_path / "mode" / "000.png") as stored:
        assert stored.mode == mode
    found, known = (load(tmp_path / name, train_size=2, test_size=2) for name in ("mode", "plain"))
    np.testing.assert_array_equal(found.train, known.train)
    # One pixel that is not opaque: what lies behind it is not known.
    if mode == "P":
        images[1].save(tmp_path / "mode" / "001.png", transparency=int(images[1].getpixel((2, 2))))
    elif mode != "1":
        seen = images[1].convert(mode)
        seen.putpixel((2, 2), (*seen.getpixel((2, 2))[:-1], 254))
        seen.save(tmp_path / "mode" / "001.png")
    if mode != "1":
        refused(tmp_path / "mode", f"001.png: mode {mode} with transparent pixels", "background")


def test_captions_beside_the_images_are_left_alone(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "a", pixels(4, 6, 5))
    known = load(folder, train_size=2, test_size=2)
    (folder / "metadata.jsonl").write_text('{"file_name": "000.png", "text": "a digit"}\n')
    (folder / "Thumbs.db").write_bytes(b"x")
    np.testing.assert_array_equal(load(folder, train_size=2, test_size=2).train, known.train)


def test_animations_are_refused(tmp_path: Path, refused) -> None:
    folder = save_images(tmp_path / "a", pixels(3, 6, 5, 3))
    frames = [Image.fromarray(f) for f in pixels(2, 6, 5, 3)]
    frames[0].save(folder / "001.png", save_all=True, append_images=frames[1:])
    refused(folder, "001.png", "2 frames", "a file of its own")


def test_unreadable_images(tmp_path: Path, refused) -> None:
    folder = save_images(tmp_path / "a", pixels(3, 40, 40))
    broken = folder / "001.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    refused(folder, str(broken), "cannot be read", "replace the file")
    for content in (b"", b"no image\nat all"):
        broken.write_bytes(content)
        refused(folder, str(broken), "cannot be read", "cannot identify image")
    # An extension is no claim on Pillow's other decoders.
    Image.fromarray(pixels(40, 40, 3)).save(broken, format="EPS")
    refused(folder, str(broken), "cannot be read", "cannot identify image")


# Paths, and files broken at random


def test_paths_that_lead_nowhere(tmp_path: Path, refused) -> None:
    refused(tmp_path / "absent", "absent", "no such file or folder", "'digits'")
    refused("", "''", "no such file or folder", "'digits'")
    refused(tmp_path / "two\nlines", "two", "no such file")
    (tmp_path / "two\nlines").mkdir()
    refused(tmp_path / "two\nlines", "two lines: no images")
    refused("x" * 5000, "cannot be read")
    refused("nul\0byte", "nul", "no such file")
    (tmp_path / "a.txt").write_text("x")
    refused(tmp_path / "a.txt", "a.txt", "not a kind of file", ".npz", "'digits'")
    image = save_images(tmp_path, pixels(1, 4, 4)) / "000.png"
    refused(image, "000.png", "single image", "the folder")
    (tmp_path / "a.npy").mkdir()
    refused(tmp_path / "a.npy", "no images")


KINDS = [".npy", ".npz", ".png"]


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("broken")
    save(folder / "a.npy", pixels(4, 3, 3))
    save_npz(folder / "a.npz", train=pixels(4, 3, 3), test=pixels(4, 3, 3))
    save_images(folder / "images", pixels(3, 4, 4))
    files = {kind: folder / f"a{kind}" for kind in KINDS}
    files[".png"] = folder / "images" / "001.png"
    return files


@pytest.mark.parametrize("kind", KINDS)
@given(where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_broken_files_load_or_are_refused_in_one_line(
    whole_files: dict[str, Path], kind: str, where: float, byte: int, cut: bool
) -> None:
    path = whole_files[kind]
    whole = path.read_bytes()
    at = int(where * len(whole))
    path.write_bytes(whole[:at] if cut else whole[:at] + bytes([byte]) + whole[at + 1 :])
    message = f"{path.name}: none"
    try:
        load(path.parent if kind == ".png" else path)
    except DataError as error:
        message = str(error)
    finally:
        path.write_bytes(whole)
    assert len(message.splitlines()) == 1
    assert path.name in message


# Real images


def test_cifar_subset(shared) -> None:
    path = shared("cifar10_subset.npz")
    data = load(path, train_size=4000)
    assert data.train.shape == (4000, 32, 32, 3)
    assert data.test.shape == (1000, 32, 32, 3)
    assert 0.4 < data.sigma_data < 0.6  # EDM's CIFAR-10 has 0.5 in this range
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(
            as_stored(data.test[0]), archive["test"][data.test_indices[0]]
        )


def test_olivetti_faces(shared) -> None:
    data = load(shared("olivetti_faces.npz"), value_range=(0, 1), centre=True)
    assert (data.train.shape, data.test.shape) == ((240, 64, 64), (160, 64, 64))
    assert np.abs(data.train.mean(axis=0)).max() < 1e-12
