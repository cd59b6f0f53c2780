"""Fréchet distance between samples and a reference set, in the features of a named extractor.

It is called FID only with the Inception network it is named after, whose weights the user has to
bring. Otherwise the features are of a small classifier trained here, and every result says so, with
n and the reference set: such numbers compare with nothing but each other. The distance is biased
upwards at small n, so compare equal n only. Features are gathered by torchmetrics.
"""

from dataclasses import dataclass
from typing import Any

import torch

from wildmiddle.empirical.data.conventions import require_same_shape
from wildmiddle.empirical.kernels.device import resolve_device, warn_of_units
from wildmiddle.models.extractors import Extractor
from wildmiddle.models.images import Images, as_tensor

_ROWS = 1024  # of a kernel matrix at a time
_COARSE = 1e-3  # rounding of a pixel to float32, in units of how much pixels differ


@dataclass(frozen=True)
class FrechetDistance:
    """A distance with all that it depends on; as text it is one line."""

    value: float
    extractor: str
    """Name of the network that the features are of."""
    n: int
    """Number of samples."""
    reference: str
    """Name of the reference set."""
    reference_n: int

    def __str__(self) -> str:
        return (
            f"{self.value:.4g} in the features of {self.extractor}, n = {self.n} samples against "
            f"{self.reference_n} of {self.reference}"
        )


def frechet_distance(
    samples: Images,
    reference: Images,
    extractor: Extractor,
    *,
    reference_name: str,
    batch_size: int = 256,
    device: str | torch.device = "auto",
    units: bool = True,
) -> FrechetDistance:
    """Fréchet distance between normal distributions fitted to the features of two sets of images.

    ``samples`` and ``reference`` (n, C, H, W) in the range of the data. The moments and the
    distance are float64. Needs torchmetrics. Raises ValueError for fewer than 2 images, images of
    another shape, an offset beside which float32 loses the pixels, or features that are not finite.
    Warns where the two look to be in different units, unless ``units`` is False. Source: Heusel et
    al. 2017.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    fake, real = as_tensor(samples), as_tensor(reference)
    if min(len(fake), len(real)) < 2:
        raise ValueError(f"{len(fake)} samples, {len(real)} of {reference_name}; give at least 2")
    if real.ndim != 4:
        raise ValueError(f"images of shape {tuple(real.shape)}; bring them to (n, C, H, W)")
    require_same_shape(fake.shape[1:], real.shape[1:], "samples", reference_name)
    if units:
        warn_of_units(fake.flatten(1), real.flatten(1), "samples")
    single = real.float()
    if float((single - real).abs().max()) > _COARSE * float((real - real.mean(0)).abs().max()):
        raise ValueError(
            f"pixels near {float(real.abs().max()):.4g} of {reference_name} differ too little for "
            "the float32 that networks take; subtract the offset from both sets"
        )
    with torch.no_grad():
        # Made on the CPU, where torchmetrics tries the network out, and moved from there.
        network = extractor.network.cpu().eval()
        channels, height, width = real.shape[1:]
        metric = FrechetInceptionDistance(
            feature=network, normalize=True, input_img_size=(channels, height, width)
        ).to(resolve_device(device))
        for images, is_real in ((fake, False), (real, True)):
            for batch in images.split(batch_size):
                metric.update(batch.to(metric.device, torch.float32), real=is_real)
    value = distance_of_normals(*_moments(metric, "fake"), *_moments(metric, "real"))
    return FrechetDistance(value, extractor.name, len(fake), reference_name, len(real))


@dataclass(frozen=True)
class KernelDistance(FrechetDistance):
    """The unbiased squared maximum mean discrepancy of the cubic kernel; below 0 by chance."""


def distances_of_features(
    samples: torch.Tensor, reference: torch.Tensor, *, name: str, reference_name: str
) -> tuple[FrechetDistance, KernelDistance]:
    """The Fréchet and the kernel distance between two sets of features, (n, F) and (m, F).

    The kernel is ``(x . y / F + 1)^3``. Raises ValueError for fewer than 2 rows in either. Source:
    Heusel et al. 2017; Binkowski et al. 2018.
    """
    sets = [each.double() for each in (samples, reference)]
    if min(map(len, sets)) < 2:
        raise ValueError(f"{len(samples)} samples, {len(reference)} of {reference_name}; give 2")
    width = sets[0].shape[1]

    def kernels(a: torch.Tensor, b: torch.Tensor) -> float:
        return sum(float((rows @ b.T / width + 1).pow(3).sum()) for rows in a.split(_ROWS))

    def within(a: torch.Tensor) -> float:
        # The mean without the pairs of a row with itself.
        of_itself = float((a.square().sum(1) / width + 1).pow(3).sum())
        return (kernels(a, a) - of_itself) / (len(a) * (len(a) - 1))

    x, y = sets
    n, m = len(x), len(y)
    kernel = within(x) + within(y) - 2 * kernels(x, y) / (n * m)
    normals = [(each.mean(0), each.T.cov().reshape(width, width)) for each in sets]
    where = (name, n, reference_name, m)
    return (
        FrechetDistance(distance_of_normals(*normals[0], *normals[1]), *where),
        KernelDistance(kernel, *where),
    )


def distance_of_normals(
    mean: torch.Tensor,
    covariance: torch.Tensor,
    other_mean: torch.Tensor,
    other_covariance: torch.Tensor,
) -> float:
    """Squared Wasserstein-2 distance ``|m - m'|^2 + tr(S + S' - 2 (S S')^1/2)`` of two normals.

    Means (d,), covariances (d, d), in float64. The trace of the root is the sum of the singular
    values of ``S^1/2 S'^1/2`` with symmetric roots: ``S S'`` is not symmetric, and rounding makes
    its eigenvalues complex. Raises ValueError for covariances that are not symmetric or have a
    negative eigenvalue, beyond rounding, or values that are not finite.
    Source: Dowson and Landau 1982.
    """
    root, other = _root(covariance), _root(other_covariance)
    fidelity = torch.linalg.svdvals(root @ other).sum()
    apart = (mean - other_mean).double().square().sum()
    traces = covariance.double().trace() + other_covariance.double().trace()
    return float((apart + traces - 2 * fidelity).clamp(min=0))


def _root(covariance: torch.Tensor) -> torch.Tensor:
    matrix = covariance.double()
    if not torch.isfinite(matrix).all():
        raise ValueError("the features hold NaN or infinite values")
    skew, size = float((matrix - matrix.T).abs().max()), float(matrix.abs().max())
    if skew > 1e-10 * size:
        raise ValueError(f"covariance differs from its transpose by {skew:.3g}; must be symmetric")
    values, vectors = torch.linalg.eigh(matrix)
    # What is below is rounding: 0, or its root would be a thousand times larger than it is.
    noise = len(values) * torch.finfo(torch.float64).eps * values.abs().max()
    if float(values.min()) < -1e-8 * size:
        raise ValueError(
            f"covariance has the eigenvalue {float(values.min()):.3g}; none is below 0"
        )
    return (vectors * torch.where(values > noise, values, 0).sqrt()) @ vectors.T


def _moments(metric: Any, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    n = getattr(metric, f"{kind}_features_num_samples")
    mean = getattr(metric, f"{kind}_features_sum") / n
    products = getattr(metric, f"{kind}_features_cov_sum")
    covariance = (products - n * torch.outer(mean, mean)) / (n - 1)
    return mean, (covariance + covariance.T) / 2
