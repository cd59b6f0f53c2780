"""Folders of images of many sizes: reduced as they are read, in parallel, and cached."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wildmiddle.empirical.data import DataSet, decoding, folders, load
from wildmiddle.empirical.data.resizing import reduce_images

SEED = 20260217
SMALL = {"size": 8, "grayscale": True}


def pixels(*shape: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def save_images(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder


def stored(data: DataSet) -> np.ndarray:
    """All images in their order (all must be in use)."""
    order = np.argsort(np.concatenate([data.train_indices, data.test_indices]))
    return np.rint((np.concatenate([data.train, data.test])[order] + 1) * 127.5).astype(np.uint8)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A hundred portraits, some of them landscapes, some gray."""
    shapes = [(22, 18, 3), (18, 22, 3), (30, 9), (8, 8, 3)]
    images = [pixels(*shapes[i % 4], seed=i) for i in range(100)]
    return save_images(tmp_path / "faces", images)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The image files that are opened from here on."""
    opened: list[Path] = []
    read = decoding._decode_one

    def note(file: decoding.ImageFile, options: decoding.ReadOptions) -> tuple[np.ndarray, int]:
        opened.append(Path(file.label))
        return read(file, options)

    monkeypatch.setattr(decoding, "_decode_one", note)
    return opened


def test_images_of_many_sizes_become_one(faces: Path, refused) -> None:
    data = load(faces, **SMALL)
    assert (data.name, data.title) == ("faces", "faces, grayscale, 8x8")
    found = stored(data)
    for i, path in enumerate(sorted(faces.iterdir())):
        image = np.asarray(Image.open(path))
        np.testing.assert_array_equal(found[i], reduce_images(image[None], "", **SMALL)[0])
    refused(faces, "001.png: 22x18 RGB", "000.png is 18x22 RGB", "--size")
    refused(faces, "002.png: 8x8 grayscale", "000.png is 8x8 RGB", "--grayscale", size=8)
    refused(faces, "003.png: 8x8, too small for size 9", size=9, grayscale=True)


def test_limit_reads_no_more_than_it_needs(
    faces: Path, monkeypatch: pytest.MonkeyPatch, refused
) -> None:
    opened = counted(monkeypatch)
    data = load(faces, limit=21, **SMALL)
    assert sorted(path.name for path in opened) == [f"{i:03d}.png" for i in range(21)]
    assert len(data.train) + len(data.test) == 21
    (faces / "stray.txt").write_text("x")
    refused(faces, "stray.txt", limit=21, **SMALL)


def test_the_first_broken_file_is_the_one_reported(faces: Path, refused) -> None:
    for i in (98, 41, 67, 97):
        (faces / f"{i:03d}.png").write_bytes(b"broken")
    for _ in range(5):
        refused(faces, "041.png", "cannot be read", **SMALL)


def test_progress_is_for_terminals(faces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(faces, progress=True, **SMALL)
    load(faces, **SMALL)
    assert tuple(capfd.readouterr()) == ("", "")


def test_progress_on_a_terminal(
    faces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    load(faces, progress=True, **SMALL)
    assert "/100" in capsys.readouterr().err
    load(faces, **SMALL)
    assert capsys.readouterr().err == ""


# The cache


def test_a_second_reading_opens_no_image(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load(faces, **SMALL)
    before = sorted(tmp_path.rglob("*"))
    cache = tmp_path / "made" / "for it"
    opened = counted(monkeypatch)
    first = load(faces, cache=cache, **SMALL)
    assert len(opened) == 100
    again = load(faces, cache=str(cache), **SMALL)
    assert len(opened) == 100
    for data in (first, again):
        np.testing.assert_array_equal(data.train, plain.train)
        np.testing.assert_array_equal(data.test, plain.test)
        assert data.sha256 == plain.sha256
    (kept,) = cache.glob("images-*")
    made = [cache.parent, cache, cache / ".lock", kept]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, *made])
    with np.load(kept, allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype for name in archive}
    assert kinds == {"images": np.uint8, "turned": np.int64}
    faces.rename(tmp_path / "moved")
    load(tmp_path / "moved", cache=cache, **SMALL)
    assert len(opened) == 100


def test_changes_are_seen(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, last = tmp_path / "cache", faces / "099.png"
    seen = {load(faces, cache=cache, **SMALL).sha256}

    def changed() -> None:
        data = load(faces, cache=cache, **SMALL)
        assert data.sha256 == load(faces, **SMALL).sha256
        assert data.sha256 not in seen
        seen.add(data.sha256)

    time, before = last.stat().st_mtime_ns, last.stat().st_size
    Image.fromarray(pixels(9, 9)).save(last)
    os.utime(last, ns=(time, time))  # another number of bytes at the same time
    assert last.stat().st_size != before
    changed()
    Image.fromarray(pixels(9, 9, seed=1)).save(last.with_suffix(".bmp"))
    last.unlink()  # another name
    changed()
    last = last.with_suffix(".bmp")
    Image.fromarray(pixels(9, 9, seed=2)).save(last)
    os.utime(last, ns=(time + 1, time + 1))  # as many bytes
    changed()
    last.unlink()
    changed()
    (faces / "000.png").rename(faces / "zzz.png")
    changed()
    opened = counted(monkeypatch)
    for options in ({"size": 7, "grayscale": True}, {"limit": 50, **SMALL}):
        count = len(opened)
        load(faces, cache=cache, **options)
        assert len(opened) > count
    monkeypatch.setattr("PIL.__version__", "0.0")
    count = len(opened)
    load(faces, cache=cache, **SMALL)
    assert len(opened) == count + 99


def test_content_alone_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        Image.fromarray(pixels(4, 4, seed=i)).save(tmp_path / f"{i}.bmp")
    cache, first = tmp_path.with_name("cache of contents"), tmp_path / "0.bmp"
    before = load(tmp_path, cache=cache).sha256
    entry = first.stat()
    with first.open("r+b") as file:  # the same inode, name, size and time
        file.seek(-16, os.SEEK_END)
        file.write(bytes(16))
    os.utime(first, ns=(entry.st_atime_ns, entry.st_mtime_ns))
    now = first.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (
        entry.st_size,
        entry.st_mtime_ns,
        entry.st_ino,
    )
    changed = load(tmp_path, cache=cache).sha256
    assert changed == load(tmp_path).sha256 != before
    os.utime(first, ns=(0, 0))  # another time, the same images: nothing to read again
    opened = counted(monkeypatch)
    assert load(tmp_path, cache=cache).sha256 == changed
    assert opened == []


def test_a_change_while_images_are_read_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        Image.fromarray(pixels(4, 4, seed=i)).save(tmp_path / f"{i}.bmp")
    cache, read = tmp_path.with_name("cache of a change"), folders.decode

    def change_and_read(files: list[decoding.ImageFile], *rest: object) -> decoding.Decoded:
        Image.fromarray(pixels(4, 4, seed=9)).save(files[0].label)
        return read(files, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "decode", change_and_read)
        load(tmp_path, cache=cache)
    assert not cache.exists()
    Image.fromarray(pixels(4, 4, seed=0)).save(tmp_path / "0.bmp")
    assert load(tmp_path, cache=cache).sha256 == load(tmp_path).sha256


def test_a_new_order_of_names_is_seen(tmp_path: Path) -> None:
    for i in range(5):  # of one size in bytes and one time
        path = tmp_path / f"{i}.bmp"
        Image.fromarray(pixels(4, 4, seed=i)).save(path)
        os.utime(path, ns=(0, 0))
    cache = tmp_path.with_name("cache")
    before = load(tmp_path, cache=cache).sha256
    (tmp_path / "0.bmp").rename(tmp_path / "z.bmp")
    assert load(tmp_path, cache=cache).sha256 == load(tmp_path).sha256 != before


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("cached")
    folder = save_images(root / "a", list(pixels(5, 3, 3)))
    load(folder, cache=root / "cache")
    (kept,) = (root / "cache").glob("images-*")
    return folder, kept


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_cache_is_made_again(
    cached: tuple[Path, Path], where: float, flip: int, cut: bool
) -> None:
    folder, kept = cached
    whole = kept.read_bytes()
    at = int(where * len(whole))
    damaged = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    kept.write_bytes(damaged)
    assert load(folder, cache=kept.parent).sha256 == load(folder).sha256
    if cut:
        with np.load(kept, allow_pickle=False) as archive:
            assert archive["images"].shape == (5, 3, 3)
    kept.write_bytes(whole)


def test_a_foreign_file_in_the_cache_is_replaced(cached: tuple[Path, Path]) -> None:
    folder, kept = cached
    expected = load(folder).sha256
    for arrays in (
        {"images": pixels(4, 3, 3)},
        {"images": np.zeros((5, 3, 3))},
        {"images": pixels(5, 3)},
        {"other": pixels(5, 3, 3)},
        {"images": np.array([None] * 5)},
    ):
        np.savez(kept, **arrays)
        assert load(folder, cache=kept.parent).sha256 == expected
        with np.load(kept, allow_pickle=False) as archive:
            np.testing.assert_array_equal(archive["images"], pixels(5, 3, 3))
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, ".lock"}


def test_parts_are_cached_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_images(tmp_path / "a" / "train", list(pixels(5, 3, 3)))
    save_images(tmp_path / "a" / "test", list(pixels(4, 3, 3, seed=1)))
    first = load(tmp_path / "a", cache=tmp_path / "cache")
    opened = counted(monkeypatch)
    assert load(tmp_path / "a", cache=tmp_path / "cache").sha256 == first.sha256
    assert opened == []
    assert len(list((tmp_path / "cache").glob("images-*"))) == 2


def test_a_cache_that_cannot_be_written(faces: Path, tmp_path: Path, refused) -> None:
    (tmp_path / "file").write_text("kept")
    refused(faces, str(tmp_path / "file"), "--cache", cache=tmp_path / "file", **SMALL)
    assert (tmp_path / "file").read_text() == "kept"


def test_other_sources_leave_the_cache_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pixels(5, 3, 3))
    load(tmp_path / "a.npy", cache=tmp_path / "cache")
    load("digits", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
