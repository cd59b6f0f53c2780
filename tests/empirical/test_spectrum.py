"""Eigenvalues of the covariance, whatever the shape, the precision and the memory."""

import numpy as np
import pytest
import torch

from wildmiddle.empirical import spectrum
from wildmiddle.empirical.spectrum import eigenvalues
from wildmiddle.theory.spectrum import information_upper


def images(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / np.sqrt(d) + 5


def known(points: np.ndarray) -> np.ndarray:
    values = np.linalg.eigvalsh(np.cov(points.T, bias=True))[::-1][: min(points.shape)]
    return np.maximum(values, 0)


@pytest.mark.parametrize("shape", [(600, 40), (40, 600), (50, 50), (2, 7)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_as_by_the_covariance(shape, dtype) -> None:
    points = torch.as_tensor(images(*shape)).to(dtype)
    before = points.clone()
    found = eigenvalues(points)
    np.testing.assert_allclose(found, known(points.double().numpy()), atol=1e-12 * found[0])
    assert (np.diff(found) <= 0).all()
    assert torch.equal(points, before)
    spread = eigenvalues(points.reshape(shape[0], shape[1], 1) + 0)
    np.testing.assert_array_equal(spread, found)


@pytest.mark.parametrize("shape", [(300, 64), (64, 300)])
def test_little_memory_gives_blocks_whose_bound_is_weaker_and_true(shape) -> None:
    points, sigmas = images(*shape), np.geomspace(0.1, 100, 9)
    tight = information_upper(eigenvalues(points), sigmas)
    blocks = eigenvalues(points, memory=4 * 8 * 20**2)
    assert len(blocks) == shape[1]
    assert blocks.sum() == pytest.approx(known(points).sum(), rel=1e-12)  # the trace stays
    loose = information_upper(blocks, sigmas)
    assert (loose > tight).all()
    assert loose[-1] == pytest.approx(tight[-1], rel=0.01)


@pytest.mark.parametrize("kind", [np.float64, np.uint8])
def test_a_large_set_has_a_bound_that_is_weaker_and_true(monkeypatch, kind) -> None:
    monkeypatch.setattr(spectrum, "LARGE", 10**6)
    monkeypatch.setattr(spectrum, "_IMAGES", 400)
    points, sigmas = images(2000, 300), np.geomspace(0.1, 100, 9)
    far = 100 * np.random.default_rng(0).standard_normal((2000, 1)) / np.sqrt(300)  # one long axis
    points = (points * np.geomspace(9, 1, 300) + 90 + far).clip(0, 255).astype(kind)
    tight = information_upper(eigenvalues(points), sigmas)
    found = eigenvalues(points, exact=False)
    assert len(found) == 300
    assert found.sum() == pytest.approx(known(points).sum(), rel=1e-5)
    loose = information_upper(found, sigmas)
    assert (loose > tight).all()
    assert loose[-1] == pytest.approx(tight[-1], rel=0.01)
    assert found[0] == pytest.approx(known(points)[0], rel=0.05)


@pytest.mark.parametrize("kind", [np.float64, np.uint8])
def test_more_pixels_than_one_panel(kind) -> None:
    """The upper triangle alone is summed; of bytes from whole numbers, in two tiles of images."""
    rng = np.random.default_rng(2)
    mixed = rng.standard_normal((1100, 600)) @ rng.standard_normal((600, 600))
    points = np.rint(mixed + np.linspace(40, 200, 600)).clip(0, 255).astype(kind)
    found = eigenvalues(points)
    np.testing.assert_allclose(found, known(points.astype(float)), atol=1e-12 * found[0])


def test_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="N = 1 image"):
        eigenvalues(images(1, 5))


def test_images_far_from_the_origin_keep_their_spectrum() -> None:
    points = images(300, 20)  # the mean of the tiles is rounded to float32: 0.06 at a million
    np.testing.assert_allclose(eigenvalues(points + 1e6), known(points), rtol=1e-6)
