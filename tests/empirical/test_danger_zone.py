"""The danger zone of streamed distances against that of theory, which holds them all."""

import itertools

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.spatial.distance import cdist

from wildmiddle.empirical import danger_zone, spectrum, weight_bounds
from wildmiddle.empirical.copying import CopyingBound
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import load
from wildmiddle.empirical.kernels.device import as_rows
from wildmiddle.empirical.kernels.distance_counts import DistanceCounts
from wildmiddle.empirical.kernels.products import Tile
from wildmiddle.empirical.weight_bounds import FINE, bounds_about, pairs_of, weight_crossings
from wildmiddle.theory import regimes
from wildmiddle.theory.copies import log_ratios
from wildmiddle.theory.copying import copying_lower
from wildmiddle.theory.coverage import lower_bound, overlap_probability

SMALL = 2**23
"""Bytes for a tile of few points and one block of rows."""


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def near(n: int, d: int) -> np.ndarray:
    """Two duplicates, and two more points 1e-4 apart."""
    points = normal(n, d)
    points[1], points[3] = points[0], points[2] + 1e-4 / np.sqrt(d)
    return points


def crowded(n: int, d: int) -> np.ndarray:
    """Groups of twenty within 1e-4: too many near-duplicates for products in float32."""
    return np.repeat(normal(n // 20, d), 20, 0) + 1e-4 / np.sqrt(d) * normal(n, d, 1)


def outlier(n: int, d: int) -> np.ndarray:
    """The first point lies 1e5 times farther than all others."""
    points = normal(n, d)
    points[0] *= 1e5
    return points


def digits(n: int) -> np.ndarray:
    return load("digits").train[:n].reshape(n, -1)


SETS = {
    "digits": lambda: digits(300),
    "two digits": lambda: digits(2),
    "five digits": lambda: digits(5),
    "float32 products": lambda: normal(400, 300),
    "near-duplicates": lambda: near(60, 300),
    "near-duplicates abound": lambda: crowded(100, 300),
    "an outlier": lambda: outlier(40, 25),
    "far from the origin": lambda: 1e-3 * normal(60, 40) + 7,
    "all listed ten times": lambda: np.repeat(normal(3, 25), 10, 0),
    "few listed often": lambda: np.repeat(normal(40, 25), [30, 7, *[1, 2] * 19], 0),
    "one that outweighs the others": lambda: np.repeat(normal(3, 25), [90, 1, 9], 0),
}


def others(train: np.ndarray) -> np.ndarray:
    """Distances to all others by direct differences, (N, N - 1)."""
    apart = cdist(train, train)
    return apart[~np.eye(len(train), dtype=bool)].reshape(len(train), -1)


def by_theory(train: np.ndarray, test: np.ndarray, **levels: float) -> np.ndarray:
    points, prior = np.unique(train, axis=0, return_counts=True)
    apart = others(points), cdist(test, points)
    return numbers(regimes.danger_zone(*apart, train.shape[1], prior=prior, **levels))


def numbers(zone: regimes.PredictedZone) -> np.ndarray:
    """Ends of all zones by their rows, then the two scales, the ends by size: all that it says."""
    ends = [(each.collapse, each.latest) for each in zone.by_size]
    return np.array([*zone.parts.values(), (zone.half_copied, zone.speciation), *ends])


@pytest.mark.parametrize("name", SETS)
def test_the_zone_is_that_of_all_distances(name) -> None:
    train = SETS[name]()
    test = train[::3] + 0.3 * train[1:].std() * normal(len(train[::3]), train.shape[1], 1)
    expected = by_theory(train, test)
    before = train.copy(), test.copy()
    found = numbers(zone_of(train, test, device="cpu"))
    np.testing.assert_array_equal(train, before[0])
    np.testing.assert_array_equal(test, before[1])
    if name == "near-duplicates abound":
        # The weight never exceeds 1/10: both ends lie below all that is looked at.
        scale = np.linalg.norm(train, axis=1).max()
        assert (found[:5, 1] < 1e-3 * scale).all()
        assert (expected[:5, 1] < 1e-3 * scale).all()
        found[:5, 1] = expected[:5, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # Other tiles, other blocks: the same but for rounding.
    tight = numbers(zone_of(train, test, device="cpu", memory=SMALL))
    np.testing.assert_allclose(tight, numbers(zone_of(train, test, device="cpu")), rtol=1e-5)


def without(train: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of all images but one, and how often each is left."""
    return np.unique(np.delete(train, i, 0), axis=0, return_counts=True)


def each_by_theory(train: np.ndarray) -> tuple[float, float, float]:
    """Both starts and the end by copying, every image held out once, from N sets of N - 1."""
    d, sets = train.shape[1], [without(train, i) for i in range(len(train))]
    to_points = [cdist(train[i : i + 1], points) for i, (points, _) in enumerate(sets)]
    nearest = np.array([each.min() for each in to_points])
    scale = float(np.median(others(train)))

    def copied(sigma: np.ndarray) -> float:
        rates = [
            copying_lower(apart, cdist(points[[apart.argmin()]], points), sigma, counts)
            for apart, (points, counts) in zip(to_points, sets, strict=True)
        ]
        return float(0.5 - np.mean(rates))

    def hits(sigma: np.ndarray) -> float:
        return np.mean([overlap_probability(each, sigma, d).sum() for each in to_points]) - 0.5

    def covered(sigma: np.ndarray) -> float:
        return lower_bound(nearest, sigma, d)[0] - 0.5

    curves = covered, hits, copied
    return tuple(regimes.crossing_of(lambda s, f=f: np.array([f(s)]), scale) for f in curves)


@pytest.mark.parametrize(
    "name",
    ["five digits", "near-duplicates", "few listed often", "all listed ten times", "far"],
)
def test_every_image_is_held_out_once_where_no_others_are_given(name) -> None:
    train = normal(300, 260)[:40] if name == "far" else SETS[name]()
    zone = zone_of(train, device="cpu")
    certain, possible, copied = each_by_theory(train)
    scale = np.linalg.norm(train - train.mean(0), axis=1).max()
    for found, expected in (
        (zone.certain.start, certain),
        (zone.possible.start, possible),
        (zone.half_copied, copied),
    ):
        if expected > 1e-6 * scale:
            assert found == pytest.approx(expected, rel=1e-4)
        else:
            assert found < 1e-5 * scale
    # The weight is that of all images, as beside any others.
    of_all = zone_of(train, train[:5].copy(), device="cpu")
    assert zone.certain.end == pytest.approx(of_all.certain.end, rel=1e-5)
    assert zone.possible.end == pytest.approx(of_all.possible.end, rel=1e-5)
    assert (zone.each_held_out, of_all.each_held_out) == (True, False)
    assert list(zone.parts) == ["certain", "possible", "certain to copy"]
    assert zone.alpha == 0


@pytest.mark.parametrize(("weight", "coverage"), [(0.3, 0.9), (0.95, 0.1), (0.99, 0.5)])
def test_other_levels_move_the_zone_alike(weight, coverage) -> None:
    train, test = digits(200), load("digits").test[:40].reshape(40, -1)
    levels = {"weight_high": weight, "coverage_high": coverage}
    found = numbers(zone_of(train, test, device="cpu", **levels))
    np.testing.assert_allclose(found, by_theory(train, test, **levels), rtol=1e-4)


def test_images_and_tensors_are_taken_as_rows() -> None:
    images = load("digits")
    flat = zone_of(digits(50), images.test.reshape(len(images.test), -1), device="cpu")
    assert zone_of(images.train[:50], torch.as_tensor(images.test), device="cpu") == flat


def test_guides_that_misjudge_cost_passes_but_not_the_result(monkeypatch) -> None:
    # The evenly spaced guides are the two outliers, far from what all points say.
    train = np.concatenate([normal(1, 20), 0.05 * normal(300, 20, 1), 40 + normal(1, 20)])
    test = 0.05 * normal(20, 20, 2)
    monkeypatch.setattr(danger_zone, "_GUIDES", 2)
    passes = passes_over_all(monkeypatch)
    found = numbers(zone_of(train, test, device="cpu"))[:2]
    np.testing.assert_allclose(found, by_theory(train, test)[:2], rtol=1e-4)
    assert len(passes) > 2


@pytest.mark.parametrize("seed", range(6))
def test_half_of_the_held_out_images_that_are_copies_have_an_end(monkeypatch, seed) -> None:
    # One of two is a training image and never copied: over many sigmas exactly half are.
    rng, calls = np.random.default_rng(seed), []
    train, test = (rng.integers(0, 256, (n, 100)).astype(np.uint8) for n in (150, 2))
    test[0] = train[0]
    right = CopyingBound.at

    def counted(self, rows, sigmas, advance=None):
        calls.append(sigmas)
        assert len(calls) < 50
        return right(self, rows, sigmas, advance)

    monkeypatch.setattr(CopyingBound, "at", counted)
    copied = zone_of(train, test, device="cpu").half_copied
    points, held_out = train.astype(np.float64), test.astype(np.float64)
    to_points = cdist(held_out, points)
    apart = to_points, cdist(points[to_points.argmin(1)], points)
    below, above = copying_lower(*apart, copied * np.array([0.9, 1.3]))
    assert below == pytest.approx(0.5, abs=1e-12)
    assert above < 0.5 - 1e-9


def passes_over_all(monkeypatch) -> list[int]:
    """Has a number added for each pass over all pairs: that of the points."""
    passes: list[int] = []
    right = weight_bounds.bounds_about

    def counted(points, *arguments, **options):
        passes.append(len(points))
        return right(points, *arguments, **options)

    monkeypatch.setattr(weight_bounds, "bounds_about", counted)
    return passes


def test_one_pass_over_all_pairs_is_enough_as_a_rule(monkeypatch) -> None:
    passes = passes_over_all(monkeypatch)
    zone_of(load("digits").train[:800], load("digits").test[:50], device="cpu")
    assert passes == [800]


@pytest.mark.parametrize(
    "name", ["digits", "float32 products", "near-duplicates", "near-duplicates abound"]
)
def test_the_bounds_of_the_weight_are_those_of_theory(name) -> None:
    train = SETS[name]()
    points, apart = torch.as_tensor(train), others(train)
    typical = float(np.median(apart))
    prior = np.random.default_rng(3).dirichlet(np.full(len(points), 0.3)) + 1e-6
    windows = zip(np.geomspace(1e-6, 1, 20), np.geomspace(1e-3, 1e3, 20), strict=True)
    for scales, given in itertools.product(windows, (None, torch.as_tensor(prior))):
        centres, around = np.log(typical * np.array(scales)), np.full(2, 0.06)
        finer, rougher = bounds_about(points, centres, around, SMALL, given)
        sigmas = np.exp(centres[:, None] + around[:, None] * FINE)
        ratios = 0.0 if given is None else log_ratios(prior)
        lower = regimes.weight_lower(apart, sigmas[0], ratios)
        upper = regimes.weight_upper(apart, sigmas[1], ratios)
        # What is left open by interpolation is seen with one noise level fewer.
        left = 3e-6 + np.abs(finer - rougher)
        assert (np.abs(finer[0] - lower) <= left[0]).all()
        # Near 1/N Fano's inequality is flat: there W has the root of the entropy's rounding.
        left[1, upper <= 0.05] += 1e-3
        assert (np.abs(finer[1] - upper) <= left[1]).all()


def test_a_window_that_is_too_wide_for_its_levels_is_narrowed() -> None:
    """Pairs 1/5 apart, in the corners of a simplex: other points begin to count at once."""
    n = 150
    points = np.zeros((2 * n, 2 * n))
    corner = np.arange(n)
    points[::2][corner, corner] = points[1::2][corner, corner] = 1
    points[::2][corner, n + corner], points[1::2][corner, n + corner] = 0.1, -0.1
    bounds, apart = (regimes.weight_lower, regimes.weight_upper), others(points)
    known = [brentq(lambda s, b=b: b(apart, [s])[0] - 0.75, 0.05, 2) for b in bounds]
    guess = np.log(known) + 0.05
    found = weight_crossings(torch.as_tensor(points), guess, 0.75, 1.0, SMALL)
    np.testing.assert_allclose(found, known, rtol=1e-5)


@pytest.mark.parametrize(
    ("train", "test", "options", "message"),
    [
        (normal(5, 20), normal(5, 20), {"resolution": 0.0}, "resolution = 0.0 must be above 0"),
        (normal(5, 20), normal(5, 20), {"time": float("nan")}, "time = nan must be above 0"),
        (normal(5, 20), normal(5, 20), {"unit": float("inf")}, "unit = inf must be finite"),
        (normal(5, 20), normal(5, 20), {"alpha": 2.0}, r"alpha = 2.0 must lie strictly between"),
        (normal(5, 20), None, {"alpha": 0.0}, r"alpha = 0.0 must lie strictly between"),
        (normal(5, 20), None, {"drawn_alpha": 7.0}, r"drawn_alpha = 7.0 must lie in \(0, 0.05\)"),
        (normal(5, 20), normal(5, 20), {"drawn_alpha": 0.05}, r"drawn_alpha = 0.05 must lie in"),
        (normal(1, 20), normal(5, 20), {}, "N = 1 image"),
        (normal(2, 20), None, {}, "of 2 different images none can be held out; give 3"),
        (normal(5, 20), normal(5, 21), {}, "train has d = 20 and test 21"),
        (normal(5, 20), normal(5, 20), {"weight_high": 1.0}, "weight_high = 1"),
        (normal(5, 20), normal(5, 20), {"coverage_high": 0.0}, "coverage_high = 0"),
        (normal(5, 20), normal(5, 20), {"c": -6.0}, "c = -6"),
        (normal(50, 20), normal(5, 20), {"memory": 1000}, "memory = 1000 bytes"),
    ],
)
def test_bad_input_is_named(train, test, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        zone_of(train, test, device="cpu", **options)


def test_the_streamed_bounds_of_an_unequal_set() -> None:
    """One point and 200 copies of another, 2 sigma away: the entropy bound is 5.28922, not more.

    Jensen's exponent of theory, ``-d^2 / (2 sigma^2)``, with an entropy from 50 digits.
    """
    points = np.zeros((201, 16))
    points[0, 0] = 2.0
    rows = torch.as_tensor(points)
    weight = bounds_about(rows, np.zeros(2), np.full(2, 0.06), SMALL)[0, 1, len(FINE) // 2]
    with mpmath.workdps(50):
        t = mpmath.exp(-2)
        entropy = float((mpmath.log(1 + 200 * t) + 200 * mpmath.log(200 + t)) / 201)
    assert weight == pytest.approx(regimes.weight_of_entropy([entropy], 201)[0], rel=1e-6)


def test_drawn_rows_are_looked_up_where_the_points_are(monkeypatch) -> None:
    # Rows are drawn on the processor, whatever the device: here one that holds no values.
    points = torch.ones(50, 8, device="meta")

    def distances(points, chosen, *_):
        assert chosen.device == points.device
        return points

    monkeypatch.setattr(weight_bounds, "squared_to", distances)
    monkeypatch.setattr(weight_bounds, "origin_of", lambda *_: points[0])
    monkeypatch.setattr(weight_bounds, "tile_of", lambda *_: Tile(0, points, points[:, 0], 1))
    monkeypatch.setattr(Tile, "find", lambda *_: slice(0))
    assert list(pairs_of(points, torch.arange(4), SMALL))


def photos(n: int, d: int = 300) -> np.ndarray:
    """Bytes of clusters of several sizes, so that every image has a threshold of its own."""
    rng = np.random.default_rng(4)
    sizes = np.geomspace(3, 20, 12)[np.arange(n) % 12]
    centres = rng.uniform(90, 165, (12, d))[np.arange(n) % 12]
    return np.rint(centres + sizes[:, None] * rng.standard_normal((n, d))).clip(0, 255).astype("u1")


@pytest.mark.parametrize("held_out", [True, False])
def test_bytes_give_the_zone_of_their_values(held_out) -> None:
    train, test = photos(160), photos(200)[160:] if held_out else None
    values = None if test is None else test.astype(np.float64)
    known = numbers(zone_of(train.astype(np.float64), values, device="cpu"))
    np.testing.assert_allclose(numbers(zone_of(train, test, device="cpu")), known, rtol=3e-5)


@pytest.fixture
def small_limits(monkeypatch) -> None:
    """Any set is a large one, of which rows are drawn."""
    for module in (danger_zone, spectrum):
        monkeypatch.setattr(module, "LARGE", 10**6)


def test_bytes_of_a_file_give_the_zone_of_the_scaled_images(tmp_path) -> None:
    images = photos(300)
    np.save(tmp_path / "images.npy", images)
    stored = np.load(tmp_path / "images.npy", mmap_mode="r")
    rows = as_rows(stored, "cpu", keep_bytes=True)
    assert rows.data_ptr() == stored.ctypes.data  # nothing is copied
    found = numbers(zone_of(stored[:250], stored[250:], unit=2 / 255, device="cpu"))
    scaled = images / 127.5 - 1
    np.testing.assert_allclose(
        found, numbers(zone_of(scaled[:250], scaled[250:], device="cpu")), rtol=1e-5
    )


@pytest.mark.usefixtures("small_limits")
def test_the_zone_of_drawn_rows_holds_that_of_all_pairs() -> None:
    images = photos(1240)
    train, test = images[:1200], images[1200:]
    whole = zone_of(train, test, exact=True, device="cpu")
    zone = zone_of(train, test, alpha=1e-3, resolution=0.5, device="cpu")
    assert whole.drawn is None
    assert zone.drawn is not None
    low, high = zone.drawn.certain_end
    assert low == zone.certain.end
    assert low < whole.certain.end < high < 2**0.5 * low
    assert zone.drawn.possible_end.start < zone.drawn.possible_end.end
    assert whole.possible.end <= zone.possible.end < 1.3 * whole.possible.end
    assert zone.drawn.train in (256, 512, 1024)
    other = zone_of(train, test, alpha=1e-3, resolution=9, seed=1, device="cpu")
    assert other.certain.end not in (low, whole.certain.end)
    assert zone.half_copied <= whole.half_copied
    # The held-out images are all there, so that the starts are exact.
    assert zone.certain.start == pytest.approx(whole.certain.start, rel=1e-6)
    assert zone.possible.start == pytest.approx(whole.possible.start, rel=1e-6)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("exact", [True, False])
def test_counts_of_distances_take_a_quarter_of_the_memory(monkeypatch, exact) -> None:
    images, taken = photos(1110), []
    listed = np.repeat(images[:1100], np.where(np.arange(1100) % 700, 1, 2), axis=0)

    class Counts(DistanceCounts):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            taken.append(self._counts.nbytes)

    monkeypatch.setattr(danger_zone, "DistanceCounts", Counts)
    options = {"exact": exact, "resolution": 1e-9, "device": "cpu"}
    zone_of(listed, images[1100:], memory=2**27, **options)
    assert 2**23 < sum(taken) <= 2**25


@pytest.mark.usefixtures("small_limits")
def test_images_drawn_to_be_held_out_leave_themselves_out() -> None:
    train = np.concatenate([photos(900), photos(30)])
    whole = zone_of(train, exact=True, device="cpu")
    zone = zone_of(train, alpha=1e-3, resolution=0.5, device="cpu")
    assert zone.drawn is not None
    assert zone.drawn.held_out == 256
    assert (zone.alpha, whole.alpha) == (1e-3, 0)
    # Of 256 images, of 12 sizes: their mean is within a tenth of that of all 930.
    assert zone.certain.start == pytest.approx(whole.certain.start, rel=0.1)
    assert zone.possible.start == pytest.approx(whole.possible.start, rel=0.1)
    assert zone.half_copied <= whole.half_copied


@pytest.mark.usefixtures("small_limits")
def test_drawn_rows_know_of_copies() -> None:
    # The four narrowest of the twelve clusters are listed twenty times: most drawn rows are theirs.
    images = photos(260)
    train = np.repeat(images[:240], np.where(np.arange(240) % 12 < 4, 20, 1), axis=0)
    whole = zone_of(train, images[240:], exact=True, device="cpu")
    zone = zone_of(train, images[240:], alpha=1e-3, resolution=0.3, device="cpu")
    once = zone_of(images[:240], images[240:], exact=True, device="cpu")
    assert zone.drawn is not None
    low, high = zone.drawn.certain_end
    assert low < whole.certain.end < high < once.certain.end
    assert zone.possible.end >= whole.possible.end


@pytest.mark.usefixtures("small_limits")
def test_more_held_out_images_than_are_needed_are_drawn(monkeypatch) -> None:
    monkeypatch.setattr(danger_zone, "_HELD_OUT", 50)
    images = photos(900)
    zone = zone_of(images[:700], images[700:], device="cpu")
    assert zone.drawn is not None
    assert zone.drawn.held_out == 50
