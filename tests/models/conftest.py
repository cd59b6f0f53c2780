"""Tiny networks, and exact ones that stand in for a network."""

from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

SEED = 20260318


class Function(nn.Module):
    """A function of (images, time, labels) where a network is expected, in double precision."""

    def __init__(self, function, shape=(1, 2, 3), classes=None):
        super().__init__()
        self.conv_in = nn.Conv2d(1, 1, 1).double()
        self.function = function
        self.config = SimpleNamespace(
            in_channels=shape[0], sample_size=shape[1:], num_class_embeds=classes
        )

    def forward(self, images, time, class_labels=None, return_dict=True):
        assert not return_dict
        return (self.function(images, time, class_labels),)


@pytest.fixture(scope="session")
def as_network():
    """A function of (images, time, labels) as a network."""
    return Function


@pytest.fixture(scope="session")
def tiny():
    """Settings of a network that takes milliseconds a step."""
    pytest.importorskip("diffusers", reason="needs the extra train")
    from wildmiddle.models.networks import Network

    return Network(widths=(8,), attention=(False,), groups=4)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Twelve images of 4x4."""
    return np.random.default_rng(SEED).uniform(-1, 1, (12, 4, 4))
