"""The audit of samples, on samples whose copies are planted."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wildmiddle.checks.audit import samples
from wildmiddle.checks.audit.report import copied, sentences, to_json
from wildmiddle.checks.audit.samples import THRESHOLDS, audit_samples, read_features
from wildmiddle.checks.cli import main
from wildmiddle.empirical.data import load, load_images
from wildmiddle.empirical.neighbours import memorization
from wildmiddle.models.extractors import Extractor

COPIES = [3, 3, 3, 7, 20, 20, 41]
"""Training images that the planted copies are of."""
FRESH = 13


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Path]:
    data = load("digits", train_size=60, test_size=90)
    folder = tmp_path_factory.mktemp("audit")
    rng = np.random.default_rng(0)
    planted = data.train[COPIES] + rng.normal(scale=0.01, size=(len(COPIES), 8, 8))
    samples = np.concatenate([planted, data.test[:FRESH]]).clip(-1, 1)
    found = {"samples": samples, "train": data.train, "test": data.test[FRESH:]}
    for name, images in found.items():
        np.save(folder / f"{name}.npy", images)
    return {name: folder / f"{name}.npy" for name in found}


def audited(sets: dict[str, Path], **options):
    samples, train, test = (load_images(sets[name]) for name in ("samples", "train", "test"))
    return audit_samples(samples, train, test, **options)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_planted_copies_are_found_and_counted(sets) -> None:
    found = audited(sets)
    assert found.pixels.samples.rate == len(COPIES) / (len(COPIES) + FRESH)
    assert found.pixels.copies.tolist() == [True] * len(COPIES) + [False] * FRESH
    assert copied(found) == [("3", 3), ("20", 2), ("7", 1), ("41", 1)]
    assert found.pixels.held_out.rate == 0
    # By hand: of 20 samples and 77 held-out images 7 pass, all of them samples.
    ways = np.prod([(20 - k) / (97 - k) for k in range(len(COPIES))])
    assert found.pixels.p_value == pytest.approx(ways, rel=1e-9)
    assert found.doubts == ()


def test_training_images_that_are_listed_twice_are_found_all_the_same(
    sets, tmp_path, capsys
) -> None:
    once = np.load(sets["train"])
    np.save(tmp_path / "twice.npy", np.repeat(once, 2, axis=0))
    listed = {**sets, "train": tmp_path / "twice.npy"}
    blurred = ("halves", lambda images: images.flatten(1)[:, ::2].float())
    found, known = audited(listed, features=blurred), audited(sets, features=blurred)
    for one, other in zip(found.spaces, known.spaces, strict=True):
        np.testing.assert_array_equal(one.samples.ratio, other.samples.ratio)
        assert one.samples.rate == other.samples.rate > 0
    assert copied(found) == [("6", 3), ("40", 2), ("14", 1), ("82", 1)]
    (said,) = found.doubts
    assert sentences(found)[-1] == f"{said}."
    assert said.startswith("60 of 120 training images are copies of others: 60 distinct images")
    noisy = np.concatenate(
        [once, once + np.random.default_rng(2).normal(scale=1e-4, size=once.shape)]
    )
    np.save(tmp_path / "near.npy", noisy.clip(-1, 1))
    options = ["--train", str(tmp_path / "near.npy"), "--test", str(sets["test"])]
    for within, rate in ((0.0, 0.0), (0.01, 7 / 20)):
        where = tmp_path / f"audit {within}"
        arguments = ["--copies-within", str(within), "--output", str(where), "--json"]
        assert main(["audit", str(sets["samples"]), *options, *arguments]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["spaces"][0]["copies"]["rate"] == pytest.approx(rate)
        assert ("or within 0.01 of one: 60 distinct" in printed.err) == bool(within)


def test_held_out_images_that_are_training_images_are_doubted_on_the_page_too(
    sets, tmp_path, capsys
) -> None:
    held_out = np.load(sets["test"])
    held_out[:2] = np.load(sets["train"])[[5, 9]]
    np.save(tmp_path / "leaked.npy", held_out)
    command = ["audit", str(sets["samples"]), "--train", str(sets["train"])]
    command += ["--test", str(tmp_path / "leaked.npy"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    said = "2 of 77 held-out images are training images as well"
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "out" / "audit.html").read_text()


def test_mirrored_copies_count_in_pixels_and_in_features(sets) -> None:
    samples, train, test = (load_images(sets[name]) for name in ("samples", "train", "test"))
    samples.pixels[: len(COPIES)] = samples.pixels[: len(COPIES), :, ::-1]
    weighted = torch.linspace(1, 2, 64)

    def rows(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) * weighted  # not the same of the mirror image

    options = {"features": ("weighted", rows), "mirrored": True}
    found = audit_samples(samples, train, test, **options)
    for space in found.spaces:
        assert space.copies.tolist() == [True] * len(COPIES) + [False] * FRESH
        assert space.samples.nearest[: len(COPIES)].tolist() == COPIES
    plain = audit_samples(samples, train, test, features=options["features"])
    assert [space.copies.sum() for space in plain.spaces] == [0, 0]
    # A training set that has its own mirror images already.
    both = replace(
        train,
        pixels=np.concatenate([train.pixels, train.pixels[..., ::-1]]),
        places=tuple(map(str, range(2 * len(train.places)))),
    )
    twice = audit_samples(samples, both, test, mirrored=True)
    assert twice.pixels.copies.tolist() == found.pixels.copies.tolist()


def test_thresholds_have_the_rates_of_the_test_at_each_with_wider_intervals(sets) -> None:
    found = audited(sets)
    samples, train = (np.load(sets[name]) for name in ("samples", "train"))
    rates = found.sweep(found.pixels.samples)
    for threshold, rate in zip(THRESHOLDS, rates.mean, strict=True):
        assert rate == memorization(samples, train, threshold).rate
    single = memorization(samples, train, float(THRESHOLDS[4]))
    assert rates.low[4] < single.low
    assert single.high < rates.high[4]


def test_features_tell_copies_that_pixels_do_not(sets) -> None:
    samples, train, test = (load_images(sets[name]) for name in ("samples", "train", "test"))

    def rows(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).sort(1).values  # of the pixels' order nothing is left

    shuffled = np.random.default_rng(1).permutation(64)
    samples.pixels[:] = samples.pixels.reshape(-1, 64)[:, shuffled].reshape(samples.pixels.shape)
    found = audit_samples(samples, train, test, features=("sorted", rows))
    assert found.pixels.samples.rate == 0
    assert found.features is not None
    assert found.features.copies[: len(COPIES)].all()
    frechet, kernel = found.quality
    assert (frechet.n, frechet.reference_n, frechet.reference) == (20, 77, "held-out images")
    x, y = (rows((torch.as_tensor(s.pixels) + 1) / 2).float().double() for s in (samples, test))

    def mean(a, b, same):
        values = (a @ b.T / 64 + 1) ** 3
        return values[~torch.eye(len(a), dtype=bool)].mean() if same else values.mean()

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert kernel.value == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (lambda images: images, "must give a tensor"),
        (lambda images: images.flatten(1) * torch.nan, "NaN"),
        (lambda images: images.flatten(1).numpy(), "must give a tensor"),
        (lambda: None, r"mine: TypeError: .* it is called with images \(20, 1, 8, 8\)"),
    ],
)
def test_features_that_are_none_are_refused(sets, function, complaint) -> None:
    with pytest.raises(ValueError, match=complaint):
        audited(sets, features=("mine", function))


def test_the_command_writes_the_report_and_is_a_gate(sets, tmp_path, capsys) -> None:
    command = ["audit", str(sets["samples"]), "--train", str(sets["train"])]
    command += ["--test", str(sets["test"]), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert "35.0% of 20 samples" in capsys.readouterr().out
    low = audited(sets).pixels.samples.low
    assert main([*command, "--fail-above", str(low + 1e-6)]) == 0
    assert main([*command, "--fail-above", str(low - 1e-6), "--quiet"]) == 1
    out = tmp_path / "out"
    written = json.loads((out / "audit.json").read_text())
    assert (written["settings"]["alpha"], written["settings"]["seed"]) == (0.05, 0)
    assert {**written, "settings": {}} == to_json(audited(sets))
    assert list(table(out / "copied.csv")[0].values()) == ["3", "3"]
    rows = table(out / "samples.csv")
    assert [row["nearest"] for row in rows[: len(COPIES)]] == [str(k) for k in COPIES]
    assert [row["condition"] for row in rows].count("held-out") == 77
    assert len(table(out / "thresholds.csv")) == 2 * len(THRESHOLDS)
    page = (out / "audit.html").read_text()
    assert "35.0% of 20 samples are copies" in page
    assert page.count("data:image/svg+xml") == 2


def test_folders_give_the_names_of_their_files(sets, tmp_path, capsys) -> None:
    for name in ("samples", "train"):
        folder = tmp_path / name
        folder.mkdir()
        for k, image in enumerate(np.load(sets[name])):
            pixels = np.rint((image + 1) * 127.5).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}-{k:03}.png")
    out = tmp_path / "out"
    command = ["audit", str(tmp_path / "samples"), "--train", str(tmp_path / "train")]
    assert main([*command, "--output", str(out)]) == 0
    assert "the most copied one, train-003.png, 3 times" in capsys.readouterr().out
    first = table(out / "samples.csv")[0]
    assert (first["sample"], first["nearest"]) == ("samples-000.png", "train-003.png")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"--fail-above": "1.5"}, "--fail-above 1.5 must lie in"),
        ({"--features": "no_such_module:f"}, "no_such_module"),
        ({"--features": "math"}, "give MODULE:FUNCTION"),
        ({"--features": "no_program.ts"}, "no_program.ts is no program of torch"),
        ({"--features": "nowhere.pth"}, "nowhere.pth"),
        ({"--train": "nowhere.npy"}, "no such file"),
        ({"--size": "4", "--test": "wide"}, "wide.npy"),
    ],
)
def test_bad_use_is_one_line_and_writes_nothing(sets, tmp_path, capsys, change, complaint) -> None:
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((5, 8, 8, 2)))
    change = {k: str(wide) if v == "wide" else v for k, v in change.items()}
    options = {"--train": str(sets["train"]), "--output": str(tmp_path / "out"), **change}
    command = ["audit", str(sets["samples"]), *(part for pair in options.items() for part in pair)]
    assert main(command) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (tmp_path / "out").exists()


def test_images_of_another_shape_are_refused_with_the_remedy(sets, tmp_path, capsys) -> None:
    small = tmp_path / "small.npy"
    np.save(small, np.zeros((5, 4, 4)))
    assert main(["audit", str(small), "--train", str(sets["train"])]) == 2
    assert "bring all to one with --size S" in capsys.readouterr().err


def test_samples_as_networks_give_them_are_compared_with_images_as_files_have_them(
    sets, tmp_path
) -> None:
    colours = {name: np.load(path)[..., None] * [1, 0.5, 0.2] for name, path in sets.items()}
    colours["samples"] = np.moveaxis(colours["samples"], -1, 1)
    for name, images in colours.items():
        np.save(tmp_path / f"{name}.npy", images)
    found = audited({name: tmp_path / f"{name}.npy" for name in sets})
    assert found.pixels.copies.tolist() == audited(sets).pixels.copies.tolist()


def test_a_function_in_a_file_is_read(tmp_path) -> None:
    (tmp_path / "mine.py").write_text("def double(images):\n    return 2 * images.flatten(1)\n")
    name, function = read_features(f"{tmp_path / 'mine.py'}:double")
    assert name.endswith("mine.py:double")
    assert function(torch.ones(2, 1, 2, 2)).tolist() == [[2.0] * 4] * 2


class Twice(torch.nn.Module):
    """Features that are twice the pixels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 2 * images.flatten(1)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_program_and_the_weights_of_inception_give_features(tmp_path, monkeypatch) -> None:
    torch.jit.script(Twice()).save(tmp_path / "twice.ts")
    name, program = read_features(str(tmp_path / "twice.ts"))
    assert name == "twice.ts"
    assert program(torch.ones(2, 1, 2, 2)).tolist() == [[2.0] * 4] * 2

    def read(path: Path, *, value_range: tuple[float, float]) -> Extractor:
        assert (path.name, value_range) == ("weights.pth", (0, 1))
        return Extractor(Twice(), "Inception v3 (FID)")

    monkeypatch.setattr(samples, "inception", read)
    name, network = read_features(str(tmp_path / "weights.pth"))
    assert name == "Inception v3 (FID)"
    assert network(torch.ones(1, 1, 1, 2)).tolist() == [[2.0, 2.0]]


