"""The command line: exit codes, errors in one line, what is written and what is printed."""

import json
import math
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import wildmiddle
from wildmiddle.checks.cli import main
from wildmiddle.checks.options import parser
from wildmiddle.checks.output import VERIFY
from wildmiddle.checks.registry import checks
from wildmiddle.empirical.data import DataSet
from wildmiddle.theory import locality
from wildmiddle.theory.claims import CLAIMS

SEED = 20260315
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
"""
QUICK = ("--samples", "200", "--c", "0.9", "--claims", "4.2.2,4.9,4.10", "--device", "cpu")


def points(count: int = 50) -> np.ndarray:
    return np.random.default_rng(SEED).uniform(-1, 1, (count, 4, 4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "points.npy"
    np.save(path, points())
    return path


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every image once more, so that some training images have a copy among the others."""
    path = tmp_path_factory.mktemp("data") / "twice.npy"
    np.save(path, np.repeat(points(25), 2, axis=0))
    return path


@pytest.fixture(scope="module")
def written(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "made" / "for it"
    arguments = ["verify", "--data", str(data), *QUICK, "--quiet", "--output", str(folder)]
    assert main([*arguments, "--seed", "3"]) == 0
    return folder


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(v) for key, v in value.items() if key != "seconds"}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_run_writes_its_files_and_no_more(written: Path) -> None:
    assert {p.name for p in written.iterdir()} == {"index.html", *VERIFY.files}
    found = report(written)
    assert found["verdict"] in ("holds", "inconclusive")
    assert [claim["id"] for claim in found["claims"]] == ["4.2.2", "4.9", "4.10"]
    assert [found["settings"][name] for name in ("seed", "samples", "c")] == [3, 200, 0.9]


