"""Where output goes: what is refused before the work, and that nothing is lost on the way.

Broken on purpose: each step that a write takes is once its last (:data:`KILLED`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wildmiddle.checks import output
from wildmiddle.checks.cli import main
from wildmiddle.checks.experiments import scale  # noqa: F401, it reads the annotations of load
from wildmiddle.checks.options import parser
from wildmiddle.checks.output import (
    VERIFY,
    ZONE,
    experiment,
    replace_files,
    require_output,
    require_outside,
)

REPORT = '{\n "schema": "wildmiddle-report/1"'

# Each step of a write may be the last: a process forked for it ends there, without any clean-up.
# The steps are what Python's audit hook tells: every open, mkdir, rename, unlink, lock and call.
KILLED = r"""
import json, os, sys
from pathlib import Path
from wildmiddle.checks import output

root = Path(sys.argv[1])
folder = root / "out"
start = {"zone.json": '{\n "schema": "wildmiddle-zone/1", '}
files = {"old": ("zone.json", "zone.html", "images.csv"), "new": ("zone.json", "gap.json")}

def write(text):
    with output.replace_files(folder, output.ZONE) as new:
        for name in files[text]:
            (new / name).write_text(start.get(name, "") + text)

def seen():
    found = {p.name: p.read_text().removeprefix(start.get(p.name, "")) for p in folder.glob("*.*")
             if p.is_file()}
    return next((k for k, names in files.items() if found == dict.fromkeys(names, k)), "mixed")

def hook(event, arguments):
    global left
    if event.partition(".")[0] in ("open", "os", "shutil", "fcntl", "ctypes"):
        left -= 1
        if left == 0:
            os._exit(9)

counts, after, steps = {}, {}, 0
write("old")
(folder / "models").mkdir()
(folder / "models" / "weights").write_text("kept")
while True:
    steps += 1
    child = os.fork()
    if child == 0:
        left = steps
        sys.addaudithook(hook)
        write("new")
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    counts[seen()] = counts.get(seen(), 0) + 1
    output.require_output(folder, output.ZONE)  # as the next run begins
    after[seen()] = after.get(seen(), 0) + 1
    write("old")
    assert seen() == "old"
    assert sorted(os.listdir(root)) == ["out"], os.listdir(root)
    assert sorted(os.listdir(folder)) == sorted((*files["old"], "models"))
    assert (folder / "models" / "weights").read_text() == "kept"
    if code == 0:
        break
print(json.dumps([steps, counts, after]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_report_killed_at_any_step_is_whole_at_the_next_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    steps, found, after = json.loads(done.stdout)
    assert steps > 20
    assert set(found) == {"old", "mixed", "new"}
    assert set(after) == {"old", "new"}


def write_report(folder: Path, text: str = "", names: Sequence[str] = VERIFY.files) -> None:
    with replace_files(folder, VERIFY) as new:
        for name in names:
            (new / name).write_text(REPORT + text)


def listing(folder: Path) -> dict[str, bytes]:
    paths = folder.rglob("*")
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in paths}


def test_an_error_while_writing_changes_nothing(tmp_path: Path) -> None:
    write_report(tmp_path / "out")
    before = listing(tmp_path)

    def fill_the_disk() -> None:
        with replace_files(tmp_path / "out", VERIFY) as new:
            (new / "report.json").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert listing(tmp_path) == before


def test_a_report_takes_the_place_of_an_older_one_and_of_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    write_report(folder, "1")
    (folder / "notes.txt").write_text("mine")
    folder.chmod(0o750)
    write_report(folder, "2", VERIFY.files[:-1])
    (notes,) = [listing(folder).pop("notes.txt")]
    assert notes == b"mine"
    assert set(listing(folder)) == {*VERIFY.files[:-1], "notes.txt"}
    assert (folder / VERIFY.files[1]).read_text() == REPORT + "2"
    assert folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["zone.json", "zone.html", "images.csv"])