def test_a_gate_says_what_it_found_and_is_not_passed_by_samples_in_other_units(
    sets, tmp_path, capsys
) -> None:
    command = ["audit", str(sets["samples"]), "--train", str(sets["train"]), "--quiet", "--output"]
    assert main([*command, str(tmp_path / "a"), "--fail-above", "0.01"]) == 1
    said = capsys.readouterr().err
    assert "are copies, above --fail-above 0.01" in said
    assert len(said.splitlines()) == 1
    np.save(tmp_path / "from0.npy", (np.load(sets["samples"]) + 1) / 2)
    command[1] = str(tmp_path / "from0.npy")
    assert main([*command, str(tmp_path / "b")]) == 0
    capsys.readouterr()
    assert main([*command, str(tmp_path / "c"), "--fail-above", "0.01"]) == 2
    assert "--fail-above is for samples in the units of the images" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_of_a_source_that_sets_held_out_images_apart_those_alone_are_held_out(
    sets, tmp_path, capsys
) -> None:
    both = {"train": np.load(sets["train"]), "test": np.load(sets["test"])}
    np.savez(tmp_path / "both.npz", **both)
    out = tmp_path / "out"
    command = ["audit", str(sets["samples"]), "--train", str(tmp_path / "both.npz")]
    command += ["--test", str(tmp_path / "both.npz"), "--output", str(out)]
    assert main(command) == 0
    assert "sets held-out images apart: those alone are taken" in capsys.readouterr().err
    found = json.loads((out / "audit.json").read_text())
    assert found["held_out"]["count"] == len(both["test"])
