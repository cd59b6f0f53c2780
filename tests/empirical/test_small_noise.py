"""Noise uniform on a shell, and the loss on shells."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from wildmiddle.empirical.small_noise import shell_losses, shell_noise
from wildmiddle.theory.shells import radii

SEED = 20260309


def drawn(d: int, c: float, n: int) -> np.ndarray:
    """n points of ``shell_noise`` by way of ``shell_losses``: of a map that gives x + y - x_i."""
    seen = []

    def identity(y: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append(y)
        return y

    origin = torch.zeros(1, d, dtype=torch.float64)
    squared = shell_losses(identity, origin, 1.0, queries=n, c=c, seed=SEED)
    points = torch.cat(seen).numpy()[:n]
    np.testing.assert_allclose(squared, np.square(points).sum(1), rtol=1e-12)
    return points


@pytest.mark.parametrize(("d", "c"), [(2, 0.1), (3, 0.75), (20, 1.0)])
def test_radius_is_uniform_by_volume(d, c, expect_law) -> None:
    r_in, r_out = (float(r) for r in radii(d, c))
    radius = np.linalg.norm(drawn(d, c, 10_000), axis=1)

    def volume(r):
        return (r**d - r_in**d) / (r_out**d - r_in**d)

    expect_law(radius, volume, seed=SEED, what=f"share of the shell's volume, d = {d}")
    # A radius uniform by length would not pass.
    wrong = r_in + (r_out - r_in) * volume(radius)
    assert kstest(wrong, volume).pvalue < 1e-6


def test_direction_is_uniform(expect_law) -> None:
    # Archimedes: on a sphere in three dimensions each coordinate is uniform.
    points = drawn(3, 0.75, 10_000)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    for axis in range(3):
        what = f"coordinate {axis} on the sphere"
        expect_law((1 + unit[:, axis]) / 2, "uniform", seed=SEED, what=what)
        # Whatever the radius: among the outer half as well.
        outer = unit[np.square(points).sum(1) > np.median(np.square(points).sum(1)), axis]
        expect_law((1 + outer) / 2, "uniform", seed=SEED, what=what + ", outer half")


@pytest.mark.parametrize(("d", "c"), [(1, 0.25), (64, 16.0), (64, 5.0), (3072, 5.0)])
def test_ends_of_the_volume_are_the_two_spheres(d, c) -> None:
    r_in, r_out = (float(r) for r in radii(d, c))
    noise = torch.as_tensor(np.random.default_rng(SEED).standard_normal((3, d)))
    found = shell_noise(noise, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), c)
    length = torch.linalg.vector_norm(found, dim=1).tolist()
    assert length[0] == pytest.approx(r_in, rel=1e-12)
    assert r_in < length[1] < r_out
    assert length[2] == pytest.approx(r_out, rel=1e-12)


def test_losses_are_squared_distances_to_the_point_that_was_noised(expect_rate) -> None:
    points, n = torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64), 4000
    losses = shell_losses(
        lambda y, _: torch.zeros_like(y), points, 0.1, queries=n, c=0.2, seed=SEED
    )
    assert set(losses.round(12)) == {1.0, 25.0}
    expect_rate((losses > 2).sum(), n, "==", 0.5, seed=SEED, what="points drawn uniformly")


def test_noise_lies_on_the_shell_of_the_point_at_its_sigma() -> None:
    points, sigma = torch.tensor([[5.0, 0.0, 0.0], [0.0, -5.0, 0.0]], dtype=torch.float64), 0.3
    r_in, r_out = (float(r) for r in radii(3, 0.5))

    def nearest(y: torch.Tensor, level: float) -> torch.Tensor:
        assert level == sigma
        gap = torch.cdist(y, points)
        least = gap.amin(1) / sigma
        assert ((least >= r_in - 1e-9) & (least <= r_out + 1e-9)).all()
        return points[gap.argmin(1)]

    losses = shell_losses(nearest, points, sigma, queries=500, c=0.5, seed=SEED)
    np.testing.assert_array_equal(losses, 0)


def test_queries_do_not_depend_on_how_many_there_are(cloud) -> None:
    points = torch.as_tensor(cloud)
    many = shell_losses(lambda y, _: y @ y.T[:, :5], points, 0.3, queries=300, c=1.0)
    for n in (1, 100, 257):
        few = shell_losses(lambda y, _: y @ y.T[:, :5], points, 0.3, queries=n, c=1.0)
        np.testing.assert_array_equal(many[:n], few)