def test_same_seed_same_report(data: Path, written: Path, tmp_path: Path, capsys) -> None:
    arguments = ["verify", "--data", str(data), *QUICK, "--json", "--seed", "3"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == report(tmp_path / "out")
    assert without_seconds(report(written)) == without_seconds(report(tmp_path / "out"))
    for name in VERIFY.files[1:]:
        assert (written / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_the_summary_is_printed_and_duplicates_are_said(
    twice: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "--data", str(twice), *QUICK]) == 0
    printed = capsys.readouterr()
    summary = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    title, verdict = summary.removeprefix("# ").split("\n\n")[:2]
    assert [" ".join(part.split()) for part in printed.out.split("\n\n")[:2]] == [
        title,
        " ".join(verdict.split()),
    ]
    assert str(Path("report") / "report.html") in printed.out
    duplicates = report(tmp_path / "report")["data"]["duplicates"]
    assert duplicates > 0
    found = report(tmp_path / "report")["data"]
    assert found["leaked"] > 0
    own, leaked, held_out = printed.err.splitlines()
    n, distinct = found["train_size"], found["distinct"]
    assert distinct == n - duplicates // 2
    assert f"{n - distinct} of {n} training images are copies of others: {distinct} distinct" in own
    assert f"{found['leaked']} of {found['test_size']} held-out images are training im" in leaked
    assert f"{found['test_duplicates']} held-out images have an exact copy" in held_out
    assert own.removeprefix("wildmiddle: ") in summary
    assert leaked.removeprefix("wildmiddle: ") in summary


def test_verbose_says_on_standard_error_what_is_done(data: Path, tmp_path: Path) -> None:
    command = ["verify", "--data", str(data), *QUICK, "--quiet", "--output", str(tmp_path / "out")]
    run = f"import sys; from wildmiddle.checks.cli import main; sys.exit(main({command!r}))"
    assert python(run).stderr == ""
    said = python(run.replace("'--quiet'", "'--quiet', '--verbose'"))
    assert (said.returncode, said.stdout) == (0, "")
    lines = [line.partition(" wildmiddle.checks.verify: ")[2] for line in said.stderr.splitlines()]
    first, *others = filter(None, lines)  # but for what the zone's own module says
    assert first == "30 training and 20 held-out images"
    numbers = [claim.number for claim in CLAIMS if claim.id in ("4.2.2", "4.9", "4.10")]
    assert [what.split(":")[0] for what in others] == numbers
    assert all("hold" in what or "inconclusive" in what for what in others)


def test_choices_are_reported_and_repeated_by_the_command(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (90, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.tile(["cat", "dog", "frog"], 30))
    choice = ["--classes", "dog,cat", "--limit", "50", "--grayscale", "--size", "4"]
    arguments = ["verify", "--data", "a.npz", *QUICK, *choice, "--train-size", "30"]
    assert main([*arguments, "--output", "one"]) == 0
    capsys.readouterr()
    found = report(tmp_path / "one")
    assert {
        key: found["data"][key] for key in ("name", "classes", "limit", "grayscale", "size")
    } == {
        "name": "a.npz",
        "classes": ["cat", "dog"],
        "limit": 50,
        "grayscale": True,
        "size": 4,
    }
    assert (found["data"]["train_size"], found["data"]["image_shape"]) == (30, [4, 4])
    summary = (tmp_path / "one" / "report.md").read_text(encoding="utf-8")
    assert "a.npz, cat + dog, first 50, grayscale, 4x4" in summary
    (command,) = [line for line in summary.splitlines() if line.startswith("Command: ")]
    again = shlex.split(command.removeprefix("Command: ").strip("`"))
    assert again[0] == "wildmiddle"

    def stop(data: DataSet, *_: Any, **__: Any) -> None:
        repeated.append(data)
        raise ValueError("read")

    repeated: list[DataSet] = []
    with monkeypatch.context() as patched:
        patched.setattr("wildmiddle.checks.verify.verify", stop)
        assert main(again[1:]) == 2
    assert repeated[0].title == "a.npz, cat + dog, first 50, grayscale, 4x4"
    assert (repeated[0].sha256, repeated[0].sigma_data) == (
        found["data"]["sha256"],
        found["data"]["sigma_data"],
    )
    assert main(["zone", "--data", "a.npz", "--c", "0.9", *choice]) == 0
    assert "a.npz, cat + dog, first 50, grayscale, 4x4: N = 50" in capsys.readouterr().out


def test_a_folder_is_cached_where_asked_and_only_there(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for i in range(30):
        image = np.random.default_rng([SEED, i]).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{i}.png")
    before = listing(tmp_path)
    arguments = ["zone", "--data", str(folder), "--c", "0.9", "--size", "4"]
    assert main(arguments) == 0
    assert listing(tmp_path) == before
    first = capsys.readouterr()
    for _ in range(2):
        assert main([*arguments, "--cache", str(tmp_path / "cache")]) == 0
        assert capsys.readouterr() == first
    assert len(listing(tmp_path)) == len(before) + 3  # and the lock


def test_a_violated_claim_is_exit_code_1_and_quiet_prints_nothing(
    twice: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    arguments = ["verify", "--data", str(twice), *QUICK, "--output", str(tmp_path / "out")]
    half = {"sensitivity_bound": lambda *given: 0.5 * locality.sensitivity_bound(*given)}
    monkeypatch.setitem(checks(), "4.10", partial(checks()["4.10"], **half))
    assert main([*arguments, "--quiet"]) == 1
    assert tuple(capsys.readouterr()) == ("", "")
    found = report(tmp_path / "out")
    assert found["verdict"] == "violated"
    verdicts = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    assert verdicts["4.10"] == "violated"
    assert "violated" not in (verdicts["4.2.2"], verdicts["4.9"])


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that cannot be used, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    np.save(tmp_path / "good.npy", points())
    np.save(tmp_path / "nan.npy", np.where(points() > 0.9, math.nan, points()))
    np.save(tmp_path / "one.npy", points(1))
    np.save(tmp_path / "wide.npy", 3 * points())
    return tmp_path


def listing(folder: Path) -> list[tuple[str, bytes]]:
    return sorted((str(p), p.read_bytes() if p.is_file() else b"") for p in folder.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--data", "nowhere"], ["'nowhere'", "no such file"]),
        (["--data", "empty"], ["empty", "no images"]),
        (["--data", "nan.npy"], ["nan.npy", "NaN"]),
        (["--data", "one.npy"], ["one.npy", "1 images"]),
        (["--data", "wide.npy"], ["outside the range", "--range"]),
        (["--c", "0"], ["c = 0.0"]),
        (["--w", "0.001"], ["w = 0.001", "1/N"]),
        (["--delta", "0"], ["delta = 0.0"]),
        (["--alpha", "2"], ["alpha = 2.0"]),
        (["--samples", "99"], ["samples = 99"]),
        (["--range=1,-1"], ["range (1.0, -1.0)"]),
        (["--train-size", "1000"], ["train_size 1000"]),
        (["--classes", "cat"], ["good.npy", "no labels"]),
        (["--limit", "2"], ["good.npy", "2 images"]),
        (["--size", "5"], ["4x4", "too small for size 5"]),
        (["--claims", "4.2,9.9"], ["'9.9'", "unknown"]),
        (["--claims", "4.1"], ["4.1", "no check"]),
        (["--weight-low", "0.9"], ["weight_low = 0.9"]),
        (["--output", "file"], ["--output file", "is a file"]),
    ],
)
def test_bad_use_is_one_line_and_writes_nothing(bad: Path, capsys, arguments, fragments) -> None:
    before = listing(bad)
    assert main(["verify", "--data", "good.npy", "--c", "1", "--samples", "200", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert [f for f in fragments if f not in printed.err] == [], printed.err
    assert listing(bad) == before


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["verify", "--range", "1"], "'1' is no pair of numbers"),
        (["verify", "--range=a,b"], "'a,b' is no pair of numbers"),
        (["verify", "--samples", "many"], "'many'"),
        (["verify", "--device", "abacus"], "'abacus'"),
        (["verify", "--nonsense"], "--nonsense"),
        (["refute"], "'refute'"),
        (["verify", "--limit", "few"], "'few'"),
        (["data"], "name"),
        (["data", "celeba"], "'celeba'"),
        ([], "COMMAND"),
    ],
)
def test_bad_options_end_in_a_line_that_names_them(bad: Path, capsys, arguments, fragment) -> None:
    before = listing(bad)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert fragment in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    assert listing(bad) == before


def test_an_interrupt_leaves_nothing_behind(bad: Path, capsys, monkeypatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wildmiddle.checks.verify.verify", interrupted)
    before = listing(bad)
    assert main(["verify", "--data", "good.npy"]) == 130
    assert capsys.readouterr().err == "wildmiddle: interrupted; nothing was written\n"
    assert listing(bad) == before


@pytest.mark.parametrize(
    "arguments", [["--help"], ["verify", "--help"], ["theory", "--help"], ["data", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ["torch", "sympy", "scipy", "matplotlib", "sklearn", "numpy"]
    run = python(
        "import sys\n"
        "from wildmiddle.checks.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    assert run.returncode == 0
    assert run.stdout.startswith("usage: wildmiddle")
    assert run.stderr == "[]\n"


def test_without_torch_verify_says_what_to_install() -> None:
    run = python(
        WITHOUT_TORCH
        + "from wildmiddle.checks.cli import main\nraise SystemExit(main(['verify']))\n"
    )
    assert run.returncode == 2
    assert run.stdout == ""
    message = "wildmiddle: torch is not installed; install the extra: pip install"
    assert run.stderr.startswith(message)
    assert len(run.stderr.splitlines()) == 1


def test_theory_needs_no_torch() -> None:
    run = python(
        WITHOUT_TORCH + "from wildmiddle.checks.cli import main\n"
        "raise SystemExit(main(['theory', '4.2.2', '--at', 'N=2', 'd_min=3', 'w=0.9', "
        "'delta=0.2']))\n"
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "Theorem 4.2, part 2" in run.stdout
    assert "sigma_minus" in run.stdout


def test_theory_lists_every_claim(capsys) -> None:
    assert main(["theory"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [claim.id for claim in CLAIMS]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["theory", "9.9"], "'9.9' is unknown"),
        (["theory", "4.2.2", "--at", "N"], "--at N"),
        (["theory", "4.2.2", "--at", "N=two"], "N=two"),
        (["theory", "4.2.2", "--at", "d_min=-1", "N=2", "w=0.9", "delta=0.2"], "d_min = -1"),
    ],
)
def test_theory_refuses_in_one_line(capsys, arguments, fragment) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert fragment in printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zone", "--dta", "x"], "--dta x: no option of this command; did you mean --data?"),
        (["zone", "images"], "images: no option of this command; did you mean --data images?"),
        (["theory", "4.2", "--qqq"], "--qqq: no option of this command; see wildmiddle theory"),
    ],
)
def test_an_unknown_option_is_answered_with_the_one_that_is_like_it(
    capsys, arguments, said
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_range_may_begin_below_0() -> None:
    asked = ["zone", "--data", "x", "--range"]
    assert parser().parse_args([*asked, "-1,1"]).range == (-1, 1)
    assert parser().parse_args([*asked, "-.5,2e-3"]).range == (-0.5, 0.002)


def test_a_shell_completes_commands_options_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("shtab", reason="needs the extra completion")
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", "bash"])
    assert caught.value.code == 0
    script, bash = capsys.readouterr().out, shutil.which("bash")
    assert bash
    (tmp_path / "images.npy").touch()
    asked = {"zo": "zone", "zone --resol": "--resolution", "zone --data im": "images.npy"}
    for words, expected in asked.items():
        typed = f"COMP_WORDS=(wildmiddle {words}); COMP_CWORD={len(words.split())}"
        ask = f"{typed}; _shtab_wildmiddle; echo ${{COMPREPLY[@]}}"
        run = subprocess.run(
            [bash, "-c", script + ask], cwd=tmp_path, capture_output=True, text=True
        )
        assert run.stdout.split() == [expected], run.stderr
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", "bash"])
    assert caught.value.code == 2
    assert "pip install 'wildmiddle[completion]'" in capsys.readouterr().err


def test_the_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"wildmiddle {version('wildmiddle')}\n"
    assert wildmiddle.__version__ == version("wildmiddle")
