"""DDPM with diffusers, as in its own tutorial, and a gap."""

import torch
from data import arguments, digits, save_samples
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

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
scheduler = DDPMScheduler(num_train_timesteps=1000)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

kept = torch.arange(1000)
if options.gap:
    kept = wildmiddle.Gap.load(options.gap).timesteps(scheduler)

for _ in range(options.steps):
    clean = train[torch.randint(len(train), (96,))]
    noise = torch.randn_like(clean)
    timesteps = kept[torch.randint(len(kept), (96,))]
    noisy = scheduler.add_noise(clean, noise, timesteps)
    loss = (network(noisy, timesteps, return_dict=False)[0] - noise).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

pipeline = DDPMPipeline(network.eval(), scheduler)
pipeline.save_pretrained(options.output / "model")
pipeline.set_progress_bar_config(disable=True)
images = pipeline(
    batch_size=options.samples,
    num_inference_steps=100,
    output_type="np",
    generator=torch.Generator().manual_seed(1),
).images
save_samples(torch.as_tensor(images).movedim(-1, 1) * 2 - 1, options.output)
