"""Training: one loop for every objective, on one device or several, resumable bit for bit."""

import csv
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from wildmiddle.empirical.data import DataSet
from wildmiddle.empirical.kernels.device import resolve_device
from wildmiddle.empirical.kernels.processes import require_launcher, watch_ranks
from wildmiddle.empirical.locks import hold_folder
from wildmiddle.empirical.noise import generator
from wildmiddle.models import checkpoints
from wildmiddle.models.checkpoints import Checkpoint
from wildmiddle.models.images import TrainingSet, prepare_training_set
from wildmiddle.models.objectives import (
    OnceNoised,
    ddpm_levels,
    ddpm_loss,
    draw_batch,
    edm_levels,
    edm_loss,
    flow_levels,
    flow_loss,
    in_gaps,
)
from wildmiddle.models.parameterizations import DDPMDenoiser, NetworkDenoiser
from wildmiddle.models.settings import Training

__all__ = ["Training", "learning_rate", "seconds_per_step", "train"]

FLUSH = 10
"""Steps between looks at the losses: each look waits for the device, and for other processes."""

LOG = "log.csv"
LOG_COLUMNS = ("step", "loss", "learning_rate")

_log = logging.getLogger(__name__)

_TURN = threading.Lock()
"""Trainings in threads of one process take turns: torch has one random state for all of them."""

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam keeps of each weight


def train(
    images: ArrayLike,
    training: Training,
    folder: str | Path,
    *,
    labels: ArrayLike | None = None,
    data: DataSet | None = None,
    device: str = "auto",
    progress: bool = False,
    stop_after: int | None = None,
    tensorboard: bool = False,
) -> NetworkDenoiser:
    """Train a denoiser into ``folder``, from its newest checkpoint on where it has one.

    ``images`` is (N, H, W), (N, H, W, C) or (N, C, H, W); ``labels`` (N,), integers from 0, makes
    the denoiser conditional. ``data`` is the set that the images come from, to be described in the
    checkpoints. ``stop_after`` ends at that step; a later call continues. Writes checkpoints and
    ``log.csv`` (step, loss, learning rate), with ``tensorboard`` the same for TensorBoard, and
    returns the averaged denoiser of the last step, in evaluation mode. Ctrl-C or SIGTERM saves,
    then raises KeyboardInterrupt.

    Under ``accelerate launch`` or ``torchrun`` the processes share each batch. On the CPU, with as
    many threads and processes, a resumed run equals an uninterrupted one bit for bit.

    Raises ValueError for images that cannot be used, a batch size that the processes do not divide,
    a folder that holds another run or that another run is training into, and a TensorBoard that is
    not installed; OSError where a checkpoint or the log cannot be written, the checkpoints before
    it as they were.
    """
    folder = Path(folder)
    accelerator = _accelerator(training, device)
    if training.batch_size % accelerator.num_processes:
        raise ValueError(
            f"batch_size = {training.batch_size} for {accelerator.num_processes} processes; "
            f"give a multiple"
        )
    training_set = prepare_training_set(images, labels, training)
    run = checkpoints.describe(training_set, training, data)
    target = training.steps if stop_after is None else min(training.steps, stop_after)

    def last_step() -> int:
        accelerator.wait_for_everyone()  # all see the same checkpoints
        step = checkpoints.newest_whole(folder)
        if step:
            checkpoints.require_same_run(folder, checkpoints.read(folder, step), run)
        return step

    with watch_ranks():
        if last_step() < target:
            with _hold(accelerator, folder), _TURN:
                start = last_step()  # another run may just have gone on and ended
                # First weights and dropout draw from torch's generators: the caller's stay.
                on_gpu = [accelerator.device] if accelerator.device.type == "cuda" else []
                if start < target:
                    with _writing(folder), torch.random.fork_rng(devices=on_gpu):
                        _train(
                            accelerator,
                            training_set,
                            run,
                            folder,
                            start,
                            target,
                            progress,
                            tensorboard,
                        )
            accelerator.wait_for_everyone()
    return checkpoints.load(folder, target, device=accelerator.device)


