"""Scales, results and values that are not what they should be: refused in a line, never a crash.

Thousands of random changes; ``WILDMIDDLE_CHANGES`` sets how many (``benchmarks/README.md``).
"""

import json
import math
import os
import random
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2", reason="needs the extra verify")
pytest.importorskip("matplotlib", reason="needs the extra verify")

from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import page
from wildmiddle.checks.experiments.page import read, to_html, write_with_page
from wildmiddle.checks.experiments.results import ExperimentResult, Run
from wildmiddle.checks.experiments.scale import read_scale
from wildmiddle.checks.plain_values import fits, require_fit
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.terminal import evaluate, parse_values
from wildmiddle.theory.claims import CLAIMS
from wildmiddle.theory.claims.claim import parameters

CHANGES = int(os.environ.get("WILDMIDDLE_CHANGES", "300"))
ODD: list[Any] = [True, -1, 0, 1, 2**62, 2**63, 10**400, 1e308, math.inf, -math.inf, math.nan, 0.5]
ODD += ["", "nan", "<b>x</b>", "a\nb\x1b", "é" * 3000, "../x", "laptop", [], [[]], {}, {"a": 1}]
ODD += [[1, "a"], [[0.1, 0.2]], [0.2, 0.1], [math.nan, 1.0], {"data": {"source": 3}}]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value within a value, the keys one after the other."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in inside:
        yield (*at, key)
        if isinstance(each, dict | list):
            yield from places(each, (*at, key))


def change(rng: random.Random, value: Any) -> Any:
    """A copy with one to three entries replaced, deleted, renamed, nested or put elsewhere."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not (found := list(places(value))):
            break
        *above, last = rng.choice(found)
        at = value
        for key in above:
            at = at[key]
        kind = rng.randrange(5)
        if kind == 0:
            at[last] = deepcopy(rng.choice(ODD))
        elif kind == 1:
            del at[last]
        elif kind == 2:
            at[last] = rng.choice(([at[last]], {"x": at[last]}))
        elif isinstance(at, dict):
            new = str(last)[:-1] + rng.choice("xyz_") if kind == 3 else rng.choice(found)[-1]
            at[str(new)] = at.pop(last)
        else:
            at.append(deepcopy(rng.choice(ODD)))
    return value


def toml(value: Any) -> str:
    """A plain value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "")


def answer(call: Callable[[], Any]) -> Any:
    """What a call returns, or the message of the ValueError that it raises; no other error."""
    try:
        return call()
    except ValueError as error:
        return str(error)


def write_scale(path: Path, value: dict[str, Any]) -> None:
    lines = (f"{json.dumps(name)} = {toml(each)}\n" for name, each in value.items())
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def scale(tiny_text: str) -> dict[str, Any]:
    more = '[gaps.training]\nsteps = 10\n[gaps.data]\nclasses = "1"\n[timestep_gaps.measures]\n'
    return tomllib.loads(f'about = "digits"\n{tiny_text}{more}method = "ddpm"\nsteps = 100\n')


def test_changes_of_a_scale_are_taken_or_refused_in_a_line(scale, tmp_path: Path) -> None:
    path = tmp_path / "scale.toml"
    taken = 0
    for number in range(5 * CHANGES):
        write_scale(path, change(random.Random(number), scale))
        for group in ("", "gaps", "timestep_gaps"):
            found = answer(lambda group=group: read_scale(path, group))
            if isinstance(found, str):
                assert found.startswith(f"--scale {path}: "), number
            else:
                taken += 1
                assert found.training_settings(seed=1).steps >= 1
                assert isinstance(found.data["source"], str)
    assert CHANGES / 2 < taken < 14 * CHANGES


def test_changes_of_bytes_of_a_scale_are_refused_in_a_line(scale, tmp_path: Path) -> None:
    path = tmp_path / "scale.toml"
    write_scale(path, scale)
    whole = path.read_bytes()
    for number in range(CHANGES):
        rng = random.Random(number)
        at = rng.randrange(len(whole))
        put = rng.choice((b"", b"\xff", b"\x00", b"[" * 5000, b"9" * 5000, b"=", b"\xef\xbb\xbf"))
        path.write_bytes(whole[:at] + put + whole[at + rng.randrange(3) :])
        found = answer(lambda: read_scale(path))
        assert not isinstance(found, str) or found.startswith(f"--scale {path}: "), number


