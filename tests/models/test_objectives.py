"""The losses against the square error of what the network itself predicts."""

import pytest
import torch

from wildmiddle.models.objectives import ddpm_loss, edm_loss, flow_loss
from wildmiddle.models.parameterizations import DDPMDenoiser, EDMDenoiser, FlowDenoiser

SEED = 20260320
SHAPE = (7, 1, 2, 3)


def wavy(images, time, labels):
    extra = 0 if labels is None else labels.reshape(-1, 1, 1, 1)
    return torch.sin(3 * images + time.reshape(-1, 1, 1, 1)) + images.mean() + extra


@pytest.fixture(scope="module")
def draws():
    rng = torch.Generator().manual_seed(SEED)
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
