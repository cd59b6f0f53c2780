"""Read images in Parquet and Arrow files, as Hugging Face's Hub and its `datasets` keep them.

A row holds the bytes of an image file, which are decoded as those of any other
(`wildmiddle.empirical.data.decoding`); a path in the place of bytes is never opened. An Arrow file
is mapped, and of Parquet files four row groups are held at a time. What these say of their size is
bounded; what pyarrow unpacks beyond that is not.
"""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from wildmiddle.empirical.data.decoding import ImageFile, ReadOptions, decode
from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    open_regular,
    require_memory,
)
from wildmiddle.theory.constants import DEFAULT_MEMORY

SUFFIXES = (".arrow", ".parquet")
_REMEDY = "write it again with datasets or pyarrow"
_HELD = 4  # row groups: more than the threads of decoding are apart
_GROUP = DEFAULT_MEMORY // _HELD  # bytes of one
_ROW = 512  # bytes that a row takes beside its image
_SPLIT = re.compile(r"(?:^|[-_.])(train|test|validation|valid|val|dev)(?=[-_.]|$)")


def find_arrow_files(path: Path) -> list[Path]:
    """The Parquet and Arrow files in a folder and in its subfolders, or the file itself, sorted."""
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES)


def read_arrow(path: Path, files: list[Path], options: ReadOptions) -> Source:
    """Read the images of Parquet or Arrow ``files`` of a folder, or of one, in their order.

    The splits train and test, by the names of files or folders, are the two parts; without them all
    files must be of one split. The images are in the only column of the type Image, or of bytes;
    labels in the column `label`, or the only one of the type ClassLabel. Other files are left
    alone. Raises `DataError` where pyarrow is missing, for splits and columns that do not settle
    the choice, for rows without bytes, and for what `decode` refuses.
    """
    splits: dict[str, list[Path]] = {}
    for file in files:
        within = file.relative_to(path).with_suffix("").parts if file != path else ()
        named = _SPLIT.findall("-".join(within))
        splits.setdefault(named[-1] if named else "no split", []).append(file)
    if len(splits) == 1:
        return _read_split(path, files, options)
    if not {"train", "test"} <= splits.keys():
        raise DataError(
            f"{path}: files of {' and of '.join(splits)}; give the files of one split, or a folder "
            "with those of train and test"
        )
    train, test = (_read_split(path, splits[name], options) for name in ("train", "test"))
    if train.class_names != test.class_names:
        raise DataError(f"{path}: train and test have other classes; give one of them")
    others = [f"files of {name} are left aside" for name in splits if name not in ("train", "test")]
    return Source(
        train.train,
        test.train,
        train.class_names,
        sum(file.stat().st_size for name in ("train", "test") for file in splits[name]),
        (*train.doubts, *test.doubts, *(f"{path}: {other}" for other in others)),
    )


@dataclass(frozen=True, eq=False)
class _Group:
    # Rows of a file that are read together.
    file: Path
    start: int
    count: int
    load: Callable[[str], Any]
    """Takes the name of a column and gives its pyarrow.Array."""


def _read_split(path: Path, files: list[Path], options: ReadOptions) -> Source:
    folders = sorted({file.parent.name for file in files})
    if len(folders) > 1:
        raise DataError(f"{path}: files of one split in {', '.join(folders)}; give one of these")
    groups: list[_Group] = []
    for file in files:
        with data_errors(file, _REMEDY):
            schema, found = _open(file)
            groups += found
            image, label, class_names = _columns(files[0], schema)
    stored, count = sum(file.stat().st_size for file in files), sum(each.count for each in groups)
    require_memory(path, _ROW * count, stored)
    with data_errors(path, _REMEDY):
        labels = None if label is None else _labels(groups, label)
    load, lock = lru_cache(_HELD)(lambda group: group.load(image)), Lock()

    def read(group: _Group, row: int) -> bytes:
        with lock:  # a group is loaded by one thread, for all
            value = load(group)[row].as_py()
        content = value["bytes"] if isinstance(value, dict) else value
        if content is None:
            raise DataError(
                f"{group.file}: row {group.start + row} has no bytes; save the data set "
                "with the images in it"
            )
        return bytes(content)

    rows = [
        ImageFile(name, f"{group.file}: {name}", partial(read, group, row))
        for group in groups
        for row in range(group.count)
        for name in [f"row {group.start + row}"]
    ]
    if labels is None:
        rows = rows[: options.limit]
    if not rows:
        raise DataError(f"{path}: no rows; {_REMEDY}")
    decoded = decode(rows, options, path, stored)
    return Source(Part(decoded.images, labels), None, class_names, stored, decoded.doubts)


