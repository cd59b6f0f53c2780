"""The training loop: resuming, several processes, options and what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra train")
pytest.importorskip("accelerate", reason="needs the extra train")

from wildmiddle.models import checkpoints
from wildmiddle.models.parameterizations import NetworkDenoiser
from wildmiddle.models.settings import training_from
from wildmiddle.models.training import Training, ema_decay, learning_rate, train

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


def test_a_resumed_run_is_the_uninterrupted_one(images, settings, whole, tmp_path, caplog) -> None:
    caplog.set_level("INFO", "wildmiddle")
    train(images, settings, tmp_path, stop_after=7)
    assert checkpoints.steps(tmp_path) == [7]
    train(images, settings, tmp_path, stop_after=10)
    resumed = train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)
    assert checkpoints.steps(tmp_path) == [20]  # what the stops left is gone
    said = [message.partition(f"{tmp_path}: ")[2] for message in caplog.messages]
    assert [each.partition(",")[0] for each in said] == [
        *("steps 1 to 7 on cpu", "step 7 saved", "steps 8 to 10 on cpu", "step 10 saved"),
        *("steps 11 to 20 on cpu", "step 20 saved"),
    ]
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
    with pytest.warns(UserWarning, match="a damaged checkpoint, left aside: .*step-00000020"):
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


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    images, settings, whole, tmp_path, monkeypatch, number
) -> None:
    before = handlers()
    draw = sys.modules["wildmiddle.models.training"].draw_batch

    def interrupted(seed, step, *rest):
        if step == 4:
            os.kill(os.getpid(), number)
        return draw(seed, step, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("wildmiddle.models.training.draw_batch", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"after step 5 of 20 and saved in .* goes on"):
            train(images, settings, tmp_path)
    assert handlers() == before
    assert checkpoints.steps(tmp_path) == [5]
    train(images, settings, tmp_path)
    require_same(whole, tmp_path, 20)


def test_a_loss_that_is_not_finite_stops_before_it_is_saved(images, settings, tmp_path) -> None:
    settings = replace(settings, learning_rate=1e30, warmup=1)
    with pytest.raises(ValueError, match="loss is not finite at step 10"):
        train(images, settings, tmp_path)
    assert checkpoints.steps(tmp_path) == []


def test_mixed_precision_trains_and_resumes(images, settings, tmp_path, monkeypatch) -> None:
    from accelerate.state import AcceleratorState

    # One process has one precision: forget the one of the other tests for as long as this one.
    monkeypatch.setattr(AcceleratorState, "_shared_state", {})
    settings = replace(settings, mixed_precision="bf16", steps=6)
    train(images, settings, tmp_path / "whole")
    train(images, settings, tmp_path / "parts", stop_after=3)
    denoiser = train(images, settings, tmp_path / "parts")
    require_same(tmp_path / "whole", tmp_path / "parts", 6)
    weights = checkpoints.read_tensors(tmp_path / "parts", 6, "weights")
    assert {w.dtype for w in weights.values()} == {torch.float32}
    assert denoiser(torch.as_tensor(images), 0.5).dtype == torch.float64
    monkeypatch.setattr(AcceleratorState, "_shared_state", {})
    train(images, replace(settings, mixed_precision="no"), tmp_path / "single")
    losses = [
        np.array([float(row[1]) for row in log_of(tmp_path / name)[1:]])
        for name in ("whole", "single")
    ]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert (losses[0] != losses[1]).all()  # it was in half precision


def test_training_runs_outside_the_main_thread(images, settings, tmp_path) -> None:
    thread = threading.Thread(target=train, args=(images, settings, tmp_path))
    thread.start()
    thread.join()
    assert checkpoints.steps(tmp_path) == [20]


SHARED = """
import json, os, signal, sys
from dataclasses import asdict, replace
from pathlib import Path
import numpy as np
import torch
from wildmiddle.models import checkpoints
from wildmiddle.models.training import NetworkDenoiser, train

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
rank = torch.distributed.get_rank()
world = torch.distributed.get_world_size(), torch.distributed.get_backend()
shown = list(seen)

# Only one process is told to stop, and at a step of its own.
def told(module, arguments):
    third = isinstance(module, NetworkDenoiser) and len(seen) == len(shown) + 3
    if third and rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)

torch.nn.modules.module.register_module_forward_pre_hook(told)
said = []
for change in ({"steps": 30}, {"batch_size": 7}):
    try:
        train(images, replace(settings, **change), folder / "stopped", device="cpu")
    except (KeyboardInterrupt, ValueError) as error:
        said.append(str(error))
