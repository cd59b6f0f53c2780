"""The command line: what ``wildmiddle`` does with each of its commands.

Heavy imports wait until a command needs them, so that ``--help`` answers at once. Exit codes: 0
all claims hold or are inconclusive, 1 some claim is violated, 2 bad use, in one line, 130
interrupted; ``wildmiddle.__main__`` adds 3, an error that nobody expected.
"""

import argparse
import json
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wildmiddle.checks.options import (
    ALONE,
    EXPERIMENT_ALPHA,
    EXPERIMENTS,
    JUDGED,
    SEEDS_ALPHA,
    given_settings,
    module_name,
    parser,
    settings_of,
)
from wildmiddle.checks.output import (
    AUDIT,
    COMPARISON,
    VERIFY,
    ZONE,
    experiment,
    require_folder,
    require_output,
    require_outside,
)
from wildmiddle.checks.settings import Settings
from wildmiddle.checks.streams import can_show, complain, show

if TYPE_CHECKING:
    from wildmiddle.checks.experiments.results import ExperimentResult, Run
    from wildmiddle.checks.experiments.scale import Scale
    from wildmiddle.checks.experiments.trained import TrainedStudy
    from wildmiddle.checks.study import Array, Study
    from wildmiddle.empirical.data import DataSet

OK, VIOLATED, BAD_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    commands = {
        "verify": _verify,
        "zone": _zone,
        "audit": _audit,
        "theory": _theory,
        "mutants": _mutants,
        "reproduce": _reproduce,
        "data": _data,
        "report": _compare,
    }
    options = argparse.Namespace(command="")
    try:
        parser().parse_args(arguments, options)
        if options.verbose:
            _log_aloud()
        return commands[options.command](options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "wildmiddle":
            raise
        trains = options.command not in ("verify", "zone", "mutants", "report")
        extras = "verify,train" if trains else "verify"
        complain(
            f"{error.name} is not installed; install the extra: pip install 'wildmiddle[{extras}]'"
        )
        return BAD_USE
    except (ValueError, OSError) as error:
        complain(str(error))
        return BAD_USE
    except KeyboardInterrupt as stop:
        kept = {
            "data": "what has arrived is kept",
            "reproduce": "the same command goes on from there",
        }.get(options.command, "nothing was written")
        complain(str(stop) or f"interrupted; {kept}")
        return INTERRUPTED


def _log_aloud() -> None:
    # What the package logs, and warnings of others, as lines on standard error.
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("wildmiddle").setLevel(logging.INFO)


def _verify(options: argparse.Namespace) -> int:
    require_output(options.output, VERIFY)
    require_outside("--output", options.output, options.data)
    if options.claims:
        # Names are checked before torch is imported: bad use is answered at once.
        from wildmiddle.theory.claims import select

        select(options.claims)
    settings = settings_of(options)
    from wildmiddle.checks import report
    from wildmiddle.checks.layout import TERMINAL
    from wildmiddle.checks.verify import verify
    from wildmiddle.empirical.kernels import processes

    processes.require_launcher()
    data = _load(options)

    def say(study: "Study") -> None:
        # By all processes, which share the search for copies; one of them aloud.
        if not options.quiet:
            _say_doubts(data, study.images, settings, aloud=first)

    with processes.join(options.device):
        first = processes.rank() == 0
        progress = _progress(options.quiet or not first)
        result = verify(data, settings, claims=options.claims, progress=progress, say=say)
    if not first:
        return OK
    report.write(result, options.output)
    if options.json:
        show(json.dumps(report.to_json(result), indent=1, allow_nan=False))
    elif not options.quiet:
        show(report.to_text(result, TERMINAL))
        show(f"The whole report: {options.output / 'report.html'}")
    return VIOLATED if result.verdict() == "violated" else OK


def _zone(options: argparse.Namespace) -> int:
    if options.output is not None:
        require_output(options.output, ZONE)
        require_outside("--output", options.output, options.data)
    settings = settings_of(options)
    from wildmiddle.checks.terminal import zone_page
    from wildmiddle.empirical.danger_zone import zone_of
    from wildmiddle.empirical.kernels import processes

    processes.require_launcher()
    # Distances within which images are merged are in the units of sigma, not in those of bytes.
    data = _load(options, as_stored=not settings.copies_within, whole=True)
    if options.sigma_data is not None:
        data = data.rescaled(options.sigma_data)
    train = _merged(data.train, settings, data.scale)
    with processes.join(options.device):
        first = processes.rank() == 0
        copies = _say_doubts(data, train, settings, aloud=first)
        zone = zone_of(
            train,
            data.test if len(data.test) else None,
            c=settings.c,
            weight_high=settings.weight_high,
            coverage_high=settings.coverage_high,
            exact=options.exact,
            resolution=options.resolution,
            time=options.time,
            unit=data.sigma_unit,
            seed=settings.seed,
            device=settings.device,
            memory=settings.memory,
            progress=first,
        )
    if not first:
        return OK
    if options.output is not None:
        from wildmiddle.checks import zone_report

        risks = zone_report.images_at_risk(
            data, settings.weight_high, device=settings.device, memory=settings.memory
        )
        zone_report.write_zone(
            data, zone, risks, list(copies), options.output, given_settings(options)
        )
    if options.json:
        from wildmiddle.checks import zone_report

        found = zone_report.to_json(data, zone, given_settings(options))
        show(json.dumps(found, indent=1, allow_nan=False))
        return OK
    show(zone_page(data, zone, copies))
    if options.output is not None:
        show(f"The page, gap.json and the images: {options.output / 'zone.html'}")
    return OK


def _audit(options: argparse.Namespace) -> int:
    require_output(options.output, AUDIT)
    for source in filter(None, (options.generated, options.train, options.test)):
        require_outside("--output", options.output, source)
    limit = options.fail_above
    if limit is not None and not 0 <= limit < 1:
        raise ValueError(f"--fail-above {limit:g} must lie in [0, 1): a share of the samples")
    if min(options.count, options.outputs) < 1:
        raise ValueError("--count and --outputs must be at least 1")
    settings = settings_of(options)
    from wildmiddle.checks.audit import report
    from wildmiddle.checks.audit.model import (
        Model,
        audit_model,
        common_range,
        is_model,
        load_model,
        training_doubt,
    )
    from wildmiddle.checks.audit.samples import audit_samples, read_features
    from wildmiddle.checks.layout import TERMINAL
    from wildmiddle.empirical.data import Images, load_images
    from wildmiddle.models.parameterizations import NetworkDenoiser

    features = None if options.features is None else read_features(options.features)

    def model_of(source: str) -> Model:
        trusted = options.trust_program
        return load_model(source, options.label, settings.device, trusted=trusted)

    audited = model_of(options.generated) if is_model(options.generated) else None
    if options.reference is not None and audited is None:
        raise ValueError(f"--reference is for a model; {options.generated} is none")
    if options.label is not None and not isinstance(audited and audited.denoiser, NetworkDenoiser):
        raise ValueError(
            f"--label is for a network with classes; {options.generated} is not known as one"
        )
    reference = model_of(options.reference) if options.reference is not None else None
    models = [each for each in (audited, reference) if each is not None]
    value_range = common_range(models, getattr(options, "range", None))

    def read(source: str) -> Images:
        return load_images(
            source,
            value_range=value_range,
            grayscale=options.grayscale,
            size=options.size,
            cache=options.cache,
            progress=not options.quiet,
        )

    computing: dict[str, Any] = {
        name: getattr(settings, name) for name in ("seed", "alpha", "device")
    }
    computing["mirrored"] = options.mirrored or (audited is not None and audited.mirrored)
    with _doubts_said_apart():
        train = read(options.train)
        held_out = train.set_apart if options.test is None else read(options.test)
        if audited is None:
            samples = read(options.generated)
    if options.test is not None and held_out is not None and held_out.set_apart is not None:
        held_out = held_out.set_apart
        complain(f"{options.test} sets held-out images apart: those alone are taken")
    trained = None if audited is None else training_doubt(audited, train)
    if trained is not None and not options.quiet:
        complain(trained)
    train = replace(train, pixels=_merged(train.pixels, settings))
    model = None
    if audited is not None:
        if held_out is None:
            raise ValueError("a model is asked about held-out images; give some with --test")
        if audited.mirrored and not (options.mirrored or options.quiet):
            complain(f"{audited.name} was trained with flips: copies of mirrored images count too")
        model = audit_model(
            audited.name,
            audited.denoiser,
            train,
            held_out,
            reference=None if reference is None else reference.denoiser,
            count=options.count,
            outputs=options.outputs,
            progress=not options.quiet and sys.stderr.isatty(),
            **computing,
        )
        samples = Images.of_samples(model.samples, train, f"samples of {audited.name}")
    found = audit_samples(
        samples,
        train,
        held_out,
        features=features,
        memory=settings.memory,
        within=settings.copies_within,
        gate=limit is not None,
        **computing,
    )
    if not options.quiet:
        sets = [each for each in (samples, train, held_out) if each is not None]
        for sentence in dict.fromkeys([*(d for s in sets for d in s.doubts), *found.doubts]):
            complain(sentence)
    if trained is not None:
        found = replace(found, doubts=(trained, *found.doubts))
    report.write_audit(found, options.output, model, given_settings(options))
    if options.json:
        content = report.to_json(found, model, given_settings(options))
        show(json.dumps(content, indent=1, allow_nan=False))
    elif not options.quiet:
        told = report.sentences(found) + ([] if model is None else report.model_sentences(model))
        show("\n".join(map(TERMINAL.prose, told)))
        show(f"The pairs, and all numbers: {options.output / 'audit.html'}")
    low = found.pixels.samples.low
    if limit is None or low <= limit:
        return OK
    complain(f"at least {100 * low:.3g}% are copies, above --fail-above {limit:g}")
    return VIOLATED


def _theory(options: argparse.Namespace) -> int:
    from wildmiddle.checks.terminal import claim_list, claim_page, parse_values, require_names
    from wildmiddle.theory.claims import select

    if options.claim is None:
        show(claim_list())
        return OK
    values = parse_values(options.at)
    claims = select(options.claim)
    require_names(claims, values)
    unicode = can_show("√⎛σ")
    pages = [claim_page(claim, values, unicode=unicode) for claim in claims]
    show("\n\n".join(pages))
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
        show(f"{fate:<8}  {mutant.check:<7}  {mutant.name}  ({why})")
    show(
        f"{len(chosen)} wrong theorems: {fates['killed']} killed, {fates['survived']} survived, "
        f"{fates['true']} survived that state no falsehood"
    )
    return VIOLATED if fates["survived"] else OK


def _reproduce(options: argparse.Namespace) -> int:
    from wildmiddle.checks.experiments.scale import read_scale

    named, whole = options.experiments, "all" in options.experiments
    names = [name for name in EXPERIMENTS if name in named or (whole and name not in ALONE)]
    scales = {name: read_scale(options.scale, EXPERIMENTS[name], options.data) for name in names}
    require_output(options.output, *map(experiment, names))
    for scale in scales.values():
        require_outside("--output", options.output, scale.data["source"])
    if options.inception is not None and not options.inception.is_file():
        raise ValueError(
            f"--inception {options.inception}: no such file; give weights of Inception"
        )
    alpha = getattr(options, "alpha", EXPERIMENT_ALPHA)
    settings = replace(settings_of(options), alpha=alpha)
    from wildmiddle.checks.experiments.cost import trainings
    from wildmiddle.checks.experiments.trained import trained_study
    from wildmiddle.empirical.kernels import processes
    from wildmiddle.empirical.locks import hold_folder

    processes.require_launcher()
    progress = not options.quiet and sys.stderr.isatty()

    def study_of(scale: "Scale", seed: int) -> "TrainedStudy":
        with _doubts_said_apart():
            return trained_study(
                scale,
                _folder_of(options, seed),
                replace(settings, seed=seed),
                progress=progress,
                inception=options.inception,
                tensorboard=options.tensorboard,
            )

    studies = {scale.group: study_of(scale, settings.seed) for scale in scales.values()}
    if not options.quiet:
        # Scales may share their data, and a scale of one name may differ by its group.
        for data in {study.data.sha256: study.data for study in studies.values()}.values():
            show("\n".join([f"Data: {data.title}", *data.notes]))
            _say_doubts(data, _merged(data.train, settings), settings)
    left_out: dict[str, list[str]] = {}
    for name in names:  # refused before any training, not after it
        study = studies[scales[name].group]
        try:
            trainings(name, study)
            if name in JUDGED:
                _ = study.extractor
        except ValueError as error:
            if name in named:
                raise
            left_out.setdefault(str(error), []).append(name)
            del scales[name]
    for reason, without in left_out.items():
        complain(f"left out: {', '.join(without)}: {reason}")
    # Of several processes the first holds the folder for all.
    first = os.environ.get("RANK", "0") == "0"
    with hold_folder(options.output) if first else nullcontext():
        return _run_experiments(options, scales, studies, study_of)


def _folder_of(options: argparse.Namespace, seed: int) -> Path:
    # The first seed's models are where those of a run with one seed are.
    from wildmiddle.checks.experiments.seeds import FOLDER

    own = options.output / FOLDER / str(seed)
    return Path(options.output if seed == options.seed else own)


def _run_experiments(
    options: argparse.Namespace,
    scales: "Mapping[str, Scale]",
    studies: "Mapping[str, TrainedStudy]",
    study_of: "Callable[[Scale, int], TrainedStudy]",
) -> int:
    from importlib import import_module

    from wildmiddle.checks.experiments.cost import training_cost
    from wildmiddle.checks.experiments.page import write_with_page
    from wildmiddle.checks.experiments.results import summary
    from wildmiddle.checks.experiments.seeds import run_over_seeds
    from wildmiddle.checks.layout import TERMINAL

    alpha = getattr(options, "alpha", SEEDS_ALPHA)
    seeds = range(options.seed, options.seed + options.seeds)
    say: Callable[[str], None] = (lambda line: None) if options.quiet else show
    runs: dict[str, Iterator[tuple[ExperimentResult, Run]]] = {}
    for name, scale in scales.items():
        module = import_module(f"wildmiddle.checks.experiments.{module_name(name)}")
        study = studies[scale.group]

        def of_seed(
            seed: int, scale: "Scale" = scale, first: "TrainedStudy" = study
        ) -> "TrainedStudy":
            return first if seed == options.seed else study_of(scale, seed)

        if options.seeds > 1 or hasattr(module, "combine"):
            runs[name] = run_over_seeds(name, module, of_seed, seeds, alpha, options.output, say)
        else:
            runs[name] = _run_once(module, study)
    if not options.quiet:
        wanted = {name: studies[scale.group] for name, scale in scales.items()}
        show(training_cost(wanted, [_folder_of(options, seed) for seed in seeds]))
    verdicts: list[str] = []
    for name, found in runs.items():
        for outcome, run in found:
            page = write_with_page(outcome, options.output, run)
            if options.seeds > 1:
                say(f"{name}: {run.seeds} of {options.seeds} seeds")
        verdicts += [record.verdict for record in outcome.records]
        files = options.output / f"{name}.*"
        say(f"{summary(outcome, TERMINAL)}\n\nWritten: {files}, and the page of all: {page}")
    return VIOLATED if "violated" in verdicts else OK


def _run_once(module: Any, study: "TrainedStudy") -> "Iterator[tuple[ExperimentResult, Run]]":
    yield module.run(study, study.settings.alpha), study.run()


def _compare(options: argparse.Namespace) -> int:
    if options.output is not None:
        require_output(options.output, COMPARISON)
    from wildmiddle.checks.report import comparison

    found = comparison.compare(*map(comparison.read_report, (options.a, options.b)))
    if options.output is not None:
        comparison.write(found, options.output)
    if options.json:
        show(json.dumps(found, indent=1, allow_nan=False))
        return OK
    show(comparison.to_text(found))
    if options.output is not None:
        show(f"The page: {options.output / 'comparison.html'}")
    return OK


def _data(options: argparse.Namespace) -> int:
    from wildmiddle.empirical.data import download

    require_folder("--output", options.output)
    path = download.download(download.CIFAR10, options.output, progress=True)
    show(f"{path}: complete and verified; give --data {shlex.quote(str(path))}")
    return OK


def _load(
    options: argparse.Namespace, *, as_stored: bool = False, whole: bool = False
) -> "DataSet":
    from wildmiddle.empirical.data import load

    if options.cache is not None:
        require_folder("--cache", options.cache)
        require_outside("--cache", options.cache, options.data)
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
            as_stored=as_stored,
            whole=whole,
        )


