"""What a training step changes: the weights, the optimizer's moments, the averaged weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from wildmiddle.empirical.noise import generator
from wildmiddle.models import checkpoints
from wildmiddle.models.checkpoints import Checkpoint
from wildmiddle.models.parameterizations import NetworkDenoiser
from wildmiddle.models.settings import Training

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam keeps of each weight


@dataclass(frozen=True, eq=False)
class State:
    """The state of a run, changed in place by each step.

    ``model`` is ``denoiser`` as accelerate has prepared it; ``names``, ``weights`` and ``averages``
    are those of the network's parameters, ``averages`` empty where none are asked for.
    """

    denoiser: NetworkDenoiser
    model: nn.Module
    optimizer: torch.optim.Adam
    names: list[str]
    weights: list[Tensor]
    averages: list[Tensor]


def new_state(accelerator: Accelerator, run: Checkpoint) -> State:
    """The state before the first step, the same in every process; seeds torch's generator."""
    training = run.training
    torch.manual_seed(int(generator(training.seed, "initial weights").integers(2**63)))
    denoiser = checkpoints.denoiser_for(run).to(accelerator.device).train()
    model = accelerator.prepare_model(denoiser)
    names, parameters = zip(*denoiser.network.named_parameters(), strict=True)
    # Views of the weights, so after preparing: with several processes that moves them.
    weights = [parameter.detach() for parameter in parameters]
    return State(
        denoiser=denoiser,
        model=model,
        optimizer=torch.optim.Adam(parameters, lr=training.learning_rate, fused=True),
        names=list(names),
        weights=weights,
        averages=[w.clone() for w in weights] if training.ema else [],
    )


def average(state: State, decay: float) -> None:
    """Move the averaged weights towards the weights, keeping the share ``decay`` of themselves."""
    if state.averages:
        torch._foreach_lerp_(state.averages, state.weights, 1 - decay)


def ema_decay(training: Training, step: int) -> float:
    """What the averaged weights keep of themselves in a step, counted from 0.

    The half-life is ``training.ema`` steps, at most a twentieth of the steps so far. Source: Karras
    et al. 2022, training code (``ema_rampup_ratio`` 0.05).
    """
    half_life = min(training.ema, (step + 1) / 20)
    return float(0.5 ** (1 / half_life)) if half_life else 0.0


def tensors(state: State) -> dict[str, dict[str, Tensor]]:
    """The state as a checkpoint keeps it, by part and by the parameters' names."""
    moments = state.optimizer.state_dict()["state"]
    return {
        "weights": dict(zip(state.names, state.weights, strict=True)),
        "ema": dict(zip(state.names, state.averages or state.weights, strict=True)),
        "optimizer": {
            f"{name}.{key}": moments[i][key]
            for i, name in enumerate(state.names)
            for key in _MOMENTS
        },
    }


def restore(state: State, folder: Path, step: int) -> None:
    """Put the state of a checkpoint into ``state``."""
    parts = {part: checkpoints.read_tensors(folder, step, part) for part in checkpoints.PARTS}
    for name, weight in zip(state.names, state.weights, strict=True):
        weight.copy_(parts["weights"][name])
    if state.averages:
        for name, averaged in zip(state.names, state.averages, strict=True):
            averaged.copy_(parts["ema"][name])
    moments = {
        i: {key: parts["optimizer"][f"{name}.{key}"] for key in _MOMENTS}
        for i, name in enumerate(state.names)
    }
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