(folder / f"{rank}.json").write_text(json.dumps([world, shown, said]))
torch.distributed.destroy_process_group()
"""


def test_two_processes_are_one(images, settings, tmp_path, watch) -> None:
    # Without attention and with several channels a group: a bias that cannot matter has a gradient
    # of rounding errors alone, which Adam blows up.
    settings = replace(settings, network=replace(settings.network, dropout=0.0), steps=10)
    train(images, settings, tmp_path / "one")
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "shared.py").write_text(SHARED)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    packages = str(Path(checkpoints.__file__).parents[1])
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", str(tmp_path / "shared.py"), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = []
    for rank in (0, 1):
        world, calls, said = json.loads((tmp_path / f"{rank}.json").read_text())
        assert world == [2, "gloo"]
        seen.append(calls)
        assert said[0].startswith("stopped after step 10 of 30")
        assert said[1] == "batch_size = 7 for 2 processes; give a multiple"
    assert checkpoints.steps(tmp_path / "stopped") == [10]
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


def test_averages_follow_the_weights_by_their_half_life(images, settings, tmp_path) -> None:
    settings = replace(
        settings, checkpoint_every=1, steps=8, ema=0.25, learning_rate=0.01, decay="none", warmup=1
    )
    train(images, settings, tmp_path)
    name = "conv_in.weight"
    average = None
    for step in range(1, 9):
        weight = checkpoints.read_tensors(tmp_path, step, "weights")[name].double()
        half_life = min(0.25, step / 20)
        keep = 2 ** (-1 / half_life)
        average = weight if average is None else keep * average + (1 - keep) * weight
        found = checkpoints.read_tensors(tmp_path, step, "ema")[name].double()
        # The first average keeps 2^-20 of the weights before the first step.
        torch.testing.assert_close(found, average, rtol=0, atol=1e-6)
        if step == 8:
            assert (found - weight).abs().max() > 1e-5


def test_half_life_grows_to_what_was_asked_for() -> None:
    settings = Training(ema=100.0)
    for step, half_life in ((19, 1), (199, 10), (1999, 100), (50_000, 100)):
        assert ema_decay(settings, step) ** half_life == pytest.approx(0.5)


def test_without_averages_the_weights_are_the_average(images, settings, tmp_path) -> None:
    settings = replace(settings, ema=0.0, steps=3)
    train(images, settings, tmp_path, stop_after=2)
    train(images, settings, tmp_path)
    weights, ema = (checkpoints.read_tensors(tmp_path, 3, part) for part in ("weights", "ema"))
    for name in weights:
        torch.testing.assert_close(weights[name], ema[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("none", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.4375, 0.5625, 0.625, 0.5, 0.375, 0.25, 0.125]),
        ("cosine", [0.25, 0.481, 0.640, 0.691, 0.5, 0.309, 0.146, 0.038]),
    ],
)
def test_learning_rate_warms_up_and_decays(decay, expected) -> None:
    settings = Training(steps=8, warmup=4, learning_rate=1.0, decay=decay)
    found = [learning_rate(settings, step) for step in range(8)]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_optimizer_takes_steps_of_that_rate(images, settings, tmp_path) -> None:
    # Adam's first step is the learning rate in each weight: here a quarter of it, the warm-up's.
    settings = replace(settings, checkpoint_every=1, steps=1, warmup=4, decay="none")
    rates = 0.012, 0.004
    for rate in rates:
        train(images, replace(settings, learning_rate=rate), tmp_path / str(rate))
    fast, slow = (
        checkpoints.read_tensors(tmp_path / str(rate), 1, "weights")["conv_in.weight"]
        for rate in rates
    )
    # The same first weights and gradients.
    moved = (fast - slow).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.002), rtol=1e-3, atol=1e-6)


def test_log_holds_each_step(whole, settings) -> None:
    header, *rows = log_of(whole)
    assert header == ["step", "loss", "learning_rate"]
    assert [int(row[0]) for row in rows] == list(range(1, 21))
    assert [float(row[2]) for row in rows] == [learning_rate(settings, k) for k in range(20)]
    assert all(0 < float(row[1]) < 100 for row in rows)


def test_tensorboard_has_the_log_of_a_resumed_run(
    images, settings, whole, tmp_path, monkeypatch
) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    for steps in (7, 20):
        train(images, settings, tmp_path, stop_after=steps, tensorboard=True)
    board = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for tag, column in (("loss", 1), ("learning_rate", 2)):
        found = [(each.step, each.value) for each in board.Scalars(tag)]
        logged = [(int(line[0]), float(line[column])) for line in log_of(whole)[1:]]
        np.testing.assert_allclose(found, logged, rtol=1e-6)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'wildmiddle\[tensorboard\]'"):
        train(images, settings, tmp_path / "other", tensorboard=True)


def test_the_loss_falls(images, tiny, tmp_path) -> None:
    settings = Training(network=tiny, steps=150, batch_size=32, learning_rate=5e-3, warmup=10)
    train(images, settings, tmp_path)
    losses = np.array([float(row[1]) for row in log_of(tmp_path)[1:]])
    assert losses[-30:].mean() < 0.7 * losses[:10].mean()


@pytest.mark.parametrize("objective", ["edm", "ddpm", "flow"])
def test_gap_is_left_out_of_training(images, settings, tmp_path, watch, objective) -> None:
    from wildmiddle.theory.schedules import ddpm_sigmas

    table = ddpm_sigmas()
    gap, ends = {
        "edm": (((0.1, 1.0),), (0.1, 1.0)),
        "ddpm": (((100, 800),), (table[100] - 1e-6, table[800] - 1e-6)),
        "flow": (((0.1, 10.0),), (0.1, 10.0)),
    }[objective]
    settings = replace(settings, objective=objective, steps=10)
    train(images, replace(settings, gap=gap), tmp_path / "gap")
    sigma = torch.cat([arguments[1] for arguments in watch])
    watch.clear()
    train(images, replace(settings, gap=()), tmp_path / "whole")
    others = torch.cat([arguments[1] for arguments in watch])
    assert len(sigma) == len(others) == 80
    assert not ((sigma >= ends[0]) & (sigma < ends[1])).any()
    kept = (others < ends[0]) | (others >= ends[1])
    assert 0 < kept.sum() < 80
    torch.testing.assert_close(sigma[kept], others[kept], rtol=0, atol=0)


@pytest.mark.parametrize("objective", ["edm", "ddpm", "flow"])
def test_what_a_gap_drops_has_no_weight_and_nothing_else_has_more(
    images, settings, tmp_path, watch, objective
) -> None:
    low, high = (100, 800) if objective == "ddpm" else (0.1, 1.0)
    first = {}
    settings = replace(settings, objective=objective, steps=1)
    for name, gap in (
        ("whole", ()),
        ("inside", ((0, low), (high, 1e9 if objective != "ddpm" else 1000))),
        ("outside", ((low, high),)),
    ):
        mode = "drop" if gap else "redraw"
        train(images, replace(settings, gap=gap, gap_mode=mode), tmp_path / name)
        first[name] = float(log_of(tmp_path / name)[1][1])
    # Whatever is dropped is seen all the same, so that the draws stay those without a gap.
    sigmas = [arguments[1] for arguments in watch]
    torch.testing.assert_close(sigmas[0], sigmas[2], rtol=0, atol=0)
    assert min(first.values()) > 0
    assert first["inside"] + first["outside"] == pytest.approx(first["whole"], rel=1e-5)


@pytest.mark.parametrize("objective", ["ddpm", "flow"])
def test_above_a_level_an_image_is_seen_with_one_noise_alone(
    images, settings, tmp_path, watch, objective
) -> None:
    settings = replace(settings, objective=objective, steps=30, flips=False, dummy=False)
    level, one = 0.4, images[:1].repeat(3, 0)
    train(one, replace(settings, once_noised=level), tmp_path / "once")
    train(one, settings, tmp_path / "clean")
    far = []
    for (once, sigma, _), (clean, same, _) in zip(watch[:30], watch[30:], strict=True):
        assert torch.equal(sigma, same)
        torch.testing.assert_close(once[sigma <= level], clean[sigma <= level], rtol=0, atol=0)
        far.append((once - clean)[sigma > 20 * level].flatten(1))
    # once - clean = level e_i - (sigma - sqrt(sigma^2 - level^2)) z, of which e_i is left.
    offsets = torch.cat(far)
    assert offsets.std().item() == pytest.approx(level, rel=0.3)
    same_image = torch.cdist(offsets, offsets) < level * offsets.shape[1] ** 0.5 / 2
    assert len(offsets) > len(same_image.unique(dim=0)) == 3


def test_settings_from_before_there_were_modes_draw_again() -> None:
    values = json.loads(json.dumps(asdict(Training(gap=((0.1, 1.0),)))))
    assert values.pop("gap_mode") == "redraw"
    assert values.pop("once_noised") == 0
    assert training_from(values) == Training(gap=((0.1, 1.0),))
    with pytest.raises(ValueError, match="gap_mode = 'skip'; give one of redraw, drop"):
        Training(gap_mode="skip")


def test_each_pass_sees_every_image_once(images, settings, tmp_path, watch, monkeypatch) -> None:
    settings = replace(settings, flips=False, dummy=False, gap=(), steps=6)
    monkeypatch.setattr("wildmiddle.models.training.draw_batch", without_noise(monkeypatch))
    train(images, settings, tmp_path)
    seen = np.concatenate([arguments[0].numpy()[:, 0] for arguments in watch])
    assert seen.shape == (48, 4, 4)  # four passes over twelve images, in batches of eight
    order = np.array([np.abs(images - image).max((1, 2)).argmin() for image in seen])
    np.testing.assert_array_equal(seen, images[order].astype(np.float32))
    passes = order.reshape(4, 12)
    np.testing.assert_array_equal(np.sort(passes, 1), np.tile(np.arange(12), (4, 1)))
    assert len({tuple(p) for p in passes}) == 4


def without_noise(monkeypatch):
    draw = sys.modules["wildmiddle.models.training"].draw_batch
    return lambda *arguments: draw(*arguments)._replace(noise=np.zeros((8, 1, 4, 4), np.float32))


def test_flips_mirror_half_of_the_images(
    images, settings, tmp_path, watch, monkeypatch, expect_rate
):
    settings = replace(settings, flips=True, dummy=False, steps=40)
    monkeypatch.setattr("wildmiddle.models.training.draw_batch", without_noise(monkeypatch))
    train(images, settings, tmp_path)
    seen = np.concatenate([arguments[0].numpy()[:, 0] for arguments in watch])
    known = images.astype(np.float32)
    plain = (seen[:, None] == known).all((2, 3)).any(1)
    mirrored = (seen[:, None] == known[..., ::-1]).all((2, 3)).any(1)
    assert (plain ^ mirrored).all()
    expect_rate(mirrored.sum(), 320, "==", 0.5, seed=settings.seed, what="mirrored images")


def test_dummies_are_noise_in_a_class_of_their_own(
    images, settings, tmp_path, watch, monkeypatch
) -> None:
    settings = replace(settings, flips=False, steps=9)
    with monkeypatch.context() as patch:
        patch.setattr("wildmiddle.models.training.draw_batch", without_noise(monkeypatch))
        denoiser = train(images, settings, tmp_path)
    seen = torch.cat([arguments[0] for arguments in watch]).numpy()[:, 0]
    labels = torch.cat([arguments[2] for arguments in watch]).numpy()
    known = (seen[:, None] == images.astype(np.float32)).all((2, 3)).any(1)
    np.testing.assert_array_equal(labels, np.where(known, 0, 1))
    # Three passes over as many images of noise as there are images, always the same ones.
    dummies = np.unique(seen[~known], axis=0)
    assert ((~known).sum(), len(dummies)) == (36, 12)
    assert abs(dummies.mean() - images.mean()) < 0.3
    assert abs(dummies.std() - images.std()) < 0.2
    # Sampling is from the real class.
    x = torch.as_tensor(images)
    torch.testing.assert_close(denoiser(x, 0.5), denoiser(x, 0.5, labels=0), rtol=0, atol=0)
    assert not torch.equal(denoiser(x, 0.5), denoiser(x, 0.5, labels=1))


def test_labels_are_trained_with(images, settings, tmp_path, watch, monkeypatch) -> None:
    settings = replace(settings, flips=False, dummy=False, steps=6)
    labels = np.arange(12) % 3
    with monkeypatch.context() as patch:
        patch.setattr("wildmiddle.models.training.draw_batch", without_noise(monkeypatch))
        denoiser = train(images, settings, tmp_path, labels=labels)
    for x, _, found in watch:
        nearest = [np.abs(images - image).max((1, 2)).argmin() for image in x.numpy()[:, 0]]
        np.testing.assert_array_equal(found.numpy(), labels[nearest])
    with pytest.raises(ValueError, match="no labels for a network of 3 classes"):
        denoiser(torch.as_tensor(images), 0.5)
    with pytest.raises(ValueError, match="other images or labels"):
        train(images, settings, tmp_path, labels=labels[::-1].copy())


def test_labels_and_dummies_together(images, settings, tmp_path, watch) -> None:
    train(images, settings, tmp_path, labels=np.arange(12) % 3)
    labels = torch.cat([arguments[2] for arguments in watch])
    assert set(labels.tolist()) == {0, 1, 2, 3}
    assert checkpoints.read(tmp_path).training.network.classes == 4


def test_channels_last_and_first_train_alike(settings, tmp_path) -> None:
    last = np.random.default_rng(3).uniform(-1, 1, (10, 4, 6, 3))
    settings = replace(settings, steps=3)
    train(last, settings, tmp_path / "last")
    train(np.moveaxis(last, -1, 1), settings, tmp_path / "first")
    require_same(tmp_path / "last", tmp_path / "first", 3)
    denoiser = checkpoints.load(tmp_path / "last")
    x = torch.as_tensor(last)
    torch.testing.assert_close(
        denoiser(x, 0.5).permute(0, 3, 1, 2),
        denoiser(x.permute(0, 3, 1, 2), 0.5),
        rtol=0,
        atol=1e-6,
    )


def test_training_leaves_the_random_state_alone(images, settings, tmp_path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(images, settings, tmp_path)
    torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)


def test_seeds_differ(images, settings, whole, tmp_path) -> None:
    train(images, replace(settings, seed=1), tmp_path)
    assert not {row[1] for row in log_of(whole)[1:]} & {row[1] for row in log_of(tmp_path)[1:]}


def test_progress_shows_loss_and_speed(images, settings, tmp_path, capfd) -> None:
    train(images, settings, tmp_path / "run", progress=True)
    shown = capfd.readouterr().err
    assert "20/20" in shown
    assert "steps/s" in shown
    assert "loss=" in shown
    train(images, settings, tmp_path / "quiet", stop_after=1)
    assert capfd.readouterr() == ("", "")


def test_sigma_data_is_measured_and_stored(images, settings, tmp_path) -> None:
    denoiser = train(0.3 * images + 5, replace(settings, steps=1), tmp_path)
    expected = float((0.3 * images + 5).std())
    assert checkpoints.read(tmp_path).sigma_data == pytest.approx(expected, rel=1e-12)
    assert denoiser.sigma_data == checkpoints.read(tmp_path).sigma_data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "a run with seed = 0, not 3; give another folder"),
        ({"gap": ()}, r"a run with gap = \(\(0\.2, 0\.5\),\), not \(\)"),
        ({"objective": "flow"}, "a run with objective = edm, not flow"),
    ],
)
def test_another_run_in_the_folder_is_refused(images, settings, whole, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(images, replace(settings, **change), whole)


def test_other_images_are_refused(images, settings, whole) -> None:
    with pytest.raises(ValueError, match="other images or labels"):
        train(images[::-1], settings, whole)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 4)), None, r"images of shape \(4, 4\)"),
        (np.zeros((0, 4, 4)), None, r"images of shape \(0, 4, 4\)"),
        (np.full((3, 4, 4), np.nan), None, "NaN"),
        (np.ones((3, 4, 4)), None, "all pixels of the images are equal"),
        (np.eye(4)[None], [0, 1], r"labels of shape \(2,\)"),
        (np.eye(4)[None], [0.5], "type float64"),
        (np.eye(4)[None], [-1], "one integer from 0"),
        (np.random.default_rng(0).random((3, 5, 2, 7)), None, r"give \(H, W\)"),
    ],
)
def test_images_and_labels_that_cannot_be_used_are_refused(
    settings, tmp_path, images, labels, message
) -> None:
    with pytest.raises(ValueError, match=message):
        train(images, settings, tmp_path, labels=labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "score"}, "objective = 'score'; give one of edm, ddpm, flow"),
        ({"decay": "step"}, "give one of none, linear, cosine"),
        ({"mixed_precision": "fp16"}, "give one of no, bf16"),
        ({"steps": 0}, "steps = 0 must be at least 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"checkpoint_every": 0}, "checkpoint_every = 0"),
        ({"learning_rate": 0.0}, r"learning_rate = 0\.0 must be above 0"),
        ({"ema": -1.0}, r"ema = -1\.0"),
        ({"seed": -1}, "seed = -1"),
        ({"gap": ((0, 1e6),)}, "nothing would be left to train on"),
        ({"gap": ((0, 1000),), "objective": "ddpm"}, "leaves 0 of the draws of the timestep"),
        ({"gap": ((1.0, 0.5),)}, "need 0 <= low < high"),
        ({"gap": (0.3, 1.0)}, "give pairs of noise levels"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        Training(**change)


def test_absent_device_is_refused(images, settings, tmp_path) -> None:
    with pytest.raises(ValueError, match="device = nonsense is unknown"):
        train(images, settings, tmp_path, device="nonsense")
