"""The digits that the examples train on, and where they keep their samples."""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits


def arguments() -> argparse.Namespace:
    """What all examples take."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--gap", help="gap.json of wildmiddle zone; none without it")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--output", type=Path, default=Path("run"))
    return parser.parse_args()


def digits(output: Path) -> torch.Tensor:
    """100 digits in [-1, 1] to train on, (100, 1, 8, 8); they and 300 others are ``data.npz``."""
    images = load_digits().images / 8 - 1
    images = np.random.default_rng(0).permutation(images)
    output.mkdir(parents=True, exist_ok=True)
    np.savez(output / "data.npz", train=images[:100], test=images[100:400])
    return torch.as_tensor(images[:100, None], dtype=torch.float32)


def save_samples(samples: torch.Tensor, output: Path) -> None:
    """Keep samples (S, 1, 8, 8) as ``samples.npy``."""
    np.save(output / "samples.npy", samples[:, 0].clamp(-1, 1).numpy())
