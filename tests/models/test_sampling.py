"""Samplers: closed forms, diffusers' own schedulers, and noise that belongs to the sample."""

import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from wildmiddle.empirical.neighbours import memorization
from wildmiddle.empirical.noise import generator
from wildmiddle.models import EmpiricalDenoiser, GaussianDenoiser
from wildmiddle.models.sampling import ddim, default_sigmas, heun, sample
from wildmiddle.theory.schedules import ddpm_sigmas, ddpm_timestep, edm_sigmas

SEED = 20260401
METHODS = ("euler", "heun", "ddpm", "ddim")


BETAS = {"timesteps": 40, "beta_start": 1e-3, "beta_end": 0.4}
"""A short DDPM schedule that reaches as far as the long one does."""


class Epsilon(torch.nn.Module):
    """A UNet2DModel that predicts the noise, as a denoiser: ``x - sigma eps``."""

    def __init__(self, network):
        super().__init__()
        self.network, self.table = network, ddpm_sigmas(**BETAS)

    def forward(self, x, sigma):
        t = int(ddpm_timestep(sigma, self.table))
        return x - sigma * self.network(x / (1 + sigma**2) ** 0.5, t).sample


@pytest.fixture(scope="module")
def unet():
    """A network with random weights, in evaluation mode; 8 x 8, one channel."""
    diffusers = pytest.importorskip("diffusers", reason="needs the extra train")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
            norm_num_groups=8,
        )
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def epsilon(unet) -> Epsilon:
    return Epsilon(unet)


def nothing(x, sigma):
    return torch.zeros_like(x)


@pytest.fixture(scope="module")
def gaussian() -> GaussianDenoiser:
    covariance = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64)
    return GaussianDenoiser(torch.tensor([0.3, -0.2], dtype=torch.float64), covariance)


def start(indices, shape, dtype=torch.float32) -> torch.Tensor:
    """What the samples with these numbers start from at sigma = 80."""
    met: list[torch.Tensor] = []

    def record(x: torch.Tensor, sigma: float) -> torch.Tensor:
        met.append(x)
        return x

    options = {"method": "euler", "seed": SEED, "dtype": dtype, "device": "cpu"}
    sample(record, shape, indices, sigmas=[80.0], **options)
    return met[0][: len(indices)]


