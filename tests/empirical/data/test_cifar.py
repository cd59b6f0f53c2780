"""CIFAR-10 in both versions, on small batches made on the fly, and pickles that must not run."""

import gzip
import hashlib
import io
import math
import os
import pickle
import pickletools
import struct
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wildmiddle.empirical.data import DataError, cifar, load
from wildmiddle.empirical.data.cifar import BINARY, CLASSES, PYTHON, read_cifar
from wildmiddle.empirical.data.pickles import read_pickle

SEED = 20260217
LABELS = [3, 1, 0, 9, 1, 1, 5, 3, 2, 1, 1, 3]  # of the twelve images, two a batch


def pixels(*shape: int, seed: int = SEED) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


IMAGES = pixels(12, 32, 32, 3)


def rows(images: np.ndarray) -> np.ndarray:
    """Red, green and blue planes in turn."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), math.prod(images.shape[1:]))


def binary(images: np.ndarray, labels: list[int]) -> bytes:
    """A batch of the binary version."""
    pairs = zip(labels, rows(images), strict=True)
    return b"".join(bytes([label]) + row.tobytes() for label, row in pairs)


def text(value: bytes) -> bytes:
    """A string as Python 2 pickles it."""
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value


def number(value: int) -> bytes:
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def array(images: np.ndarray, *, fortran: bool = False) -> bytes:
    """Opcodes of a uint8 array, as NumPy and Python 2 write them at protocol 2."""
    content = images.tobytes(order="F" if fortran else "C")
    dtype = b"cnumpy\ndtype\nq\x05" + text(b"u1") + b"K\x00K\x01\x87q\x06Rq\x07"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + number(-1) + number(-1) + b"K\x00tb"
    shape = b"".join(map(number, images.shape)) + b"\x86"
    order = b"\x88" if fortran else b"\x89"
    return (b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03") + (
        text(b"b") + b"\x87q\x04R(K\x01" + shape + dtype + order + text(content) + b"tb"
    )


def pickled(images: np.ndarray, labels: list[int], **options: bool) -> bytes:
    """A batch of the version for Python, with the keys and in the order of the published ones."""
    names = b"]q\x08(" + b"".join(text(b"automobile_s_%06d.png" % i) for i in labels) + b"e"
    return (
        (b"\x80\x02}q\x00(" + text(b"batch_label") + text(b"training batch 1 of 5"))
        + (text(b"labels") + b"](" + b"".join(map(number, labels)) + b"e")
        + (text(b"data") + array(rows(images), **options) + text(b"filenames") + names + b"u.")
    )


def batches(version: cifar.Version) -> dict[str, bytes]:
    write = binary if version is BINARY else pickled
    return {
        name: write(IMAGES[2 * i : 2 * i + 2], LABELS[2 * i : 2 * i + 2])
        for i, name in enumerate(version.batches)
    }


def save_archive(path: Path, contents: dict[str, bytes], folder: str = BINARY.folder) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def save_batches(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def as_stored(images: np.ndarray) -> np.ndarray:
    return np.rint((images + 1) * 127.5).astype(np.uint8)


# Both versions


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_archive_folder_and_npz_agree(tmp_path: Path, version: cifar.Version) -> None:
    archive = save_archive(tmp_path / "small.tar.gz", batches(version), version.folder)
    folder = save_batches(tmp_path / "small", batches(version))
    npz = tmp_path / "small.npz"
    np.savez(npz, train=IMAGES[:10], test=IMAGES[10:])
    before = sorted(tmp_path.rglob("*"))
    reference = load(npz)
    for path in (archive, folder):
        data = load(path)
        assert (data.name, data.dimension) == (path.name, 3072)
        np.testing.assert_array_equal(as_stored(data.train), IMAGES[data.train_indices])
        np.testing.assert_array_equal(as_stored(data.test), IMAGES[10:][data.test_indices])
        np.testing.assert_array_equal(data.train, reference.train)
        assert data.sha256 == reference.sha256
        source = read_cifar(path)
        assert source.test is not None
        assert source.train.labels is not None
        assert source.test.labels is not None
        assert source.train.labels.tolist() == LABELS[:10]
        assert source.test.labels.tolist() == LABELS[10:]
        assert source.class_names == CLASSES
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_one_batch_is_split(tmp_path: Path, version: cifar.Version) -> None:
    path = tmp_path / version.train[0]
    path.write_bytes((binary if version is BINARY else pickled)(IMAGES, LABELS))
    data = load(path)
    indices = np.concatenate([data.train_indices, data.test_indices])
    assert sorted(indices) == list(range(12))
    np.testing.assert_array_equal(
        as_stored(np.concatenate([data.train, data.test])), IMAGES[indices]
    )


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_classes_by_name_and_number(tmp_path: Path, version: cifar.Version, refused) -> None:
    path = save_batches(tmp_path / "small", batches(version))
    data = load(path, classes="automobile, 3")
    assert data.classes == ("automobile", "cat")
    assert data.title == "small, automobile + cat"
    assert sorted(data.train_indices) == [0, 1, 4, 5, 7, 9]
    assert sorted(data.test_indices) == [0, 1]
    np.testing.assert_array_equal(as_stored(data.train), IMAGES[data.train_indices])
    assert load(path, classes=["cat", 1]).sha256 == data.sha256 != load(path).sha256
    refused(path, "class 'lorry'", "airplane, automobile", classes="automobile,lorry")


def test_an_archive_is_read_by_expected_names(tmp_path: Path, refused) -> None:
    extra = {"../../evil.bin": b"x", "readme.html": b"<p>", "data_batch_6.bin": b"y"}
    archive = save_archive(tmp_path / "a.tgz", batches(BINARY) | extra)
    before = sorted(tmp_path.rglob("*"))
    assert len(load(archive).train) == 10
    assert sorted(tmp_path.rglob("*")) == before
    elsewhere = save_archive(tmp_path / "b.tgz", batches(BINARY), folder="../cifar-10-batches-bin")
    refused(elsewhere, "b.tgz", "holds no data_batch_1.bin", "download")


def test_broken_binary_batches(tmp_path: Path, refused) -> None:
    whole = batches(BINARY)
    cases: list[tuple[str, bytes, list[str]]] = [
        ("data_batch_3.bin", whole["data_batch_3.bin"][:-1], ["6145 bytes", "3073"]),
        ("test_batch.bin", binary(IMAGES[:2], [10, 1]), ["label 10", "record 0"]),
        ("data_batch_2.bin", b"", ["0 bytes"]),
    ]
    for i, (name, content, fragments) in enumerate(cases):
        wrong = whole | {name: content}
        archive = save_archive(tmp_path / f"{i}.tar.gz", wrong)
        folder = save_batches(tmp_path / f"{i}", wrong)
        for path in (archive, folder, folder / name):
            refused(path, str(path), name, *fragments, BINARY.archive)
    big = save_archive(tmp_path / "big.tgz", {"data_batch_1.bin": bytes(3073 * 10_001)})
    refused(big, "data_batch_1.bin", "more than a batch")


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_a_missing_batch(tmp_path: Path, version: cifar.Version, refused) -> None:
    contents = batches(version)
    del contents[version.train[3]]
    for path in (
        save_archive(tmp_path / "a.tar.gz", contents, version.folder),
        save_batches(tmp_path / "a", contents),
    ):
        refused(path, str(path), f"holds no {version.train[3]}", f"download {version.archive}")


def test_broken_archives(tmp_path: Path, refused) -> None:
    path = save_archive(tmp_path / "a.tar.gz", batches(BINARY))
    whole = path.read_bytes()
    for cut in (0, 1, 20, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(path, "a.tar.gz", BINARY.archive)
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])  # the checksum or length
    refused(path, "a.tar.gz", "cannot be read", "download")
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-20_000]))  # cut, then compressed
    refused(path, "a.tar.gz", BINARY.archive)
    path.write_bytes(b"<html>404</html>")
    refused(path, "a.tar.gz", "cannot be read", "download")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "test_batch").write_bytes(pickled(IMAGES[:3], LABELS[:3]))
    return {
        "archive": save_archive(folder / "a.tar.gz", batches(PYTHON), PYTHON.folder),
        "batch": folder / "test_batch",
    }


@pytest.mark.parametrize("kind", ["archive", "batch"])
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
        load(path)
        assert not cut
    except DataError as error:
        message = str(error)
    finally:
        path.write_bytes(whole)
    assert len(message.splitlines()) == 1
    assert path.name in message


# What bears an official name must be the official file


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_an_archive_of_the_official_name_has_the_official_sum(
    tmp_path: Path,
    version: cifar.Version,
    monkeypatch: pytest.MonkeyPatch,
    refused,
) -> None:
    path = save_archive(tmp_path / version.archive, batches(version), version.folder)
    found = hashlib.md5(path.read_bytes()).hexdigest()
    refused(path, version.archive, f"MD5 {found}", version.md5, "cut or changed", "download")
    expected = [replace(v, md5=found) if v is version else v for v in (BINARY, PYTHON)]
    monkeypatch.setattr(cifar, "VERSIONS", tuple(expected))
    assert len(load(path).train) == 10
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "cut or changed")


def test_a_folder_of_the_official_name_has_the_official_batches(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused,
) -> None:
    folder = save_batches(tmp_path / BINARY.folder, batches(BINARY))
    for path in (folder, folder / "data_batch_1.bin"):
        refused(path, "data_batch_1.bin", "6146 bytes", "officially 30730000", "rename")
    contents = batches(PYTHON)
    folder = save_batches(tmp_path / PYTHON.folder, contents)
    for path in (folder, folder / "data_batch_1"):
        refused(path, "data_batch_1: MD5", "c99cafc152244af753f735de768cd75f", PYTHON.archive)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in contents.items()}
    monkeypatch.setattr(cifar, "VERSIONS", (BINARY, replace(PYTHON, batch_md5=sums)))
    assert len(load(folder).train) == 10
    changed = contents["data_batch_4"].replace(b"automobile", b"Automobile")  # a valid pickle
    (folder / "data_batch_4").write_bytes(changed)
    refused(folder, "data_batch_4: MD5", "cut or changed")


# Pickles


def test_a_batch_is_what_unpickling_gives() -> None:
    for fortran in (False, True):
        data = pickled(IMAGES, LABELS, fortran=fortran)
        expected = pickle.loads(data, encoding="bytes")
        found = read_pickle(data, "x", "y")
        assert list(found) == list(expected) == [b"batch_label", b"labels", b"data", b"filenames"]
        np.testing.assert_array_equal(found.pop(b"data"), expected.pop(b"data"))
        assert found == expected


class Trap:
    """Unpickling runs a command: the proof that it happened is a folder."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_runs_a_command_is_refused_unrun(
    tmp_path: Path, protocol: int, refused
) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps({b"data": Trap(os.system, f"mkdir '{sprung}'")}, protocol=protocol)
    path = tmp_path / "data_batch_1"
    path.write_bytes(trap)
    refused(path, "data_batch_1", "refused without running it", PYTHON.archive)
    contents = batches(PYTHON) | {"data_batch_5": trap}
    refused(save_archive(tmp_path / "a.tgz", contents, PYTHON.folder), "data_batch_5", "refused")
    refused(save_batches(tmp_path / "a", contents), "data_batch_5", "refused")
    assert not sprung.exists()
    pickle.loads(trap)  # the trap does work
    assert sprung.exists()


