"""A network's output as a denoiser, against diffusers' schedulers and the exact predictions."""

import math

import numpy as np
import pytest
import torch

from wildmiddle.models import EmpiricalDenoiser
from wildmiddle.models.parameterizations import (
    DDPMDenoiser,
    EDMDenoiser,
    FlowDenoiser,
    NetworkDenoiser,
)
from wildmiddle.theory.flow_matching import optimal_field
from wildmiddle.theory.schedules import ddpm_sigmas, ddpm_timestep

SEED = 20260321
POINTS = np.random.default_rng(SEED).uniform(-1, 1, (9, 1, 2, 3))
SIGMAS = torch.tensor([0.02, 0.1, 0.4, 1.0, 5.0, 70.0], dtype=torch.float64)
SHAPES = {"(H, W)": (4, 4), "(H, W, C)": (4, 4, 3), "(C, H, W)": (3, 4, 4)}


def noisy(shape=(1, 2, 3)):
    rng = torch.Generator().manual_seed(SEED)
    x = torch.randn(len(SIGMAS), *shape, generator=rng, dtype=torch.float64)
    return x * (1 + SIGMAS.reshape(-1, *[1] * len(shape)))


def column(sigma):
    return sigma.reshape(-1, 1, 1, 1)


# What an optimal network would predict, from the posterior mean of the points.


def edm_output(images, time, labels):
    sigma = column((4 * time).exp())
    total = (sigma**2 + 0.25).sqrt()
    x = images * total
    best = EmpiricalDenoiser(POINTS)(x, sigma.flatten())
    return (best - 0.25 / total**2 * x) * total / (sigma * 0.5)


def epsilon(images, time, labels):
    sigma = torch.as_tensor(ddpm_sigmas())[time.long()]
    x = images * column((1 + sigma**2).sqrt())
    return (x - EmpiricalDenoiser(POINTS)(x, sigma)) / column(sigma)


def velocity(images, time, labels):
    fields = [
        optimal_field(image.numpy().ravel(), POINTS.reshape(9, 6), float(t) / 1000)
        for image, t in zip(images, time, strict=True)
    ]
    return torch.tensor(np.stack(fields)).reshape(images.shape)


def table_sigmas():
    return torch.as_tensor(ddpm_sigmas())[torch.tensor([0, 3, 200, 500, 900, 999])]


@pytest.mark.parametrize(
    ("make", "function", "sigmas"),
    [
        (lambda net: EDMDenoiser(net, 0.5), edm_output, lambda: SIGMAS),
        (DDPMDenoiser, epsilon, table_sigmas),
        (FlowDenoiser, velocity, lambda: SIGMAS),
    ],
    ids=["edm", "ddpm", "flow"],
)
def test_the_optimal_prediction_is_the_optimal_denoiser(as_network, make, function, sigmas) -> None:
    x, sigma = noisy(), sigmas()
    found = make(as_network(function)).eval()(x, sigma)
    torch.testing.assert_close(found, EmpiricalDenoiser(POINTS)(x, sigma), rtol=0, atol=1e-9)


def wavy(images, time, labels):
    return torch.sin(3 * images + column(time))


@pytest.mark.parametrize("sigma_data", [0.5, 0.75])
def test_edm_agrees_with_the_scheduler_of_diffusers(as_network, sigma_data) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.EDMEulerScheduler(sigma_data=sigma_data)
    x = noisy()
    denoiser = EDMDenoiser(as_network(wavy), sigma_data).eval()
    for k, sigma in enumerate(SIGMAS):
        one = x[k : k + 1]
        inputs = scheduler.precondition_inputs(one, sigma)
        output = wavy(inputs, scheduler.precondition_noise(sigma).reshape(1), None)
        expected = scheduler.precondition_outputs(one, output, sigma)
        torch.testing.assert_close(denoiser(one, sigma), expected, rtol=1e-12, atol=1e-12)


def test_ddpm_agrees_with_the_scheduler_of_diffusers(as_network) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(clip_sample=False)
    denoiser = DDPMDenoiser(as_network(wavy)).eval()
    x = noisy()
    for t in (0, 1, 100, 500, 999):
        sigma = float(ddpm_sigmas()[t])
        x_t = x / math.sqrt(1 + sigma**2)
        output = wavy(x_t, torch.full((len(x),), float(t)), None)
        expected = scheduler.step(output, t, x_t).pred_original_sample
        # diffusers' alphas are products in single precision.
        torch.testing.assert_close(denoiser(x, sigma), expected, rtol=1e-3, atol=1e-3)


def test_ddpm_takes_the_timestep_nearest_in_log_sigma(as_network) -> None:
    seen = []

    def spy(images, time, labels):
        seen.append(time)
        return images

    sigma = np.concatenate([np.geomspace(1e-3, 300, 501), ddpm_sigmas()])
    x = torch.zeros(len(sigma), 1, 2, 3, dtype=torch.float64)
    DDPMDenoiser(as_network(spy)).eval()(x, torch.as_tensor(sigma))
    np.testing.assert_array_equal(seen[0].numpy(), ddpm_timestep(sigma))