def seconds_per_step(
    images: ArrayLike, training: Training, *, device: str = "auto", steps: int = 8
) -> float:
    """Seconds that a training step takes on this machine, measured over ``steps`` after two more.

    Arguments as in :func:`train`. Nothing is written, and the caller's random state stays.
    """
    accelerator = _accelerator(training, device)
    training_set = prepare_training_set(images, None, training)
    run = checkpoints.describe(training_set, training, None)
    on_gpu = [accelerator.device] if accelerator.device.type == "cuda" else []
    with _TURN, torch.random.fork_rng(devices=on_gpu):
        state = initial_state(accelerator, run)
        take_step = _stepper(accelerator, training_set, training, run.sigma_data, state)
        for step in range(2 + steps):
            if step == 2:
                start = perf_counter()
            float(take_step(step))  # waits for the device
    return (perf_counter() - start) / steps


@contextmanager
def _hold(accelerator: Accelerator, folder: Path) -> Iterator[None]:
    """Hold the folder for all processes; all raise where another run has it."""
    refusal: list[Exception | None] = [None]
    with ExitStack() as stack:
        if accelerator.is_main_process:
            try:
                stack.enter_context(hold_folder(folder))
                checkpoints.drop_temporaries(folder)
                drop_log_temporaries(folder)
            except (ValueError, OSError) as error:
                refusal = [error]
        broadcast_object_list(refusal)
        if refusal[0] is not None:
            raise refusal[0]
        yield


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in one line what is left where something cannot be written, as on a full disk."""
    try:
        yield
    except OSError as error:
        whole = checkpoints.newest_whole(folder)
        kept = f"the checkpoint of step {whole} is whole" if whole else "no checkpoint was lost"
        raise OSError(
            f"{folder} cannot be written ({error.strerror or error}); {kept}: make room, and the "
            "same call goes on from there"
        ) from error


def _train(
    accelerator: Accelerator,
    training_set: TrainingSet,
    run: Checkpoint,
    folder: Path,
    start: int,
    target: int,
    progress: bool,
    tensorboard: bool,
) -> None:
    training = run.training
    main = accelerator.is_main_process
    state = initial_state(accelerator, run)
    if start:
        restore_state(state, folder, start)
    if main:
        _log.info("%s: steps %d to %d on %s", folder, start + 1, target, accelerator.device)
    take_step = _stepper(accelerator, training_set, training, run.sigma_data, state)

    def save(step: int) -> None:
        if main:
            checkpoints.save(folder, replace(run, step=step), state_tensors(state))
            checkpoints.drop_unscheduled(folder, step, training.checkpoint_every)
            _log.info("%s: step %d saved, loss %.4f", folder, step, np.mean(means))

    losses: list[Tensor] = []
    means: list[float] = []
    bar = tqdm(
        desc=folder.name,
        total=training.steps,
        initial=start,
        unit=" steps",
        disable=not (progress and main),
    )
    log_file = open_log(folder, start, tensorboard) if main else nullcontext(lambda lines: None)
    with bar, log_file as log, _stop_signals() as stop:
        for step in range(start, target):
            losses.append(take_step(step))
            done = step + 1
            save_now = done % training.checkpoint_every == 0 or done == target
            if done % FLUSH == 0 or save_now or (stop and accelerator.num_processes == 1):
                # One exchange serves the losses and the question whether any process was stopped.
                mine = torch.stack([*losses, losses[-1].new_tensor(float(bool(stop)))])
                *means, stopped = accelerator.reduce(mine, "mean").tolist()
                first = done - len(means)
                log(
                    (first + i + 1, m, learning_rate(training, first + i))
                    for i, m in enumerate(means)
                )
                bar.update(len(means))
                bar.set_postfix(loss=f"{np.mean(means):.4f}", refresh=False)
                losses.clear()
                if not np.isfinite(means).all():
                    raise ValueError(
                        f"the loss is not finite at step {done}; what was saved before stays in "
                        f"{folder}: train into another folder with a lower learning_rate or more "
                        f"warmup"
                    )
                if save_now or stopped:
                    save(done)
                if stopped:
                    raise KeyboardInterrupt(
                        f"stopped after step {done} of {training.steps} and saved in {folder}; "
                        f"the same call goes on from there"
                    )


@dataclass(frozen=True, eq=False)
class State:
    """What a training step changes in place: the weights, the optimizer, the averaged weights.

    ``model`` is ``denoiser`` as accelerate has prepared it; ``weights`` and ``averages`` are those
    of the network's parameters by name, ``averages`` empty where none are asked for.
    """

    denoiser: NetworkDenoiser
    model: nn.Module
    optimizer: torch.optim.Adam
    weights: dict[str, Tensor]
    averages: dict[str, Tensor]


def initial_state(accelerator: Accelerator, run: Checkpoint) -> State:
    """The state before the first step, the same in every process; seeds torch's generator."""
    training = run.training
    torch.manual_seed(int(generator(training.seed, "initial weights").integers(2**63)))
    denoiser = checkpoints.denoiser_for(run).to(accelerator.device).train()
    model = accelerator.prepare_model(denoiser)
    parameters = dict(denoiser.network.named_parameters())
    # Views of the weights, so after preparing: with several processes that moves them.
    weights = {name: parameter.detach() for name, parameter in parameters.items()}
    return State(
        denoiser=denoiser,
        model=model,
        optimizer=torch.optim.Adam(parameters.values(), lr=training.learning_rate, fused=True),
        weights=weights,
        averages={name: w.clone() for name, w in weights.items()} if training.ema else {},
    )


