"""Parquet and Arrow as Hugging Face's Hub and `datasets` write them."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wildmiddle.empirical.data import DataWarning, arrow_files, load, load_images

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
ipc = pytest.importorskip("pyarrow.ipc")
parquet = pytest.importorskip("pyarrow.parquet")

N = 40


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(N, 6, 5, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def table(images: np.ndarray, **more: Any) -> Any:
    """Rows as ``datasets`` has them, with its description of the columns in the metadata."""
    rows = [{"bytes": png(image), "path": None} for image in images]
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": ["ant", "bee", "cat"]},
    }
    labels = [k % 3 for k in range(len(images))]
    found = pyarrow.table({"label": labels, "image": rows, **more})
    about = {"info": {"features": features}}
    return found.replace_schema_metadata({"huggingface": json.dumps(about)})


def write(path: Path, rows: Any, at_once: int = 7, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(rows, path, row_group_size=at_once, **options)
    else:
        chosen = ipc.IpcWriteOptions(**options)
        with ipc.new_stream(path, rows.schema, options=chosen) as writer:
            writer.write_table(rows, max_chunksize=at_once)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"],
        ["test-set-train-00000-of-00002.arrow", "test-set-train-00001-of-00002.arrow"],
    ],
)
def test_files_of_one_split_are_one_set_in_their_order(tmp_path, images, names) -> None:
    root = tmp_path / "set"
    for name, part in zip(names, (images[:25], images[25:]), strict=True):
        write(root / name, table(part))
    (root / "README.md").write_text("a card")
    (root / "dataset_info.json").write_text("{}")
    found = load_images(root)
    np.testing.assert_array_equal(np.rint((found.pixels + 1) * 127.5), images)
    chosen = load(root, classes="bee", whole=True, grayscale=True, size=5)
    assert chosen.classes == ("bee",)
    labels = [k % 3 for k in range(25)] + [k % 3 for k in range(15)]
    assert chosen.train_indices.tolist() == np.flatnonzero(np.array(labels) == 1).tolist()
    assert load_images(root, limit=30).pixels.shape == (30, 6, 5, 3)


@pytest.mark.parametrize("form", ["{}/0000.parquet", "test-set-{}.arrow"])
def test_train_and_test_are_the_two_parts_and_other_splits_are_said(tmp_path, images, form) -> None:
    for name, part in (("train", images[:25]), ("test", images[25:])):
        write(tmp_path / form.format(name), table(part))
    data = load(tmp_path, whole=True)
    assert (len(data.train), len(data.test), data.doubts) == (25, 15, ())
    assert sorted(data.test_labels) == [0] * 5 + [1] * 5 + [2] * 5
    write(tmp_path / form.format("validation"), table(images[:3]))
    with pytest.warns(DataWarning, match="left aside"):
        data = load(tmp_path, whole=True)
    assert (len(data.train), len(data.test)) == (25, 15)
    assert "files of validation are left aside" in data.doubts[0]


def test_a_row_group_is_read_once_and_its_other_columns_are_not(
    tmp_path, images, monkeypatch
) -> None:
    read, right = [], parquet.ParquetFile.read_row_group

    def counted(self: Any, number: int, columns: list[str]) -> Any:
        read.append((number, columns))
        return right(self, number, columns)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_group", counted)
    rows = table(images).drop_columns("label")
    found = load_images(write(tmp_path / "a.parquet", rows, at_once=10))
    np.testing.assert_array_equal(np.rint((found.pixels + 1) * 127.5), images)
    assert sorted(read) == [(number, ["image"]) for number in range(4)]


def test_what_does_not_settle_the_choice_is_refused(tmp_path, images, refused) -> None:
    rows = table(images[:4])
    both = write(tmp_path / "two" / "a.parquet", rows.append_column("mask", rows["image"]))
    assert load(both).train.shape == (2, 6, 5, 3)  # one of them is called an image
    refused(write(tmp_path / "b.parquet", rows.drop_columns("image")), "0 columns", "label (int64)")
    plain = both.with_name("plain.parquet")
    write(plain, parquet.read_table(both).replace_schema_metadata(None))
    refused(plain, "2 columns could be the images")
    for name in ("train", "val"):
        write(tmp_path / "splits" / f"{name}.parquet", rows)
    refused(tmp_path / "splits", "files of train and of val", "give the files of one split")
    for name in ("small", "large"):
        write(tmp_path / "configs" / name / "train-0.parquet", rows)
    refused(tmp_path / "configs", "files of one split in large, small")
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    elsewhere = [*rows["image"].to_pylist() * 2, {"bytes": None, "path": "/etc/hostname"}]
    without = pyarrow.table({"image": pyarrow.array(elsewhere, kind)})
    refused(write(tmp_path / "c.parquet", without), "c.parquet: row 8 has no bytes")
    refused(write(tmp_path / "d.parquet", rows[:0]), "no rows")
    (tmp_path / "e.arrow").write_bytes(b"ARROW1\0\0")
    refused(tmp_path / "e.arrow", "no stream", "save it as Parquet")


def test_what_would_fill_the_memory_is_refused(tmp_path, images, refused, monkeypatch) -> None:
    packed = write(tmp_path / "a.arrow", table(images[:4]), compression="zstd")
    refused(packed, "packed, so that its size is not known")
    monkeypatch.setattr(arrow_files, "_GROUP", 1000)
    path = write(tmp_path / "a.parquet", table(images), at_once=N)
    refused(path, "a row group of", "smaller row_group_size")


def test_without_pyarrow_the_extra_is_named(tmp_path, images, monkeypatch, refused) -> None:
    path = write(tmp_path / "a.parquet", table(images))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(path, "a.parquet: pyarrow is needed", "pip install 'wildmiddle[parquet]'")
