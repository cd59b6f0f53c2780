"""Noise levels, gaps and rates that are infinite or no number: refused, and named.

The exact denoisers alone have a value at sigma = inf: tests/models/test_denoisers.py.
"""

import math

import numpy as np
import pytest
import torch

from wildmiddle.models import Piecewise
from wildmiddle.models.objectives import draw_outside, merge_gaps, require_some_left
from wildmiddle.models.one_step import (
    count_copies,
    denoising_error,
    gap_between,
    memorization_by_level,
)
from wildmiddle.models.parameterizations import DDPMDenoiser, EDMDenoiser
from wildmiddle.models.receptive_field import jacobian_rows, receptive_field, sensitivity_by_offset
from wildmiddle.models.sampling import ddim, ddpm, euler, heun, sample
from wildmiddle.models.settings import Training

IMAGES = np.random.default_rng(0).uniform(-1, 1, (5, 1, 2, 3))
X = torch.as_tensor(IMAGES)


def zero(x, sigma):
    return 0 * x


def network(images, time, labels):
    return images


def each(value):
    return torch.tensor([1.0, 1.0, value, 1.0, 1.0])


CALLS = {
    "a network": lambda v, net: EDMDenoiser(net(network), 0.5).eval()(X, each(v)),
    "sigma_data": lambda v, net: EDMDenoiser(net(network), v),
    "beta_start": lambda v, net: DDPMDenoiser(net(network), beta_start=v),
    "beta_end": lambda v, net: DDPMDenoiser(net(network), beta_end=v),
    "an edge": lambda v, _: Piecewise([1.0, v], [zero] * 3),
    "sample": lambda v, _: sample(zero, (2,), [0], sigmas=[v, 1.0]),
    "sample, within": lambda v, _: sample(zero, (2,), [0], sigmas=[2.0, v, 1.0]),
    "euler": lambda v, _: euler(zero, X, [v, 1.0]),
    "heun": lambda v, _: heun(zero, X, [v, 1.0]),
    "ddpm": lambda v, _: ddpm(zero, X, [v, 1.0], lambda: X),
    "ddim": lambda v, _: ddim(zero, X, [v, 1.0], lambda: X),
    "copies": lambda v, _: count_copies(zero, IMAGES, IMAGES, v, 5),
    "memorization": lambda v, _: memorization_by_level(zero, IMAGES, IMAGES, [1.0, v], 5),
    "error": lambda v, _: denoising_error(zero, IMAGES, [1.0, v], 5),
    "error within a range": lambda v, _: denoising_error(zero, IMAGES, 1, 5, value_range=(-9, v)),
    "gap": lambda v, _: gap_between(zero, zero, IMAGES, [1.0, v], 5),
    "gap within a range": lambda v, _: gap_between(zero, zero, IMAGES, 1, 5, value_range=(-9, v)),
    "Jacobian": lambda v, _: jacobian_rows(zero, X, v, torch.arange(5)),
    "sensitivity": lambda v, _: sensitivity_by_offset(zero, IMAGES, [1.0, v], 5),
    "receptive field": lambda v, _: receptive_field(zero, IMAGES, [1.0, v], 5),
    "gaps": lambda v, _: merge_gaps([(v, v)]),
    "gaps in draws": lambda v, _: draw_outside(np.ones, 5, ((v, v),)),
    "gaps by their share": lambda v, _: require_some_left(((v, v),), lambda low, high: 0, "t"),
    **{
        f"{name} of a training": lambda v, _, name=name: Training(**{name: v})
        for name in (
            "learning_rate",
            "warmup",
            "ema",
            "steps",
            "log_sigma_mean",
            "log_sigma_std",
            "beta_start",
            "beta_end",
        )
    },
    "a gap of a training": lambda v, _: Training(gap=((v, v),)),
}


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("call", CALLS)
def test_what_is_not_finite_is_refused_and_named(as_network, call, value) -> None:
    with pytest.raises(ValueError, match=rf"\b{value}\b") as caught:
        CALLS[call](value, as_network)
    assert "\n" not in str(caught.value)


def test_a_gap_may_have_no_upper_end() -> None:
    assert merge_gaps([(1.0, math.inf), (0.5, 1.0)]) == ((0.5, math.inf),)
    assert Training(gap=((2.0, math.inf),)).gap == ((2.0, math.inf),)
    with pytest.raises(ValueError, match=r"gap \(1, nan\)"):
        merge_gaps([(1.0, math.nan)])
