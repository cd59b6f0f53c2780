"""The options of the command line, one function a group, so that commands share them.

Imports nothing heavy: ``--help`` must not wait for torch.
"""

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from wildmiddle.checks.parsing import (
    Parser,
    PrintCompletion,
    PrintVersion,
    as_name_or_path,
    as_path,
)
from wildmiddle.checks.settings import Settings, arguments, option
from wildmiddle.theory.constants import ZONE_RESOLUTION, ZONE_TIME

EXPERIMENTS = {
    "figure3": "",
    "figure6": "",
    "figure7": "",
    "figure8": "gaps",
    "remark4.3": "",
    "remarkA.3": "",
    "figure1": "",
    "figure2": "",
    "table1": "",
    "figure4": "gaps",
    "figure5": "timestep_gaps",
    "figure9": "timestep_gaps",
    "figure10": "",
    "figures11-16": "",
    "figures17-19": "gaps",
    "timestep-grids": "timestep_gaps",
    "locality": "",
    "trajectories": "",
    "distances": "gaps",
    "boundaries": "",
    "supervision": "",
    "copy-time": "",
    "gap-law": "",
    "gap-rule": "",
}
"""Modules of ``wildmiddle.checks.experiments`` by their place in the paper, in the order of a whole
run, those without training first; and the group of experiments whose values they take from the
scale."""


def module_name(experiment: str) -> str:
    """The module of an experiment: ``figures11_16`` of ``figures11-16``."""
    return experiment.replace("-", "_").replace(".", "_")


UNTRAINED = ("figure3", "figure6", "figure7", "figure8", "remark4.3", "remarkA.3")
"""Those that train nothing."""

ALONE = ("copy-time", "gap-law", "gap-rule")
"""Those of many trainings of their own, which are no part of ``all``."""

JUDGED = ("figure4", "figure5", "figure9")
"""Those that take samples' quality: without features to take it in they are refused at once."""


_EXPERIMENTS_TAKE = tuple(f.name for f in fields(Settings) if f.name not in ("w", "delta", "alpha"))
EXPERIMENT_ALPHA, SEEDS_ALPHA = 1e-3, 0.05
"""Error rate of an experiment's comparisons where none is given: of one seed, and over seeds, of
which few carry no smaller one."""


