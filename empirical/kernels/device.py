"""Where and in which precision the estimates are computed."""

import math
import warnings

import numpy as np
import torch
from numpy.typing import ArrayLike

from wildmiddle.empirical.data.conventions import (
    BYTE,
    DataWarning,
    compare_units,
    require_same_shape,
)

_SMALLEST, _LARGEST = 1e-14, 1e14
"""Of the largest value: beyond, float32 does not hold squared distances, nor the zone's sums."""


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one, else the CPU.

    Raises ValueError for an unknown or absent device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device = {device} is unknown; use auto, cpu, cuda or mps") from error
    absent = {
        "cuda": not torch.cuda.is_available(),
        "mps": not torch.backends.mps.is_available(),
    }
    if absent.get(resolved.type, False):
        raise ValueError(f"device = {device} is not available here; use --device cpu")
    return resolved


def working_dtype(device: torch.device) -> torch.dtype:
    """The precision of norms, sums and differences of points: float64.

    Small differences of large squares survive in it. Products may be in float32
    (:func:`wildmiddle.empirical.kernels.products.product_dtype`). MPS has float32 only: curves at
    small sigma are less exact there.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def as_rows(
    points: ArrayLike | torch.Tensor,
    device: str | torch.device,
    *,
    keep_single: bool = False,
    keep_bytes: bool = False,
) -> torch.Tensor:
    """Points of any shape (N, ...) as a matrix (N, d) on the device, in its working precision.

    With ``keep_single`` float32 stays float32: large sets are not copied. With ``keep_bytes`` bytes
    stay bytes where they are, as in a file that is mapped. A tensor is detached: no gradient flows
    to it. Raises ValueError as :func:`resolve_device`, and for fewer than 2 axes, no point, values
    that are no real numbers, not finite, or whose largest is neither 0 nor between 1e-14 and 1e14.
    """
    device = resolve_device(device)
    if isinstance(points, torch.Tensor):
        array = points.detach()
    elif keep_bytes and isinstance(points, np.ndarray) and points.dtype == np.uint8:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writ")  # nor is it
            array = torch.from_numpy(np.ascontiguousarray(points))
    else:
        values = np.asarray(points)
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            raise ValueError(f"points are of type {values.dtype}; give real numbers, as float64")
        # torch takes no negative strides and no foreign bytes, and warns of read-only arrays.
        native = values.dtype.newbyteorder("=")
        array = torch.as_tensor(np.require(values, native, ["C", "W"]))
    if array.is_complex():
        raise ValueError(f"points are of type {array.dtype}; give real numbers, as float64")
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"points of shape {tuple(array.shape)}; give (N, d) or (N, ...), N >= 1")
    if keep_bytes and array.dtype == torch.uint8:
        return array.reshape(len(array), -1).to(device)
    single = keep_single and array.dtype == torch.float32
    dtype = torch.float32 if single else working_dtype(device)
    rows = array.reshape(len(array), -1).to(device=device, dtype=dtype)
    largest = 0.0
    for part in rows.split(1024):
        low, high = (float(end) for end in part.aminmax())  # nan where any value is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("points hold NaN or infinite values; remove them first")
        largest = max(largest, -low, high)
    if largest and not _SMALLEST <= largest <= _LARGEST:
        raise ValueError(
            f"points reach {largest:.3g}, whose squares overflow or underflow; give them in "
            "another unit, as scaled to [-1, 1]"
        )
    return rows


def training_rows(
    train: ArrayLike | torch.Tensor, device: str | torch.device, *, keep_bytes: bool = False
) -> torch.Tensor:
    """Two or more training points as :func:`as_rows`, float32 kept; ValueError for one alone."""
    rows = as_rows(train, device, keep_single=True, keep_bytes=keep_bytes)
    if len(rows) < 2:
        raise ValueError(f"train holds N = {len(rows)} image; at least 2 are needed")
    return rows


def rows_of_both(
    train: ArrayLike | torch.Tensor,
    points: ArrayLike | torch.Tensor,
    name: str,
    device: str | torch.device,
    *,
    least: int = 2,
    units: bool = True,
    keep_bytes: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Training points, at least ``least`` of them, and other ones as :func:`as_rows`, float32 kept.

    Raises ValueError, with the ``name`` of the points, where the images of the two have different
    shapes (:func:`~wildmiddle.empirical.data.conventions.require_same_shape`), or where ``units``
    are asked about and one set holds bytes, the other does not. Warns where they only look to be in
    different units (:func:`~wildmiddle.empirical.data.conventions.compare_units`).
    """
    single = {"keep_single": True, "keep_bytes": keep_bytes}
    if least < 2:
        rows = as_rows(train, device, **single)
    else:
        rows = training_rows(train, device, keep_bytes=keep_bytes)
    others = as_rows(points, rows.device, **single)
    require_same_shape(_image_shape(points), _image_shape(train), name)
    if units:
        warn_of_units(others, rows, name)
    return rows, others


_PIXELS = 16
"""Values of the smallest images whose units are compared: points of the plane have none to tell."""


def _image_shape(points: ArrayLike | torch.Tensor) -> tuple[int, ...]:
    return tuple(points.shape[1:] if isinstance(points, torch.Tensor) else np.shape(points)[1:])


def warn_of_units(points: torch.Tensor, train: torch.Tensor, name: str) -> None:
    """Warn where rows (S, d) and training rows (N, d) look to be in different units.

    By the rule of :func:`~wildmiddle.empirical.data.conventions.compare_units`, for images of 16
    values and more; a single training image tells nothing of units. Raises ValueError where one set
    holds bytes and the other does not.
    """
    if train.shape[1] < _PIXELS or len(train) < 2:
        return
    ends, train_ends = (
        torch.stack([rows.amin(1), rows.amax(1)]).double().cpu().numpy() for rows in (points, train)
    )
    doubt = compare_units(ends, train_ends, name)
    if doubt is None:
        return
    if _holds_bytes(points) != _holds_bytes(train):
        raise ValueError(f"{doubt}: only one of them holds whole numbers up to 255")
    warnings.warn(doubt, DataWarning, stacklevel=4)


def _holds_bytes(rows: torch.Tensor) -> bool:
    # Whole numbers of which some are beyond the usual ranges of floats.
    inside = float(rows.min()) >= 0 and 2 < float(rows.max()) <= BYTE
    return inside and all(bool((part == part.round()).all()) for part in rows.split(1024))
