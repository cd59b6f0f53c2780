"""Where and in which precision the estimates are computed."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike


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
    """The precision of all products: float64, in which small differences of large squares survive.

    MPS has float32 only: curves at small sigma are less exact there.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def as_rows(
    points: ArrayLike | torch.Tensor, device: str | torch.device, *, keep_single: bool = False
) -> torch.Tensor:
    """Points of any shape (N, ...) as a matrix (N, d) on the device, in its working precision.

    With ``keep_single`` float32 stays float32: large sets are not copied. A tensor is detached: no
    gradient flows to it. Raises ValueError as :func:`resolve_device`, and for fewer than 2 axes, no
    point, values that are not finite, or so large that their squared distances overflow.
    """
    device = resolve_device(device)
    if isinstance(points, torch.Tensor):
        array = points.detach()
    else:
        # torch takes no negative strides, and warns of arrays that are read-only.
        array = torch.as_tensor(np.require(points, requirements=["C", "W"]))
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"points of shape {tuple(array.shape)}; give (N, d) or (N, ...), N >= 1")
    single = keep_single and array.dtype == torch.float32
    dtype = torch.float32 if single else working_dtype(device)
    rows = array.reshape(len(array), -1).to(device=device, dtype=dtype)
    # No squared distance is above 4 d times the largest square.
    most = math.sqrt(torch.finfo(dtype).max / (4 * max(rows.shape[1], 1)))
    for part in rows.split(1024):
        low, high = (float(end) for end in part.aminmax())  # nan where any value is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("points hold NaN or infinite values; remove them first")
        if (largest := max(-low, high)) > most:
            raise ValueError(
                f"points reach {largest:.3g}, whose squares overflow; scale them, as to [-1, 1]"
            )
    return rows


def training_rows(train: ArrayLike | torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """Two or more training points as :func:`as_rows`, float32 kept; ValueError for one alone."""
    rows = as_rows(train, device, keep_single=True)
    if len(rows) < 2:
        raise ValueError(f"train holds N = {len(rows)} image; at least 2 are needed")
    return rows


def matching_rows(points: ArrayLike | torch.Tensor, train: torch.Tensor, name: str) -> torch.Tensor:
    """Points of the dimension and on the device of the ``train`` rows as :func:`as_rows`.

    float32 is kept. Raises ValueError, with the ``name`` of the points, for another dimension.
    """
    rows = as_rows(points, train.device, keep_single=True)
    if rows.shape[1] != train.shape[1]:
        raise ValueError(f"train has d = {train.shape[1]} and {name} {rows.shape[1]}; must agree")
    return rows
