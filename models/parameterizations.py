"""What a network predicts, turned into a denoiser: EDM, DDPM (epsilon) and flow (velocity).

Each is a module ``denoiser(x, sigma, labels=None) -> x_hat`` around a network that is called as
``network(images, time, class_labels)``, images (B, C, H, W) and one time each.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from wildmiddle.models.denoisers import per_image
from wildmiddle.theory.domain import require_positive
from wildmiddle.theory.schedules import ddpm_sigmas

FLOW_TIME_SCALE = 1000.0
"""Flow time 0..1 is given to the network as 0..1000, the range its time embedding resolves."""


def require_label(network: nn.Module, label: int | None) -> None:
    """Raise ValueError unless a network has the class ``label``; None is of any network."""
    config: Any = network.config
    classes = config.num_class_embeds or 0
    if label is not None and not 0 <= label < classes:
        has = f"the classes 0 to {classes - 1}" if classes else "no classes"
        raise ValueError(f"label {label} (--label): the network has {has}")


class NetworkDenoiser(nn.Module, ABC):
    """A network as a denoiser of images at noise ``sigma``, a number or one per image (B,).

    ``x`` is (B, H, W), (B, H, W, C) or (B, C, H, W) in units of the data; the result has its shape
    and type. ``labels`` is one class for all or one per image (B,); where none are given, ``label``
    counts for all. Computed in float32 or the type of ``x`` if that is wider; the network in its
    own. Raises ValueError for images of another size, for labels where the network has no classes
    and for none where it has some, for a ``label`` that it does not have, and, in evaluation mode,
    unless sigma is finite and above 0.
    """

    def __init__(self, network: nn.Module, label: int | None = None) -> None:
        super().__init__()
        require_label(network, label)
        self.network = network
        self.label = label

    def forward(
        self, x: Tensor, sigma: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Estimate the clean images behind ``x`` at noise ``sigma``."""
        images, axes = self._channels_first(x)
        images = images.to(torch.promote_types(x.dtype, torch.float32))
        # Training draws its own sigmas: no look at their values, which would wait for the device.
        levels = sigma if self.training else per_image(sigma, images, finite=True)
        levels = torch.as_tensor(levels, dtype=images.dtype, device=images.device)
        found = self.denoise(images, levels.reshape(-1, 1, 1, 1), self._labels(labels, x))
        if axes is not None:
            found = found.permute(axes)
        return found.reshape(x.shape).to(x.dtype)

    @abstractmethod
    def denoise(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Estimate for ``x`` (B, C, H, W) at ``sigma`` (B, 1, 1, 1)."""

    def predict(self, x: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        """The network's own output, in the precision of ``x``."""
        kind = self.network.get_parameter("conv_in.weight").dtype
        # The time as it is: bfloat16 cannot tell timesteps above 256 apart.
        (output,) = self.network(x.to(kind), time.flatten(), class_labels=labels, return_dict=False)
        return output.to(x.dtype)

    def _channels_first(self, x: Tensor) -> tuple[Tensor, tuple[int, ...] | None]:
        config: Any = self.network.config
        channels, size = config.in_channels, config.sample_size
        shape = tuple(x.shape[1:])
        if size is None:  # any: the last two axes, or the two before a last one of the channels
            size = shape[:2] if len(shape) == 3 and shape[0] != channels else shape[-2:]
        height, width = (size, size) if isinstance(size, int) else size
        if shape == (channels, height, width):
            return x, None
        if shape == (height, width) and channels == 1:
            return x[:, None], None
        if shape == (height, width, channels):
            return x.permute(0, 3, 1, 2), (0, 2, 3, 1)
        raise ValueError(
            f"images of shape {shape}; the network was built for {channels} channels of "
            f"{height}x{width}"
        )

    def _labels(self, labels: Tensor | int | None, x: Tensor) -> Tensor | None:
        config: Any = self.network.config
        classes = config.num_class_embeds or 0
        if labels is None:
            labels = self.label
        if labels is None:
            if classes:
                raise ValueError(
                    f"no labels for a network of {classes} classes; give --label (labels=)"
                )
            return None
        if not classes:
            raise ValueError("labels for a network without classes; leave them out")
        found = torch.as_tensor(labels, dtype=torch.long, device=x.device)
        return found.expand(len(x))


class EDMDenoiser(NetworkDenoiser):
    """EDM's preconditioning: ``c_skip x + c_out F(c_in x, c_noise)``.

    ``sigma_data`` is the standard deviation of the pixels. Source: Karras et al. 2022, Table 1.
    """

    def __init__(self, network: nn.Module, sigma_data: float, label: int | None = None) -> None:
        super().__init__(network, label)
        require_positive("sigma_data", sigma_data)
        self.sigma_data = sigma_data

    def denoise(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Estimate for ``x`` (B, C, H, W) at ``sigma`` (B, 1, 1, 1)."""
        total = sigma**2 + self.sigma_data**2
        c_skip = self.sigma_data**2 / total
        c_out = sigma * self.sigma_data / total.sqrt()
        c_in = 1 / total.sqrt()
        c_noise = sigma.log() / 4
        return c_skip * x + c_out * self.predict(c_in * x, c_noise, labels)


Prediction = Literal["epsilon", "v_prediction", "sample"]


class DiscreteDenoiser(NetworkDenoiser):
    """A network that knows the rising noise levels ``sigmas`` (T,) alone: the nearest in log sigma.

    It is given ``x_t = x / sqrt(1 + sigma^2)`` and the level's number, and predicts epsilon, the
    image, or ``v = (epsilon - sigma x_0) / sqrt(1 + sigma^2)`` (Salimans and Ho 2022). ``clip``
    keeps the result within that distance of 0, as samplers with ``clip_sample`` do. The last level
    may be infinite: no signal is left there, and it is never asked for. Source: Ho et al. 2020.
    """

    def __init__(
        self,
        network: nn.Module,
        sigmas: ArrayLike,
        prediction: Prediction = "epsilon",
        clip: float | None = None,
        label: int | None = None,
    ) -> None:
        super().__init__(network, label)
        if prediction not in get_args(Prediction):
            raise ValueError(f"{prediction!r}; give one of {', '.join(get_args(Prediction))}")
        self.prediction, self.clip = prediction, clip
        table = torch.from_numpy(np.asarray(sigmas, np.float64))
        # As wildmiddle.theory.schedules.ddpm_timestep has them.
        middle = (table[1:].log() + table[:-1].log()) / 2
        # No buffers: several processes would send them round in every step.
        self.sigmas = table.float()
        self._midpoints = middle.float()

    def denoise(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Estimate for ``x`` (B, C, H, W) at ``sigma`` (B, 1, 1, 1)."""
        self._midpoints = self._midpoints.to(x.device)
        timestep = torch.bucketize(sigma.log().float(), self._midpoints)
        scale = (1 + sigma**2).rsqrt()
        output = self.predict(x * scale, timestep, labels)
        if self.prediction == "epsilon":
            output = x - sigma * output
        elif self.prediction == "v_prediction":
            output = scale**2 * x - sigma * scale * output
        return output if self.clip is None else output.clamp(-self.clip, self.clip)


class DDPMDenoiser(DiscreteDenoiser):
    """Epsilon-prediction at the levels of DDPM's linear betas.

    ``timesteps``, ``beta_start`` and ``beta_end`` are those of :func:`ddpm_sigmas`. Source: Ho et
    al. 2020.
    """

    def __init__(
        self,
        network: nn.Module,
        timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        label: int | None = None,
    ) -> None:
        require_positive("beta_end", beta_end)  # ddpm_sigmas names beta_start where this is NaN
        super().__init__(network, ddpm_sigmas(timesteps, beta_start, beta_end), label=label)


class FlowDenoiser(NetworkDenoiser):
    """Velocity-prediction: ``x_t + (1 - t) v(x_t, t)`` with ``x_t = t x``.

    ``t = 1/(1 + sigma)``, and the velocity's target is ``x_0 - z``, so t = 1 is the data. Source:
    Section A.2, Eq. 20 and 23.
    """

    def denoise(self, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        """Estimate for ``x`` (B, C, H, W) at ``sigma`` (B, 1, 1, 1)."""
        t = 1 / (1 + sigma)
        x_t = t * x
        return x_t + sigma * t * self.predict(x_t, FLOW_TIME_SCALE * t, labels)  # 1 - t = sigma t
