"""Images as networks take them: channels first, whatever holds them."""

import numpy as np
import pytest
import torch

from wildmiddle.models.images import as_tensor, prepare_training_set, to_channels_first
from wildmiddle.models.settings import Training

IMAGES = np.random.default_rng(0).uniform(-1, 1, (5, 3, 4, 6))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (IMAGES, IMAGES),
        (np.moveaxis(IMAGES, 1, -1), IMAGES),
        (IMAGES[:, 0], IMAGES[:, :1]),
        (IMAGES[:, 0, :, :, None], IMAGES[:, :1]),
        (IMAGES[::-1], IMAGES[::-1]),
        (IMAGES.tolist(), IMAGES),
        (torch.as_tensor(IMAGES).float().movedim(1, -1), IMAGES.astype(np.float32)),
    ],
    ids=["first", "last", "none", "one, last", "negative strides", "lists", "tensor"],
)
def test_channels_come_first(given, expected) -> None:
    found = to_channels_first(given)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected, strict=True)


@pytest.mark.parametrize("shape", [(5,), (5, 4), (5, 4, 6, 2), (5, 1, 4, 6, 1)])
def test_shapes_that_are_no_images_are_refused(shape) -> None:
    with pytest.raises(ValueError, match=r"give \(H, W\), \(H, W, C\)"):
        to_channels_first(np.zeros(shape))


def test_no_gradient_and_no_warning_of_arrays_that_are_read_only() -> None:
    assert not as_tensor(torch.ones(2, 3, requires_grad=True)).requires_grad
    kept = IMAGES.copy()
    kept.flags.writeable = False
    found = as_tensor(kept)
    found += 1
    assert (kept == IMAGES).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_value_that_is_not_finite_is_refused(value) -> None:
    images = np.zeros((3, 4, 4))
    images[1, 2, 3] = value
    with pytest.raises(ValueError, match="finite"):
        prepare_training_set(images, None, Training())
