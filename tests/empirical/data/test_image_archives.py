"""Class folders, zips as EDM has them, WebDataset's tars, tensors, and samples of guided-diffusion.

Every form of the same images gives the same pixels, labels and names.
"""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from wildmiddle.empirical.data import DataWarning, load, load_images

LABELS = [0, 1, 1, 0, 2, 2]
CLASSES = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(6, 8, 9, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def edm_zip(path: Path, images: np.ndarray, labels: object = "pairs") -> Path:
    names = [f"00000/img{k:08}.png" for k in range(len(images))]
    with zipfile.ZipFile(path, "w") as archive:
        for name, image in zip(names, images, strict=True):
            archive.writestr(name, png(image))
        if labels == "pairs":
            labels = [list(pair) for pair in zip(names, LABELS, strict=True)]
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


def web_tar(path: Path, images: np.ndarray, *, labels: bool = True, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        for k, image in enumerate(images):
            add(f"./{k:06}.png", png(image))
            add(f"./{k:06}.txt", b"a caption")
            if labels:
                add(f"./{k:06}.cls", str(LABELS[k]).encode())
    return path


def class_folders(path: Path, images: np.ndarray) -> Path:
    for k, image in enumerate(images):
        folder = path / CLASSES[LABELS[k]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.png").write_bytes(png(image))
    return path


def stored(path: Path) -> np.ndarray:
    return np.rint((load_images(path).pixels + 1) * 127.5).astype(np.uint8)


def test_a_zip_of_edm(tmp_path, images) -> None:
    path = edm_zip(tmp_path / "data.zip", images)
    assert np.array_equal(stored(path), images)
    assert load_images(path).places[2] == "00000/img00000002.png"
    data = load(path)
    order = np.concatenate([data.train_indices, data.test_indices])
    labels = np.concatenate([data.train_labels, data.test_labels])
    assert labels.tolist() == [LABELS[k] for k in order]
    assert len(load(path, classes="1,2").train) == 2
    plain = edm_zip(tmp_path / "plain.zip", images, labels=None)
    assert load(plain).train_labels is None
    assert len(load_images(plain, limit=4).pixels) == 4


def test_a_tar_of_webdataset(tmp_path, images) -> None:
    path = web_tar(tmp_path / "data.tar", images)
    assert np.array_equal(stored(path), images)
    assert load_images(path).places[5] == "000005.png"
    assert len(load(path, classes="2,1").train) == 2
    assert load(web_tar(tmp_path / "plain.tar", images, labels=False)).train_labels is None


def test_folders_of_classes(tmp_path, images) -> None:
    path = class_folders(tmp_path / "data", images)
    order = sorted(range(6), key=lambda k: (LABELS[k], k))
    assert np.array_equal(stored(path), images[order])
    assert load_images(path).places[2:4] == ("bee/1.png", "bee/2.png")
    chosen = load(path, classes="bee,cat", limit=4)
    assert chosen.classes == ("bee", "cat")
    assert sorted(np.concatenate([chosen.train_labels, chosen.test_labels])) == [1, 1, 2, 2]
    both = tmp_path / "both"
    class_folders(both / "train", images)
    class_folders(both / "test", images[:3])
    assert (load(both).train_labels.max(), len(load(both).test)) == (2, 3)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_tensors(tmp_path, images, suffix) -> None:
    path = tmp_path / f"data{suffix}"
    tensors = {"images": torch.as_tensor(images), "labels": torch.tensor(LABELS)}
    torch.save(tensors, path) if suffix == ".pt" else save_file(tensors, path)
    assert np.array_equal(stored(path), images)
    assert len(load(path, classes="1,2").train) == 2


def test_a_single_tensor_of_half_precision(tmp_path, images) -> None:
    values = torch.as_tensor(images / 127.5 - 1).half().movedim(-1, 1)
    torch.save(values, tmp_path / "data.pt")
    found = load_images(tmp_path / "data.pt").pixels
    assert found.shape == (6, 3, 8, 9)
    assert np.array_equal(found, values.double().numpy())


def test_samples_of_guided_diffusion(tmp_path, images) -> None:
    np.savez(tmp_path / "samples.npz", images, np.array(LABELS))
    assert np.array_equal(stored(tmp_path / "samples.npz"), images)
    assert len(load(tmp_path / "samples.npz", classes="1,2").train) == 2


def test_a_turned_photograph_is_left_as_stored_and_said(tmp_path, images) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{k}.png", exif=turned if k < 2 else None)
    cache = tmp_path.with_name("cache of turned")
    for _ in range(2):  # read, then from the cache
        with pytest.warns(DataWarning, match="2 images have an EXIF orientation"):
            found = load_images(tmp_path, cache=cache)
    assert np.array_equal(np.rint((found.pixels + 1) * 127.5), images)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(400_000_000))


def strange_zip(path: Path, images: np.ndarray, name: str, content: bytes) -> None:
    edm_zip(path, images, labels=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content)


class Runs:
    """A pickle that would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p, i: p.write_bytes(b"no zip"), "cannot be read"),
        (lambda p, i: bomb(p), "400000000 bytes"),
        (lambda p, i: strange_zip(p, i, "x.gif", b"gif"), "x.gif is not one of"),
        (lambda p, i: strange_zip(p, i, "z.png", b"no png"), "z.png: cannot be read"),
        (lambda p, i: edm_zip(p, i, labels=[["a", 1]]), "does not name a label for each"),
        (lambda p, i: edm_zip(p, i[:0], labels=None), "no images"),
    ],
)
def test_zips_that_cannot_be_read_are_refused(tmp_path, images, refused, make, complaint) -> None:
    make(tmp_path / "x.zip", images)
    refused(tmp_path / "x.zip", complaint)


def cut(path: Path, images: np.ndarray) -> None:
    web_tar(path, images)
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p, i: p.write_bytes(b"no tar" * 200), "cannot be read"),
        (lambda p, i: web_tar(p, i, mode="w:gz"), "gunzip it"),
        (cut, "cut: its end is missing"),
        (lambda p, i: web_tar(p, i[:0]), "no images"),
    ],
)
def test_tars_that_cannot_be_read_are_refused(tmp_path, images, refused, make, complaint) -> None:
    make(tmp_path / "x.tar", images)
    refused(tmp_path / "x.tar", complaint)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"a": torch.zeros(5, 4, 4), "b": torch.zeros(5, 4, 4)}, "2 tensors could be the images"),
        ({"a": [1, 2]}, "no tensors by name"),
        ([torch.zeros(5, 4, 4)], "no tensors by name"),
        (Runs(), "cannot be read"),
    ],
)
def test_other_objects_are_refused_and_nothing_is_run(
    tmp_path, monkeypatch, refused, value, complaint
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(value, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", complaint)
    assert not (tmp_path / "touched").exists()


def test_train_or_test_beside_classes_is_refused(tmp_path, images, refused) -> None:
    class_folders(tmp_path / "data", images)
    class_folders(tmp_path / "data" / "train", images)
    refused(tmp_path / "data", "exactly train/ and test/")