def test_a_file_of_somebody_else_is_neither_replaced_nor_deleted(tmp_path: Path, name) -> None:
    write_report(tmp_path)
    (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    with pytest.raises(ValueError, match=f"{name} was not written by wildmiddle"):
        require_output(tmp_path, ZONE)
    require_output(tmp_path, VERIFY)
    (tmp_path / "report.md").unlink()
    (tmp_path / "report.md").mkdir()
    with pytest.raises(ValueError, match=r"report\.md was not written"):
        require_output(tmp_path, VERIFY)
    (tmp_path / "report.md").rmdir()
    write_report(tmp_path)
    assert listing(tmp_path) == before


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    write_report(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert set(listing(tmp_path / "real")) == set(VERIFY.files)


def own_index(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "index.html").write_text("my home page")


def own_figure(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "figure3.svg").write_text("my figure")


def file_in_the_way(folder: Path) -> None:
    (folder / "out").write_text("a file")


def file_above(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "sub").write_text("a file")


def loop(folder: Path) -> None:
    (folder / "out").symlink_to("out")


def own_report(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "report.md").write_text("my report")


CASES = [
    ("verify", own_index, "out", "index.html was not written by wildmiddle"),
    ("verify", own_report, "out", "report.md was not written by wildmiddle"),
    ("verify", file_in_the_way, "out", "is a file; name a folder"),
    ("verify", file_above, "out/sub/deeper", "cannot be written"),
    ("verify", loop, "out", "cannot be written"),
    ("verify", None, "x" * 256, "cannot be written"),
    ("verify", None, "/proc/nothing/here", "cannot be written"),
    ("verify", None, "/proc", "cannot be written"),
    ("reproduce", own_index, "out", "index.html was not written by wildmiddle"),
    ("reproduce", own_figure, "out", "figure3.svg was not written by wildmiddle"),
    ("reproduce", file_in_the_way, "out", "is a file; name a folder"),
    ("reproduce", file_above, "out/sub/deeper", "cannot be written"),
    ("data", file_in_the_way, "out", "cannot be written"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="the paths are those of Linux")
@pytest.mark.parametrize(("command", "prepare", "name", "fragment"), CASES)
def test_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch, capsys, command, prepare, name, fragment
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wildmiddle.empirical.data.load", lambda *_, **__: pytest.fail("worked"))
    if prepare is not None:
        prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    argument = {"verify": [], "reproduce": ["figure3"], "data": ["cifar10"]}[command]
    assert main([command, *argument, "--output", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert fragment in printed.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ValueError, match="Permission denied"):
        require_output(tmp_path / "locked" / "report")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--output", "faces/report"], "--output faces/report"),
        (["--output", "faces"], "--output faces"),
        (["--output", "link/report"], "--output link/report"),
        (["--cache", "faces/cache"], "--cache faces/cache"),
    ],
)
def test_nothing_is_written_among_the_images(
    tmp_path: Path, monkeypatch, capsys, options, named
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    (tmp_path / "link").symlink_to("faces", target_is_directory=True)
    before = sorted(tmp_path.rglob("*"))
    assert main(["verify", "--data", "faces", *options]) == 2
    said = capsys.readouterr().err
    assert f"{named} lies in the folder of the images, faces" in said
    assert len(said.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    require_outside("--output", tmp_path / "report", tmp_path / "faces")


def test_files_of_an_earlier_run_are_ours_even_damaged(tmp_path: Path) -> None:
    for name in ("figure3.csv", "figure3.svg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "figure3.json").write_text('{\n "name": "figure3",\n "pap')
    page = '<html>\n<p class="eyebrow">wildmiddle reproduce</p>'
    (tmp_path / "index.html").write_text(page)
    require_output(tmp_path, experiment("figure3"))
    (tmp_path / "figure3.json").write_text('{\n "name": "figure7"}')
    with pytest.raises(ValueError, match=r"figure3\.json was not written"):
        require_output(tmp_path, experiment("figure3"))
    require_output(tmp_path, experiment("figure8"))


def test_home_stands_for_itself_in_every_path(monkeypatch, capsys) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    at = Path("/home/me/x")
    given = ["--output=~/x", "--cache=~/x", "--data=~/x"]
    options = parser().parse_args(["verify", *given])
    assert (options.output, options.cache, options.data) == (at, at, str(at))
    options = parser().parse_args(
        ["reproduce", "all", "--output=~/x", "--inception=~/x", "--data=~/x", "--scale=~/x"]
    )
    assert (options.output, options.inception) == (at, at)
    assert (options.data, options.scale) == (str(at), str(at))
    assert parser().parse_args(["data", "cifar10", "--output=~/x"]).output == at
    assert parser().parse_args(["verify", "--output", "./~/x"]).output == Path("~/x")
    for name in ("", "~nobody-of-that-name/x"):
        with pytest.raises(SystemExit) as caught:
            parser().parse_args(["verify", f"--output={name}"])
        assert caught.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_processes_that_start_together_do_not_disturb_one_another(tmp_path: Path) -> None:
    # As four of torchrun: each looks whether it could write, before any of them makes the folder.
    folder = tmp_path / "not" / "there"

    def look(_: int) -> None:
        for _ in range(100):
            require_output(folder, VERIFY)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with output._alone(tmp_path):
            pass
