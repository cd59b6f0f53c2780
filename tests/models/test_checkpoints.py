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

from safetensors.torch import save_file

from wildmiddle.empirical.data import load as load_data
from wildmiddle.models import checkpoints
from wildmiddle.models.checkpoints import PARTS
from wildmiddle.models.training import Training, train

SEED = 20261125


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


def edit(path, change, signed=True):
    """Change what a checkpoint's JSON says; its checksum too, unless told not to."""
    found = json.loads((path / "checkpoint.json").read_text())
    change(found)
    (path / "checkpoint.json").write_text(json.dumps(found))
    if signed:
        sign(path)


@pytest.mark.parametrize(
    "name", ["checkpoint.json", "SHA256SUMS", *(f"{part}.safetensors" for part in PARTS)]
)
def test_no_flipped_byte_is_used(folder, tmp_path, name) -> None:
    path = copy_of(folder, tmp_path)
    whole = (path / name).read_bytes()
    rng = np.random.default_rng(SEED)
    for at in rng.choice(len(whole), size=20, replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        (path / name).write_bytes(damaged)
        with pytest.warns(UserWarning, match="a damaged checkpoint, left aside"):
            assert checkpoints.newest_whole(path.parent) == 2
    (path / name).write_bytes(whole)
    assert checkpoints.newest_whole(path.parent) == 4


@pytest.mark.parametrize("part", ["ema", "weights"])
def test_loading_names_the_file_that_was_changed(folder, tmp_path, part) -> None:
    path = copy_of(folder, tmp_path)
    file = path / f"{part}.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1  # in the tensors, where safetensors itself sees nothing
    file.write_bytes(content)
    with pytest.raises(checkpoints.CheckpointError, match=rf"{part}\.safetensors: not what was"):
        checkpoints.load(path.parent, ema=part == "ema")


def test_an_edited_sigma_data_is_refused(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    edit(path, lambda found: found.update(sigma_data=2 * found["sigma_data"]), signed=False)
    with pytest.raises(
        checkpoints.CheckpointError, match=r"checkpoint\.json: not what was written"
    ):
        checkpoints.load(path.parent)


def test_missing_checksums_are_noticed(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    (path / "SHA256SUMS").unlink()
    with pytest.raises(checkpoints.CheckpointError, match="SHA256SUMS is missing"):
        checkpoints.load(path.parent)


def test_the_format_before_checksums_is_read_with_a_warning(folder, tmp_path) -> None:
    path = copy_of(folder, tmp_path)
    edit(path, lambda found: found.update(format=1))
    (path / "SHA256SUMS").unlink()
    x = torch.zeros(1, 8, 8)
    with pytest.warns(UserWarning, match="before checkpoints had checksums"):
        found = checkpoints.load(path.parent)
    assert torch.equal(found(x, 0.5), checkpoints.load(folder)(x, 0.5))


BAD_JSON = {
    "empty": (b"", "not JSON in UTF-8"),
    "truncated": (b'{"format": 2, "step"', "not JSON in UTF-8"),
    "byte order mark": (b'\xef\xbb\xbf{"format": 2}', "UTF-8 BOM"),
    "Latin-1": ('{"format": 2, "é": 1}'.encode("latin-1"), "not JSON in UTF-8"),
    "nested": (b"[" * 100_000, "not JSON in UTF-8"),
    "a list": (b"[2]", "of another format"),
    "a long number": (b'{"format": ' + b"9" * 10_000 + b"}", "not JSON in UTF-8"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_foreign_json_is_refused_in_one_line(folder, tmp_path, kind) -> None:
    path = copy_of(folder, tmp_path)
    content, message = BAD_JSON[kind]
    (path / "checkpoint.json").write_bytes(content)
    sign(path)
    with pytest.raises(checkpoints.CheckpointError, match=message) as refused:
        checkpoints.load(path.parent)
    assert str(path / "checkpoint.json") in str(refused.value)
    assert "\n" not in str(refused.value)


BAD_VALUES = {
    "extra": (lambda found: found.update(sigma=1), "'sigma' unknown"),
    "missing": (lambda found: found.pop("sigma_data"), "'sigma_data' missing"),
    "misspelt": (lambda found: found.update(stepp=found.pop("step")), "'stepp' unknown"),
    "misspelt setting": (lambda found: found["training"].update(seeed=1), "'seeed' unknown"),
    "missing setting": (lambda found: found["training"].pop("seed"), "'seed' missing"),
    "misspelt network": (lambda found: found["training"]["network"].update(width=1), "'width' unk"),
    "another step": (lambda found: found.update(step=3), "step = 3 is not"),
    "text for a number": (lambda found: found.update(sigma_data="0.5"), "sigma_data = 0.5 is not"),
    "nan": (lambda found: found.update(sigma_data=float("nan")), "sigma_data = nan is not"),
    "negative": (lambda found: found.update(sigma_data=-1.0), "sigma_data = -1.0 is not"),
    "training is a list": (lambda found: found.update(training=[1]), "named values are wanted"),
    "network is null": (lambda found: found["training"].update(network=None), "named values are"),
    "steps as text": (lambda found: found["training"].update(steps="4"), "steps = '4' must be an"),
    "gap as a number": (lambda found: found["training"].update(gap=3), "gap|iterable"),
    "widths as text": (
        lambda found: found["training"]["network"].update(widths="8"),
        "widths = '8'",
    ),
    "widths of floats": (
        lambda found: found["training"]["network"].update(widths=[8.0]),
        "widths = ",
    ),
    "a shape of text": (lambda found: found.update(image_shape=["8", "8"]), "image_shape = "),
    "an odd shape": (lambda found: found.update(image_shape=[8, 8, 5]), "give \\(H, W\\)"),
    "label as text": (lambda found: found.update(label="0"), "label = 0 is not"),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_wrong_values_are_refused_in_one_line(folder, tmp_path, kind) -> None:
    path = copy_of(folder, tmp_path)
    change, message = BAD_VALUES[kind]
    edit(path, change)
    with pytest.raises(checkpoints.CheckpointError, match=message) as refused:
        checkpoints.load(path.parent)
    assert str(path / "checkpoint.json") in str(refused.value)
    assert "\n" not in str(refused.value)


def with_first(tensors, value):
    name = min(tensors)
    return {**tensors, name: torch.full_like(tensors[name], value)}


BAD_TENSORS = {
    "nan": (lambda t: with_first(t, float("nan")), "holds NaN or infinite values"),
    "infinite": (lambda t: with_first(t, float("-inf")), "holds NaN or infinite values"),
    "extra": (lambda t: {**t, "extra": torch.ones(1)}, "1 names unknown, the first 'extra'"),
    "missing": (lambda t: dict(list(t.items())[1:]), "1 names missing"),
    "misspelt": (
        lambda t: {"conv_inn" + k[7:] if k[:7] == "conv_in" else k: v for k, v in t.items()},
        "2 names unknown, the first 'conv_inn",
    ),
    "wrapped": (lambda t: {f"module.{k}": v for k, v in t.items()}, "state_dict of model.module"),
    "shapes": (lambda t: {k: v[..., None] for k, v in t.items()}, "has shape"),
    "half": (lambda t: {k: v.half() for k, v in t.items()}, "a run writes float32"),
    "integers": (lambda t: {k: v.long() for k, v in t.items()}, "a run writes float32"),
    "empty": (lambda t: {}, "names missing"),
}


@pytest.mark.parametrize("kind", BAD_TENSORS)
def test_wrong_tensors_are_refused_in_one_line(folder, tmp_path, kind) -> None:
    path = copy_of(folder, tmp_path)
    change, message = BAD_TENSORS[kind]
    save_file(change(checkpoints.read_tensors(folder, 4, "ema")), path / "ema.safetensors")
    sign(path)
    with pytest.raises(checkpoints.CheckpointError, match=message) as refused:
        checkpoints.load(path.parent)
    assert str(path / "ema.safetensors") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04.", b"PK\x03\x04" * 50, b"\xff" * 64, b"\x02" + b"\0" * 7 + b"{}"]
)
def test_files_of_another_kind_are_refused_in_one_line(folder, tmp_path, content) -> None:
    path = copy_of(folder, tmp_path)
    (path / "ema.safetensors").write_bytes(content)
    sign(path)
    with pytest.raises(checkpoints.CheckpointError, match=r"ema\.safetensors: ") as refused:
        checkpoints.load(path.parent)
    assert "\n" not in str(refused.value)


def test_an_optimizer_of_another_network_is_not_gone_on_with(data, tiny, tmp_path) -> None:
    settings = Training(network=tiny, steps=4, batch_size=8, checkpoint_every=2)
    train(data.train, settings, tmp_path, stop_after=2)
    path = tmp_path / "step-00000002"
    moments = checkpoints.read_tensors(tmp_path, 2, "optimizer")
    name = next(name for name in moments if name.endswith("exp_avg"))
    save_file({**moments, name: moments[name][..., None]}, path / "optimizer.safetensors")
    sign(path)
    with pytest.raises(
        checkpoints.CheckpointError, match=rf"optimizer\.safetensors: {name} has sh"
    ):
        train(data.train, settings, tmp_path)


def test_weights_that_are_not_finite_are_not_saved(folder, tmp_path) -> None:
    tensors = {part: checkpoints.read_tensors(folder, 4, part) for part in PARTS}
    tensors["weights"] = with_first(tensors["weights"], float("inf"))
    with pytest.raises(ValueError, match="is not finite at step 4"):
        checkpoints.save(tmp_path, checkpoints.read(folder, 4), tensors)
    assert not list(tmp_path.iterdir())


def test_another_schedule_keeps_what_was_due_before(data, tiny, tmp_path) -> None:
    settings = Training(network=tiny, steps=6, batch_size=4, checkpoint_every=2)
    train(data.train, settings, tmp_path)
    longer = replace(settings, steps=11, checkpoint_every=5)
    train(data.train, longer, tmp_path, stop_after=7)
    assert checkpoints.steps(tmp_path) == [2, 4, 6, 7]
    train(data.train, longer, tmp_path)
    assert checkpoints.steps(tmp_path) == [2, 4, 6, 10, 11]
