"""Denoisers from folders that diffusers has saved: a network, and the scheduler that belongs to it.

The noise levels, what the network predicts and the clipping are read from the scheduler's own
configuration; what is not written there has the default of its class, as diffusers has it. Weights
are read from safetensors alone, so that nothing is run.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import torch

from wildmiddle.models.parameterizations import (
    DiscreteDenoiser,
    EDMDenoiser,
    NetworkDenoiser,
)

PIXEL_RANGE = (-1.0, 1.0)
"""Range of the pixels that models of diffusers work on."""
_NETWORK = "diffusion_pytorch_model.safetensors"


def is_diffusers_folder(folder: Path) -> bool:
    """Whether a folder is a pipeline of diffusers, or a network that it has saved."""
    return (folder / "model_index.json").is_file() or (folder / "config.json").is_file()


def load_diffusers(folder: Path, label: int | None = None) -> NetworkDenoiser:
    """The denoiser of an unconditional or class-conditional image model, on the CPU.

    ``folder`` is a pipeline (``model_index.json``, ``unet/``, ``scheduler/``), or a ``UNet2DModel``
    with ``scheduler_config.json`` in it, in ``scheduler/`` or in ``../scheduler/``. ``label`` is
    the class that counts where the network has classes. Images are (C, H, W) in
    :data:`PIXEL_RANGE`. Raises ValueError, in one line, where a part is missing, of another kind,
    or has no safetensors, and for a label that the network does not have.
    """
    from diffusers import UNet2DModel

    if (folder / "model_index.json").is_file():
        parts = {k for k, v in _read(folder / "model_index.json").items() if isinstance(v, list)}
        if not {"unet", "scheduler"} <= parts or parts - {"unet", "scheduler"}:
            raise ValueError(
                f"{folder} is a pipeline of {', '.join(sorted(parts))}; only models of a unet and "
                "a scheduler, on pixels and without text, are audited"
            )
        network_folder = folder / "unet"
    else:
        network_folder = folder
    config = _read(network_folder / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise ValueError(
            f"{network_folder / 'config.json'} is of a {config.get('_class_name')}; only "
            "UNet2DModel is read here. Give any other model as MODULE:FUNCTION"
        )
    if not (network_folder / _NETWORK).is_file():
        raise ValueError(
            f"{network_folder / _NETWORK} is missing; save the network again with "
            "save_pretrained(..., safe_serialization=True): other formats can run code"
        )
    try:
        network = UNet2DModel.from_pretrained(
            network_folder, use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # diffusers and safetensors raise many kinds on damaged files
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{network_folder} cannot be read ({reason})") from error
    network.requires_grad_(False).eval()
    places = (network_folder, network_folder / "scheduler", network_folder.parent / "scheduler")
    found = [place for place in places if (place / "scheduler_config.json").is_file()]
    if not found:
        raise ValueError(
            f"{folder} has no scheduler_config.json, which says the noise levels of the network; "
            f"save its scheduler with save_pretrained({str(network_folder / 'scheduler')!r})"
        )
    return denoiser_by(_read(found[0] / "scheduler_config.json"), network, label)


def denoiser_by(
    scheduler: dict[str, Any], network: torch.nn.Module, label: int | None = None
) -> NetworkDenoiser:
    """A network of diffusers as a denoiser, by the configuration of its scheduler.

    Raises ValueError for a scheduler whose noise levels are not those of betas or of EDM, for one
    that scales estimates by their own pixels (``thresholding``), and for values that diffusers
    refuses.
    """
    kind = str(scheduler.get("_class_name", ""))
    config = _with_defaults(kind, scheduler)
    if config.get("thresholding"):
        raise ValueError(
            f"the scheduler {kind} has thresholding, which is not read here; save it with "
            "thresholding=False where samples are drawn without, or give the model as "
            "MODULE:FUNCTION, a function that returns denoiser(x, sigma)"
        )
    if kind.startswith("EDM"):
        if config.get("prediction_type", "epsilon") != "epsilon":
            raise ValueError(f"{kind} with {config['prediction_type']}: only epsilon is read")
        return EDMDenoiser(network, float(config.get("sigma_data", 0.5)), label)
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise ValueError(
            f"the scheduler {kind or 'without a name'} has no betas; give the model as "
            "MODULE:FUNCTION, a function that returns denoiser(x, sigma)"
        )
    from diffusers import DDPMScheduler

    # Its own reading of betas; all schedulers with betas share these values.
    try:
        betas = DDPMScheduler.from_config(config)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"the scheduler {kind} cannot be read: {error}") from error
    alphas = betas.alphas_cumprod.double()
    sigmas = ((1 - alphas) / alphas).sqrt().numpy()
    clip = config.get("clip_sample_range", 1.0) if config.get("clip_sample") else None
    prediction: Any = betas.config.prediction_type
    return DiscreteDenoiser(network, sigmas, prediction, clip, label)


def _with_defaults(kind: str, scheduler: dict[str, Any]) -> dict[str, Any]:
    # The values that a class of diffusers takes, those that are not written by its default. Others
    # may be written too, of a scheduler that this one was made from: they are not used.
    from diffusers import schedulers

    signature = inspect.signature(getattr(schedulers, kind, object).__init__)
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }
    return {name: scheduler.get(name, value) for name, value in defaults.items()} or scheduler


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing; give a folder that diffusers has saved") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no configuration")
    return found
