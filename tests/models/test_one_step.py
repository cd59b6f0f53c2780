"""One-step measures on denoisers whose values are known in closed form."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest

from wildmiddle.empirical.intervals import student_mean
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.one_step import (
    count_copies,
    denoising_error,
    gap_between,
    memorization_by_level,
    nested_copies,
)
from wildmiddle.theory.shells import radii

SEED = 20260402
SIGMAS = [0.05, 0.7, 5.0]
ALPHA = 1e-6


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(SEED).uniform(-1, 1, (20, 1, 2, 3))


def shrinking(x, sigma):
    return x / (1 + sigma**2)


class TestMemorization:
    def test_the_identity_copies_no_noised_point_but_near_its_image(self, images) -> None:
        # At sigma 0 the output is the training image itself; far away it has no nearest one.
        found = memorization_by_level(
            lambda x, sigma: x, images, images, [1e-6, 50.0], 300, SEED, device="cpu"
        )
        assert found.tolist() == [300, 0]

    def test_counts_are_binomial_in_a_known_probability(self, expect_rate) -> None:
        # Outputs at 0.5 + u/2, u uniform by Phi, between images at 0 and 1 on a line: the ratio is
        # under 1/3 on the outer quarters of [0, 1].
        train = np.array([[0.0], [1.0]])

        def denoiser(x, sigma):
            return torch.special.ndtr(x / sigma)

        n = 4000
        found = memorization_by_level(denoiser, np.zeros((1, 1)), train, [1.0, 3.0], n, SEED)
        for count in found.tolist():
            expect_rate(count, n, "==", 0.5, seed=SEED, what="outer quarters")
        assert found[0] != found[1]  # noise of its own at every level

    def test_nested_counts_are_of_each_image_by_itself(self) -> None:
        # Copied wherever the image is at 1, never where it is at 0, by half of the noises between.
        train = np.array([[0.0], [1.0]])

        def denoiser(x, sigma):
            return torch.where(x > 100, 1.0, torch.where(x < -100, 0.5, torch.special.ndtr(x)))

        held_out = np.array([[1e4], [-1e4], [0.0], [1e4]])
        found = nested_copies(denoiser, held_out, train, [1.0, 1.0], 300, SEED)
        assert found.shape == (4, 2)
        assert found[[0, 3]].tolist() == [[300, 300]] * 2
        assert found[1].tolist() == [0, 0]
        assert ((found[2] > 100) & (found[2] < 200)).all()
        assert found[2, 0] != found[2, 1]  # noise of its own at every level

    def test_outputs_are_in_the_units_of_the_images_whatever_they_are(self) -> None:
        # A warning would be an error here.
        train = np.random.default_rng(SEED).uniform(-1, 1, (9, 1, 4, 4))
        found = nested_copies(lambda x, _: 100 + x, train[:2], train, [1.0], 3, SEED)
        assert found.tolist() == [[0], [0]]

    def test_a_longer_run_continues_the_same_queries(self, images) -> None:
        seen = []

        def denoiser(x, sigma):
            seen.append(x)
            return x

        count_copies(denoiser, images, images, 0.3, 300, SEED, stream="s")
        count_copies(denoiser, images, images, 0.3, 10, SEED, stream="s")
        assert [len(x) for x in seen] == [256, 256, 256]
        assert torch.equal(seen[0], seen[2])

    def test_the_denoiser_sees_the_images_precision_and_shape(self, images) -> None:
        def denoiser(x, sigma):
            assert x.dtype == torch.float32
            assert x.shape == (256, 1, 2, 3)
            return x

        count_copies(denoiser, torch.as_tensor(images).float(), images, 1e-6, 5)

    def test_the_empirical_optimum_below_its_zone(self, images) -> None:
        found = memorization_by_level(EmpiricalDenoiser(images), images, images, [1e-3], 256)
        assert found.tolist() == [256]


class TestError:
    def test_closed_form(self, images) -> None:
        # D = y / (1 + s^2): |D - x|^2 has mean (s^4 |x|^2 + s^2 d) / (1 + s^2)^2.
        found = denoising_error(shrinking, images, SIGMAS, 4000, SEED, alpha=ALPHA)
        s, norm = np.array(SIGMAS), np.square(images).sum((1, 2, 3)).mean()
        expected = (s**4 * norm + s**2 * 6) / (1 + s**2) ** 2
        assert ((found.low <= expected) & (expected <= found.high)).all(), (found, expected)
        assert (found.high - found.low < 0.2 * expected).all()
        assert found.method == "Student, for many queries only"

    def test_clamped_outputs_have_an_exact_interval(self) -> None:
        # One image at 0: the error is min(|z s|, 1)^2, whatever is above 1.
        sigma, n = 0.8, 4000
        found = denoising_error(
            lambda x, _: x, np.zeros((1, 1)), sigma, n, SEED, value_range=(-1, 1), alpha=ALPHA
        )
        z = np.linspace(-12, 12, 2_000_001)
        weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
        expected = float((weight * np.minimum(np.abs(sigma * z), 1) ** 2).sum())
        assert found.low[0] < expected < found.high[0]
        assert found.high[0] - found.low[0] < 0.1
        assert found.method == "betting (hedged capital), outputs clamped to [-1, 1]"
        assert found.n == n

    def test_clamping_changes_nothing_within_the_range(self, images) -> None:
        optimum = EmpiricalDenoiser(images)
        free = denoising_error(optimum, images, SIGMAS, 300, SEED)
        clamped = denoising_error(optimum, images, SIGMAS, 300, SEED, value_range=(-1, 1))
        np.testing.assert_allclose(clamped.mean, free.mean, rtol=1e-12)

    def test_the_clamped_interval_reaches_over_the_largest_possible_error(self) -> None:
        # Always wrong by the whole range: 2^2 in each of 6 pixels.
        found = denoising_error(
            lambda x, _: torch.ones_like(x), -np.ones((3, 6)), 1.0, 50, value_range=(-1, 1)
        )
        assert found.mean == pytest.approx(24)
        assert found.high == pytest.approx(24)
        assert found.low < 24

    def test_more_queries_share_their_start(self, images) -> None:
        few = [denoising_error(shrinking, images, SIGMAS, n, SEED).mean for n in (255, 256, 256)]
        assert (few[1] == few[2]).all()
        assert (few[0] != few[1]).all()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"count": 1}, "count = 1 must be at least 2"),
            ({"value_range": (0.0, 1.0)}, "but the pixels span"),
            ({"denoiser": lambda x, _: x * torch.nan}, "NaN"),
        ],
    )
    def test_bad_arguments_are_named(self, images, change, message) -> None:
        whole = {"denoiser": shrinking, "images": images, "sigmas": SIGMAS, "count": 9, **change}
        with pytest.raises(ValueError, match=message):
            denoising_error(**whole)


class TestGap:
    def test_closed_form_between_two_linear_denoisers(self, images) -> None:
        # y/2 against y/4: |y|^2/16, y = x + s z.
        found = gap_between(
            lambda y, _: y / 2, lambda y, _: y / 4, images, SIGMAS, 4000, SEED, alpha=ALPHA
        )
        expected = (np.square(images).sum((1, 2, 3)).mean() + 6 * np.square(SIGMAS)) / 16
        assert ((found.low <= expected) & (expected <= found.high)).all(), (found, expected)

    def test_points_of_the_sphere_are_at_one_distance(self) -> None:
        found = gap_between(
            lambda y, _: y, lambda y, _: 0 * y, np.zeros((2, 5)), SIGMAS, 300, law="sphere"
        )
        expected = 5 * np.square(SIGMAS)  # |sigma u|^2, u on the sphere of radius sqrt(5)
        for end in (found.mean, found.low, found.high):
            np.testing.assert_allclose(end, expected, rtol=1e-12)

    @pytest.mark.parametrize(("d", "c"), [(2, 0.3), (5, 0.5), (64, 5.0), (3072, 5.0), (4, 3.0)])
    def test_points_of_the_shell_are_uniform_on_it(self, d, c) -> None:
        # The share of the shell's volume within the radius is uniform, and lies in [0, 1].
        radii_seen = []

        def see(y, sigma):
            radii_seen.append(torch.linalg.vector_norm(y, dim=1) / sigma)
            return y

        gap_between(see, lambda y, _: y, np.zeros((2, d)), 3.0, 4000, SEED, law="shell", c=c)
        radius = torch.cat(radii_seen).numpy()
        r_in, r_out = (float(r) for r in radii(d, c))
        hole = (r_in / r_out) ** d
        share = ((radius / r_out) ** d - hole) / (1 - hole)
        assert share.min() > -1e-9
        assert share.max() < 1 + 1e-9
        assert kstest(share, "uniform").pvalue > ALPHA
        # Neither the sphere's law nor the normal one's.
        assert kstest(radius**2, chi2(d).cdf).pvalue < ALPHA

    def test_the_laws_share_their_directions(self) -> None:
        seen = []

        def see(y, sigma):
            seen.append(y / torch.linalg.vector_norm(y, dim=1, keepdim=True))
            return y

        for law in ("normal", "sphere", "shell"):
            gap_between(see, lambda y, _: y, np.zeros((2, 5)), 1.0, 20, SEED, law=law, c=0.5)
        for other in seen[1:]:
            torch.testing.assert_close(other, seen[0])

    def test_another_law_is_refused(self) -> None:
        with pytest.raises(ValueError, match="law = 'ball' must be one of normal, shell, sphere"):
            gap_between(shrinking, shrinking, np.zeros((2, 5)), 1.0, 20, law="ball")

    def test_large_noise_brings_the_optimum_to_the_gaussian_one(self, images) -> None:
        # Theorem 4.11: their distance falls as sigma^-2, its square as sigma^-4; faster here would
        # need third moments of 0.
        rows = torch.as_tensor(images.reshape(20, 6))
        gaussian = GaussianDenoiser(rows.mean(0), torch.cov(rows.T, correction=0))
        found = gap_between(
            EmpiricalDenoiser(images), gaussian, images, [40.0, 80.0], 2000, SEED
        ).mean
        assert np.log2(found[0] / found[1]) == pytest.approx(4, abs=0.1)

    @pytest.mark.parametrize("swapped", [False, True])
    def test_clamps_both(self, swapped) -> None:
        pair = [lambda y, _: 0 * y, lambda y, _: -1.5 + 0 * y]
        found = gap_between(
            *pair[:: -1 if swapped else 1], np.zeros((2, 3)), 1.0, 20, value_range=(-1, 1)
        )
        assert found.mean == pytest.approx(3)


def test_student_interval_covers_as_often_as_it_says(expect_rate) -> None:
    # 300 runs of 40 queries each at alpha = 0.2; squares of normals are skewed, and still close.
    runs = 300
    inside = 0
    for seed in range(runs):
        found = denoising_error(lambda x, _: x, np.zeros((1, 20)), 1.0, 40, seed, alpha=0.2)
        inside += int(found.low[0] <= 20 <= found.high[0])
    expect_rate(inside, runs, "==", 0.8, seed=0, what="coverage of Student's interval")


def test_student_interval_of_four_draws() -> None:
    # Mean 3, variance 14/3 with n - 1 = 3: half the width is t(0.975; 3) sqrt(14/3 / 4), and
    # t(0.975; 3) = 3.182446305284263 stands in the tables.
    found = student_mean(np.array([[1.0], [2.0], [3.0], [6.0]]), 0.05)
    assert found.mean.tolist() == [3.0]
    assert found.high[0] == pytest.approx(3 + 3.182446305284263 * (7 / 6) ** 0.5, rel=1e-12)
    few = denoising_error(lambda x, _: x, np.zeros((1, 1)), 1.0, 3, alpha=1e-6)
    assert few.low.tolist() == [0.0]  # no square is below 0


def test_a_range_of_width_one_bounds_the_error_by_one_a_pixel() -> None:
    found = denoising_error(
        lambda x, _: torch.ones_like(x), np.zeros((3, 6)), 1.0, 50, value_range=(0, 1)
    )
    assert found.mean == pytest.approx(6)
    assert found.high == pytest.approx(6)


def test_mirrored_images_are_copies_where_training_mirrors() -> None:
    rng = np.random.default_rng(5)
    train, samples = rng.normal(size=(12, 1, 4, 4)), rng.normal(size=(30, 1, 4, 4))
    samples[:3] = train[:3, ..., ::-1] + 0.01 * samples[:3]
    # An image that is nearly its own mirror image: that is no second image.
    train[5] = (train[5] + train[5, ..., ::-1]) / 2
    samples[5] = train[5] + 0.01 * samples[5]
    apart = np.linalg.norm((samples[:, None] - train).reshape(30, 12, -1), axis=2)
    flipped = np.linalg.norm((samples[:, None, ..., ::-1] - train).reshape(30, 12, -1), axis=2)
    either = np.minimum(apart, flipped)
    found = memorization(samples, train, device="cpu", units=False, mirrored=True)
    np.testing.assert_allclose(found.distances, np.sort(either, 1)[:, :2])
    np.testing.assert_array_equal(found.nearest, either.argmin(1))
    assert (found.ratio[[0, 1, 2, 5]] < 1 / 3).all()
    plain = memorization(samples, train, device="cpu", units=False)
    assert (plain.ratio[:3] > 1 / 3).all()
    copies = [
        count_copies(
            lambda x, _: x.flip(-1), train, train, 1e-3, 40, device="cpu", mirrored=mirrored
        )
        for mirrored in (True, False)
    ]
    assert copies == [40, pytest.approx(40 / 12, abs=10)]