def update_averages(state: State, decay: float) -> None:
    """Move the averaged weights towards the weights, keeping the share ``decay`` of themselves."""
    if state.averages:
        update = get_ema_multi_avg_fn(decay)
        update(list(state.averages.values()), list(state.weights.values()), None)


def ema_decay(training: Training, step: int) -> float:
    """What the averaged weights keep of themselves in a step, counted from 0.

    The half-life is ``training.ema`` steps, at most a twentieth of the steps so far. Source: Karras
    et al. 2022, training code (``ema_rampup_ratio`` 0.05).
    """
    half_life = min(training.ema, (step + 1) / 20)
    return float(0.5 ** (1 / half_life)) if half_life else 0.0


def state_tensors(state: State) -> dict[str, dict[str, Tensor]]:
    """The state as a checkpoint keeps it, by part and by the parameters' names."""
    moments = state.optimizer.state_dict()["state"]
    return {
        "weights": state.weights,
        "ema": state.averages or state.weights,
        "optimizer": {
            f"{name}.{key}": moments[i][key]
            for i, name in enumerate(state.weights)
            for key in _MOMENTS
        },
    }


def restore_state(state: State, folder: Path, step: int) -> None:
    """Put the state of a checkpoint into ``state``."""
    wanted = {
        "weights": state.weights,
        "ema": state.weights,
        "optimizer": {
            f"{name}.{key}": torch.zeros(()) if key == "step" else weight
            for name, weight in state.weights.items()
            for key in _MOMENTS
        },
    }
    parts = {}
    for part in checkpoints.PARTS:
        parts[part] = checkpoints.read_tensors(folder, step, part)
        checkpoints.require_fit(folder, step, part, parts[part], wanted[part])
    for own, saved in ((state.weights, parts["weights"]), (state.averages, parts["ema"])):
        for name, tensor in own.items():
            tensor.copy_(saved[name])
    moments = {
        i: {key: parts["optimizer"][f"{name}.{key}"] for key in _MOMENTS}
        for i, name in enumerate(state.weights)
    }
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _stepper(
    accelerator: Accelerator,
    training_set: TrainingSet,
    training: Training,
    sigma_data: float,
    state: State,
) -> Callable[[int], Tensor]:
    """A function that takes one step, by its number from 0, and returns its loss."""
    device, rank = accelerator.device, accelerator.process_index

    def on_device(values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(values)
        # From pinned memory, so that the copy does not wait for what the GPU still computes.
        return tensor.pin_memory().to(device, non_blocking=True) if on_gpu else tensor.to(device)

    on_gpu = device.type == "cuda"
    images = on_device(training_set.images)
    labels = None if training_set.labels is None else on_device(training_set.labels)
    once_noised, level = None, training.once_noised
    if level:
        rng = generator(training.seed, "once-noised images")
        noise = rng.standard_normal(training_set.images.shape, np.float32)
        once_noised = on_device(training_set.images + np.float32(level) * noise)
    drops = training.gap_mode == "drop"
    draw_levels, loss_of = _objective(training, state.denoiser, sigma_data, device)

    def take_step(step: int) -> Tensor:
        if training.network.dropout:
            rng = generator(training.seed, f"dropout of process {rank}", step)
            torch.manual_seed(int(rng.integers(2**63)))
        shape = tuple(images.shape[1:])
        batch = draw_batch(
            training.seed, step, training.batch_size, len(images), shape, draw_levels
        ).of_process(rank, accelerator.num_processes)
        indices = on_device(batch.indices)
        mirrored = on_device(batch.mirrored)[:, None, None, None]

        def pick(stack: Tensor) -> Tensor:
            picked = stack[indices]
            return torch.where(mirrored, picked.flip(-1), picked) if training.flips else picked

        loss = loss_of(
            state.model,
            pick(images),
            on_device(batch.levels),
            on_device(batch.noise),
            labels=None if labels is None else labels[indices],
            kept=on_device(~in_gaps(batch.levels, training.gap)) if drops else None,
            once=OnceNoised(pick(once_noised), training.once_noised)
            if once_noised is not None
            else None,
        )
        state.optimizer.zero_grad()
        accelerator.backward(loss)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(training, step)
        state.optimizer.step()
        update_averages(state, ema_decay(training, step))
        return loss.detach()

    return take_step


def learning_rate(training: Training, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    rate = training.learning_rate * min(1.0, (step + 1) / max(training.warmup, 1))
    if training.decay == "linear":
        return rate * (1 - step / training.steps)
    if training.decay == "cosine":
        return rate * float(1 + np.cos(np.pi * step / training.steps)) / 2
    return rate


def _objective(
    training: Training, denoiser: NetworkDenoiser, sigma_data: float, device: torch.device
) -> tuple[Callable[[np.random.Generator, int], NDArray[Any]], Callable[..., Tensor]]:
    """How this objective draws levels, and its loss."""
    gaps = training.gap if training.gap_mode == "redraw" else ()
    if training.objective == "edm":
        mean, std = training.log_sigma_mean, training.log_sigma_std
        draw = partial(edm_levels, gaps=gaps, mean=mean, std=std)
        return draw, partial(edm_loss, sigma_data=sigma_data)
    if training.objective == "ddpm":
        assert isinstance(denoiser, DDPMDenoiser)
        ddpm_draw = partial(ddpm_levels, gaps=gaps, timesteps=training.timesteps)
        return ddpm_draw, partial(ddpm_loss, sigmas=denoiser.sigmas.to(device))
    return partial(flow_levels, gaps=gaps), flow_loss


def _accelerator(training: Training, device: str) -> Accelerator:
    """The processes and the device; ``device`` "auto" leaves the choice to accelerate."""
    require_launcher()
    wanted = None if device == "auto" else resolve_device(device)
    accelerator = Accelerator(
        cpu=wanted is not None and wanted.type == "cpu",
        mixed_precision=training.mixed_precision,
    )
    found = accelerator.device
    if wanted is not None and (
        wanted.type != found.type or wanted.index not in (None, found.index)
    ):
        raise ValueError(
            f"device = {device}, but accelerate uses {found}; choose a GPU by CUDA_VISIBLE_DEVICES"
        )
    return accelerator


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that Ctrl-C or SIGTERM fills; a second one acts as it does without this."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def open_log(
    folder: Path, start: int, tensorboard: bool = False
) -> Iterator[Callable[[Iterable[tuple[int, float, float]]], None]]:
    """A function that appends (step, loss, learning rate) of steps after ``start`` to ``log.csv``.

    Lines of later steps, from a run that was stopped before it saved, are dropped. With
    ``tensorboard`` the same goes to the folder of this name beside it.
    """
    board = _board(folder, start) if tensorboard else None
    path, temporary = folder / LOG, folder / f".{LOG}.{os.getpid()}"
    kept = [line for line in _read_log(path) if int(line[0]) <= start]
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([LOG_COLUMNS, *kept])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def append(lines: Iterable[tuple[int, float, float]]) -> None:
            # As the shortest decimals that give the loss's float32 back.
            for step, loss, rate in lines:
                writer.writerow((step, np.float32(loss), rate))
                if board is not None:
                    board.add_scalar("loss", loss, step)
                    board.add_scalar("learning_rate", rate, step)
            file.flush()

        with nullcontext() if board is None else board:
            yield append


def _board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ValueError(
            "TensorBoard is not installed; pip install 'wildmiddle[tensorboard]'"
        ) from error
    return SummaryWriter(folder / "tensorboard", purge_step=start + 1)


def _read_log(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            lines = list(csv.reader(file))
        except csv.Error as error:
            raise ValueError(f"{path}: not a log of losses ({error}); move it away") from error
    # The last line may be cut short.
    return [line for line in lines if len(line) == len(LOG_COLUMNS) and line[0].isdecimal()]


def drop_log_temporaries(folder: Path) -> None:
    """Remove what killed runs have left half written; for the one who holds the folder."""
    for path in folder.glob(f".{LOG}.*"):
        path.unlink(missing_ok=True)
