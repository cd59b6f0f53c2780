"""Read images from tensors as torch and safetensors save them; nothing is ever unpickled freely."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from wildmiddle.empirical.data.source import (
    DataError,
    Part,
    Pixels,
    Source,
    data_errors,
    open_regular,
    require_memory,
)

SUFFIXES = (".pt", ".pth", ".safetensors")
_REMEDY = "save the images as one tensor, with torch.save or as .npy"


def read_tensors(path: Path) -> Source:
    """Read one tensor of images, or a dictionary of tensors, named as in an `.npz` file.

    ``train`` and ``test``, else ``images``, else the only one of two or more dimensions; labels are
    ``train_labels`` and ``test_labels``, or ``labels``. Raises `DataError` for anything else than
    tensors, and names that do not settle the choice.
    """
    with data_errors(path, _REMEDY):
        with open_regular(path) as file:
            stored = os.fstat(file.fileno()).st_size
            if path.suffix.lower() != ".safetensors" and zipfile.is_zipfile(file):
                # torch packs nothing; what unpacks to more than the file is not its own.
                with zipfile.ZipFile(file) as archive:
                    require_memory(path, sum(e.file_size for e in archive.infolist()), stored)
        found = _load(path)
    tensors = {"images": found} if isinstance(found, torch.Tensor) else found
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(one, torch.Tensor) for name, one in tensors.items()
    ):
        raise DataError(f"{path}: holds {type(found).__name__}, no tensors by name; {_REMEDY}")

    def part(name: str, labels: str) -> Part:
        known = tensors.get(labels)
        return Part(_array(tensors[name]), None if known is None else _array(known))

    if "train" in tensors and "test" in tensors:
        return Source(part("train", "train_labels"), part("test", "test_labels"), stored=stored)
    choice = [name for name, one in tensors.items() if one.ndim >= 2]
    if "images" in tensors:
        choice = ["images"]
    if len(choice) != 1:
        raise DataError(
            f"{path}: {len(choice)} tensors could be the images; name two of them train and test, "
            "or one images"
        )
    return Source(part(choice[0], "labels"), stored=stored)


def _load(path: Path) -> Any:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _array(tensor: torch.Tensor) -> Pixels:
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: Pixels = tensor.detach().cpu().contiguous().numpy()
    return array
