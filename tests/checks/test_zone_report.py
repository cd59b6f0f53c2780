"""What ``zone`` writes: the zone in all parameterizations, the gap, the images that stand apart."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wildmiddle.checks.cli import main
from wildmiddle.checks.report.formatting import format_number
from wildmiddle.empirical.danger_zone import zone_of
from wildmiddle.empirical.data import load
from wildmiddle.models.gap import Gap
from wildmiddle.theory.posterior import decoding_error
from wildmiddle.theory.schedules import flow_time_to_sigma, log_snr_to_sigma, steps_between


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, Path]:
    """A folder of digits as files, one of them far from all others, and the report on it."""
    root = tmp_path_factory.mktemp("zone")
    images = np.rint((load("digits", train_size=100, test_size=20).train + 1) * 127.5)
    images[7] = 255 - images[7]
    (root / "images").mkdir()
    for k, image in enumerate(images.astype(np.uint8)):
        Image.fromarray(image).save(root / "images" / f"digit-{k:03}.png")
    assert main(["zone", "--data", str(root / "images"), "--output", str(root / "out")]) == 0
    return root / "images", root / "out"


def content(out: Path) -> dict:
    return json.loads((out / "zone.json").read_text())


def test_all_are_training_images_and_each_is_held_out_once_unless_some_are_named(
    written, capsys
) -> None:
    images, out = written
    found = content(out)
    assert (found["data"]["train_size"], found["data"]["test_size"]) == (100, 0)
    assert found["each_held_out"]
    assert not any("population" in name for name in found["zone"])
    assert main(["zone", "--data", str(images), "--copies-within", "0.1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "N = 100 training images, each held out once" in printed
    assert "of each image by the other 99" in printed
    for sizes, said in (
        (["--train-size", "30"], "N = 30 training and M = 70 held-out"),
        (["--test-size", "20"], "N = 80 training and M = 20 held-out"),
    ):
        assert main(["zone", "--data", str(images), *sizes]) == 0
        printed = capsys.readouterr().out
        assert said in printed
        assert "possible, population" in printed


def test_the_gap_is_for_the_usual_pixels_whatever_the_range_of_the_data(
    written, tmp_path, capsys
) -> None:
    images, out = written
    command = ["zone", "--data", str(images), "--range", "0,1", "--output", str(tmp_path / "out")]
    assert main(command) == 0
    usual, gap = (Gap.load(each / "gap.json") for each in (out, tmp_path / "out"))
    assert gap.value_range == (-1, 1)
    assert (gap.low, gap.high) == pytest.approx((usual.low, usual.high), rel=1e-9)
    ends = f"holds σ {format_number(usual.low)} to {format_number(usual.high)}"
    said = f"{ends}, for pixels in [−1, 1], as the timesteps above"
    assert said in (tmp_path / "out" / "zone.html").read_text()
    assert f"{ends}: the possible" in (out / "zone.html").read_text()
    inside = steps_between(usual.low, usual.high)[1]
    row = next(ln for ln in capsys.readouterr().out.splitlines() if ln.startswith("gap to leave"))
    assert row.endswith(f" {inside[0]} to {inside[-1]}")


def test_sigma_data_scales_every_sigma_and_leaves_schedules_as_they_are(
    written, tmp_path, capsys
) -> None:
    images, out = written
    command = ["zone", "--data", str(images), "--sigma-data", "0.5", "--output"]
    assert main([*command, str(tmp_path / "out")]) == 0
    assert "sigma for pixels of standard deviation 0.5\n" in capsys.readouterr().out
    plain, found = content(out), content(tmp_path / "out")
    factor = 0.5 / plain["data"]["sigma_data"]
    for name, part in plain["zone"].items():
        for end in ("start", "end"):
            scaled = part[end] and factor * part[end]
            assert found["zone"][name][end] == pytest.approx(scaled, rel=1e-9)
    gap = Gap.load(tmp_path / "out" / "gap.json")
    assert gap.high == pytest.approx(factor * Gap.load(out / "gap.json").high)
    assert gap.value_range == (-1, 1)
    possible = found["zone"]["possible"]
    steps, timesteps = steps_between(possible["start"], possible["end"])
    assert (possible["edm_steps"], possible["ddpm_timesteps"]) == (
        list(steps),
        [timesteps[0], timesteps[-1]],
    )
    page = (tmp_path / "out" / "zone.html").read_text()
    assert "for pixels of standard deviation 0.5." in page
    pictures = [(folder / "images.png").read_bytes() for folder in (out, tmp_path / "out")]
    assert pictures[0] == pictures[1]
    # A distance in the units of sigma merges the same images in both.
    with (out / "images.csv").open(newline="") as file:
        nearest = sorted(float(line["distance"]) for line in csv.DictReader(file))[30]
    merged = []
    for scale, within in (([], nearest), (["--sigma-data", "0.5"], factor * nearest)):
        more = ["--copies-within", str(within), "--json", *scale]
        assert main(["zone", "--data", str(images), *more]) == 0
        merged.append(json.loads(capsys.readouterr().out)["zone"]["possible"]["end"])
    assert merged[1] == pytest.approx(factor * merged[0])
    assert merged[0] != pytest.approx(plain["zone"]["possible"]["end"], rel=0.01)


def test_images_of_one_value_have_no_deviation_to_scale(tmp_path, capsys) -> None:
    np.save(tmp_path / "gray.npy", np.full((5, 8, 8), 7, np.uint8))
    assert main(["zone", "--data", str(tmp_path / "gray.npy"), "--sigma-data", "1"]) == 2
    assert "all pixels are equal" in capsys.readouterr().err


def test_an_image_with_a_copy_among_the_others_is_said_to_be_covered(tmp_path, capsys) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "twice.npy", images[[0, 1, 1, *range(2, 9)]])
    assert main(["zone", "--data", str(tmp_path / "twice.npy")]) == 0
    said = capsys.readouterr().err
    assert "2 of 10 images, each held out once, have an exact copy among the others" in said


def test_the_zone_is_that_of_the_images_in_every_parameterization(written) -> None:
    images, out = written
    found = content(out)
    data = load(images, whole=True)
    assert len(data.test) == 0
    zone = zone_of(data.train)
    certain = found["zone"]["certain"]
    assert (certain["start"], certain["end"]) == pytest.approx(zone.certain, rel=1e-6)
    ends = certain["end"], certain["start"]
    assert flow_time_to_sigma(certain["flow_time"]) == pytest.approx(ends)
    assert log_snr_to_sigma(certain["log_snr"]) == pytest.approx(ends)
    gap = Gap.load(out / "gap.json")
    assert (gap.low, gap.high) == (found["gap"]["low"], found["gap"]["high"])
    assert (2 * gap.low, 2 * gap.high) == pytest.approx(zone.possible, rel=1e-6)


def test_the_image_that_stands_apart_comes_first_and_its_noise_level_is_certified(written) -> None:
    images, out = written
    with (out / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    data = load(images, whole=True)
    names = [data.place(i) for i in range(len(data.train))]
    assert len(rows) == len(names)
    first = "digit-007.png" if "digit-007.png" in names else rows[0]["image"]
    assert rows[0]["image"] == first
    flat = data.train.reshape(len(names), -1)
    for row in rows[::17]:
        i = names.index(row["image"])
        apart = np.linalg.norm(flat - flat[i], axis=1)
        others = np.delete(apart, i)
        assert float(row["distance"]) == pytest.approx(others.min())
        assert apart[names.index(row["nearest"])] == pytest.approx(others.min())
        # The error of telling it apart from all others is a quarter at most there.
        sigma = float(row["weight high up to sigma"])
        assert decoding_error(others[None], sigma)[0] <= 0.25 * (1 + 1e-9)


def test_the_page_and_the_terminal_say_the_same(written, capsys) -> None:
    images, out = written
    page = (out / "zone.html").read_text()
    gap = Gap.load(out / "gap.json")
    assert f"{gap.low:.4g} to {gap.high:.4g}" in page
    assert page.count("data:image/svg+xml") == 1
    assert main(["zone", "--data", str(images), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == content(out)


def test_bytes_and_floats_give_one_picture(written, tmp_path) -> None:
    images, _ = written
    stack = np.stack([np.asarray(Image.open(path)) for path in sorted(images.iterdir())])
    for name, pixels in (("bytes", stack), ("floats", stack / 127.5 - 1)):
        np.save(tmp_path / f"{name}.npy", pixels)
        command = ["zone", "--data", str(tmp_path / f"{name}.npy")]
        assert main([*command, "--output", str(tmp_path / name)]) == 0
    one, other = (picture(tmp_path / name / "zone.html") for name in ("bytes", "floats"))
    # The same tiles, those at equal distances in another order, both rounded to 8 bits.
    assert np.abs(np.sort(one, None) - np.sort(other, None)).mean() < 0.6
    assert np.ptp(one) > 200


def picture(page: Path) -> np.ndarray:
    """The pixels of the picture in the drawing of a page."""

    def embedded(text: str, kind: str) -> bytes:
        found = re.search(rf"data:image/{kind};base64,([A-Za-z0-9+/=\s]+)", text)
        return base64.b64decode(found[1])

    drawing = embedded(page.read_text(), r"svg\+xml").decode()
    return np.asarray(Image.open(io.BytesIO(embedded(drawing, "png"))).convert("RGB")).astype(int)


def test_other_files_are_left_alone(written, tmp_path, capsys) -> None:
    images, _ = written
    (tmp_path / "images.csv").write_text("mine")
    assert main(["zone", "--data", str(images), "--output", str(tmp_path)]) == 2
    assert "images.csv was not written by wildmiddle" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["images.csv"]
