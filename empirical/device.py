"""Where and in which precision the estimates are computed."""

import numpy as np
import torch
from numpy.typing import ArrayLike


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one, else the CPU.

    Raises ValueError for an unknown or absent device.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = cuda is not available here; use --device cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device = mps is not available here; use --device cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device = {device} is unknown; use auto, cpu, cuda or mps") from error


def working_dtype(device: torch.device) -> torch.dtype:
    """The precision of all products: float64, in which small differences of large squares survive.

    MPS has float32 only: curves at small sigma are less exact there.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def as_rows(points: ArrayLike | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Points of any shape (N, ...) as a matrix (N, d) on the device, in its working precision.

    A tensor is detached: no gradient flows to it.
    Raises ValueError for fewer than 2 axes, no point, or values that are not finite.
    """
    if isinstance(points, torch.Tensor):
        array = points.detach()
    else:
        array = torch.as_tensor(np.asarray(points))
    if array.ndim < 2 or len(array) == 0:
        raise ValueError(f"points of shape {tuple(array.shape)}; give (N, d) or (N, ...), N >= 1")
    rows = array.reshape(len(array), -1).to(device=device, dtype=working_dtype(device))
    if not torch.isfinite(rows).all():
        raise ValueError("points hold NaN or infinite values; remove them first")
    return rows