def end_of_flow(gaussian: GaussianDenoiser, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Where the probability-flow ODE takes x: each coordinate shrinks by its own spread."""
    shrink = torch.sqrt(gaussian.eigenvalues / (gaussian.eigenvalues + sigma**2))
    return gaussian.mean + ((x - gaussian.mean) @ gaussian.basis * shrink) @ gaussian.basis.T


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence_to_the_closed_form(gaussian, method, order) -> None:
    steps = np.array([64, 128, 256, 512])
    x = start(range(8), (2,), torch.float64)
    expected = end_of_flow(gaussian, x, 80.0)
    errors = []
    for n in steps.tolist():
        drawn = sample(
            gaussian, (2,), range(8), sigmas=edm_sigmas(n), method=method, seed=SEED,
            dtype=torch.float64,
        )  # fmt: skip
        errors.append(float((drawn - expected).abs().max()))
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1, f"order {slope:.3f} from errors {errors}, seed {SEED}"


@pytest.mark.parametrize("method", METHODS)
def test_the_last_step_goes_all_the_way_to_0(method) -> None:
    # A denoiser that always says 3 leaves no noise behind, however high the last level.
    drawn = sample(
        lambda x, sigma: torch.full_like(x, 3.0), (4,), range(5), sigmas=[9.0, 4.0], method=method
    )
    assert (drawn == 3).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_denoiser_is_asked_at_these_levels(method) -> None:
    asked = []

    def denoiser(x, sigma):
        asked.append(sigma)
        return 0 * x

    sample(denoiser, (4,), range(3), sigmas=[9.0, 4.0, 1.0], method=method)
    assert asked == ([9.0, 4.0, 4.0, 1.0, 1.0] if method == "heun" else [9.0, 4.0, 1.0])


def test_two_heun_steps_by_hand() -> None:
    # D = x/2: slope x / (2 sigma). From 4 to 2 to 0, starting at 1.
    ahead = 1 - 2 * (0.5 / 4)
    first = 1 - 2 * (0.5 / 4 + ahead / 2 / 2) / 2
    found = heun(lambda x, sigma: x / 2, torch.tensor([1.0], dtype=torch.float64), [4.0, 2.0])
    assert found.item() == pytest.approx(first / 2, rel=1e-15)


def test_samples_of_the_empirical_optimum_are_its_images() -> None:
    train = np.random.default_rng(SEED).uniform(-1, 1, (12, 2, 3))
    for method in METHODS:
        found = sample(EmpiricalDenoiser(train), (2, 3), range(40), method=method, seed=SEED,
                       sigmas=edm_sigmas(18))  # fmt: skip
        assert memorization(found, train).rate == 1, method


def halved(x, sigma):
    # Elementwise and exact: samples through it differ only if their noise does.
    return x / 2


def test_a_sample_starts_from_the_first_draw_of_its_own_stream() -> None:
    found = start([7, 2], (2, 3), torch.float64)
    for row, index in zip(found, (7, 2), strict=True):
        own = generator(SEED, "sampling", index).standard_normal(6).reshape(2, 3)
        assert (row.numpy() == 80.0 * own).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_noise_belongs_to_the_sample_bit_for_bit(method, batch_size) -> None:
    # eta is 0 but for ddim; sigmas are few.
    run = {"method": method, "seed": SEED, "sigmas": edm_sigmas(6), "eta": float(method == "ddim")}
    whole = sample(halved, (2, 2), range(10), **run)
    order = [9, 0, 4, 5, 1]
    assert torch.equal(sample(halved, (2, 2), order, batch_size=batch_size, **run), whole[order])
    assert len({tuple(row.flatten().tolist()) for row in whole}) == 10
    assert not torch.equal(sample(halved, (2, 2), range(10), **{**run, "seed": SEED + 1}), whole)


def test_each_step_draws_noise_of_its_own() -> None:
    seen = []

    def denoiser(x, sigma):
        seen.append(x.double().flatten())
        return torch.zeros_like(x)

    sigmas = np.array([8.0, 4.0, 2.0])
    sample(denoiser, (4000,), [3], method="ddpm", sigmas=sigmas, batch_size=1, seed=SEED)
    kept = (sigmas[1:] / sigmas[:-1]) ** 2
    new = [seen[k + 1] - kept[k] * seen[k] for k in range(2)]
    correlation = float(torch.corrcoef(torch.stack([seen[0], *new])).triu(1).abs().max())
    # Three correlations of 4,000 pairs each: beyond 6 / sqrt(n) once in 10^8 runs.
    assert correlation < 6 / 4000**0.5, f"{correlation}, seed {SEED}"


def test_a_share_of_the_samples_with_a_network_is_the_same_bit_for_bit(epsilon) -> None:
    run = {"method": "ddpm", "seed": SEED, "sigmas": ddpm_sigmas(**BETAS)[::-20]}
    whole = sample(epsilon, (1, 8, 8), range(40), **run)
    share = list(range(40))[1::2]
    assert torch.equal(sample(epsilon, (1, 8, 8), share, **run), whole[share])
    other = sample(epsilon, (1, 8, 8), share, batch_size=7, **run)
    agree(other, whole[share])


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ancestral_noise_by_hand(eta) -> None:
    t, s, one = 3.0, 2.0, torch.ones(1, dtype=torch.float64)
    seen = []
    for noise in (0 * one, one):

        def denoiser(x, sigma):
            seen.append(x)
            return 0 * x

        ddim(denoiser, one, [t, s], lambda noise=noise: noise, eta)
    _, without, _, with_noise = (x.item() for x in seen)
    spread = eta * s * (1 - s**2 / t**2) ** 0.5
    assert with_noise - without == pytest.approx(spread, rel=1e-14)
    # What is left of the old noise makes up the rest of the variance s^2.
    assert without == pytest.approx((s**2 - spread**2) ** 0.5 / t, rel=1e-14)


def test_ddim_is_euler_at_eta_0_and_ddpm_at_eta_1(gaussian) -> None:
    run = {"sigmas": default_sigmas("ddim"), "seed": SEED, "dtype": torch.float64}
    for method, eta in (("euler", 0.0), ("ddpm", 1.0)):
        expected = sample(gaussian, (2,), range(6), method=method, **run)
        found = sample(gaussian, (2,), range(6), method="ddim", eta=eta, **run)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_ancestral_samples_have_the_law_of_the_data(expect_law) -> None:
    from scipy.stats import norm

    one = GaussianDenoiser(torch.tensor([2.0]), torch.tensor([[9.0]]))
    n = 1000
    found = sample(one, (1,), range(n), method="ddpm", sigmas=edm_sigmas(200), seed=SEED,
                   batch_size=n)  # fmt: skip
    expect_law(found.flatten().numpy(), norm(2, 3).cdf, seed=SEED, what="DDPM samples of N(2, 9)")


class TestAgainstDiffusers:
    """The same network under diffusers' own schedulers, from the same start."""

    def test_euler_is_edm_euler_scheduler(self, unet) -> None:
        from diffusers import EDMEulerScheduler

        scheduler = EDMEulerScheduler(sigma_data=0.5)
        scheduler.set_timesteps(18)

        def denoiser(x, sigma):  # Karras et al. 2022, Table 1
            spread = (sigma**2 + 0.25) ** 0.5
            output = unet(x / spread, torch.tensor(np.log(sigma) / 4)).sample
            return 0.25 / spread**2 * x + sigma * 0.5 / spread * output

        x = start(range(3), (1, 8, 8))
        for t in scheduler.timesteps:
            output = unet(scheduler.scale_model_input(x, t), t).sample
            x = scheduler.step(output, t, x).prev_sample
        found = sample(denoiser, (1, 8, 8), range(3), method="euler", seed=SEED)
        agree(found, x)

    @pytest.mark.parametrize("clip", [False, True])
    def test_ddpm_is_ddpm_scheduler(self, epsilon, clip, monkeypatch) -> None:
        import diffusers.schedulers.scheduling_ddpm as theirs

        scheduler = theirs.DDPMScheduler(
            BETAS["timesteps"], BETAS["beta_start"], BETAS["beta_end"], clip_sample=clip
        )
        sigmas = ddpm_sigmas(**BETAS)[::-1]
        noise = streams(range(3))
        x = sigmas[0] * next(noise)
        monkeypatch.setattr(theirs, "randn_tensor", lambda *_, **__: next(noise))
        found = sample(clipped(epsilon, clip), (1, 8, 8), range(3), method="ddpm", sigmas=sigmas,
                       seed=SEED)  # fmt: skip
        x = x / np.hypot(1, sigmas[0])
        for t in scheduler.timesteps:
            x = scheduler.step(epsilon.network(x, t).sample, t, x).prev_sample
        agree(found, x)

    @pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
    @pytest.mark.parametrize("clip", [False, True])
    def test_ddim_is_ddim_scheduler(self, epsilon, eta, clip) -> None:
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler(
            BETAS["timesteps"], BETAS["beta_start"], BETAS["beta_end"], clip_sample=clip
        )
        scheduler.set_timesteps(8)
        sigmas = ddpm_sigmas(**BETAS)[::5][::-1]
        found = sample(clipped(epsilon, clip), (1, 8, 8), range(3), method="ddim", eta=eta,
                       sigmas=sigmas, seed=SEED)  # fmt: skip
        noise = streams(range(3))
        x = sigmas[0] * next(noise) / np.hypot(1, sigmas[0])
        for t in scheduler.timesteps:
            extra = {"variance_noise": next(noise), "use_clipped_model_output": clip}
            output = epsilon.network(x, t).sample
            x = scheduler.step(output, t, x, eta=eta, **extra).prev_sample
        agree(found, x)


def agree(found, expected):
    """Equal to float32's precision, a hundred roundings or so of the largest value."""
    largest = float(expected.abs().max())
    assert float(expected.std()) > 0.1 * largest
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * largest)


