"""EDM's loss and preconditioning (Karras et al. 2022), and a gap."""

import torch
from data import arguments, digits, save_samples
from diffusers import UNet2DModel

import wildmiddle

options = arguments()
train = digits(options.output)
sigma_data = float(train.std())
torch.manual_seed(0)
network = UNet2DModel(
    sample_size=8,
    in_channels=1,
    out_channels=1,
    block_out_channels=(32, 64),
    layers_per_block=1,
    norm_num_groups=8,
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)


def denoise(x, sigma):
    """The clean images behind x at noise sigma."""
    s = torch.as_tensor(sigma).reshape(-1, 1, 1, 1).expand(len(x), 1, 1, 1)
    total = s**2 + sigma_data**2
    output = network(x / total.sqrt(), s.flatten().log() / 4, return_dict=False)[0]
    return sigma_data**2 / total * x + s * sigma_data / total.sqrt() * output


def draw_sigmas(n):
    """EDM's noise levels."""
    return (1.2 * torch.randn(n) - 1.2).exp()


if options.gap:
    draw_sigmas = wildmiddle.Gap.load(options.gap).sample_sigmas

for _ in range(options.steps):
    clean = train[torch.randint(len(train), (96,))]
    sigma = draw_sigmas(96).reshape(-1, 1, 1, 1)
    error = denoise(clean + sigma * torch.randn_like(clean), sigma) - clean
    loss = ((sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2 * error.square()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

network.eval()
samples = wildmiddle.sample(denoise, (1, 8, 8), range(options.samples), device="cpu")
save_samples(samples, options.output)