def test_a_mark_before_the_text_is_no_fault(tiny_text: str, tmp_path: Path) -> None:
    path = tmp_path / "scale.toml"
    path.write_text(tiny_text, encoding="utf-8-sig")
    assert read_scale(path).memorizing == 30
    path.write_text(tiny_text, encoding="utf-16")
    with pytest.raises(ValueError, match=r"scale\.toml: not in UTF-8; save the file as UTF-8"):
        read_scale(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train_size", "trainsize", "[data] has no 'trainsize'; did you mean train_size?"),
        ("[measures]", "[measure]", "the file has no 'measure'; did you mean measures?"),
        ("batch_size", "batchsize", "[training] has no 'batchsize'; did you mean batch_size?"),
        ("memorizing", "memorising", "[models] has no 'memorising'; did you mean memorizing?"),
        ("window", "windows", "[measures] has no 'windows'; did you mean window?"),
        ("[data]", "[gaps.dta]\n[data]", "[gaps] has no 'dta'; did you mean data?"),
        ("[data]", "[gap.data]\n[data]", "the file has no 'gap'; did you mean gaps?"),
        (
            "[data]",
            "[gaps.data]\nsise = 3\n[data]",
            "[gaps.data] has no 'sise'; did you mean size?",
        ),
        ('source = "digits"', "zzz = 1", "[data] has no 'zzz'; give source, train_size, "),
        ("window = 5", 'window = "5"', "[measures]: window = '5' must be a whole number"),
        ("steps = 12", "steps = true", "[training]: steps = True must be a whole number"),
        ("steps = 12", "steps = 0", "steps = 0 must be at least 1"),
        ("steps = 12", 'decay = "cos"', "decay = 'cos' must be one of none, linear, cosine"),
        ("steps = 12", 'network = "big"', "network = 'big' must be one of laptop, small, paper"),
        ("steps = 12", "learning_rate = inf", "learning_rate = inf must be finite"),
        ("test_size = 40", "value_range = [1]", "value_range = [1] must be a list of 2"),
        ("test_size = 40", "test_size = 1e3", "test_size = 1000.0 must be a whole number or left"),
    ],
)
def test_a_wrong_key_or_value_of_a_scale_is_named(
    tiny_text: str, tmp_path: Path, capsys, old, new, message
) -> None:
    path = tmp_path / "scale.toml"
    assert old in tiny_text
    path.write_text(tiny_text.replace(old, new, 1))
    command = ["reproduce", "figure3", "--scale", str(path), "--output", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(record, tmp_path: Path) -> Path:
    run = Run(
        scale="tiny",
        data="digits",
        train_size=60,
        test_size=40,
        image_shape=(1, 8, 8),
        value_range=(-1.0, 1.0),
        centred=False,
        sha256="sha256:0",
        memorizing=30,
        generalizing=60,
        settings=Settings(device="cpu").__dict__,
        versions={"python": "3.11"},
    )
    records = (record(parameters={"paper": 0.9}), record(relation=">=", bound=math.inf))
    outcome = ExperimentResult(
        "table1", "it is so", records, ("a",), ((1,),), lambda figure: figure.subplots()
    )
    write_with_page(outcome, tmp_path, run)
    return tmp_path


def test_changes_of_a_result_are_shown_or_named(folder: Path, monkeypatch) -> None:
    path = folder / "table1.json"
    whole = json.loads(path.read_text())
    template = page.load_template("experiments.html", title=page.title)
    monkeypatch.setattr(page, "load_template", lambda *_, **__: template)
    monkeypatch.setattr(page, "EXPERIMENTS", {"table1": ""})
    shown = 0
    for number in range(2 * CHANGES):
        path.write_text(json.dumps(change(random.Random(number), whole)))
        html = to_html(folder)
        assert html.encode()
        assert ("cannot be shown" in html) != ('<section id="table1">' in html), number
        shown += '<section id="table1">' in html
    assert CHANGES / 20 < shown < 1.5 * CHANGES


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "9" * 5000, '{"records": 1e999}', '"\\ud800"', "", "null", '{"n": NaN}'],
)
def test_a_result_that_is_no_result_is_named(folder: Path, text: str) -> None:
    (folder / "table1.json").write_text(text)
    with pytest.raises(ValueError, match=r"table1\.json is not what an experiment writes"):
        read(folder, "table1")


TEXTS = ["0", "-1", "1", "1e999", "-1e999", "1e308", "1e-320", "9" * 400, "9" * 5000, "None"]
TEXTS += ["True", "'5'", "b'5'", "1j", "[]", "[[]]", "[1,2]", "[[1,2],[3]]", "[1,'a']", "[1,None]"]
TEXTS += ["{}", "{1}", "()", "0.5", "[1e308,1e308]", "[[1,2],[3,4]]", "10**9", "nan", "3.7", "f()"]
TEXTS += ["__import__('os').abort()", "[" * 300, "[" * 100_000, "1\x00", "[0,0,0]", "", "=", "σ"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, at 1e308
def test_values_of_a_claim_are_evaluated_or_refused_in_a_line() -> None:
    known = [(c, sorted({n for f in c.evaluate.values() for n in parameters(f)})) for c in CLAIMS]
    known = [(claim, names) for claim, names in known if names]
    evaluated = 0
    for number in range(5 * CHANGES):
        rng = random.Random(number)
        claim, names = rng.choice(known)
        some = ["2", "0.5", "[1,2]", "1000"] if rng.random() < 0.7 else TEXTS
        pairs = [f"{name}={rng.choice(some)}" for name in names]
        found = answer(lambda claim=claim, pairs=pairs: evaluate(claim, parse_values(pairs)))
        assert found, number
        evaluated += not isinstance(found, str)
    assert evaluated > CHANGES / 10


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["N=True"], "--at N=True is no name=number"),
        (["N='5'"], "--at N='5' is no name=number"),
        (["N=[]"], "--at N=[] is no name=number"),
        (["N=" + "9" * 5000], "--at N=99999"),
        (["N=1", "N=2"], "--at gives N twice; give one value"),
        (["dmin=3"], "claim 4.2.2 has no 'dmin'; did you mean d_min?"),
        (["distances=3", "w=0.9", "delta=0.2"], "claim 4.2.2 cannot be evaluated at these values"),
    ],
)
def test_a_wrong_value_of_a_claim_is_named(capsys, values, message) -> None:
    assert main(["theory", "4.2.2", "--at", *values]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert len(printed.err) < 400


def test_what_fits_an_annotation() -> None:
    assert fits(3, float)
    assert fits([1, 2.5], tuple[float, float])
    assert fits(None, int | None)
    for value, hint in [
        (True, int),
        (True, float),
        (3.0, int),
        (2**63, int),
        ("\ud800", str),
        ([1], tuple[float, float]),
        ({"a": []}, dict[str, float | str]),
        (3, str),
    ]:
        assert not fits(value, hint), (value, hint)
    with pytest.raises(ValueError, match=r"x: a = a value must be a number"):
        require_fit({"a": 10**5000}, {"a": float}, "x")
