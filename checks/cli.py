"""The command line: what ``wildmiddle`` does with each of its commands.

Heavy imports wait until a command needs them, so that ``--help`` answers at once. Exit codes: 0
all claims hold or are inconclusive, 1 some claim is violated, 2 bad use, in one line.
"""

import argparse
import json
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wildmiddle.checks.options import EXPERIMENTS, JUDGED, parser, settings_of
from wildmiddle.checks.settings import Settings

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
    if not options.quiet:
        _say_doubts(data, settings)
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
    _say_doubts(data, settings)
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
    with _doubts_said_apart():
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
    if not options.quiet:
        # Scales may share their data, and a scale of one name may differ by its group.
        for data in {study.data.sha256: study.data for study in studies.values()}.values():
            print(f"Data: {data.title}", *data.notes, sep="\n", flush=True)
            _say_doubts(data, settings)
    for name in set(JUDGED).intersection(names):
        _ = studies[scales[name].group].extractor  # refused before any training, not after it
    verdicts = []
    for name, scale in scales.items():
        module = import_module(f"wildmiddle.checks.experiments.{name.replace('-', '_')}")
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

    with _doubts_said_apart():
        return load(
            options.data,
            train_size=options.train_size,
            test_size=options.test_size,
            value_range=getattr(options, "range", None),
            centre=options.centre,
            classes=options.classes,
            limit=options.limit,
            grayscale=options.grayscale,
            size=options.size,
            cache=options.cache,
            progress=not getattr(options, "quiet", False),
        )


@contextmanager
def _doubts_said_apart() -> Iterator[None]:
    # `_say_doubts` gives each a line of its own.
    from wildmiddle.empirical.data import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield


def _say_doubts(data: "DataSet", settings: Settings) -> None:
    """Say on stderr where the images look otherwise than they are taken, and which are copies."""
    from wildmiddle.empirical.copies import near_copies

    near = near_copies(data.train, data.test, device=settings.device, memory=settings.memory)
    for sentence in (*data.doubts, *data.copies, *near.sentences):
        print(f"wildmiddle: {sentence}", file=sys.stderr)


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
