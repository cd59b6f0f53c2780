"""The training loop: resuming, several processes, options and what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra train")
pytest.importorskip("accelerate", reason="needs the extra train")

from models import checkpoints
from models.parameterizations import NetworkDenoiser
from models.training import Training, ema_decay, learning_rate, train

PARTS = ("weights", "ema", "optimizer")


@pytest.fixture(scope="module")
def settings(tiny) -> Training:
    """Everything switched on that is random."""
    return Training(
        network=replace(tiny, dropout=0.1),
        steps=20,
        batch_size=8,
        warmup=5,
        decay="cosine",
        ema=3.0,
        gap=((0.2, 0.5),),
        flips=True,
        dummy=True,
        checkpoint_every=100,
    )


@pytest.fixture(scope="module")
def whole(images, settings, tmp_path_factory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train(images, settings, folder)
    return folder


def log_of(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.reader(file))


def require_same(one: Path, other: Path, step: int) -> None:
    for part in PARTS:
        a = checkpoints.read_tensors(one, step, part)
        b = checkpoints.read_tensors(other, step, part)
        assert a.keys() == b.keys()
        different = [name for name in a if not torch.equal(a[name], b[name])]
        assert not different, f"{part} of step {step}: {different} differ"
    assert log_of(one) == log_of(other)


@pytest.fixture
def watch():
    """What every trained denoiser was called with: images, sigmas, labels."""
    calls = []

    def note(module, arguments):
        if isinstance(module, NetworkDenoiser) and module.training:
            calls.append(arguments)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield calls
    handle.remove()


def test_a_resumed_run_is_the_uninterrupted_one(images, settings, whole, tmp_path) -> None:
    train(images, settings, tmp_path, stop_after=7)
    assert checkpoints.steps(tmp_path) == [7]
    train(images, settings, tmp_path, stop_after=10)
    resumed = train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)
    assert checkpoints.steps(tmp_path) == [20]  # what the stops left is gone
    x = torch.as_tensor(images)
    torch.testing.assert_close(resumed(x, 0.5), checkpoints.load(whole)(x, 0.5), rtol=0, atol=0)


@pytest.mark.parametrize("objective", ["ddpm", "flow"])
def test_every_objective_resumes(images, settings, tmp_path, objective) -> None:
    gap = ((100, 300),) if objective == "ddpm" else settings.gap
    settings = replace(settings, objective=objective, gap=gap, steps=6)
    train(images, settings, tmp_path / "whole")
    train(images, settings, tmp_path / "parts", stop_after=3)
    train(images, settings, tmp_path / "parts")
    require_same(tmp_path / "whole", tmp_path / "parts", 6)


def test_a_run_killed_between_checkpoints_loses_nothing_but_time(
    images, settings, whole, tmp_path, monkeypatch
) -> None:
    settings = replace(settings, checkpoint_every=5)

    class Killed(BaseException):
        pass

    def killed(path, target):
        if "00000015" in str(target):
            raise Killed
        return os.replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(Killed):
            train(images, settings, tmp_path)
    # The log is ahead of the checkpoint, and a half-written one lies about.
    assert checkpoints.steps(tmp_path) == [5, 10]
    assert log_of(tmp_path)[-1][0] == "15"
    train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)
    assert checkpoints.steps(tmp_path) == [5, 10, 15, 20]


def test_a_damaged_checkpoint_is_left_aside(images, settings, whole, tmp_path) -> None:
    settings = replace(settings, checkpoint_every=10)
    train(images, settings, tmp_path)
    path = tmp_path / "step-00000020" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="step-00000020: a damaged checkpoint"):
        train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)


def test_a_finished_run_is_not_run_again(images, settings, tmp_path, watch) -> None:
    train(images, settings, tmp_path, stop_after=3)
    count = len(watch)
    train(images, settings, tmp_path, stop_after=3)
    assert len(watch) == count == 3
    # Longer or with more checkpoints is the same run, but for a decay that ends later.
    train(images, replace(settings, checkpoint_every=7), tmp_path, stop_after=4)
    with pytest.raises(ValueError, match="a run with steps = 20, not 30"):
        train(images, replace(settings, steps=30), tmp_path)


def test_more_steps_go_on_where_the_rate_does_not_depend_on_them(
    images, settings, tmp_path
) -> None:
    settings = replace(settings, decay="none")
    train(images, settings, tmp_path / "whole")
    train(images, replace(settings, steps=8), tmp_path / "parts")
    train(images, settings, tmp_path / "parts")
    require_same(tmp_path / "whole", tmp_path / "parts", 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    images, settings, whole, tmp_path, monkeypatch, number
) -> None:
    before = signal.getsignal(number)
    draw = sys.modules["models.training"].draw_batch

    def interrupted(seed, step, *rest):
        if step == 4:
            os.kill(os.getpid(), number)
        return draw(seed, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("models.training.draw_batch", interrupted)
        with pytest.raises(KeyboardInterrupt, match="after step 5 of 20 and saved in .* goes on"):
            train(images, settings, tmp_path)
    assert signal.getsignal(number) is before
    assert checkpoints.steps(tmp_path) == [5]
    train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)


def test_training_runs_outside_the_main_thread(images, settings, tmp_path) -> None:
    thread = threading.Thread(target=train, args=(images, settings, tmp_path))
    thread.start()
    thread.join()
    assert checkpoints.steps(tmp_path) == [20]


SHARED = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from models import checkpoints
from models.training import NetworkDenoiser, train

seen = []

def note(module, arguments):
    if isinstance(module, NetworkDenoiser) and module.training:
        seen.append([values.tolist() for values in arguments])

torch.nn.modules.module.register_module_forward_pre_hook(note)
folder = Path(sys.argv[1])
settings = checkpoints.read(folder / "one").training
images = np.load(folder / "images.npy", allow_pickle=False)
train(images, settings, folder / "two", device="cpu", stop_after=5)
train(images, settings, folder / "two", device="cpu")
world = torch.distributed.get_world_size(), torch.distributed.get_backend()
(folder / f"{torch.distributed.get_rank()}.json").write_text(json.dumps([world, seen]))
torch.distributed.destroy_process_group()
"""


def test_two_processes_are_one(images, settings, tmp_path, watch) -> None:
    # Without attention and with several channels a group: a bias that cannot matter has a gradient
    # of rounding errors alone, which Adam blows up.
    settings = replace(settings, network=replace(settings.network, dropout=0.0), steps=10)
    train(images, settings, tmp_path / "one")
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "shared.py").write_text(SHARED)
    packages = str(Path(checkpoints.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node", "2", str(tmp_path / "shared.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = []
    for rank in (0, 1):
        world, calls = json.loads((tmp_path / f"{rank}.json").read_text())
        assert world == [2, "gloo"]
        seen.append(calls)
    # Each step's noisy images, sigmas and labels: the same, in the same order, each seen once.
    assert len(watch) == 10
    for step, alone in enumerate(watch):
        for i, values in enumerate(alone):
            assert seen[0][step][i] + seen[1][step][i] == values.tolist()
    for part in PARTS:
        a = checkpoints.read_tensors(tmp_path / "one", 10, part)
        b = checkpoints.read_tensors(tmp_path / "two", 10, part)
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)
    logs = [np.array(log_of(tmp_path / name)[1:], float) for name in ("one", "two")]
    assert logs[0].shape == (10, 3)
    np.testing.assert_allclose(*logs, rtol=1e-4)
