"""The audit of a model: denoisers whose copying is known, in each form that a model may have."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from wildmiddle.checks.audit.model import (
    Model,
    audit_model,
    common_range,
    is_model,
    load_model,
    training_doubt,
    watch_samples,
)
from wildmiddle.checks.cli import main
from wildmiddle.empirical.data import DataSet, load, load_images
from wildmiddle.models.images import to_channels_first
from wildmiddle.models.networks import Network
from wildmiddle.models.training import Training
from wildmiddle.models.training import train as train_into
from wildmiddle.theory.schedules import edm_sigmas

MODELS = """
import numpy as np
import torch
import wildmiddle
from wildmiddle.models import GaussianDenoiser

train = wildmiddle.to_channels_first(np.load({train!r}))

def copier():
    return wildmiddle.EmpiricalDenoiser(train)

def gaussian():
    rows = train.flatten(1)
    return GaussianDenoiser(train.mean(0), rows.T.cov())

def mirrors():
    return wildmiddle.EmpiricalDenoiser(train.flip(-1))

def in_0_1():
    return wildmiddle.EmpiricalDenoiser((train + 1) / 2)

def in_0_1_but_for_overshoot():
    return lambda x, sigma: in_0_1()(x, sigma) - 0.05

def cut():
    return lambda x, sigma: x[:1]

def no_tensor():
    return lambda x, sigma: x.numpy()

def nothing():
    pass

def needy(path):
    return copier()

def breaks():
    return lambda x, sigma: x / 0 + undefined

def of_one_argument():
    return lambda x: x
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    data = load("digits", train_size=40, test_size=60)
    folder = tmp_path_factory.mktemp("models")
    for name, images in (("train", data.train), ("test", data.test)):
        np.save(folder / f"{name}.npy", images)
        np.save(folder / f"{name}_0_1.npy", (images + 1) / 2)
    text = MODELS.format(train=str(folder / "train.npy"))
    (folder / "mine.py").write_text(text)
    names = re.findall(r"^def (\w+)", text, re.MULTILINE)
    arrays = {path.stem: str(path) for path in folder.glob("*.npy")}
    return arrays | {name: f"{folder / 'mine.py'}:{name}" for name in names}


def train_a_little(folder: Path, data: DataSet, **options) -> str:
    """A run of two steps on a data set, with its labels."""
    network = Network(widths=(8,), attention=(False,), groups=4)
    training = Training(network=network, steps=2, batch_size=4, **options)
    train_into(data.train, training, folder, labels=data.train_labels, data=data, device="cpu")
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """Of two classes of digits in [0, 1], with flips."""
    data = load("digits", train_size=20, test_size=20, value_range=(0, 1), classes="0,1")
    return train_a_little(tmp_path_factory.mktemp("run"), data, flips=True)


def audit(files: dict[str, str], model: str, out: Path, *more: str) -> int:
    command = ["audit", model, "--train", files["train"], "--test", files["test"]]
    return main([*command, "--output", str(out), "--count", "40", "--outputs", "60", *more])


