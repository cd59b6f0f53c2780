"""Networks: the settings of a U-Net, and the U-Net itself by diffusers (``UNet2DModel``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import UNet2DModel

_CHANNELS = (1, 3)  # an axis of so many values is that of the channels


@dataclass(frozen=True)
class Network:
    """A U-Net: one level for each entry of ``widths``, the image halved between levels.

    ``layers`` residual blocks a level; ``attention`` says of each level whether it attends, with
    heads of ``head_dim`` channels; ``groups`` are those of the group norms and divide every width.
    ``classes`` is the number of labels, 0 for none. ``scale_shift`` lets the noise level scale the
    features as well as shift them.
    """

    widths: tuple[int, ...] = (16, 40)
    layers: int = 1
    attention: tuple[bool, ...] = (False, True)
    head_dim: int = 40
    dropout: float = 0.0
    groups: int = 8
    classes: int = 0
    scale_shift: bool = False

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths = {self.widths}: give one width of at least 1 for each level")
        if len(self.attention) != len(self.widths):
            raise ValueError(
                f"attention = {self.attention} for {len(self.widths)} widths; give one for each"
            )
        for name, divisor in (("groups", self.groups), ("head_dim", self.head_dim)):
            needed = self.widths if name == "groups" else self._attending()
            if divisor < 1 or any(width % divisor for width in needed):
                raise ValueError(f"{name} = {divisor} must divide each of the widths {needed}")
        if self.layers < 1 or self.classes < 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"layers = {self.layers}, classes = {self.classes}, dropout = {self.dropout}: need "
                f"layers >= 1, classes >= 0 and 0 <= dropout < 1"
            )

    def _attending(self) -> tuple[int, ...]:
        return tuple(w for w, on in zip(self.widths, self.attention, strict=True) if on)


LAPTOP = Network()
"""For digits of 8x8: trains in minutes on two cores."""

SMALL = Network(
    widths=(64, 128, 128), layers=2, attention=(False, True, False), head_dim=64, groups=32
)
"""For a few hundred images of 32x32."""

PAPER = Network(
    widths=(256, 256, 256),
    layers=4,
    attention=(False, True, False),
    head_dim=256,
    dropout=0.13,
    groups=32,
)
"""The size of DDPM++ in EDM's settings for CIFAR-10 (Karras et al. 2022, Table 7)."""

DDPM = Network(
    widths=(32, 64, 128), layers=2, attention=(False, True, True), head_dim=32, dropout=0.1
)
"""For grayscale CelebA of 32x32, after Bonnaire et al. 2025: base width 32, times 1, 2 and 4."""

NETWORKS = {"laptop": LAPTOP, "small": SMALL, "paper": PAPER, "ddpm": DDPM}


def channels_first(image_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of images of shape (H, W), (H, W, C) or (C, H, W), C 1 or 3.

    Raises ValueError for any other shape.
    """
    if len(image_shape) == 2:
        return (1, *image_shape)
    if len(image_shape) == 3 and image_shape[2] in _CHANNELS:
        return (image_shape[2], image_shape[0], image_shape[1])
    if len(image_shape) == 3 and image_shape[0] in _CHANNELS:
        return image_shape
    raise ValueError(
        f"images of shape {image_shape}; give (H, W), (H, W, C) or (C, H, W), C 1 or 3"
    )


def build(network: Network, image_shape: tuple[int, ...]) -> UNet2DModel:
    """A new network for images of ``image_shape``, (H, W), (H, W, C) or (C, H, W).

    Its weights come from torch's current random state. Raises ValueError where the image cannot be
    halved between the levels.
    """
    from diffusers import UNet2DModel

    channels, height, width = channels_first(image_shape)
    factor = 2 ** (len(network.widths) - 1)
    if height % factor or width % factor:
        raise ValueError(
            f"images of {height}x{width} cannot be halved {len(network.widths) - 1} times; "
            f"give sides that are multiples of {factor}, or fewer widths"
        )
    return UNet2DModel(
        sample_size=(height, width),
        in_channels=channels,
        out_channels=channels,
        block_out_channels=network.widths,
        layers_per_block=network.layers,
        down_block_types=tuple(
            "AttnDownBlock2D" if attends else "DownBlock2D" for attends in network.attention
        ),
        up_block_types=tuple(
            "AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(network.attention)
        ),
        add_attention=network.attention[-1],  # the middle block is as the lowest level
        attention_head_dim=network.head_dim,
        norm_num_groups=network.groups,
        dropout=network.dropout,
        num_class_embeds=network.classes or None,
        resnet_time_scale_shift="scale_shift" if network.scale_shift else "default",
    )
