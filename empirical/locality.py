"""How much one output pixel of a denoiser depends on each input pixel (Section 4.2.1)."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def jacobian(
    denoiser: Callable[[torch.Tensor, float], torch.Tensor], y: torch.Tensor, sigma: float
) -> Array:
    """Jacobian ``d m_sigma(y)_i / d y_j`` of any denoiser at one input, by automatic derivatives.

    ``y`` has one input's shape with d entries; returns (d, d) over the flattened pixels.
    """

    def one(flat: torch.Tensor) -> torch.Tensor:
        return denoiser(flat.reshape(1, *y.shape), sigma).reshape(-1)

    result = torch.func.jacrev(one)(y.reshape(-1))
    return result.detach().double().cpu().numpy()


def sensitivity_by_distance(matrix: Array) -> Array:
    """Largest ``|J_ij|`` at each wrap-around distance 0..d//2 of the flattened pixels."""
    d = len(matrix)
    gap = np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    rho = np.minimum(gap, d - gap)
    return np.array([np.abs(matrix[rho == k]).max() for k in range(d // 2 + 1)])
