"""The Fréchet distance against closed forms and other code; extractors that say what they are."""

import hashlib

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from wildmiddle.models.extractors import Extractor, _Bytes, inception, train_classifier
from wildmiddle.models.quality import (
    distance_of_normals,
    distances_of_features,
    frechet_distance,
)

SEED = 20260404


def covariance(d: int, seed: int, rank: int | None = None) -> torch.Tensor:
    factor = np.random.default_rng(seed).standard_normal((rank or 2 * d, d))
    return torch.as_tensor(factor.T @ factor / len(factor))


class TestDistanceOfNormals:
    def test_commuting_covariances(self) -> None:
        mean = torch.tensor([1.0, -2.0, 0.5])
        a, b = torch.diag(torch.tensor([4.0, 1.0, 0.0])), torch.diag(torch.tensor([9.0, 0.25, 0.0]))
        found = distance_of_normals(mean, a, 0 * mean, b)
        assert found == pytest.approx(5.25 + (2 - 3) ** 2 + (1 - 0.5) ** 2, rel=1e-12)

    def test_general_covariances_against_scipy(self) -> None:
        a, b = covariance(6, SEED), covariance(6, SEED + 1)
        mean = torch.zeros(6)
        root = sqrtm(a.numpy() @ b.numpy())
        expected = float(a.trace() + b.trace()) - 2 * np.trace(root).real
        assert distance_of_normals(mean, a, mean, b) == pytest.approx(expected, rel=1e-9)
        assert distance_of_normals(mean, b, mean, a) == pytest.approx(expected, rel=1e-9)

    def test_the_same_law_is_at_0_even_without_full_rank(self) -> None:
        # Fewer images than features, as with FID on a thousand samples.
        a, mean = covariance(60, SEED, rank=9), torch.ones(60)
        assert distance_of_normals(mean, a, mean, a) == pytest.approx(0, abs=1e-12)

    def test_disjoint_supports(self) -> None:
        # Nothing of one is seen by the other: the traces add up.
        basis, _ = torch.linalg.qr(covariance(20, SEED))
        a, b = basis[:, :5] @ basis[:, :5].T, 2 * basis[:, 5:9] @ basis[:, 5:9].T
        found = distance_of_normals(torch.zeros(20), a, torch.zeros(20), b)
        assert found == pytest.approx(5 + 8, rel=1e-12)

    @pytest.mark.parametrize(
        ("matrix", "message"),
        [
            ([[1.0, 0.5], [0.4, 1.0]], "must be symmetric"),
            ([[1.0, 0.0], [0.0, -0.1]], "none is below 0"),
            ([[1.0, 0.0], [0.0, torch.nan]], "NaN"),
        ],
    )
    def test_what_is_no_covariance_is_refused(self, matrix, message) -> None:
        mean, whole = torch.zeros(2), torch.eye(2)
        for pair in ((torch.tensor(matrix), whole), (whole, torch.tensor(matrix))):
            with pytest.raises(ValueError, match=message):
                distance_of_normals(mean, pair[0], mean, pair[1])


def test_a_set_has_the_kernel_distance_of_its_equal_from_itself() -> None:
    rows = torch.as_tensor(np.random.default_rng(SEED).standard_normal((7, 3)))
    names = {"name": "features", "reference_name": "the same"}
    distances = [distances_of_features(rows, each, **names)[1] for each in (rows, rows.clone())]
    assert distances[0].value == distances[1].value


@pytest.fixture(scope="module")
def flat() -> Extractor:
    pytest.importorskip("torchmetrics")
    return Extractor(torch.nn.Flatten(), "the pixels themselves")