def _open(file: Path) -> tuple[Any, list[_Group]]:
    # The schema of a file, and its rows.
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise DataError(
            f"{file}: pyarrow is needed to read it; pip install 'wildmiddle[parquet]'"
        ) from error
    with open_regular(file) as stream:
        if file.suffix.lower() == ".arrow" and stream.read(6) == b"ARROW1":
            raise DataError(f"{file}: no stream, as datasets writes, of Arrow; save it as Parquet")
    groups, start = [], 0
    if file.suffix.lower() == ".parquet":
        parquet = ParquetFile(file)

        def load(number: int, column: str) -> Any:
            return parquet.read_row_group(number, [column]).column(0).combine_chunks()

        for number in range(parquet.num_row_groups):
            about = parquet.metadata.row_group(number)
            if about.total_byte_size > _GROUP:
                raise DataError(
                    f"{file}: a row group of {about.total_byte_size} bytes, more than the limit of "
                    f"{_GROUP}; write it with a smaller row_group_size"
                )
            groups.append(_Group(file, start, about.num_rows, partial(load, number)))
            start += about.num_rows
        return parquet.schema_arrow, groups
    if any(map(_is_packed, pyarrow.ipc.MessageReader.open_stream(pyarrow.memory_map(str(file))))):
        raise DataError(f"{file}: packed, so that its size is not known; save it as Parquet")
    table = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
    table.validate(full=True)  # or else a wrong offset reads beyond the file
    for batch in table.to_batches():
        groups.append(_Group(file, start, batch.num_rows, batch.column))
        start += batch.num_rows
    return table.schema, groups


def _is_packed(message: Any) -> bool:
    # Whether a message of an Arrow stream is a batch of packed buffers. Its metadata are of
    # flatbuffers: a table begins with the way back to the list of the places of its fields.
    content = bytes(message.metadata)

    def field(table: int, number: int) -> int:
        fields = table - struct.unpack_from("<i", content, table)[0]
        within = 4 + 2 * number < struct.unpack_from("<H", content, fields)[0]
        place = struct.unpack_from("<H", content, fields + 4 + 2 * number)[0] if within else 0
        return table + place if place else 0

    if message.type not in ("record batch", "dictionary"):
        return False
    header = field(struct.unpack_from("<I", content)[0], 2)
    header += struct.unpack_from("<I", content, header)[0]
    if message.type == "dictionary":  # that has a batch in its field 1
        header = field(header, 1)
        header += struct.unpack_from("<I", content, header)[0]
    return field(header, 3) > 0


def _columns(file: Path, schema: Any) -> tuple[str, str | None, tuple[str, ...]]:
    # The columns of the images and of the labels, and the names of the classes.
    import pyarrow

    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = about.get("info", {}).get("features", {})

    def of_type(name: str) -> list[str]:
        return [key for key in schema.names if features.get(key, {}).get("_type") == name]

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    in_bytes = [name for name in schema.names if holds_bytes(schema.field(name).type)]
    images = [name for name in of_type("Image") if name in in_bytes] or in_bytes
    if len(images) != 1:
        kinds = [(name[:80], str(schema.field(name).type)[:80]) for name in schema.names[:9]]
        listed = ", ".join(f"{name} ({kind})" for name, kind in kinds)
        raise DataError(
            f"{file}: {len(images)} columns could be the images, of {listed}; keep one column of "
            "image files"
        )
    classes = of_type("ClassLabel")
    label = "label" if "label" in schema.names else classes[0] if len(classes) == 1 else None
    names = tuple(map(str, features[label].get("names", ()))) if label in classes else ()
    return images[0], label, names


def _labels(groups: list[_Group], label: str) -> Pixels:
    found = np.concatenate([np.asarray(group.load(label)) for group in groups])
    return found.astype(str) if found.dtype.kind == "O" else found
