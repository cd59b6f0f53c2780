"""Objectives: the distribution of the levels with and without gaps, and the losses."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import norm

from wildmiddle.models.objectives import (
    FLOW_ENDS,
    OnceNoised,
    ddpm_levels,
    ddpm_loss,
    ddpm_share,
    draw_batch,
    draw_outside,
    edm_levels,
    edm_loss,
    edm_share,
    flow_levels,
    flow_loss,
    flow_share,
    in_gaps,
    merge_gaps,
    require_some_left,
)
from wildmiddle.models.parameterizations import DDPMDenoiser, EDMDenoiser, FlowDenoiser

SEED = 20260319
LOSS_SEED = 20260320
N = 20_000
SHAPE = (7, 1, 2, 3)


def lognormal(sigma):
    return norm.cdf((np.log(sigma) + 1.2) / 1.2)


def flow(sigma):
    low, high = FLOW_ENDS
    return np.clip((high - 1 / (1 + np.asarray(sigma))) / (high - low), 0, 1)


def timestep(t, count=1000):
    return np.clip(np.floor(t) + 1, 0, count) / count


DISTRIBUTIONS = {
    "edm": (edm_levels, lognormal, ((0.14, 1.1),)),
    "edm, two gaps": (edm_levels, lognormal, ((0.1, 0.2), (0.5, 3.0))),
    "edm, no gap": (edm_levels, lognormal, ()),
    "flow": (flow_levels, flow, ((0.3, 2.0),)),
    "flow, no gap": (flow_levels, flow, ()),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_levels_follow_their_distribution_without_the_gap(name, expect_law) -> None:
    draw, cdf, gaps = DISTRIBUTIONS[name]
    levels = draw(np.random.default_rng(SEED), N, gaps)
    assert levels.shape == (N,)
    assert not in_gaps(levels, gaps).any()

    def left(sigma):
        # Mass below sigma that is in no gap, as a share of all such mass.
        below = cdf(sigma) - sum(
            np.clip(cdf(sigma), cdf(low), cdf(high)) - cdf(low) for low, high in gaps
        )
        return below / (1 - sum(cdf(high) - cdf(low) for low, high in gaps))

    expect_law(levels, left, seed=SEED, what=f"levels of {name}")


def test_timesteps_are_uniform_outside_the_gap(expect_rate) -> None:
    levels = ddpm_levels(np.random.default_rng(SEED), N, ((100, 350),), timesteps=500)
    assert levels.dtype == np.int64
    assert set(np.unique(levels)) <= {*range(100), *range(350, 500)}
    for low, high, p in ((0, 50, 0.2), (50, 100, 0.2), (350, 500, 0.6), (99, 100, 1 / 250)):
        count = ((levels >= low) & (levels < high)).sum()
        expect_rate(count, N, "==", p, seed=SEED, what=f"timesteps {low} to {high}")


def test_levels_that_no_gap_touches_stay_as_they_are() -> None:
    # A model trained with a gap and one without see the same noise wherever both may look.
    gaps = ((0.14, 1.1),)
    with_gap = edm_levels(np.random.default_rng(SEED), 1000, gaps)
    without = edm_levels(np.random.default_rng(SEED), 1000)
    kept = ~in_gaps(without, gaps)
    assert 0 < kept.sum() < 1000
    np.testing.assert_array_equal(with_gap[kept], without[kept])


def test_a_gap_holds_its_lower_end_and_not_its_upper_one() -> None:
    levels = np.array([99.0, 100, 199, 200])
    np.testing.assert_array_equal(in_gaps(levels, ((100, 200),)), [False, True, True, False])


def test_what_is_rejected_is_drawn_again_until_it_is_not() -> None:
    answers = iter([[1.0, 5, 5, 2], [5.0, 3], [4.0]])

    def draw(count):
        answer = np.array(next(answers))
        assert len(answer) == count
        return answer

    np.testing.assert_array_equal(draw_outside(draw, 4, ((5, 6),)), [1, 4, 3, 2])


@pytest.mark.parametrize(
    ("share", "cdf"),
    [(edm_share, lognormal), (flow_share, flow), (ddpm_share, lambda t: timestep(t - 1e-9))],
)
@pytest.mark.parametrize(
    ("low", "high"), [(0, 1e9), (0.14, 1.1), (0, 0.5), (7, 9.5), (120, 350), (2000, 3000)]
)
def test_share_is_the_probability_of_the_interval(share, cdf, low, high) -> None:
    # Subtraction of two probabilities: both sides lose the same digits.
    below = cdf(low) if low else 0.0
    assert share(low, high) == pytest.approx(cdf(high) - below, abs=1e-12)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((), ()),
        (((3, 4), (1, 2)), ((1, 2), (3, 4))),
        (((1, 3), (2, 4)), ((1, 4),)),
        (((1, 2), (2, 3)), ((1, 3),)),
        (((1, 9), (2, 3)), ((1, 9),)),
    ],
)
def test_gaps_are_put_in_order_and_joined(gaps, expected) -> None:
    assert merge_gaps(gaps) == expected


@pytest.mark.parametrize("gap", [(2, 1), (1, 1), (-1, 1), (float("nan"), 1), (0, float("nan"))])
def test_an_interval_that_is_none_is_refused(gap) -> None:
    with pytest.raises(ValueError, match="need 0 <= low < high"):
        merge_gaps([gap])


@pytest.mark.parametrize(
    ("share", "gaps"),
    [
        (edm_share, ((0, 1000),)),
        (edm_share, ((0, 0.3), (0.3, 50))),
        (ddpm_share, ((0, 1000),)),
        (partial(ddpm_share, timesteps=5000), ((0, 4996),)),
        (flow_share, ((0, 1e9),)),
    ],
)
def test_gaps_that_leave_nothing_are_refused(share, gaps) -> None:
    with pytest.raises(ValueError, match="nothing would be left to train on"):
        require_some_left(gaps, share, "sigma")


def test_overlapping_gaps_count_once() -> None:
    # Each holds 60%: counted twice they would leave nothing.
    require_some_left(((0, 600), (0, 600)), ddpm_share, "the timestep")


# The losses against the square error of what the network itself predicts.


def wavy(images, time, labels):
    extra = 0 if labels is None else labels.reshape(-1, 1, 1, 1)
    return torch.sin(3 * images + time.reshape(-1, 1, 1, 1)) + images.mean() + extra


@pytest.fixture(scope="module")
def draws():
    rng = torch.Generator().manual_seed(LOSS_SEED)
    images, noise = torch.randn(2, *SHAPE, generator=rng, dtype=torch.float64)
    sigma = torch.logspace(-2, 1, 7, dtype=torch.float64)
    return images, noise, sigma


def weights(sigma):
    return sigma.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("labels", [None, torch.arange(7) % 3])
def test_edm_loss_is_that_of_f(as_network, draws, labels) -> None:
    images, noise, sigma = draws
    classes = None if labels is None else 3
    denoiser = EDMDenoiser(as_network(wavy, classes=classes), 0.4).train()
    found = edm_loss(denoiser, images, sigma, noise, sigma_data=0.4, labels=labels)
    s = weights(sigma)
    y = images + s * noise
    # Karras et al. 2022, Eq. 8: the effective target of F.
    target = (images - 0.16 / (s**2 + 0.16) * y) * (s**2 + 0.16).sqrt() / (s * 0.4)
    output = wavy(y / (s**2 + 0.16).sqrt(), sigma.log() / 4, labels)
    torch.testing.assert_close(found, (output - target).square().mean(), rtol=1e-10, atol=0)


def test_ddpm_loss_is_that_of_epsilon(as_network, draws) -> None:
    images, noise, _ = draws
    denoiser = DDPMDenoiser(as_network(wavy)).train()
    timestep = torch.tensor([0, 1, 10, 100, 500, 998, 999])
    sigmas = denoiser.sigmas
    found = ddpm_loss(denoiser, images, timestep, noise, sigmas=sigmas)
    s = weights(sigmas[timestep].double())
    alpha_bar = 1 / (1 + s**2)
    x_t = alpha_bar.sqrt() * images + (1 - alpha_bar).sqrt() * noise
    expected = (wavy(x_t, timestep, None) - noise).square().mean()
    # The sigmas of the table are in single precision.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_flow_loss_is_that_of_the_velocity(as_network, draws) -> None:
    images, noise, sigma = draws
    denoiser = FlowDenoiser(as_network(wavy)).train()
    found = flow_loss(denoiser, images, sigma, noise)
    t = weights(1 / (1 + sigma))
    x_t = (1 - t) * noise + t * images
    expected = (wavy(x_t, 1000 * t, None) - (images - noise)).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_once_noised_images_teach_the_mean_of_the_clean_ones() -> None:
    # Pixels from N(0, s^2): the denoiser c x is right with c = s^2 / (s^2 + sigma^2) and no other.
    s, once, sigma, count = 1.5, 0.7, 1.1, 400_000
    rng = torch.Generator().manual_seed(LOSS_SEED)
    clean, fixed, noise = torch.randn(3, count, generator=rng, dtype=torch.float64)
    images = OnceNoised(s * clean + once * fixed, once)
    levels = torch.full((count,), sigma, dtype=torch.float64)

    def loss(c: float) -> float:
        # The clean images are given, and must not be looked at: these are others.
        found = flow_loss(lambda x, *_: c * x, noise.flip(0), levels, noise, once=images)
        return float(found)

    below, middle, above = loss(0), loss(1), loss(2)
    best = (3 * below - 4 * middle + above) / (2 * (below - 2 * middle + above))
    # The deviation of a regression's slope: what is left of the target over the draws, and share.
    share = 1 - (once / sigma) ** 2
    left = (s**2 + once**2) - (s**2 + once**2) ** 2 / (s**2 + sigma**2)
    deviation = np.sqrt(left / (s**2 + sigma**2) / count) / share
    assert best == pytest.approx(s**2 / (s**2 + sigma**2), abs=5 * deviation)
    assert 5 * deviation < 0.02


def test_up_to_their_level_once_noised_images_change_nothing(as_network, draws) -> None:
    images, noise, sigma = draws
    denoiser = EDMDenoiser(as_network(wavy), 0.4).train()
    once = OnceNoised(torch.full_like(images, torch.nan), float(sigma[-1]))
    each = [
        edm_loss(denoiser, images, sigma, noise, sigma_data=0.4, once=given)
        for given in (None, once)
    ]
    assert each[0] == each[1]


def test_sigmas_of_a_batch_are_in_single_precision_and_timesteps_whole_numbers() -> None:
    batches = [draw_batch(0, 0, 4, 10, SHAPE[1:], draw) for draw in (edm_levels, ddpm_levels)]
    assert [batch.levels.dtype for batch in batches] == [np.float32, np.int64]
