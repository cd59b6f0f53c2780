"""Copies: training images that are equal count as one, whose prior probability is its share.

Of N listed images let G differ, and let ``p_i`` be the share of the N that equal the i-th of these.
The posterior of a noised listed image is that of G images with the prior p,

    1 / w_i = 1 + sum_{j != i} (p_j / p_i) t_j,

``t_j`` as in Eq. 9: each bound holds once ``log t_j`` is moved by ``log(p_j / p_i)``. The mean over
the listed images is the mean by p over the G. With one p for all nothing changes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from wildmiddle.theory.domain import require

Array = NDArray[np.float64]


def log_ratios(prior: ArrayLike, rows: slice = slice(None)) -> Array:
    """``log(p_j / p_i)`` of some images i to all others j in their order, (R, G - 1).

    ``prior`` (G,), probabilities or numbers of copies; ``rows`` are the images i. Raises ValueError
    unless all are above 0 and there are two. Source: ours.
    """
    logs = np.log(_positive(prior))
    own = np.arange(len(logs))[rows]
    others = np.arange(len(logs)) != own[:, None]
    return (logs - logs[own, None])[others].reshape(len(own), -1)


def mean_by_prior(values: Array, ratios: ArrayLike) -> Array:
    """Mean of ``values`` (R, ...) by the prior of the R images, (...).

    ``ratios`` (R, G - 1) as :func:`log_ratios` gives them: ``p_i = 1 / (1 + sum_j p_j / p_i)``. A
    single 0 stands for one p for all.
    """
    ratios = np.asarray(ratios, np.float64)
    if not ratios.ndim:
        return np.asarray(values.mean(0))
    mean = np.average(values, axis=0, weights=1 / (1 + np.exp(ratios).sum(1)))
    # Rounding would carry it past values that are all equal.
    return np.asarray(np.clip(mean, values.min(0), values.max(0)))


def effective_number(prior: ArrayLike) -> float:
    """``exp H(p)``, from 1 to G: as many images with one p for all have the prior's entropy.

    ``prior`` (G,) as in :func:`log_ratios`, which raises alike. Source: Shannon 1948.
    """
    counts = _positive(prior)
    return float(np.exp(entr(counts / counts.sum()).sum()))


def _positive(prior: ArrayLike) -> Array:
    counts = np.asarray(prior, np.float64)
    require((counts > 0) & np.isfinite(counts), "prior", counts, "must be finite and above 0")
    require(counts.ndim == 1 and len(counts) >= 2, "G", counts.size, "must be at least 2 images")
    return counts