def parser() -> Parser:
    """The parser of ``wildmiddle``; a parsed command has its name in ``command``."""
    top = Parser(
        prog="wildmiddle",
        description="Where along the noise schedule a diffusion model copies its training images: "
        "the theory of 'Two Calm Ends and the Wild Middle' checked on your data.",
    )
    top.add_argument("--version", action=PrintVersion, nargs=0, help="print the version and exit")
    top.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=("bash", "zsh", "fish"),
        help="print what completes commands and options in a shell, and exit",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    verify = _command(
        commands,
        "verify",
        "check every claim on a data set and write the report",
        "Check every claim of the paper on a data set, read off its noise regimes and write "
        "report.html, report.json, report.md and the figures.",
    )
    _add_data(verify)
    _add_claims(verify)
    _add_settings(verify)
    _add_output(verify, "report", "report.json")

    zone = _command(
        commands,
        "zone",
        "say where the danger zone of a data set lies, before any training",
        "Enclose the danger zone from the distances between the images alone: the part that is "
        "certain, and the part outside of which there is none. Every image is held out once, "
        "unless the source sets test images apart or --train-size or --test-size do.",
    )
    _add_data(zone)
    _add_settings(
        zone, "weight_high", "coverage_high", "c", "copies_within", "seed", "device", "memory"
    )
    zone.add_argument(
        "--sigma-data",
        type=_above_zero,
        metavar="DEVIATION",
        help="give sigma for pixels scaled to this standard deviation, as of latents or of EDM's "
        "0.5, with schedules in their units",
    )
    zone.add_argument(
        "--output",
        type=as_path,
        metavar="FOLDER",
        help="write a page, the zone as JSON, gap.json (the noise levels to leave out of training) "
        "and the images that stand apart most",
    )
    zone.add_argument("--json", action="store_true", help="print zone.json instead of a table")
    large = zone.add_argument_group("large sets")
    large.add_argument(
        "--exact",
        action="store_true",
        help="take all pairs of images, where N^2 d is above 1e12 too, not images drawn at random",
    )
    large.add_argument(
        "--resolution",
        type=_above_zero,
        default=ZONE_RESOLUTION,
        metavar="OCTAVES",
        help="draw images until the zone's ends are known so well",
    )
    large.add_argument(
        "--time",
        type=_above_zero,
        default=ZONE_TIME,
        metavar="SECONDS",
        help="or until about so much time has passed",
    )

    audit = _command(
        commands,
        "audit",
        "say whether a model or its samples copy training images, and which",
        "Compare generated images with the training images of their model, and with held-out "
        "images, which no model has copied. Given the model itself, draw samples from it, and say "
        "at which noise levels it copies. Writes audit.html, audit.json, figures and tables.",
    )
    audit.add_argument(
        "generated",
        type=as_name_or_path,
        metavar="SAMPLES|MODEL",
        help="generated images, a folder or an .npy or .npz array; or a model: a folder of "
        "diffusers or of this project, a program .pt2 or .ts called as program(x, sigma), or "
        "MODULE:FUNCTION that returns denoiser(x, sigma)",
    )
    audit.add_argument(
        "--train",
        type=as_name_or_path,
        required=True,
        metavar="digits|PATH",
        help="all images that the model was trained on",
    )
    audit.add_argument(
        "--test",
        type=as_name_or_path,
        default=None,
        metavar="PATH",
        help="held-out images of the same kind; those that the training source sets apart unless "
        "given",
    )
    _add_reduction(audit)
    audit.add_argument(
        "--range",
        type=_value_range,
        metavar="LOW,HIGH",
        default=argparse.SUPPRESS,
        help="range of pixels that are floats, that of the model where it is known, or else -1,1; "
        "integers 0..255 are mapped to it",
    )
    audit.add_argument(
        "--features",
        metavar="MODULE:FUNCTION|FILE",
        help="compare in features as well: a function from images (B, C, H, W) in 0..1 to rows "
        "(B, F), whose module, or FILE.py, is run; a program .ts called so; or the weights of "
        "FID's Inception, .safetensors or .pth",
    )
    audit.add_argument(
        "--mirrored",
        action="store_true",
        help="count copies of mirrored images as well, for training that mirrors images as EDM's "
        "does; a run of this project says itself whether it did",
    )
    audit.add_argument(
        "--fail-above",
        type=float,
        metavar="RATE",
        help="exit code 1 where the rate of copies is above this for certain: the lower end of its "
        "interval is",
    )
    model = audit.add_argument_group("of a model")
    model.add_argument(
        "--reference",
        type=as_name_or_path,
        metavar="MODEL",
        help="a model that does not copy, which takes over parts of the schedule",
    )
    model.add_argument("--count", type=int, default=256, metavar="S", help="samples to draw")
    model.add_argument(
        "--outputs", type=int, default=500, metavar="S", help="one-step outputs at a noise level"
    )
    model.add_argument(
        "--trust-program",
        action="store_true",
        help="load a .pt2 program, which can run any code that was put into the file",
    )
    model.add_argument("--label", type=int, metavar="K", help="class, of a model with classes")
    _add_settings(audit, "copies_within", "seed", "alpha", "device", "memory", alpha=0.05)
    _add_output(audit, "audit", "audit.json")

    theory = _command(
        commands,
        "theory",
        "list the paper's claims, or print and evaluate one",
        "Without a claim, list all. With one, print its statement, assumptions, formula, tight "
        "instance and sharper form, and its values at --at.",
    )
    theory.add_argument("claim", nargs="?", help="such as 4.2 or A.1")
    theory.add_argument(
        "--at",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="such as N=1000 d_min=9.3 w=0.95 delta=0.05",
    )

    mutants = _command(
        commands,
        "mutants",
        "run the checks against wrong theorems, to see that they can fail",
        "Run each check on the digits against theorems with a plausible slip and print what became "
        "of each. Exit code 1 if a falsehood survives.",
    )
    _add_claims(mutants)
    _add_settings(mutants, "seed", "samples", "alpha")

    reproduce = _command(
        commands,
        "reproduce",
        "train denoisers and repeat the paper's experiments with them",
        "Train the denoisers that experiments need, or go on with them, repeat them and write "
        "figures, tables and verdicts, and experiments.html: all experiments in the folder.",
    )
    reproduce.add_argument(
        "experiments",
        nargs="+",
        choices=(*EXPERIMENTS, "all"),
        metavar="EXPERIMENT",
        help=f"named as in the paper, one or several: {', '.join(EXPERIMENTS)}; or all",
    )
    reproduce.add_argument(
        "--scale",
        type=as_name_or_path,
        default="laptop",
        metavar="laptop|faces|cars|paper|FILE",
        help="how large: digits in minutes; some hundred real images of 16x16, of --data, in ten "
        "minutes a model; the paper's own size; or a TOML file of the same form as laptop.toml in "
        "checks/experiments",
    )
    reproduce.add_argument(
        "--seeds",
        type=_count,
        default=1,
        metavar="N",
        help="repeat with N seeds from --seed on: networks, order, noise, and which images are "
        "trained on and held out. Each seed's files are in FOLDER/seeds; the verdicts rest on all",
    )
    reproduce.add_argument(
        "--data",
        type=as_name_or_path,
        metavar="digits|PATH",
        help="images in the place of those that the scale names",
    )
    reproduce.add_argument(
        "--inception",
        type=as_path,
        metavar="FILE",
        help="weights of the Inception network of FID, .safetensors or .pth; without them samples "
        "are judged in the features of a small classifier trained here on labelled images",
    )
    reproduce.add_argument(
        "--tensorboard",
        action="store_true",
        help="log trainings for TensorBoard too: a folder tensorboard beside each log.csv",
    )
    alpha = arguments("alpha", argparse.SUPPRESS)
    alpha["help"] += f" (default: {EXPERIMENT_ALPHA:g}; over seeds {SEEDS_ALPHA:g})"
    reproduce.add_argument("--alpha", **alpha)
    _add_settings(reproduce, *_EXPERIMENTS_TAKE)
    reproduce.add_argument(
        "--output",
        type=as_path,
        default=Path("experiments"),
        metavar="FOLDER",
        help="where to write, and where models are kept and found again",
    )
    reproduce.add_argument("--quiet", action="store_true", help="print nothing but errors")

    kept = commands.add_parser("report", help="compare two reports of verify")
    actions = kept.add_subparsers(required=True, metavar="ACTION", dest="action")
    compare = _command(
        actions,
        "compare",
        "lay two reports of verify side by side",
        "Lay two reports of verify side by side: settings and data, the ends of the regimes, "
        "verdicts, and each comparison whose verdict differs or whose intervals are disjoint.",
    )
    for name in ("A", "B"):
        compare.add_argument(
            name.lower(), type=as_path, metavar=name, help="a folder of verify, or its report.json"
        )
    compare.add_argument(
        "-o",
        "--output",
        type=as_path,
        metavar="FOLDER",
        help="write comparison.html and comparison.json",
    )
    compare.add_argument("--json", action="store_true", help="print comparison.json, not tables")

    fetch = _command(
        commands,
        "data",
        "download a data set and verify it",
        "Download CIFAR-10's binary archive from its own page, going on with what has arrived "
        "before, and verify its size and MD5 sum. The one command that needs a network.",
    )
    fetch.add_argument("name", choices=("cifar10",), help="the data set")
    fetch.add_argument(
        "--output", type=as_path, default=Path(), metavar="FOLDER", help="where to put the archive"
    )
    return top


