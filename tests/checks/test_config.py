"""Options from a TOML file: what it says, what the command line says, and what is refused."""

from pathlib import Path

import pytest

from wildmiddle.checks.cli import main
from wildmiddle.checks.options import parser


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> list[str]:
        Path("run.toml").write_text(text, encoding="utf-8")
        return ["--config", "run.toml"]

    return write


def test_a_file_says_what_the_command_line_does_not(config) -> None:
    file = config(
        'data = "my images"\nclaims = ["4.2", "4.8"]\nrange = [0, 1]\nsamples = 500\nc = 4\n'
        'grayscale = true\ncentre = false\nmemory = "2GB"\noutput = "out"\n'
    )
    found = parser().parse_args(["verify", "--samples", "900", *file, "--c=3"])
    assert (found.data, found.claims, found.range) == ("my images", "4.2,4.8", (0, 1))
    assert (found.samples, found.c, found.memory) == (900, 3, 2 << 30)
    assert (found.grayscale, found.centre, found.output) == (True, False, Path("out"))
    assert vars(parser().parse_args(["verify"])) == vars(
        parser().parse_args(["verify", *config("")])
    ) | {"config": None}


def test_every_command_takes_a_file_and_what_it_requires_may_stand_there(config) -> None:
    found = parser().parse_args(["audit", *config('train = "t"\nfail-above = 0.01'), "s"])
    assert (found.generated, found.train, found.fail_above) == ("s", "t", 0.01)
    found = parser().parse_args(["theory", "4.2", *config('at = ["N=3", "w=0.9"]'), "--at", "d=2"])
    assert (found.claim, found.at) == ("4.2", ["N=3", "w=0.9", "d=2"])
    found = parser().parse_args(["reproduce", "figure3", "figure6", *config("seeds = 3")])
    assert (found.experiments, found.seeds) == (["figure3", "figure6"], 3)
    found = parser().parse_args(["report", "compare", "a", "b", *config("json = true")])
    assert found.json
    assert parser().parse_args(["zone", *config("exact = true")]).exact
    assert parser().parse_args(["mutants", *config("seed = 4")]).seed == 4
    assert parser().parse_args(["data", "cifar10", *config('output = "x"')]).output == Path("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample = 500", "--config run.toml: the file has no 'sample'; did you mean samples?"),
        ("train_size = 5", "has no 'train_size'; did you mean train-size?"),
        ('samples = "many"', "argument --samples: invalid int value: 'many' (with what run.toml"),
        ("samples = 5", "samples = 5 is too few to say anything"),
        ('device = "tpu"', "argument --device: invalid choice: 'tpu'"),
        ("quiet = 1", "run.toml: the file: quiet = 1 must be true or false"),
        (
            "samples = true",
            "samples = True must be a text or a whole number or a number or a list",
        ),
        ("[samples]\na = 1", "samples = {'a': 1} must be a text"),
        ("quiet = [true]", "run.toml: the file: quiet = [True] must be true or false"),
        ("limit = " + "[" * 5000, "run.toml: lists or tables within too many others"),
        ("config = 'x'", "has no 'config'"),
        ("samples = ", "run.toml: Invalid value"),
        ("\x00", "run.toml: Invalid"),
    ],
)
def test_what_a_file_may_not_say_is_refused_in_a_line(config, capsys, text, said) -> None:
    command = ["verify", *config(text)]
    try:
        code = main(command)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert said in printed.err
    assert not Path("report").exists()


def test_a_file_that_is_missing_or_named_in_short_is_refused(config, capsys) -> None:
    config("samples = 500")
    for given in (["--config", "none.toml"], ["--conf", "run.toml"], ["--config"]):
        with pytest.raises(SystemExit) as stop:
            parser().parse_args(["verify", *given])
        assert stop.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
