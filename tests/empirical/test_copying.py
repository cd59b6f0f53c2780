"""The bound on copying by tiles against that of theory, which holds all distances."""

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from wildmiddle.empirical import copying
from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.kernels import products
from wildmiddle.empirical.kernels.products import tile_of
from wildmiddle.theory.copying import copying_lower

SMALL = 2**23


def sets(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    n, d = (400, 300) if name == "float32 products" else (60, 20)
    train = rng.standard_normal((n, d))
    if name == "duplicates":
        train[1::3] = train[::3]
    return train, train[::4] + 0.5 * rng.standard_normal((len(train[::4]), d))


@pytest.mark.parametrize("name", ["plain", "duplicates", "float32 products"])
def test_as_theory(name) -> None:
    train, test = sets(name)
    to_points = cdist(test, train)
    nearest = torch.as_tensor(to_points.argmin(1))
    points, held_out = torch.as_tensor(train), torch.as_tensor(test)
    before = points.clone(), held_out.clone()
    sigmas = np.geomspace(0.05, 10, 12)
    shares = np.random.default_rng(6).dirichlet(np.full(len(train), 0.3)) + 1e-6
    for rows, prior in itertools.product(
        (torch.arange(len(test)), torch.arange(3, len(test), 4)), (None, shares)
    ):
        given = None if prior is None else torch.as_tensor(prior)
        found = CopyingBound(points, held_out, nearest, SMALL, given).at(rows, sigmas)
        known = copying_lower(to_points[rows], cdist(train[nearest[rows]], train), sigmas, prior)
        np.testing.assert_allclose(found, known, atol=1e-7)
    assert 0 < found[0] <= 1
    assert torch.equal(points, before[0])
    assert torch.equal(held_out, before[1])


def test_bytes_without_products_of_bytes_round_as_their_values(monkeypatch) -> None:
    monkeypatch.setattr(products, "_multiplies_bytes", lambda: False)
    rng = np.random.default_rng(7)
    pages = (np.where(rng.random((n, 300)) < 0.2, 0, 255) for n in (80, 20))  # ink on white
    bytes_ = [torch.as_tensor(page.astype(np.uint8)) for page in pages]
    nearest = torch.as_tensor(cdist(bytes_[1], bytes_[0]).argmin(1))
    ours, values = (
        CopyingBound(*rows, nearest, SMALL) for rows in (bytes_, [one.float() for one in bytes_])
    )
    # Whether float32 is enough for the noise levels goes by these.
    assert ours._rounding == pytest.approx(values._rounding, rel=0.02)


def test_points_that_cannot_help_are_not_looked_at(monkeypatch) -> None:
    train, test = sets("float32 products")
    nearest = torch.as_tensor(cdist(test, train).argmin(1))
    bound = CopyingBound(*map(torch.as_tensor, (train, test)), nearest, SMALL)
    looked = []

    def counted(points, ends, *rest):
        looked.append(ends)
        return tile_of(points, ends, *rest)

    monkeypatch.setattr(copying, "tile_of", counted)
    seen = set()
    for sigma in np.geomspace(0.5, 10, 12):
        levels, rows = np.array([sigma]), torch.arange(len(test))
        whole = bound.missed(rows, levels)
        every, looked[:] = len(looked), []
        found = bound.missed(rows, levels, enough=0.5)
        stopped, looked[:] = len(looked) < every, []
        assert (found.mean() > 0.5) == (whole.mean() > 0.5)
        assert stopped or torch.equal(found, whole)
        seen.add((stopped, bool(whole.mean() > 0.5)))
    assert {(True, True), (False, False)} <= seen
    assert (True, False) not in seen