class TestFrechetDistance:
    def test_moments_and_distance_of_pixels(self, flat) -> None:
        rng = np.random.default_rng(SEED)
        a, b = rng.normal(0.3, 1, (300, 1, 2, 3)), rng.normal(0, 0.5, (211, 1, 2, 3))
        found = frechet_distance(a, b, flat, reference_name="noise", batch_size=64, device="cpu")
        x, y = a.reshape(300, 6), b.reshape(211, 6)
        s, t = np.cov(x.T), np.cov(y.T)
        expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
        assert found.value == pytest.approx(expected, rel=1e-5)  # images are given in float32
        assert (found.n, found.reference_n) == (300, 211)

    def test_agrees_with_torchmetrics_own(self, flat) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        rng = np.random.default_rng(SEED)
        a, b = (torch.as_tensor(rng.normal(k, 1, (200, 1, 3, 3))).float() for k in range(2))
        metric = FrechetInceptionDistance(
            feature=torch.nn.Flatten(), normalize=True, input_img_size=(1, 3, 3)
        )
        metric.update(a, real=False)
        metric.update(b, real=True)
        found = frechet_distance(a, b, flat, reference_name="noise")
        assert found.value == pytest.approx(float(metric.compute()), rel=1e-5)

    def test_says_what_it_depends_on(self, flat) -> None:
        images = np.random.default_rng(SEED).standard_normal((20, 1, 2, 2))
        found = frechet_distance(images[:8], images, flat, reference_name="digits test")
        text = str(found)
        for part in ("the pixels themselves", "n = 8 samples", "20 of digits test"):
            assert part in text
        assert "FID" not in text

    def test_one_image_has_no_covariance(self, flat) -> None:
        with pytest.raises(ValueError, match="1 samples, 5 of x"):
            frechet_distance(np.zeros((1, 1, 2, 2)), np.zeros((5, 1, 2, 2)), flat,
                             reference_name="x")  # fmt: skip

    def test_images_of_another_shape_are_named(self, flat) -> None:
        with pytest.raises(ValueError, match="bring them to"):
            frechet_distance(np.zeros((5, 2, 2)), np.zeros((5, 2, 2)), flat, reference_name="x")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return found.images[:600, None] / 8 - 1, found.target[:600]


class TestClassifier:
    def test_learns_and_says_so(self, digits) -> None:
        state = torch.random.get_rng_state()
        first = train_classifier(*digits, data_name="digits", steps=50, seed=SEED)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert "classifier of 10 classes trained here on 480 images of digits" in first.name
        accuracy = float(first.name.split("accuracy ")[1].rstrip("%)"))
        # 600 digits in a second or so; by chance it would be 10%.
        assert 80 < accuracy <= 100
        features = first.network(torch.as_tensor(digits[0][:7]).float())
        assert features.shape == (7, 64)
        again = train_classifier(*digits, data_name="digits", steps=50, seed=SEED)
        for one, other in zip(first.network.parameters(), again.network.parameters(), strict=True):
            assert torch.equal(one, other)
            assert not one.requires_grad

    def test_distance_grows_with_noise(self, digits) -> None:
        pytest.importorskip("torchmetrics")
        images, _ = digits
        extractor = train_classifier(*digits, data_name="digits", steps=40, seed=SEED)
        noise = np.random.default_rng(SEED).standard_normal(images.shape)
        distances = [
            frechet_distance(images + s * noise, images, extractor,
                             reference_name="digits", units=False).value
            for s in (0.0, 0.3, 1.0)
        ]  # fmt: skip
        assert abs(distances[0]) < 1e-9
        assert 0.01 < distances[1] < distances[2]

    @pytest.mark.parametrize(("n", "classes"), [(9, 2), (20, 1)])
    def test_too_little_to_learn_from_is_refused(self, n, classes) -> None:
        with pytest.raises(ValueError, match="at least 10 images, and 2 classes"):
            train_classifier(np.zeros((n, 1, 4, 4)), np.arange(n) % classes, data_name="nothing")