def _command(commands: Any, name: str, short: str, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=short,
        description=text,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument(
        "--config",
        type=as_path,
        metavar="FILE",
        help="take options from a TOML file, by their long names; those given here win",
    )
    command.add_argument(
        "--verbose",
        action="store_true",
        help="say on standard error what is done, with the time: for logs of long runs",
    )
    return command


def _add_data(command: argparse.ArgumentParser) -> None:
    data = command.add_argument_group("data")
    data.add_argument(
        "--data",
        type=as_name_or_path,
        default="digits",
        metavar="digits|PATH",
        help="scikit-learn's digits; images in a folder, in one for each class, in a .zip or .tar; "
        "an .npy, .npz, .pt or .safetensors array; Parquet or Arrow of Hugging Face, a file or "
        "a folder; or CIFAR-10, binary or for Python: archive, folder or one batch file",
    )
    data.add_argument(
        "--classes",
        metavar="automobile,cat",
        help="these classes alone, by name or number: of CIFAR-10, the digits, or an .npz file "
        "with labels, or with train_labels and test_labels",
    )
    data.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="the first N images in the order of the source, after --classes; of each part where "
        "it sets test images apart. --train-size draws at random from what --limit leaves",
    )
    _add_reduction(data)
    data.add_argument("--train-size", type=int, metavar="N", help="number of training images")
    data.add_argument("--test-size", type=int, metavar="M", help="number of held-out images")
    data.add_argument(
        "--range",
        type=_value_range,
        default=argparse.SUPPRESS,
        metavar="LOW,HIGH",
        help="pixel range that sigma refers to, -1,1 unless given; integers 0..255 are mapped to "
        "it, floats must lie in it",
    )
    data.add_argument(
        "--centre", action="store_true", help="subtract the training mean from all images"
    )


def _add_reduction(group: Any) -> None:
    group.add_argument("--grayscale", action="store_true", help="luma of RGB images (ITU-R BT.601)")
    group.add_argument(
        "--size",
        type=int,
        metavar="S",
        help="crop the central square and average it down to S x S pixels",
    )
    group.add_argument(
        "--cache",
        type=as_path,
        metavar="FOLDER",
        help="keep a folder of images, once read, here as one array; nothing is kept without it",
    )


def _add_claims(command: argparse.ArgumentParser) -> None:
    command.add_argument("--claims", metavar="4.2,4.8", help="these alone; all without this option")


def _add_settings(command: argparse.ArgumentParser, *names: str, **defaults: Any) -> None:
    """Add the settings named, or all; ``defaults`` take the place of their own."""
    groups: dict[str, Any] = {}
    for each in fields(Settings):
        if not names or each.name in names:
            title = each.metadata["group"]
            if title not in groups:
                groups[title] = command.add_argument_group(title)
            groups[title].add_argument(
                option(each.name), **arguments(each.name, defaults.get(each.name))
            )


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that a command was given, the defaults of those that it does not take."""
    return Settings(**given_settings(options))


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that a command takes, by name."""
    given = vars(options)
    return {f.name: given[f.name] for f in fields(Settings) if f.name in given}


def _add_output(command: argparse.ArgumentParser, folder: str, json_file: str) -> None:
    output = command.add_argument_group("output")
    output.add_argument(
        "--output", type=as_path, default=Path(folder), metavar="FOLDER", help="where to write"
    )
    output.add_argument(
        "--json", action="store_true", help=f"print {json_file} instead of a summary"
    )
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def _value_range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of numbers such as -1,1") from None
    return low, high