@contextmanager
def _doubts_said_apart() -> Iterator[None]:
    # `_say_doubts` gives each a line of its own.
    from wildmiddle.empirical.data import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        yield


def _merged(train: "Array", settings: Settings, scale: float = 1.0) -> "Array":
    # Sigma, and the distance within which images are one, are of `scale` times these pixels.
    from wildmiddle.empirical.copies import merge_copies

    within, device, memory = settings.copies_within / scale, settings.device, settings.memory
    return merge_copies(train, within, device=device, memory=memory, progress=True)


def _say_doubts(
    data: "DataSet", train: "Array", settings: Settings, *, aloud: bool = True
) -> tuple[str, ...]:
    """Say on stderr where the images look otherwise than they are taken, and which are copies.

    ``train`` are the training images, near copies made equal. Returns what is said of their copies.
    """
    from wildmiddle.empirical.copies import near_copies
    from wildmiddle.empirical.distinct import distinct
    from wildmiddle.empirical.kernels.device import training_rows

    rows = training_rows(train, settings.device, keep_bytes=True)
    copies = distinct(rows).sentences(settings.copies_within)
    near = near_copies(
        train,
        data.test if len(data.test) else None,
        unit=data.unit,
        device=settings.device,
        memory=settings.memory,
    )
    for sentence in (*data.doubts, *copies, *data.copies, *near.sentences) if aloud else ():
        complain(sentence)
    return copies


def _progress(quiet: bool) -> Callable[[str, int, int], None] | None:
    if quiet or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    form = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
    bar = tqdm(bar_format=form, leave=False)

    def show(line: str, done: int, total: int) -> None:
        bar.total = total
        bar.set_description(line, refresh=False)
        bar.update(done - bar.n)
        bar.refresh()
        if done == total:
            bar.close()

    return show
