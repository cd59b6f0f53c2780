"""The documents say what the code is: modules, layers, versions, and examples that run."""

import ast
import json
import re
import runpy
import tomllib
from pathlib import Path

import numpy as np
import pytest

import wildmiddle
from wildmiddle.models.settings import Training

ROOT = Path(__file__).parents[1]
ROOMS = ("theory", "empirical", "models", "checks")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
MODULES = [path for room in ("api", *ROOMS) for path in sorted((ROOT / room).rglob("*.py"))]


def module_line(path: Path) -> str:
    """A module as docs/architecture.md lists it: path and first sentence of the docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = " ".join(docstring.split("\n\n")[0].split())
    return f"- `{path.relative_to(ROOT)}`: {first}"


def test_architecture_lists_every_module_and_no_other() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = [line for line in text.splitlines() if re.match(r"- `\w+/.*\.py`", line)]
    wanted = [module_line(path) for path in MODULES if path.name != "__init__.py"]
    assert listed == wanted, "the list of modules should be\n" + "\n".join(wanted)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_those_below_it(room: str) -> None:
    above = [f"wildmiddle.{name}" for name in ROOMS[ROOMS.index(room) + 1 :]]
    if room == "theory":
        above += ["torch", "sklearn", "matplotlib", "jinja2"]
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == room:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += (
                    [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                )
                for name in names:
                    refused = [a for a in above if f"{name}.".startswith(f"{a}.")]
                    assert not refused, f"{path.relative_to(ROOT)} imports {name}"


def test_every_name_of_the_package_is_there() -> None:
    assert set(wildmiddle.__all__) <= set(dir(wildmiddle))
    for name in wildmiddle.__all__:
        assert getattr(wildmiddle, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = wildmiddle.nothing


def test_the_notebook_is_the_tutorial() -> None:
    tutorial = runpy.run_path(str(ROOT / "docs" / "site" / "notebook.py"))
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    written = (ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8")
    assert written == tutorial["notebook"](text), "run python docs/site/notebook.py"
    cells = json.loads(written)["cells"]
    code = [line for cell in cells if cell["cell_type"] == "code" for line in cell["source"]]
    assert sum("wildmiddle" in line for line in code) >= 4


def test_the_version_is_the_same_everywhere() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {VERSION} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_commit_hook_has_the_pinned_ruff() -> None:
    (pinned,) = re.findall(r"^ruff==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert f"rev: v{pinned}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_examples_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a few small images, with three steps of training and two samples."""
    rng = np.random.default_rng(7)
    names = {
        "train": rng.uniform(-1, 1, (12, 8, 8)),
        "test": rng.uniform(-1, 1, (6, 8, 8)),
        "samples": rng.uniform(-1, 1, (4, 8, 8)),
    }
    x, sample = wildmiddle.load().train[:2], wildmiddle.sample
    names |= {"x": __import__("torch").as_tensor(x), "sigma": 0.5}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zone").mkdir()
    wildmiddle.Gap(0.3, 1.0).save(tmp_path / "zone" / "gap.json")
    monkeypatch.setattr(
        wildmiddle,
        "Training",
        lambda **given: Training(steps=3, batch_size=4, **given),
        raising=False,
    )
    monkeypatch.setattr(
        wildmiddle, "sample", lambda d, shape, numbers: sample(d, shape, numbers[:2]), raising=False
    )
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    ran = [block for block in blocks if "import wildmiddle\n" in block]
    assert len(ran) >= 3
    for block in ran:
        exec(compile(block, "README.md", "exec"), names)
    assert len(names["samples"]) == 2