def test_a_trap_inside_a_good_batch_is_named(tmp_path: Path, refused) -> None:
    sprung = tmp_path / "sprung"
    good = pickled(IMAGES[:3], LABELS[:3])
    trap = text(b"more") + pickle.dumps(Trap(os.system, f"mkdir '{sprung}'"), 2)[2:-1]
    path = tmp_path / "data_batch_1"
    path.write_bytes(good[:-2] + trap + good[-2:])
    assert "BINUNICODE" in [op.name for op, _, _ in pickletools.genops(path.read_bytes())]
    refused(path, f"asks for '{os.system.__module__}.system'")
    assert not sprung.exists()
    pickle.loads(path.read_bytes(), encoding="bytes")
    assert sprung.exists()


@pytest.mark.parametrize(
    ("body", "fragment"),
    [
        # Calls of the three permitted names, other than those that NumPy writes.
        (b"cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.", "another way"),
        (b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.", "another way"),
        (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.", "another"),
        (b"U\x02idK\x00\x85R.", "another way"),
        (b"cnumpy.core.multiarray\nscalar\n.", "'numpy.core.multiarray.scalar'"),
        (b"c__builtin__\neval\n.", "'__builtin__.eval'"),
        (b"cbuiltins\ngetattr\n.", "'builtins.getattr'"),
        # Opcodes that call, look up or load something else.
        (b"(i__builtin__\nexit\n.", "opcode INST"),
        (b"(c__builtin__\nexit\no.", "'__builtin__.exit'"),
        (b"(U\x01ao.", "opcode OBJ"),
        (b"\x82\x01.", "opcode EXT1"),
        (b"Pname\n.", "opcode PERSID"),
        (b"U\x01aQ.", "opcode BINPERSID"),
        (b"U\x01aU\x01a\x93.", "opcode STACK_GLOBAL"),
        (b"cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
        (b"U\x01a0.", "opcode POP"),
        # Stacks that do not fit.
        (b"R.", "takes more"),
        (b"e.", "takes more"),
        (b"(R.", "takes more"),
        (b"(K\x00R.", "takes more"),
        (b"U\x01a(K\x00e.", "is no list"),
        (b"](K\x00u.", "is no dict"),
        (b"}(K\x00K\x00u.", "keys that are no strings"),
        (b"}(U\x01au.", "keys that are no strings"),
        (b"}U\x01ab.", "do not fit"),
        (b"}}.", "left behind its end"),
        (b"}.}", "left behind its end"),
        (b"\x80\x03}.", "protocol 3"),
        (b"K\x01.", "of no dict"),
        (b"](h\x07e.", "cannot be read"),
        (b"}", "cannot be read"),
        (b"}\xff.", "cannot be read"),
        (b"U\x09abc", "cannot be read"),
        (b"T\xff\xff\xff\x7fabc.", "cannot be read"),
    ],
)
def test_other_pickles_are_refused(body: bytes, fragment: str) -> None:
    with pytest.raises(DataError, match=r"^file: ") as caught:
        read_pickle(b"\x80\x02" + body, "file", "get another")
    assert fragment in str(caught.value)
    assert "get another" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"U\x01|NNN", b"U\x01<NNN"),
        (b"U\x01|NNN", b"U\x01|NN\x88"),
        (b"R(K\x01K\x03", b"R(K\x01K\x04"),  # one row more than there are bytes
        (b"R(K\x01K\x03", b"R(K\x01K\x02"),
        (b"R(K\x01K\x03", b"R(K\x02K\x03"),
        (b"R(K\x01K\x03", b"R(K\x01\x88"),
        (b"U\x02u1", b"U\x02i1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, old: bytes, new: bytes, refused
) -> None:
    good = pickled(IMAGES[:3], LABELS[:3])
    assert good.count(old) == 1
    path = tmp_path / "data_batch_1"
    path.write_bytes(good.replace(old, new))
    refused(path, "data_batch_1", "refused without running it")


def test_dicts_that_are_no_batch(tmp_path: Path, refused) -> None:
    path = tmp_path / "data_batch_1"
    good = pickled(IMAGES[:3], LABELS[:3])
    cases = [
        (good.replace(b"U\x04data", b"U\x04Data"), "no array of rows"),
        (good.replace(b"U\x06labels", b"U\x06Labels"), "no list of integers"),
        (good.replace(b"K\x03K\x01K\x00e", b"K\x03K\x01Ne"), "no list of integers"),
        (good.replace(b"K\x03K\x01K\x00e", b"K\x03K\x01e"), "2 labels for 3 images"),
        (good.replace(b"K\x03K\x01K\x00e", b"K\x03K\x0aK\x00e"), "label 10 in record 1"),
        (good.replace(b"K\x03K\x01K\x00e", b"K\x03J\xff\xff\xff\xffK\x00e"), "label -1 in record"),
        (pickled(IMAGES[:0], []), "0 labels for 0 images"),
        (pickled(IMAGES[:3, :, :, :2], LABELS[:3]), "(3, 2048)"),
    ]
    for content, fragment in cases:
        assert content != good
        path.write_bytes(content)
        refused(path, "data_batch_1", fragment, PYTHON.archive)
