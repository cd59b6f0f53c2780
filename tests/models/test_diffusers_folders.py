"""Models saved by diffusers, against the clean images that its own schedulers compute."""

import json

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DModel,
)

from wildmiddle.models.diffusers_folders import denoiser_by, load_diffusers
from wildmiddle.models.parameterizations import DDPMDenoiser, EDMDenoiser


@pytest.fixture(scope="module")
def network() -> UNet2DModel:
    torch.manual_seed(0)
    found = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        layers_per_block=1,
        norm_num_groups=4,
    )
    return found.requires_grad_(False).eval()


def noisy(seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(3, 1, 8, 8))).float()


@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("clip", [True, False])
def test_the_clean_image_is_the_schedulers_own(network, kind, prediction, betas, clip) -> None:
    scheduler = kind(
        beta_schedule=betas, prediction_type=prediction, clip_sample=clip, clip_sample_range=0.7
    )
    denoiser = denoiser_by({"_class_name": kind.__name__, **scheduler.config}, network)
    for t in (0, 120, 500, 900):
        alpha = scheduler.alphas_cumprod[t].double()
        x_t = noisy(t) * 0.5
        output = network(x_t, t, return_dict=False)[0]
        if kind is DDIMScheduler:
            scheduler.set_timesteps(1000)
        expected = scheduler.step(output, t, x_t).pred_original_sample
        sigma = float(((1 - alpha) / alpha).sqrt())
        found = denoiser((x_t.double() / alpha.sqrt()).float(), sigma)
        limit = 1e-4 if betas != "squaredcos_cap_v2" else 1e-3  # sigma is 40 at t = 980 there
        assert torch.allclose(found, expected, atol=limit, rtol=limit)


def test_a_schedule_that_ends_without_signal_is_read_up_to_it(network) -> None:
    scheduler = DDPMScheduler(
        rescale_betas_zero_snr=True, prediction_type="v_prediction", clip_sample=False
    )
    denoiser = denoiser_by(dict(scheduler.config), network)
    assert torch.isinf(denoiser.sigmas[-1])
    assert torch.isfinite(denoiser(noisy() * 80, 80.0)).all()


def test_edm_is_edms_preconditioning(network) -> None:
    config = {"_class_name": "EDMEulerScheduler", **EDMEulerScheduler(sigma_data=0.3).config}
    found, own = denoiser_by(config, network), EDMDenoiser(network, 0.3)
    assert torch.equal(found(noisy(), 0.8), own(noisy(), 0.8))


@pytest.mark.parametrize(
    ("kind", "written", "clip"),
    [
        (DDPMScheduler, {}, 1.0),
        (DDIMScheduler, {"clip_sample_range": 2.0}, 2.0),
        (DDPMScheduler, {"clip_sample": False}, None),
        # Of the scheduler that this one was made from: its steps clip nothing.
        (PNDMScheduler, {"clip_sample": True, "clip_sample_range": 1.0}, None),
    ],
)
def test_what_is_not_written_is_the_default_of_the_schedulers_class(
    network, kind, written, clip
) -> None:
    found = denoiser_by({"_class_name": kind.__name__, **written}, network)
    assert found.clip == clip
    levels = ((1 - kind().alphas_cumprod) / kind().alphas_cumprod).sqrt()
    assert torch.allclose(found.sigmas, levels)


@pytest.mark.parametrize("kind", ["DDPMScheduler", "EDMDPMSolverMultistepScheduler"])
def test_thresholding_is_refused(network, kind) -> None:
    with pytest.raises(ValueError, match=f"the scheduler {kind} has thresholding.*thresholding=F"):
        denoiser_by({"_class_name": kind, "thresholding": True}, network)


def test_a_network_without_a_size_takes_images_of_any(network) -> None:
    free = UNet2DModel.from_config({**network.config, "sample_size": None})
    denoiser = DDPMDenoiser(free)
    for shape in ((2, 1, 8, 8), (2, 8, 8), (2, 16, 16, 1)):
        assert denoiser(torch.zeros(shape), 1.0).shape == shape


@pytest.mark.parametrize("layout", ["pipeline", "beside", "inside"])
def test_folders_give_the_denoiser_that_was_saved(network, tmp_path, layout) -> None:
    scheduler = DDPMScheduler(prediction_type="sample", beta_schedule="squaredcos_cap_v2")
    folder = tmp_path / "model"
    if layout == "pipeline":
        DDPMPipeline(network, scheduler).save_pretrained(folder)
    else:
        folder = folder / "unet"
        network.save_pretrained(folder)
        scheduler.save_pretrained(folder if layout == "inside" else folder.parent / "scheduler")
    found = load_diffusers(folder)
    own = denoiser_by({"_class_name": "DDPMScheduler", **scheduler.config}, network)
    assert torch.equal(found(noisy(), 2.0), own(noisy(), 2.0))
    assert found.prediction == "sample"


def test_what_cannot_be_measured_rightly_is_refused_in_one_line(network, tmp_path) -> None:
    folder = tmp_path / "unet"
    network.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"no scheduler_config\.json.*save_pretrained"):
        load_diffusers(folder)
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder)
    with pytest.raises(ValueError, match="has no betas"):
        load_diffusers(folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="safe_serialization"):
        load_diffusers(folder)
    (folder / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    with pytest.raises(ValueError, match="UNet2DConditionModel"):
        load_diffusers(folder)
    pipeline = {"unet": ["diffusers", "UNet2DModel"], "vae": ["a", "b"], "scheduler": ["a", "b"]}
    (folder / "model_index.json").write_text(json.dumps(pipeline))
    with pytest.raises(ValueError, match="scheduler, unet, vae"):
        load_diffusers(folder)