@pytest.mark.parametrize("kind", [DDPMDenoiser, FlowDenoiser])
def test_a_network_in_half_precision_is_given_the_time_in_full(as_network, kind) -> None:
    seen = []

    def spy(images, time, labels):
        seen.append(time.double().numpy())
        return images

    network = as_network(spy)
    sigma = ddpm_sigmas()
    x = torch.zeros(len(sigma), 1, 2, 3)
    for each in (network.float(), network.bfloat16()):
        kind(each).eval()(x, torch.as_tensor(sigma))
    np.testing.assert_array_equal(*seen)
    assert len(np.unique(seen[0])) == 1000


@pytest.fixture(scope="module")
def denoisers(tiny):
    from dataclasses import replace

    from wildmiddle.models.networks import build

    torch.manual_seed(SEED)
    return {
        name: EDMDenoiser(build(replace(tiny, classes=2), shape), 0.5, label=1).eval()
        for name, shape in SHAPES.items()
    }


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_result_has_the_shape_and_type_of_the_images(denoisers, name, dtype) -> None:
    x = noisy(SHAPES[name]).to(dtype)
    with torch.no_grad():
        found = denoisers[name](x, 0.5)
    assert found.shape == x.shape
    assert found.dtype == dtype


def test_channels_last_and_first_are_the_same_images(denoisers) -> None:
    x = noisy((4, 4, 3)).float()
    with torch.no_grad():
        last = denoisers["(H, W, C)"](x, SIGMAS)
        first = denoisers["(H, W, C)"](x.permute(0, 3, 1, 2), SIGMAS)
    torch.testing.assert_close(last.permute(0, 3, 1, 2), first, rtol=0, atol=1e-6)
    assert not torch.allclose(last, x)


@pytest.mark.parametrize("shape", [(5, 5), (4, 4, 3), (16,), (2, 4, 4), (1, 1, 4, 4)])
def test_images_of_another_shape_are_refused(denoisers, shape) -> None:
    with pytest.raises(ValueError, match="built for"):
        denoisers["(H, W)"](torch.zeros(6, *shape), 0.5)


def test_sigma_of_each_image_is_its_own(denoisers) -> None:
    x = noisy((4, 4)).float()
    with torch.no_grad():
        together = denoisers["(H, W)"](x, SIGMAS)
        for k, sigma in enumerate(SIGMAS):
            alone = denoisers["(H, W)"](x[k : k + 1], float(sigma))
            torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=2e-5)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_bad_sigma_is_refused(denoisers, sigma) -> None:
    with pytest.raises(ValueError, match="sigma"):
        denoisers["(H, W)"](torch.zeros(6, 4, 4), sigma)


def test_labels_reach_the_network_and_have_a_default(denoisers) -> None:
    denoiser, x = denoisers["(H, W)"], noisy((4, 4)).float()
    with torch.no_grad():
        default, one = denoiser(x, 1.0), denoiser(x, 1.0, labels=1)
        each = denoiser(x, 1.0, labels=torch.tensor([1, 0, 1, 0, 1, 0]))
        zero = denoiser(x, 1.0, labels=0)
    torch.testing.assert_close(default, one, rtol=0, atol=0)
    assert not torch.allclose(one, zero)
    torch.testing.assert_close(each[::2], one[::2], rtol=0, atol=1e-6)
    torch.testing.assert_close(each[1::2], zero[1::2], rtol=0, atol=1e-6)


def test_labels_are_asked_for_and_refused(as_network) -> None:
    x = torch.zeros(2, 1, 2, 3)
    with pytest.raises(ValueError, match="no labels for a network of 2 classes"):
        EDMDenoiser(as_network(wavy, classes=2), 0.5).eval()(x, 1.0)
    with pytest.raises(ValueError, match="without classes"):
        EDMDenoiser(as_network(wavy), 0.5).eval()(x, 1.0, labels=1)


@pytest.mark.parametrize(
    ("classes", "label", "has"), [(3, 3, "0 to 2"), (3, -1, "0 to 2"), (None, 0, "no classes")]
)
def test_a_label_that_the_network_does_not_have_is_refused(as_network, classes, label, has) -> None:
    with pytest.raises(ValueError, match=rf"label {label} \(--label\): the network has .*{has}"):
        FlowDenoiser(as_network(wavy, classes=classes), label)
    assert FlowDenoiser(as_network(wavy, classes=classes)).label is None


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, math.nan])
def test_bad_sigma_data_is_refused(as_network, sigma_data) -> None:
    with pytest.raises(ValueError, match="sigma_data"):
        EDMDenoiser(as_network(wavy), sigma_data)


def test_a_network_denoiser_has_to_say_how_it_denoises(as_network) -> None:
    class Nothing(NetworkDenoiser):
        pass

    class Identity(NetworkDenoiser):
        def denoise(self, x, sigma, labels):
            return x

    for kind in (NetworkDenoiser, Nothing):
        with pytest.raises(TypeError, match="abstract"):
            kind(as_network(wavy))
    assert torch.equal(Identity(as_network(wavy)).eval()(noisy(), 1.0), noisy())
