"""Flow matching with straight paths (Lipman et al. 2023), and a gap."""

import torch
from data import arguments, digits, save_samples
from diffusers import UNet2DModel

import wildmiddle

options = arguments()
train = digits(options.output)
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

draw_times = torch.rand
if options.gap:
    draw_times = wildmiddle.Gap.load(options.gap).sample_flow_times

for _ in range(options.steps):
    clean = train[torch.randint(len(train), (96,))]
    noise = torch.randn_like(clean)
    t = draw_times(96).reshape(-1, 1, 1, 1)  # t = 1 is the data
    velocity = network(t * clean + (1 - t) * noise, 1000 * t.flatten(), return_dict=False)[0]
    loss = (velocity - (clean - noise)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

with torch.no_grad():
    x, steps = torch.randn(options.samples, 1, 8, 8, generator=torch.Generator().manual_seed(1)), 50
    for k in range(steps):
        x = x + network(x, torch.full((len(x),), 1000 * k / steps), return_dict=False)[0] / steps
save_samples(x, options.output)