def streams(indices):
    own = [generator(SEED, "sampling", index) for index in indices]
    while True:
        drawn = [stream.standard_normal(64).reshape(1, 8, 8) for stream in own]
        yield torch.as_tensor(np.stack(drawn)).float()


def clipped(denoiser, clip):
    return (lambda x, sigma: denoiser(x, sigma).clamp(-1, 1)) if clip else denoiser


def test_a_bar_on_a_terminal_counts_the_calls(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    # Every call is shown, not ten a second.
    monkeypatch.setattr("tqdm.tqdm", partial(tqdm, mininterval=0))
    for progress in (True, False):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        sample(nothing, (2,), range(5), sigmas=[2.0, 1.0], batch_size=3, progress=progress)
        # Two batches of 3 calls each: Heun's last step takes one.
        for count in range(1, 7):
            assert (f"{count}/6 [" in screen.getvalue()) == progress


def test_the_denoiser_gets_batches_of_one_size() -> None:
    # A network's last bits depend on how many images it is given.
    seen = []

    def denoiser(x, sigma):
        seen.append(tuple(x.shape))
        return torch.zeros_like(x)

    for method in METHODS:
        sample(denoiser, (2, 1), range(7), sigmas=[2.0, 1.0], batch_size=4, method=method)
    assert set(seen) == {(4, 2, 1)}


def test_no_samples_are_no_samples() -> None:
    assert sample(nothing, (1, 2), []).shape == (0, 1, 2)


def test_default_levels() -> None:
    assert len(default_sigmas("heun")) == 18
    assert len(default_sigmas("ddpm")) == 1000
    table = ddpm_sigmas()
    np.testing.assert_array_equal(default_sigmas("ddim"), table[np.arange(980, -1, -20)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigmas": [1.0, 2.0]}, "must fall"),
        ({"sigmas": [1.0, 0.0]}, "the final 0 is implied"),
        ({"sigmas": []}, "must fall"),
        ({"method": "dpm"}, "method = 'dpm' is unknown; use euler, heun, ddpm, ddim"),
        ({"method": "ddim", "eta": 1.5}, "eta = 1.5"),
        ({"method": "heun", "eta": 0.5}, "for 'ddim' only"),
        ({"indices": [0, -1]}, "none below 0"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_bad_arguments_are_named(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        sample(**{"denoiser": nothing, "shape": (2,), "indices": range(3), **change})


WORKER = """
import sys
import torch
from wildmiddle.models.sampling import sample

rank, folder = int(sys.argv[1]), sys.argv[2]
mine = sample(lambda x, s: x / 2, (2, 2), range(7)[rank::2], method="ddpm", seed=5)
torch.save(mine, f"{folder}/{rank}.pt")
"""


def test_two_processes_draw_the_samples_of_one(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path)],
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors.decode()
    alone = sample(halved, (2, 2), range(7), method="ddpm", seed=5)
    for rank in range(2):
        own = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(own, alone[rank::2])