def test_the_optimum_copies_at_all_noise_levels_below_the_zone(files, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert audit(files, files["copier"], out, "--fail-above", "0.5") == 1
    found = json.loads((out / "audit.json").read_text())
    assert found["spaces"][0]["copies"]["rate"] == 1
    assert not found["mirrored"]
    levels = found["model"]["levels"]
    zone = found["model"]["zone"]
    below = [one for one in levels if one["sigma"] < zone["certain"]["start"] / 4]
    assert all(one["outputs_high"] > 0.95 and one["images_high"] > 0.95 for one in below)
    assert all(one["outputs_mean"] == 0 for one in levels if one["sigma"] > 10)
    assert all(one["under_way_mean"] == 1 for one in below)
    assert all(one["under_way_mean"] == 0 for one in levels if one["sigma"] > 10)
    assert found["model"]["exchanges"] == []
    samples = np.load(out / "samples.npy")
    assert samples.shape == (40, 8, 8)
    page = (out / "audit.html").read_text()
    assert "At which noise levels it copies" in page
    assert "copied most at" in capsys.readouterr().out


def test_samples_under_way_are_counted_one_by_one(files) -> None:
    # Copies of the first training image, for samples with an even number and below a noise level
    # of their own: 2 for the first half of them, 5 for the second; at 10 all once, and no more.
    train = load_images(files["train"])
    count, image = 70, to_channels_first(train.pixels).float()[:1]
    seen: dict[float, int] = {}

    def denoiser(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        level = float(sigma)
        number = torch.arange(len(x)) + seen.get(level, 0)
        seen[level] = seen.get(level, 0) + len(x)
        at = torch.where(number < count // 2, 2.0, 5.0)
        copied = (number % 2 == 0) & (level < at) | (9 < level < 16)
        noise = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).sign()
        return torch.where(copied[:, None, None, None], image, noise)

    samples, under_way = watch_samples(denoiser, train, count, seed=0, device="cpu", progress=False)
    sigmas, number = edm_sigmas(18), np.arange(count)[:, None]
    expected = (number % 2 == 0) & (sigmas < np.where(number < 35, 2, 5))
    expected |= (sigmas > 9) & (sigmas < 16)
    assert np.array_equal(under_way, expected)
    assert np.array_equal((samples - image).flatten(1).norm(dim=1) < 1e-3, under_way[:, -1])
    seen.clear()
    found = audit_model(
        *("known", denoiser, train, load_images(files["test"])),
        count=count,
        outputs=2,
        device="cpu",
    )
    # The 18 of the first half are copies later than the 17 of the second.
    assert found.settled == sigmas[sigmas < 2].max()
    assert np.array_equal(found.under_way.mean, under_way.mean(0))


def test_exchanges_count_what_a_reference_changes_in_a_model_that_copies_nothing(
    files, tmp_path, capsys, caplog
) -> None:
    out = tmp_path / "out"
    caplog.set_level("INFO", logger="wildmiddle")  # which --verbose sets for good
    command = ("--reference", files["copier"], "--fail-above", "0", "--verbose")
    assert audit(files, files["gaussian"], out, *command) == 0
    found = json.loads((out / "audit.json").read_text())
    assert found["spaces"][0]["copies"]["rate"] == 0
    exchanges = {one["part"]: one for one in found["model"]["exchanges"]}
    # The optimum ends on a training image from wherever it takes over; a start alone is undone.
    assert (exchanges["small"]["rate"], exchanges["small"]["gained"]) == (1, 40)
    assert exchanges["small"]["p_value"] == pytest.approx(2.0**-39)
    assert (exchanges["large"]["rate"], exchanges["large"]["lost"]) == (0, 0)
    said = capsys.readouterr().out
    assert "With the reference model at middle noise" in said
    assert "the reference at small noise: 40 copies" in caplog.messages
    assert any("40 samples, 0 of them copies" in each for each in caplog.messages)
    assert "held-out images are copies at no noise level, 0% [0, " in said


class Reconstructed:
    """Pickled as EDM pickles its networks: by a function that runs what the file holds."""

    def __reduce__(self) -> tuple:
        return exec, ("raise AssertionError('the pickle was run')",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_a_refused_pickle_asks_for_is_named_and_not_run(tmp_path, protocol) -> None:
    path = tmp_path / "network-snapshot.pkl"
    content = {"ema": Reconstructed(), "weights": torch.ones(2), "kind": Shrink, "again": Shrink}
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(ValueError, match="a pickle is refused") as refusal:
        load_model(str(path), device="cpu")
    (asked,) = re.findall(r"asks for (.*?)\. Save images", str(refusal.value))
    module = "__builtin__" if protocol < 3 else "builtins"
    assert asked.split(", ") == [f"{module}.exec", f"{Shrink.__module__}.Shrink"]


class Shrink(torch.nn.Module):
    """The optimum of N(0, I): x / (1 + sigma^2)."""

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x / (1 + sigma.square().reshape(-1, 1, 1, 1))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
def test_programs_are_given_a_sigma_for_each_image(tmp_path, suffix) -> None:
    path, example = tmp_path / f"model{suffix}", (torch.zeros(2, 1, 8, 8), torch.ones(2))
    if suffix == ".pt2":
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(Shrink(), example, dynamic_shapes=[{0: batch}, {0: batch}])
        torch.export.save(program, path)
    else:
        torch.jit.save(torch.jit.script(Shrink()), path)
    assert is_model(str(path))
    if suffix == ".pt2":
        with pytest.raises(ValueError, match="give --trust-program where you trust it"):
            load_model(str(path), device="cpu")
    denoiser = load_model(str(path), device="cpu", trusted=suffix == ".pt2").denoiser
    x = torch.rand(3, 1, 8, 8)
    assert torch.allclose(denoiser(x, 2.0), x / 5)
    levels = torch.tensor([1.0, 2.0, 3.0])
    assert torch.allclose(denoiser(x, levels), x / (1 + levels**2)[:, None, None, None])


def test_a_pipeline_of_diffusers_is_audited(files, tmp_path, capsys) -> None:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    network = UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8,),
        norm_num_groups=4,
        layers_per_block=1,
        **blocks,
    )
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(tmp_path / "pipeline")
    capsys.readouterr()
    assert audit(files, str(tmp_path / "pipeline"), tmp_path / "out") == 0
    assert "0.0% of 40 samples" in capsys.readouterr().out
    assert audit(files, str(tmp_path / "pipeline"), tmp_path / "out", "--range=0,1") == 2
    assert "pipeline works in [-1, 1]; leave --range out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "images", "more"),
    [
        ("copier", "_0_1", ("--range=0,1",)),
        ("copier", "_0_1", ()),
        ("in_0_1", "", ()),
        ("in_0_1_but_for_overshoot", "", ()),
    ],
)
def test_a_model_of_images_in_another_range_is_no_pass(
    files, tmp_path, capsys, model, images, more
) -> None:
    sets = {name: files[name + images] for name in ("train", "test")}
    assert audit(sets, files[model], tmp_path / "out", "--fail-above", "0.5", *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"samples of {files[model]} has values from" in line
    assert "as if in different units" in line
    assert not (tmp_path / "out").exists()


def test_a_model_of_images_in_their_own_range_is_audited(files, tmp_path) -> None:
    sets = {name: files[f"{name}_0_1"] for name in ("train", "test")}
    command = ("--range=0,1", "--fail-above", "0.5", "--outputs", "2")
    assert audit(sets, files["in_0_1"], tmp_path / "out", *command) == 1


def test_a_reference_of_images_in_another_range_is_refused(files, tmp_path, capsys) -> None:
    command = ("--reference", files["in_0_1"])
    assert audit(files, files["gaussian"], tmp_path / "out", *command) == 2
    assert "samples with the reference at small noise has values" in capsys.readouterr().err


def test_a_run_says_its_range_flips_and_classes(run) -> None:
    model = load_model(run, 1, device="cpu")
    assert (model.value_range, model.mirrored) == ((0, 1), True)
    x, denoiser = torch.rand(3, 1, 8, 8), model.denoiser
    assert torch.equal(denoiser(x, 1.0), denoiser(x, 1.0, labels=1))
    assert not torch.equal(denoiser(x, 1.0), denoiser(x, 1.0, labels=0))


def test_a_run_audited_beside_images_of_no_training_of_it_is_doubted(
    run, files, tmp_path, capsys, monkeypatch
) -> None:
    data = load("digits", train_size=20, test_size=20, value_range=(0, 1), classes="0,1")
    # As files of bytes, in another order, and without one of them; the labels are no matter.
    low_high, same = (0.0, 1.0), np.rint(255 * data.train[::-1]).astype(np.uint8)
    np.save(tmp_path / "same.npy", same)
    np.save(tmp_path / "fewer.npy", same[1:])
    np.save(tmp_path / "others.npy", np.rint(255 * data.test).astype(np.uint8))
    model = load_model(run, 1, device="cpu")
    images = {name: tmp_path / f"{name}.npy" for name in ("same", "fewer", "others")}
    doubts = {
        name: training_doubt(model, load_images(path, value_range=low_high))
        for name, path in images.items()
    }
    assert doubts["same"] is None
    assert "trained on 20 images of standard deviation" in doubts["fewer"]
    assert "others.npy has 20 of" in doubts["others"]
    assert training_doubt(Model("of nowhere", torch.add), load_images(files["train"])) is None
    monkeypatch.setattr(
        "wildmiddle.checks.audit.model.load_model",
        lambda name, *_, **__: replace(load_model(files["copier"]), trained_on=(50, 0.5)),
    )
    assert audit(files, files["copier"], tmp_path / "out") == 0
    said = "was trained on 50 images of standard deviation 0.5, and train.npy has 40 of"
    assert capsys.readouterr().err.count(said) == 1
    assert said in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


def test_the_range_is_that_of_the_models() -> None:
    usual, unit, unknown = (Model(str(ends), torch.add, ends) for ends in ((-1, 1), (0, 1), None))
    assert common_range([unit, unknown], None) == (0, 1)
    assert common_range([unit], (0, 1)) == (0, 1)
    assert common_range([unknown], (0, 2)) == (0, 2)
    # Not as if it were given: images in [0, 1] are doubted.
    assert common_range([usual], None) is None
    with pytest.raises(ValueError, match=r"works in \[-1, 1\]; leave --range out"):
        common_range([usual, unknown], (0, 1))
    with pytest.raises(ValueError, match="in different ranges"):
        common_range([usual, unit], None)


def test_a_run_on_centred_images_is_refused(tmp_path) -> None:
    data = load("digits", train_size=20, test_size=20, centre=True)
    run = train_a_little(tmp_path, replace(data, train_labels=None))
    with pytest.raises(ValueError, match=r"less their mean.*denoiser\(x - mean, sigma\) \+ mean"):
        load_model(run, device="cpu")


def test_mirrored_copies_count_at_every_place_where_training_had_flips(
    files, tmp_path, capsys, monkeypatch
) -> None:
    loaded, out = load_model(files["mirrors"]), tmp_path / "out"
    monkeypatch.setattr(
        "wildmiddle.checks.audit.model.load_model",
        lambda name, *_, **__: replace(loaded, name=name, mirrored=True),
    )
    command = ("--reference", files["mirrors"], "--fail-above", "0.5")
    assert audit(files, files["mirrors"], out, *command) == 1
    printed = capsys.readouterr()
    assert "was trained with flips: copies of mirrored images count too" in printed.err
    assert "Copies of mirrored training images count as well" in printed.out
    found = json.loads((out / "audit.json").read_text())
    assert found["mirrored"]
    assert found["spaces"][0]["copies"]["rate"] == 1
    assert found["spaces"][0]["nearer_than_held_out"]["mean"] == 1
    shares = ("outputs_mean", "images_mean", "under_way_mean")
    assert [found["model"]["levels"][-1][share] for share in shares] == [1, 1, 1]
    assert [(one["rate"], one["lost"]) for one in found["model"]["exchanges"]] == [(1, 0)] * 3


def test_held_out_images_of_the_nested_rate_are_drawn_at_random(files) -> None:
    # Of two classes in turn, the first of which alone is copied.
    train, test = load_images(files["train"]), load_images(files["test"])
    pixels = np.concatenate([np.maximum(test.pixels, 0), np.minimum(test.pixels, 0)])
    held_out = replace(test, pixels=pixels)
    image = to_channels_first(train.pixels).float()[:1]
    noise = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).sign()

    def denoiser(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        return torch.where(x.mean((1, 2, 3), keepdim=True) > 0, image, noise)

    found = audit_model("two", denoiser, train, held_out, count=2, outputs=2, device="cpu")
    assert 0.2 < found.images.mean[-1] < 0.8


def test_what_no_audit_can_tell_is_refused_before_any_sample(files) -> None:
    train, test = (load_images(files[name]) for name in ("train", "test"))
    with pytest.raises(ValueError, match="all 40 held-out images"):
        audit_model("none", torch.add, train, train, device="cpu")
    train, test = (replace(each, pixels=1e-5 * each.pixels) for each in (train, test))
    with pytest.raises(ValueError, match=r"--reference would take over sigma .* 18 noise levels"):
        audit_model("none", torch.add, train, test, reference=torch.sub, device="cpu")


@pytest.mark.parametrize(
    ("model", "more", "complaint"),
    [
        ("nowhere:f", (), "the model nowhere:f"),
        ("copier", ("--reference", "no.pt2"), "no.pt2"),
        ("copier", ("--count", "0"), "--count"),
        ("train", ("--reference", "x:y"), "--reference is for a model"),
        ("broken.ts", (), "no program of torch"),
        ("broken.pt2", (), "--trust-program"),
        ("broken.pt2", ("--trust-program",), "no program of torch"),
        ("network.pkl", (), "give a MODULE:FUNCTION that loads it"),
        ("copier", ("--reference", "network.pkl"), "opening it can run code"),
        (
            "cut",
            (),
            "mine.py:cut: returned shape (1, 1, 8, 8); it must return a tensor of shape (6",
        ),
        ("no_tensor", (), "no_tensor: returned ndarray; it must return a tensor of shape"),
        ("copier", ("--reference", "cut"), "mine.py:cut: returned shape (1, 1, 8, 8)"),
        ("nothing", (), "mine.py:nothing: returned NoneType, not denoiser(x, sigma)"),
        ("needy", (), "missing 1 required positional argument: 'path'; it is called without"),
        ("breaks", (), "mine.py:breaks: NameError: name 'undefined' is not defined; it is called"),
        ("of_one_argument", (), "it is called as denoiser(x, sigma), x of shape (64, 1, 8, 8)"),
        ("fails.py:f", (), "fails.py:f: ZeroDivisionError: division by zero"),
        ("leaves.py:f", (), "leaves.py:f: SystemExit: 1"),
        ("copier", ("--features", "fails.py:f"), "--features fails.py:f: ZeroDivisionError"),
        ("one_argument.ts", (), "the model one_argument.ts: RuntimeError"),
        ("copier", ("--test", "train"), "all 40 held-out images, train.npy, are training images"),
        ("copier", ("--label", "1"), "--label is for a network with classes"),
        ("run", ("--label", "2"), "label 2 (--label): the network has the classes 0 to 1"),
        ("run", ("--label", "-1"), "label -1 (--label): the network has the classes 0 to 1"),
        ("run", ("--label", "1", "--range=-1,1"), "--range -1,1, but the model"),
        ("train", ("--train", "train_0_1", "--test", "test_0_1", "--label", "1"), "--label is for"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_bad_use_is_one_line(
    files, run, tmp_path, capsys, monkeypatch, model, more, complaint
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("broken.pt2", "broken.ts", "network.pkl"):
        Path(name).write_bytes(b"nothing")
    Path("fails.py").write_text("1 / 0")
    Path("leaves.py").write_text("raise SystemExit(1)")
    torch.jit.script(torch.nn.Identity()).save("one_argument.ts")
    named = {**files, "run": run}
    more = [named.get(text, text) for text in more]
    assert audit(files, named.get(model, model), tmp_path / "out", *more) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (tmp_path / "out").exists()
