"""The command line: what ``wildmiddle`` does with each of its commands.

Heavy imports wait until a command needs them, so that ``--help`` answers at once. Exit codes: 0
all claims hold or are inconclusive, 1 some claim is violated, 2 bad use, in one line.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wildmiddle.checks.options import EXPERIMENTS, JUDGED, module_name, parser, settings_of

if TYPE_CHECKING:
    from wildmiddle.empirical.data import DataSet

OK, VIOLATED, BAD_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = parser().parse_args(arguments)
    commands = {
        "verify": _verify,
        "zone": _zone,
        "theory": _theory,
        "mutants": _mutants,
        "reproduce": _reproduce,
        "data": _data,
    }
    try:
        return commands[options.command](options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "wildmiddle":
            raise
        extras = "verify,train" if options.command == "reproduce" else "verify"
        return _complain(
            f"{error.name} is not installed; install the extra: pip install 'wildmiddle[{extras}]'"
        )
    except (ValueError, OSError) as error:
        return _complain(str(error))
    except KeyboardInterrupt as stop:
        kept = {
            "data": "what has arrived is kept",
            "reproduce": "the same command goes on from there",
        }.get(options.command, "nothing was written")
        return _complain(str(stop) or f"interrupted; {kept}")


def _complain(message: str) -> int:
    print("wildmiddle: " + " ".join(message.split()), file=sys.stderr)
    return BAD_USE


def _verify(options: argparse.Namespace) -> int:
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"--output {options.output} is a file; name a folder")
    if options.claims:
        # Names are checked before torch is imported: bad use is answered at once.
        from wildmiddle.theory.claims import select

        select(options.claims)
    settings = settings_of(options)
    from wildmiddle.checks import report
    from wildmiddle.checks.verify import verify
    from wildmiddle.empirical.kernels import processes

    data = _load(options)
    if data.duplicates and not options.quiet:
        print(
            f"wildmiddle: {data.duplicates} training images have an exact copy among the others; "
            "Theorem 4.2 certifies no noise level for them",
            file=sys.stderr,
        )
    with processes.join(options.device):
        first = processes.rank() == 0
        progress = _progress(options.quiet or not first)
        result = verify(data, settings, claims=options.claims, progress=progress)
    if not first:
        return OK
    report.write(result, options.output)
    if options.json:
        print(json.dumps(report.to_json(result), indent=1, allow_nan=False))
    elif not options.quiet:
        print(report.to_markdown(result))
        print(f"The whole report: {options.output / 'index.html'}")
    return VIOLATED if result.verdict() == "violated" else OK


def _zone(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    from wildmiddle.checks.terminal import zone_page
    from wildmiddle.empirical.danger_zone import zone_of

    data = _load(options)
    zone = zone_of(
        data.train,
        data.test,
        c=settings.c,
        weight_high=settings.weight_high,
        coverage_high=settings.coverage_high,
        device=settings.device,
        memory=settings.memory,
        progress=True,
    )
    print(zone_page(data, zone))
    return OK


def _theory(options: argparse.Namespace) -> int:
    from wildmiddle.checks.terminal import claim_list, claim_page, parse_values
    from wildmiddle.theory.claims import select

    if options.claim is None:
        print(claim_list())
        return OK
    values = parse_values(options.at)
    print("\n\n".join(claim_page(claim, values) for claim in select(options.claim)))
    return OK


def _mutants(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    from wildmiddle.checks.mutation import run
    from wildmiddle.checks.registry import mutants
    from wildmiddle.checks.study import Study
    from wildmiddle.checks.verify import checked_claims
    from wildmiddle.empirical.data import load

    wanted = {claim.id for claim in checked_claims(options.claims)}
    chosen = [mutant for mutant in mutants() if mutant.check in wanted]
    data = load()
    study = Study(data.train, data.test, settings)
    fates = {"killed": 0, "true": 0, "survived": 0}
    for trial in run(study, settings.alpha / len(wanted), chosen):
        fate, mutant = trial.fate, trial.mutant
        fates[fate] += 1
        why = trial.killer or mutant.true_because or "no check saw it"
        print(f"{fate:<8}  {mutant.check:<7}  {mutant.name}  ({why})", flush=True)
    print(
        f"{len(chosen)} wrong theorems: {fates['killed']} killed, {fates['survived']} survived, "
        f"{fates['true']} survived that state no falsehood"
    )
    return VIOLATED if fates["survived"] else OK


def _reproduce(options: argparse.Namespace) -> int:
    from importlib import import_module

    from wildmiddle.checks.experiments.scale import read_scale

    names = list(EXPERIMENTS) if options.experiment == "all" else [options.experiment]
    scales = {name: read_scale(options.scale, EXPERIMENTS[name], options.data) for name in names}
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"--output {options.output} is a file; name a folder")
    if options.inception is not None and not options.inception.is_file():
        raise ValueError(
            f"--inception {options.inception}: no such file; give weights of Inception"
        )
    settings = settings_of(options)
    from wildmiddle.checks.experiments.page import write_page
    from wildmiddle.checks.experiments.results import summary, write
    from wildmiddle.checks.experiments.trained import trained_study

    progress = not options.quiet and sys.stderr.isatty()
    studies = {
        scale.group: trained_study(
            scale,
            options.output,
            settings,
            progress=progress,
            inception=options.inception,
        )
        for scale in scales.values()
    }
    for name in set(JUDGED).intersection(names):
        _ = studies[scales[name].group].extractor  # refused before any training, not after it
    verdicts = []
    for name, scale in scales.items():
        module = import_module(f"wildmiddle.checks.experiments.{module_name(name)}")
        study = studies[scale.group]
        outcome = module.run(study, settings.alpha)
        page = write(outcome, options.output, study.run())
        write_page(options.output)
        verdicts += [record.verdict for record in outcome.records]
        if not options.quiet:
            print(summary(outcome), f"Written: {page}", sep="\n", flush=True)
    return VIOLATED if "violated" in verdicts else OK


def _data(options: argparse.Namespace) -> int:
    from wildmiddle.empirical.data import download

    path = download.download(download.CIFAR10, options.output, progress=True)
    print(f"{path}: complete and verified; give --data {shlex.quote(str(path))}")
    return OK


def _load(options: argparse.Namespace) -> "DataSet":
    from wildmiddle.empirical.data import load

    return load(
        options.data,
        train_size=options.train_size,
        test_size=options.test_size,
        value_range=options.range,
        centre=options.centre,
        classes=options.classes,
        limit=options.limit,
        grayscale=options.grayscale,
        size=options.size,
        cache=options.cache,
        progress=not getattr(options, "quiet", False),
    )


def _progress(quiet: bool) -> Callable[[str, int, int], None] | None:
    if quiet or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar = tqdm(bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]", leave=False)

    def show(line: str, done: int, total: int) -> None:
        bar.total = total
        bar.set_description(line, refresh=False)
        bar.update(done - bar.n)
        bar.refresh()
        if done == total:
            bar.close()

    return show
