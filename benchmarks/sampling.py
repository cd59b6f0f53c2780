"""What sampling costs over its network calls: ``python benchmarks/sampling.py``.

Draws 1,000 digits in 18 Heun steps from a UNet2DModel of about 700,000 random weights, batch by
batch in turn with 35 bare calls of the same network on as many images, on one thread of the same
process, in processor time. The sampler fills its last batch up; the bare calls do not.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import UNet2DModel

from wildmiddle.models.sampling import sample

SHAPE = (1, 8, 8)


def network() -> UNet2DModel:
    """A small network for 8 x 8 images, in evaluation mode."""
    unet = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
        norm_num_groups=8,
    )
    return unet.eval().requires_grad_(False)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    unet, calls = network(), 2 * 18 - 1

    def denoiser(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        return x - sigma * unet(x / (1 + sigma**2) ** 0.5, 500).sample

    def drawn(indices: range) -> None:
        sample(denoiser, SHAPE, indices, batch_size=options.batch_size, device="cpu")

    def bare(indices: range) -> None:
        images = torch.randn(len(indices), *SHAPE)
        with torch.no_grad():
            for _ in range(calls):
                unet(images, 500)

    starts = range(0, options.samples, options.batch_size)
    batches = [range(options.samples)[k : k + options.batch_size] for k in starts]
    bare(batches[0])  # the first calls are slower
    pairs = [(seconds(drawn, batch), seconds(bare, batch)) for batch in batches]
    whole, least = (sum(column) for column in zip(*pairs, strict=True))
    middle = statistics.median(a / b for a, b in pairs)
    print(f"{sum(p.numel() for p in unet.parameters()):,} weights")
    print("| samples | sampling, s | bare calls, s | ratio | median over the batches |")
    print("|---:|---:|---:|---:|---:|")
    print(
        f"| {options.samples:,} | {whole:.1f} | {least:.1f} | {whole / least:.3f} | {middle:.3f} |"
    )


def seconds(action: Callable[[range], None], indices: range) -> float:
    """Processor seconds of an action on one batch."""
    started = time.process_time()
    action(indices)
    return time.process_time() - started


if __name__ == "__main__":
    main()
