"""The page on JSON files has every key that is written, and is asked of real files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wildmiddle.checks.cli import main
from wildmiddle.empirical.data import load

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
OWN = """
from pathlib import Path
import numpy as np
import wildmiddle

def features(images):
    return images.flatten(1)[:, ::5]

def copier():
    train = np.load(Path(__file__).with_name("train.npy"))
    return wildmiddle.EmpiricalDenoiser(wildmiddle.to_channels_first(train))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with one of each file."""
    folder = tmp_path_factory.mktemp("json")
    data = load("digits", train_size=30, test_size=20)
    np.save(folder / "train.npy", data.train)
    np.save(folder / "test.npy", data.test)
    (folder / "own.py").write_text(OWN)
    small = ["--data", "digits", "--train-size", "30", "--test-size", "20"]
    assert main(["zone", *small, "--output", str(folder)]) == 0
    own = f"{folder / 'own.py'}"
    sets = ["--train", str(folder / "train.npy"), "--test", str(folder / "test.npy")]
    few = ["--count", "8", "--outputs", "20", "--features", f"{own}:features"]
    model = [f"{own}:copier", "--reference", f"{own}:copier"]
    assert main(["audit", *model, *sets, *few, "--output", str(folder)]) == 0
    for seed in "ab":
        options = ["--claims", "4.5", "--samples", "2000", "--output", str(folder / seed)]
        assert main(["verify", *small, "--seed", str(ord(seed)), *options]) == 0
    both = [str(folder / seed) for seed in "ab"]
    assert main(["report", "compare", *both, "--output", str(folder)]) == 0
    return folder


def keys(value: object) -> Iterator[str]:
    """Every key of an object and of all within, but for the names of settings and of libraries."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            if key not in ("settings", "versions", "parameters", "counts"):
                yield from keys(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from keys(entry)


@pytest.mark.parametrize("name", ["report", "zone", "gap", "audit", "comparison"])
def test_every_key_is_described(written, name) -> None:
    file = written / ("a/report.json" if name == "report" else f"{name}.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    title = "zone" if name == "gap" else name
    section = next(each for each in sections if each.startswith(f"{title}.json"))
    described = set(re.findall(r"`([^`\n]+)`", section))
    found = set(keys(content))
    # The shares at noise levels: a quantity and one of its ends.
    ends = {f"{a}_{b}" for a in described for b in ("mean", "low", "high")}
    assert found - described - ends == set()
    kind = content.get("schema", content.get("format"))
    assert kind in described