class TestInception:
    @pytest.fixture
    def stand_in(self, monkeypatch):
        """torchmetrics' class with a single layer: torch-fidelity and its weights are not here."""
        fid = pytest.importorskip("torchmetrics.image.fid")

        class Small(torch.nn.Module):
            def __init__(self, name, features, path):
                super().__init__()
                self.layer = torch.nn.Linear(3, 2, bias=False)
                self.load_state_dict(torch.load(path, weights_only=True))

            def forward(self, x):
                assert x.dtype == torch.uint8
                return self.layer(x.float().mean((2, 3)))

        monkeypatch.setattr(fid, "NoTrainInceptionV3", Small)

    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_weights_from_a_file(self, stand_in, tmp_path, suffix) -> None:
        path = tmp_path / f"weights.{suffix}"
        state = {"layer.weight": torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])}
        if suffix == "pth":
            torch.save(state, path)
        else:
            pytest.importorskip("safetensors.torch").save_file(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found = inception(path, value_range=(-1, 1), sha256=digest)
        assert found.name == f"Inception v3 (FID, weights {digest[:12]})"
        # -1 is 0, 0 rounds to 128, what is beyond the range is clamped; grey becomes three colours.
        for value, level in ((-1.0, 0), (0.0, 128), (1.5, 255)):
            features = found.network(torch.full((1, 1, 4, 4), value))
            assert features.tolist() == [[level, 2 * level]]
        # Centred images get their mean back: 0.5 above it, -0.5, is 0.
        centred = inception(path, value_range=(-1, 1), mean=np.full((1, 4, 4), -0.5))
        assert centred.network(torch.full((2, 1, 4, 4), 0.5)).tolist() == [[128, 256]] * 2

    def test_another_checksum_is_refused(self, tmp_path) -> None:
        path = tmp_path / "weights.pth"
        torch.save({"a": torch.ones(1)}, path)
        with pytest.raises(ValueError, match="not 0000; bring the right file"):
            inception(path, value_range=(0, 1), sha256="0000")

    def test_a_file_that_would_run_code_is_refused(self, tmp_path) -> None:
        path, mark = tmp_path / "weights.pth", tmp_path / "ran"

        class Harmful:
            def __reduce__(self):
                return (open, (str(mark), "w"))

        torch.save({"a": Harmful()}, path)
        with pytest.raises(ValueError, match="is not a file of tensors"):
            inception(path, value_range=(0, 1))
        assert not mark.exists()

    def test_more_than_tensors_and_other_weights_are_refused(self, stand_in, tmp_path) -> None:
        path = tmp_path / "weights.pth"
        torch.save({"epoch": 3}, path)
        with pytest.raises(ValueError, match="more than named tensors"):
            inception(path, value_range=(0, 1))
        torch.save({"other": torch.ones(2)}, path)
        with pytest.raises(ValueError, match="does not hold the Inception network"):
            inception(path, value_range=(0, 1))

    def test_without_torch_fidelity_it_says_what_to_install(self, tmp_path, monkeypatch) -> None:
        fid = pytest.importorskip("torchmetrics.image.fid")
        monkeypatch.setattr(fid, "_TORCH_FIDELITY_AVAILABLE", False)
        path = tmp_path / "weights.pth"
        torch.save({"a": torch.ones(1)}, path)
        with pytest.raises(ValueError, match="pip install"):
            inception(path, value_range=(0, 1))


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
def test_inception_gets_the_bytes_that_the_images_were(value_range) -> None:
    low, high = value_range
    levels = torch.arange(256).reshape(1, 1, 16, 16)
    mean = np.linspace(low, high, 256).reshape(1, 16, 16) / 3
    scaled = low + levels.double() * (high - low) / 255
    for taken_off, given in ((None, scaled), (mean, scaled - torch.as_tensor(mean).float())):
        found = _Bytes(torch.nn.Identity(), value_range, taken_off)(given)
        assert found.dtype == torch.uint8
        assert torch.equal(found, levels.byte().expand(1, 3, 16, 16))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_rounding_of_a_covariance_is_told_from_faults_at_every_scale(scale) -> None:
    mean, whole = torch.zeros(2), torch.eye(2).double() * scale

    def distance(skew, least):
        matrix = torch.tensor([[1.0, skew], [0.0, least]], dtype=torch.float64)
        return distance_of_normals(mean, matrix * scale, mean, whole)

    for skew, least in ((9e-11, 1.0), (0.0, -9e-9)):
        assert distance(skew, least) >= 0
    with pytest.raises(ValueError, match="must be symmetric"):
        distance(1.1e-10, 1.0)
    with pytest.raises(ValueError, match="none is below 0"):
        distance(0.0, -1.1e-8)
