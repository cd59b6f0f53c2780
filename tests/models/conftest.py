"""What the tests of samplers and measures share: a small network, behind the one call."""

import pytest
import torch

from theory.schedules import ddpm_sigmas, ddpm_timestep


class Epsilon(torch.nn.Module):
    """A UNet2DModel that predicts the noise, as a denoiser: ``x - sigma eps``."""

    def __init__(self, network, table):
        super().__init__()
        self.network, self.table = network, table

    def forward(self, x, sigma):
        t = int(ddpm_timestep(float(sigma), self.table))
        return x - sigma * self.network(x / (1 + sigma**2) ** 0.5, t).sample


@pytest.fixture(scope="session")
def unet():
    """A network with random weights, in evaluation mode; 8 x 8, one channel."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=8,
        )
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def betas():
    """Ends of a short DDPM schedule that reaches as far as the long one does."""
    return {"timesteps": 40, "beta_start": 1e-3, "beta_end": 0.4}


@pytest.fixture(scope="session")
def epsilon(unet, betas):
    return Epsilon(unet, ddpm_sigmas(**betas))
