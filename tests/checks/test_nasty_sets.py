"""A run on images that are copies, constant, whole numbers, few, far apart or on an odd scale.

It ends with a report of strict JSON and finds no true claim violated, or it is refused in one line.
The kinds that crashed once are tried on the claims that crashed, all kinds on all claims by
``pytest tests/checks/test_nasty_sets.py -m slow``.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildmiddle.checks import report
from wildmiddle.checks.layout import MARKDOWN, TERMINAL
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.verify import verify
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import DataWarning, load

SEED = 20261127
SHAPE = (4, 4)

Array = np.ndarray[Any, np.dtype[np.float64]]


def uniform(count: int, *shape: int, stream: int = 0) -> Array:
    return np.random.default_rng([SEED, stream]).uniform(-1, 1, (count, *(shape or SHAPE)))


def whole(count: int, low: int, high: int, *shape: int) -> Array:
    drawn = np.random.default_rng(SEED).integers(low, high, (count, *(shape or SHAPE)))
    return drawn.astype(np.float64)


A, B, TWO = uniform(30), uniform(20, stream=1), uniform(2, stream=2)
GRID, BITS, SMALL_BITS = whole(45, -1, 2), 2 * whole(45, 0, 2) - 1, 2 * whole(45, 0, 2, 2, 2) - 1
LINE = np.linspace(-1, 1, 50)[:, None, None] * np.ones(SHAPE)
NEAR = np.repeat(A[:3], 15, 0) + 1e-6 * uniform(45, stream=3)
OUTLIER = np.concatenate([np.full((1, *SHAPE), 1e3), A])

# Training images and held-out ones.
KINDS: dict[str, tuple[Array, Array]] = {
    "half the held-out images leaked": (A, np.concatenate([A[:10], B[:10]])),
    "every image twice": (np.repeat(A[:10], 2, 0), B),
    "three images, binary": (BITS[:3], BITS[3:11]),
    "one pixel, whole numbers": (whole(30, -1, 2, 1, 1), whole(10, -1, 2, 1, 1)),
    "all held-out images leaked": (A, A[:15]),
    "one image and 200 copies of another": (np.repeat(TWO, (1, 200), 0), B),
    "clusters of near copies": (NEAR[:30], NEAR[30:]),
    "near copies in pairs": (np.repeat(A[:15], 2, 0) + 1e-9 * uniform(30, stream=4), B),
    "constant images": (uniform(30, 1, 1) * np.ones(SHAPE), uniform(20, 1, 1) * np.ones(SHAPE)),
    "images on a line": (LINE[::2], LINE[1::2]),
    "whole numbers": (GRID[:25], GRID[25:]),
    "binary": (BITS[:25], BITS[25:]),
    "binary, nearly all of them copies": (SMALL_BITS[:25], SMALL_BITS[25:]),
    "one pixel is set": (np.eye(17, 16).reshape(17, *SHAPE), np.zeros((3, *SHAPE))),
    **{f"{n} images": (uniform(n, stream=n), B) for n in (2, 3, 4, 5)},
    "five images, binary": (BITS[:5], BITS[5:13]),
    "one held-out image": (A, B[:1]),
    "two images and one held out": (TWO, B[:1]),
    "one pixel": (uniform(30, 1, 1), uniform(20, 1, 1, stream=1)),
    "one pixel, two images": (uniform(2, 1, 1), uniform(1, 1, 1, stream=1)),
    "two pixels": (uniform(30, 1, 2), uniform(20, 1, 2, stream=1)),
    "colours": (uniform(30, 3, 3, 3), uniform(20, 3, 3, 3, stream=1)),
    "small": (1e-6 * A, 1e-6 * B),
    "large": (4e5 * A, 4e5 * B),
    "an offset of 100": (100 + A, 100 + B),
    "an outlier": (OUTLIER, B),
    "two clusters far apart": (np.concatenate([A[:15] - 1e5, A[15:] + 1e5]), B),
}
CRASHED = (
    "half the held-out images leaked",
    "three images, binary",
    "one pixel, whole numbers",
    "an offset of 100",
    "two clusters far apart",
)
REFUSED = {
    "all images equal": (np.repeat(A[:1], 20, 0), B, "all 20 training images are equal"),
    "all black": (np.zeros((20, *SHAPE)), np.zeros((5, *SHAPE)), "all 20 training images"),
    "held-out images far away": (A, 100 + B, "as if in different units"),
    "an offset of 10,000": (1e4 + A, 1e4 + B, "subtract the offset"),
    **{
        f"scale {scale:g}": (scale * A, scale * B, reason)
        for scale, reason in (
            (1e-300, "scale the pixels to a range"),
            (1e-30, "scale the pixels to a range"),
            (1e12, "scale the images to a span between"),
            (1e150, "scale the pixels to a range"),
            (1e300, "scale the pixels to a range"),
        )
    },
}
FEW = Settings(samples=100, device="cpu", seed=SEED)


def loaded(train: Array, test: Array, folder: Path) -> Any:
    np.savez(folder / "images.npz", train=train, test=test)
    ends = float(min(train.min(), test.min())), float(max(train.max(), test.max()))
    span = ends if ends[0] < ends[1] else (-1.0, 1.0)
    with warnings.catch_warnings():
        # They look odd, and it is said; here they are what they are.
        warnings.simplefilter("ignore", DataWarning)
        sizes = {"train_size": len(train), "test_size": len(test)}
        return load(folder / "images.npz", value_range=span, **sizes)


@pytest.mark.parametrize("kind", CRASHED)
def test_a_set_that_crashed_ends_with_a_report(kind: str, tmp_path: Path) -> None:
    assert_report(kind, tmp_path, claims="4.11,regimes")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_nasty_set_ends_with_a_report(kind: str, tmp_path: Path) -> None:
    assert_report(kind, tmp_path)


def assert_report(kind: str, folder: Path, claims: str | None = None) -> None:
    result = verify(loaded(*KINDS[kind], folder), FEW, claims=claims)
    assert [str(record) for record in result.records if record.verdict == "violated"] == []
    text = json.dumps(report.to_json(result), allow_nan=False)
    assert '"nan"' not in text
    assert report.to_text(result, MARKDOWN)
    assert report.to_text(result, TERMINAL)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_set_that_says_nothing_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    train, test, reason = REFUSED[kind]
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=reason) as refusal:
        verify(loaded(train, test, tmp_path), FEW)
    assert "\n" not in str(refusal.value)


def test_pixels_whose_squares_overflow_are_refused() -> None:
    for scale in (1e154, 1e300):
        with pytest.raises(ValueError, match="whose squares overflow"):
            zone_of(scale * A, scale * B, device="cpu")


def test_the_zone_of_clusters_far_apart_is_that_of_one() -> None:
    """The median distance is a million times the nearest one's; the zone's end is not lost."""
    near = zone_of(A[:15], B, device="cpu").certain.end
    far = zone_of(np.concatenate([A[:15], A[15:] + 1e6]), B, device="cpu").certain.end
    assert 0.5 < far / near < 1
