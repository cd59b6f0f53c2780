"""Networks whose features a Fréchet distance is taken in: Inception, or a classifier trained here.

Nothing is downloaded. Any other network serves as well: ``Extractor(network, name)``.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from wildmiddle.empirical.noise import generator
from wildmiddle.models.images import Images, as_tensor


@dataclass(frozen=True, eq=False)
class Extractor:
    """A network from images (B, C, H, W) to features (B, F), and what results call it."""

    network: nn.Module
    name: str


class Classifier(nn.Module):
    """Two convolutions, then 64 features, then the classes; ``forward`` gives the features."""

    def __init__(self, channels: int, classes: int, centre: float, scale: float):
        """Images are brought to mean 0 and standard deviation 1 by ``centre`` and ``scale``."""
        super().__init__()
        self.centre, self.scale = centre, scale
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B, 64) of images (B, C, H, W)."""
        return self.body((images - self.centre) / self.scale)


def train_classifier(
    images: Images, labels: ArrayLike, *, data_name: str, steps: int = 500, seed: int = 0
) -> Extractor:
    """Train a small classifier on labelled images, for features where there is no Inception.

    ``images`` (N, C, H, W), ``labels`` (N,) of at least 2 classes. Every fifth image is held out,
    and its accuracy is part of the extractor's name, with N and the number of classes. The same
    arguments give the same network on one machine; torch's own random state is left as it was. Some
    seconds on a CPU for small images. Raises ValueError for fewer than 10 images, labels that are
    not one an image, or a single class.
    """
    pool = as_tensor(images).float()
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    if len(pool) < 10 or len(numbers) != len(pool) or len(classes) < 2:
        raise ValueError(
            f"{len(pool)} images with {len(numbers)} labels of {len(classes)} classes; give a label"
            " for each of at least 10 images, and 2 classes"
        )
    targets = torch.as_tensor(numbers)
    held_out = torch.arange(len(pool)) % 5 == 4
    x, y = pool[~held_out], targets[~held_out]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(pool.shape[1], len(classes), float(x.mean()), float(x.std()))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    order = generator(seed, "classifier")
    with torch.enable_grad():
        for _ in range(steps):
            rows = torch.as_tensor(order.integers(len(x), size=128))
            loss = nn.functional.cross_entropy(network.head(network(x[rows])), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.requires_grad_(False).eval()
    right = (network.head(network(pool[held_out])).argmax(1) == targets[held_out]).double().mean()
    name = (
        f"a classifier of {len(classes)} classes trained here on {len(x)} images of {data_name} "
        f"(held-out accuracy {float(right):.1%})"
    )
    return Extractor(network, name)


def inception(
    weights: str | Path,
    *,
    value_range: tuple[float, float],
    mean: ArrayLike | None = None,
    sha256: str | None = None,
) -> Extractor:
    """The Inception network of FID with weights from a file that the user names.

    ``weights`` is a .safetensors file or a .pth one of tensors alone, with torch-fidelity's names
    (its release calls it weights-inception-2015-12-05-6726825d.pth). Images in ``value_range``, of
    one channel or three, less their ``mean`` (C, H, W) if centred, are clamped, rounded to 8 bits
    and resized to 299 x 299 as torchmetrics does. The extractor's name holds the start of the
    file's checksum. Needs torchmetrics[image]. Raises ValueError for another checksum than
    ``sha256``, a file that is not of tensors or not those of the network, and where torch-fidelity
    is missing.
    """
    path = Path(weights)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 is not None and digest != sha256.lower().removeprefix("sha256:"):
        raise ValueError(f"{path} has sha256 {digest}, not {sha256}; bring the right file")
    state = _tensors(path)
    from torchmetrics.image.fid import NoTrainInceptionV3

    # torch-fidelity takes a path only, and would run what the file says: it gets one written here.
    with tempfile.TemporaryDirectory() as folder:
        safe = Path(folder, "weights.pth")
        torch.save(state, safe)
        try:
            network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(safe))
        except ModuleNotFoundError as error:
            raise ValueError(
                "torch-fidelity is missing: pip install 'torchmetrics[image]'"
            ) from error
        except (RuntimeError, KeyError) as error:
            raise ValueError(
                f"{path} does not hold the Inception network of FID: {error}"
            ) from error
    return Extractor(
        _Bytes(network, value_range, mean), f"Inception v3 (FID, weights {digest[:12]})"
    )


class _Bytes(nn.Module):
    # Images of the data's range as the 8-bit RGB images that Inception takes.
    mean: torch.Tensor

    def __init__(
        self, network: nn.Module, value_range: tuple[float, float], mean: ArrayLike | None
    ):
        super().__init__()
        self.network, self.ends = network, value_range
        taken_off = torch.zeros(()) if mean is None else torch.as_tensor(np.asarray(mean))
        self.register_buffer("mean", taken_off.float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        low, high = self.ends
        levels = ((images + self.mean - low) * (255 / (high - low))).round().clamp(0, 255).byte()
        return self.network(levels.expand(-1, 3, -1, -1))


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is not a file of tensors: {error}") from error
    if not (isinstance(state, dict) and all(isinstance(v, torch.Tensor) for v in state.values())):
        raise ValueError(f"{path} holds more than named tensors; save its state_dict alone")
    return state
