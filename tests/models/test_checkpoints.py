"""Checkpoints: what they hold, and that reading them runs nothing."""

import json
import pickle
import shutil
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.empirical.data import load as load_data
from wildmiddle.models import checkpoints
from wildmiddle.models.training import Training, train


@pytest.fixture(scope="module")
def data():
    return load_data("digits", train_size=30, test_size=10)


@pytest.fixture(scope="module")
def folder(data, tiny, tmp_path_factory):
    settings = Training(
        network=tiny, steps=4, batch_size=8, checkpoint_every=2, gap=((0.1, 0.2), (0.5, 0.9))
    )
    folder = tmp_path_factory.mktemp("run")
    train(data.train, settings, folder, data=data)
    return folder


def test_json_holds_the_whole_configuration(folder, data, tiny) -> None:
    text = (folder / "step-00000004" / "checkpoint.json").read_text()
    found = json.loads(text)
    assert found["step"] == 4
    assert found["training"]["objective"] == "edm"
    assert found["training"]["gap"] == [[0.1, 0.2], [0.5, 0.9]]
    assert found["training"]["network"]["widths"] == [8]
    assert found["sigma_data"] == data.sigma_data
    assert found["image_shape"] == [8, 8]
    assert found["images"]["count"] == 30
    assert found["data"]["sha256"] == data.sha256
    assert found["data"]["train_indices"] == data.train_indices.tolist()
    assert found["data"]["test_indices"] == data.test_indices.tolist()
    assert found["versions"]["torch"] == torch.__version__


def test_settings_come_back_as_they_were(folder, tiny) -> None:
    expected = Training(
        network=tiny, steps=4, batch_size=8, checkpoint_every=2, gap=((0.1, 0.2), (0.5, 0.9))
    )
    assert checkpoints.read(folder).training == expected
    assert checkpoints.read(folder, 2).step == 2


def test_several_checkpoints_are_kept_and_loaded(folder) -> None:
    assert checkpoints.steps(folder) == [2, 4]
    x = torch.linspace(-1, 1, 64).reshape(1, 8, 8)
    newest, named = checkpoints.load(folder)(x, 0.5), checkpoints.load(folder, 4)(x, 0.5)
    torch.testing.assert_close(newest, named, rtol=0, atol=0)
    assert not torch.equal(newest, checkpoints.load(folder, 2)(x, 0.5))
    assert not torch.equal(newest, checkpoints.load(folder, ema=False)(x, 0.5))


def test_loaded_denoiser_is_ready_and_differentiable(folder) -> None:
    denoiser = checkpoints.load(folder, device="cpu")
    assert not denoiser.training
    assert not any(p.requires_grad for p in denoiser.parameters())
    x = torch.zeros(2, 8, 8, requires_grad=True)
    denoiser(x, 0.5).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize("objective", ["edm", "ddpm", "flow"])
def test_each_objective_loads_as_it_was_trained(data, tiny, tmp_path, objective) -> None:
    settings = Training(
        network=tiny, objective=objective, steps=2, batch_size=4, timesteps=50, beta_end=0.3
    )
    trained = train(data.train, settings, tmp_path)
    loaded = checkpoints.load(tmp_path)
    assert type(trained).__name__.lower().startswith(objective)
    x = torch.as_tensor(data.test)
    torch.testing.assert_close(trained(x, 0.7), loaded(x, 0.7), rtol=0, atol=0)
    if objective == "ddpm":
        assert len(loaded.sigmas) == 50
        assert float(loaded.sigmas[-1]) == pytest.approx(
            np.sqrt(1 / np.prod(1 - np.linspace(1e-4, 0.3, 50)) - 1), rel=1e-5
        )


def test_missing_checkpoints_are_named(folder, tmp_path) -> None:
    with pytest.raises(ValueError, match="no checkpoint in it"):
        checkpoints.load(tmp_path)
    with pytest.raises(ValueError, match="no checkpoint in it"):
        checkpoints.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no checkpoint of step 3; has \[2, 4\]"):
        checkpoints.load(folder, 3)


def sign(path):
    """Checksums of the files as they are now, as ``sha256sum`` makes them."""
    names = ["checkpoint.json", *(f"{part}.safetensors" for part in checkpoints.PARTS)]
    sums = [f"{sha256((path / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (path / "SHA256SUMS").write_text("".join(sums))


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy") / "step-00000004"


def test_pickles_are_refused(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    state = checkpoints.read_tensors(folder, 4, "ema")
    torch.save(state, path / "ema.safetensors")
    with pytest.warns(UserWarning, match="damaged"):
        assert checkpoints.steps(path.parent) == [2]
    (path / "checkpoint.json").write_bytes(pickle.dumps({"step": 4}))
    with pytest.raises(ValueError, match=r"."):
        checkpoints.read(path.parent, 4)


def test_another_format_is_refused(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path) / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))
    sign(path.parent)
    with pytest.raises(ValueError, match="of another format"):
        checkpoints.load(path.parents[1])


def test_saving_again_changes_nothing(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    tensors = {part: checkpoints.read_tensors(folder, 4, part) for part in checkpoints.PARTS}
    checkpoints.save(path.parent, checkpoints.read(folder, 4), tensors)
    assert {p.name: p.stat().st_mtime_ns for p in path.iterdir()} == before


@pytest.mark.parametrize("missing", ["checkpoint.json", "weights.safetensors"])
def test_a_checkpoint_in_parts_is_not_seen(folder, tmp_path, missing) -> None:
    path = copy_of(folder, tmp_path)
    (path / missing).unlink()
    with pytest.warns(UserWarning, match="damaged"):
        assert checkpoints.steps(path.parent) == [2]


def test_what_is_left_of_a_crash_is_not_a_checkpoint(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    path.rename(path.with_name(".step-00000004.123"))
    assert checkpoints.steps(path.parent) == [2]


def test_only_checkpoints_off_the_schedule_are_dropped(data, tiny, tmp_path) -> None:
    settings = Training(network=tiny, steps=9, batch_size=4, checkpoint_every=3)
    for stop in (2, 3, 5, 6):
        train(data.train, settings, tmp_path, stop_after=stop)
    assert checkpoints.steps(tmp_path) == [3, 6]
    train(data.train, settings, tmp_path)
    assert checkpoints.steps(tmp_path) == [3, 6, 9]
    assert replace(checkpoints.read(tmp_path, 3), step=9) == checkpoints.read(tmp_path)
