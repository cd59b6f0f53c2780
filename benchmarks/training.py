"""What the training loop costs over the network itself: ``python benchmarks/training.py``.

Trains on the digits for real (``wildmiddle.models.training.train``: draws, loss, averaged weights,
log, progress bar). After each of its optimizer's steps comes one bare step of the same network on a
fixed batch (forward, backward, the same Adam), so that both see the same machine, turn by turn.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from wildmiddle.empirical.data import load
from wildmiddle.models.networks import LAPTOP, SMALL, build
from wildmiddle.models.training import Training, train


class Alternation:
    """Times bare steps, each put after a step of the training loop, and what lies between."""

    def __init__(self, training: Training, image_shape: tuple[int, ...]) -> None:
        self.network = build(training.network, image_shape)
        channels, size = self.network.config.in_channels, self.network.config.sample_size
        self.x = torch.randn(training.batch_size, channels, *size)
        self.time = torch.randn(training.batch_size)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.bare: list[float] = []
        self.full: list[float] = []
        self.left = 0.0

    def __call__(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """After a step of the loop's optimizer: take one bare step, and both times."""
        if optimizer is self.optimizer:
            return
        entered = time.perf_counter()
        if self.left:
            self.full.append(entered - self.left)
        started = time.perf_counter()
        loss = (self.network(self.x, self.time).sample - self.x).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.bare.append(time.perf_counter() - started)
        self.left = time.perf_counter()


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--network", choices=["laptop", "small"], default="laptop")
    options = parser.parse_args()
    network = {"laptop": LAPTOP, "small": SMALL}[options.network]
    images = load("digits").train
    if options.network == "small":
        images = np.kron(images, np.ones((4, 4)))
    print(f"batch {options.batch}, {torch.get_num_threads()} threads")
    print("| objective | bare step, ms | loop, ms | ratio of the medians | median ratio |")
    print("|---|---:|---:|---:|---:|")
    base = Training(network=network, steps=options.steps, batch_size=options.batch)
    for training in (base, replace(base, objective="ddpm"), replace(base, objective="flow")):
        watch = Alternation(training, images.shape[1:])
        handle = register_optimizer_step_post_hook(watch)
        with tempfile.TemporaryDirectory() as folder:
            train(images, training, folder, device="cpu", progress=True)
        handle.remove()
        warm = options.steps // 10
        full, bare = np.array(watch.full[warm:]), np.array(watch.bare[warm:-1])
        medians = statistics.median(bare), statistics.median(full)
        print(
            f"| {training.objective} | {1e3 * medians[0]:.1f} | {1e3 * medians[1]:.1f} | "
            f"{medians[1] / medians[0]:.3f} | {np.median(full / bare):.3f} |"
        )


if __name__ == "__main__":
    main()
