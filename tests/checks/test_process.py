"""The process around the command line: exit codes, streams, and what an environment may hold."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wildmiddle import __main__ as process
from wildmiddle.checks import cli, streams
from wildmiddle.checks.output import VERIFY
from wildmiddle.theory.claims import CLAIMS

COMMAND = (sys.executable, "-m", "wildmiddle")
QUICK = ("verify", "--samples", "200", "--c", "0.9", "--claims", "4.9", "--device", "cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "points.npy"
    np.save(path, np.random.default_rng(20261125).uniform(-1, 1, (50, 4, 4)))
    return path


def run(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, **{"text": True, "timeout": 120, "check": False, "capture_output": True} | more
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OverflowError("cannot convert float infinity to integer"), 3),
        (RuntimeError("x"), 3),
        (ImportError("libcudart.so.12"), 3),
        (RecursionError("x"), 3),
        (AssertionError(), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_that_nobody_expected_is_not_a_violated_claim(
    monkeypatch, capsys, error, code
) -> None:
    def fail(options) -> int:
        raise error

    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "argv", ["wildmiddle", "theory"])
    monkeypatch.setattr(cli, "_theory", fail)
    assert process.main() == code
    printed = capsys.readouterr()
    assert printed.out == ""
    if code == 3:
        assert "Traceback" in printed.err
        (last,) = printed.err.splitlines()[-1:]
        assert f"an unexpected {type(error).__name__}, which says nothing about any claim" in last
        assert "open an issue" in last
    else:
        assert printed.err.startswith("wildmiddle: interrupted")


def test_a_broken_installation_is_no_violated_claim() -> None:
    code = (
        "import sys; sys.modules['wildmiddle.checks.cli'] = None\n"
        "from wildmiddle.__main__ import main; raise SystemExit(main())"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 3
    assert "an unexpected ModuleNotFoundError" in done.stderr


def test_the_installed_command_and_python_m_begin_at_the_same_place() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="wildmiddle")
    assert script.load() is process.main


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8"])
def test_every_claim_can_be_read_in_every_encoding(monkeypatch, encoding) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    streams.prepare()
    assert cli.main(["theory"]) == 0
    # One after the other: sympy remembers what is drawn once.
    assert cli.main(["theory", ",".join(claim.id for claim in CLAIMS)]) == 0
    text = raw.getvalue().decode(encoding)
    assert "?" not in text.replace("Why?", "")
    assert "\\u" not in text
    assert ("σ" if encoding in ("utf-8", "cp437") else "sigma") in text
    sys.stdout.detach()  # type: ignore[union-attr]


def test_what_ascii_lacks_has_a_name() -> None:
    streams.prepare()
    text = "σ ≤ √2·λ₁, Σ → −∞ é x\u0305 \udce9 ⟹ Λ 漢"
    assert text.encode("ascii", "wildmiddle.ascii").decode() == (
        r"sigma <= sqrt2*lambda1, Sigma -> -inf e x_bar \udce9 => Lambda \u6f22"
    )


def test_control_characters_of_a_name_do_not_reach_the_terminal(capsys) -> None:
    streams.show("a\x1b[31mb\x07\tc\n\x9bd")
    streams.complain("e\x1b[2Jf\ng")
    assert tuple(capsys.readouterr()) == (
        "a\\x1b[31mb\\x07\tc\n\\x9bd\n",
        "wildmiddle: e\\x1b[2Jf g\n",
    )


SHELL = [
    ("theory | head -n 1", 0, ""),
    ("--help | head -n 1", 0, ""),
    ("theory >&-", 0, ""),
    ("theory 9.9 2>&-", 2, ""),
    ("theory 9.9 2>&1 >/dev/null | true", 2, ""),
    ("theory <&- >/dev/null", 0, ""),
    ("theory >/dev/full", 2, "wildmiddle: [Errno 28] No space left on device\n"),
    ("--help >/dev/full", 2, "wildmiddle: [Errno 28] No space left on device\n"),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("line", "code", "said"), SHELL)
def test_a_stream_that_is_closed_or_full(line: str, code: int, said: str) -> None:
    command = f"{sys.executable} -m wildmiddle {line}"
    done = run("bash", "-o", "pipefail", "-c", command)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.skipif(sys.platform != "linux", reason="the paths are those of Linux")
def test_a_bare_and_odd_environment(data: Path, tmp_path: Path) -> None:
    """What notebooks, schedulers and containers leave, and a folder that nobody can write to."""
    environment = {
        "COLUMNS": "-7",
        "LC_ALL": "C",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "cp1252",
        "RANK": "3",
        "TMPDIR": str(tmp_path / "missing"),
        "WORLD_SIZE": "1",
    }
    out = tmp_path / "out"
    command = [*COMMAND, *QUICK, "--data", str(data), "--output"]
    done = run(*command, str(out), env=environment, cwd="/proc", encoding="cp1252")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"The whole report: {out / 'report.html'}" in done.stdout
    assert {path.name for path in out.iterdir()} == {"index.html", *VERIFY.files}
    done = run(*command, "report", env=environment, cwd="/proc")
    assert done.returncode == 2
    assert done.stderr.startswith("wildmiddle: --output report cannot be written")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("size", ["4", "many"])
def test_a_world_size_without_torchrun_is_refused_before_the_work(
    data: Path, tmp_path: Path, monkeypatch, capsys, size
) -> None:
    from wildmiddle.models.settings import Training
    from wildmiddle.models.training import train

    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setattr(cli, "_load", lambda _: pytest.fail("worked"))
    assert cli.main([*QUICK, "--data", str(data), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"WORLD_SIZE = {size} is set, but torchrun did not start this process" in said
    assert "unset WORLD_SIZE" in said
    with pytest.raises(ValueError, match="unset WORLD_SIZE"):
        train(np.zeros((4, 8, 8)), Training(), tmp_path / "model")
    assert os.listdir(tmp_path) == []
