"""Grids of images: strips with a label, the tiles of a strip side by side, some of them framed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

Pixels = NDArray[np.float64]

FRAME = (0.84, 0.15, 0.16)
"""Red, green and blue of the frame around a copy."""


@dataclass(frozen=True, eq=False)
class Strip:
    """One line of a grid: tiles (K, H, W, 3), as :func:`colours` gives them, and which are framed.

    ``label`` is written on its left, ``note`` on its right.
    """

    tiles: Pixels
    framed: NDArray[np.bool_] | None = None
    label: str = ""
    note: str = ""


def colours(
    images: torch.Tensor, value_range: tuple[float, float], mean: torch.Tensor | float = 0.0
) -> Pixels:
    """Images (K, C, H, W) of any range as red, green and blue in [0, 1], (K, H, W, 3).

    The value range becomes [0, 1], with the ``mean`` put back that centring took off; what lies
    beyond is cut. One channel is grey.
    """
    low, high = value_range
    shares = (images.double().cpu() + mean - low) / (high - low)
    return shares.clamp(0, 1).movedim(1, -1).expand(-1, -1, -1, 3).numpy()


def hstack_pairs(left: Pixels, right: Pixels) -> Pixels:
    """Pairs as tiles, the images of each side by side, (K, H, W + gap + W, 3)."""
    gap = np.ones((*left.shape[:2], _frame(left), 3))
    return np.concatenate([left, gap, right], axis=2)


def vstack_pairs(top: Pixels, bottom: Pixels) -> Pixels:
    """Pairs as tiles, one image above the other, (K, H + gap + H, W, 3)."""
    gap = np.ones((len(top), _frame(top), top.shape[2], 3))
    return np.concatenate([top, gap, bottom], axis=1)


def split_into_rows(tiles: Pixels, framed: NDArray[np.bool_], columns: int) -> list[Strip]:
    """Tiles (K, H, W, 3) as strips of ``columns``; the last may be shorter."""
    cuts = range(0, len(tiles), columns)
    return [Strip(tiles[k : k + columns], framed[k : k + columns]) for k in cuts]


def mosaic(strips: Sequence[Strip]) -> tuple[Pixels, list[float]]:
    """The strips as one picture on white, (height, width, 3), and the middle of each, in pixels.

    A frame is as wide as the smallest image's sixteenth, at least a pixel, and lies around its
    tile; twice as much white is left between two frames.
    """
    edge = min(_frame(strip.tiles) for strip in strips)
    rows = []
    for strip in strips:
        count, height, width, _ = strip.tiles.shape
        cells = np.ones((count, height + 4 * edge, width + 4 * edge, 3))
        if strip.framed is not None:
            cells[strip.framed, : height + 2 * edge, : width + 2 * edge] = FRAME
        cells[:, edge : height + edge, edge : width + edge] = strip.tiles
        rows.append(np.concatenate(list(cells), axis=1))
    whole = np.ones((sum(len(row) for row in rows), max(row.shape[1] for row in rows), 3))
    top, middles = 0, []
    for row in rows:
        whole[top : top + len(row), : row.shape[1]] = row
        middles.append(top + (len(row) - 2 * edge - 1) / 2)
        top += len(row)
    return whole[: -2 * edge, : -2 * edge], middles


def draw_strips(axes: Axes, strips: Sequence[Strip], title: str = "") -> None:
    """Draw strips without axes and without interpolation."""
    whole, middles = mosaic(strips)
    axes.imshow(whole, interpolation="none")  # its own pixels, which a viewer scales up
    axes.set_xticks([])
    axes.set_yticks(middles, [strip.label for strip in strips], fontsize="small")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    for middle, strip in zip(middles, strips, strict=True):
        at: Any = axes.get_yaxis_transform()
        axes.text(1.01, middle, strip.note, transform=at, va="center", fontsize="small")


def _frame(tiles: Pixels) -> int:
    return max(1, min(tiles.shape[1:3]) // 16)
