"""Changed files of every kind that is read: ``python benchmarks/fuzz.py --inputs 100000``.

Each kind has good files, made here, and a reader. Their bytes are changed at random, or with
``--guided`` by atheris (libFuzzer), which keeps what reaches new lines of the code. Every input
must be read or be refused with one line, within the limits of time and memory below; whatever else
happens is a finding, is printed, and makes the exit code 1.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""Processor time that one input may take."""
MEMORY = 2**30
"""Bytes that the process may take besides what its imports take."""

Read = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """A kind of file: its good files, where a changed one is written, and what reads it."""

    seeds: list[bytes]
    name: str
    """Of the changed file, within a folder of its own."""
    read: Read
    """Takes the path of the changed file."""
    pack: Callable[[bytes], bytes] = bytes
    """What is done to the changed bytes before they are written."""


@dataclass
class Tally:
    """What came of the inputs of one target."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    findings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By type and place: the message and the input, in hexadecimal digits, of a shortest one."""


# The good files


def _rng() -> Any:
    import numpy as np

    return np.random.default_rng(0)


def binary_batch() -> bytes:
    """Three images of CIFAR-10, binary."""
    return bytes(_rng().integers(0, 10, 3 * 3073, dtype="uint8"))


def python_batch() -> bytes:
    """Three images of CIFAR-10 for Python, as Python 2 and an old NumPy pickled them."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    pixels = text(bytes(_rng().integers(0, 256, 3 * 3072, dtype="uint8")))
    dtype = b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff"
    return (
        b"\x80\x02}q\x01(U\x06labels](K\x03K\x01K\x00eU\x04datacnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x03M\x00\x0c\x86"
        + dtype + b"K\x00tb\x89" + pixels + b"tbu."
    )  # fmt: skip


def tar(kind: int, batch: bytes, names: list[str]) -> bytes:
    """An archive of six batches, not yet packed by gzip."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name in (*names, "x" * 200):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(batch), 1.5
            archive.addfile(member, io.BytesIO(batch))
    return buffer.getvalue()


def arrays(save: str, **entries: Any) -> bytes:
    """An .npy or .npz file, by the function of NumPy of this name."""
    import numpy as np

    buffer = io.BytesIO()
    getattr(np, save)(buffer, **entries)
    return buffer.getvalue()


def images(shape: tuple[int, ...]) -> Any:
    """Random bytes."""
    return _rng().integers(0, 256, shape, dtype="uint8")


def table(kind: str) -> bytes:
    """Four images as Hugging Face's data sets hold them."""
    import pyarrow
    from pyarrow import ipc, parquet

    rows = [{"bytes": picture("png", 4, 4), "path": None}] * 4
    found = pyarrow.table({"image": rows, "label": [0, 1, 1, 0]})
    stream = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(found, stream, row_group_size=2)
    else:
        with ipc.new_stream(stream, found.schema) as writer:
            writer.write_table(found, max_chunksize=2)
    return stream.getvalue()


def picture(suffix: str, *shape: int, **options: Any) -> bytes:
    """One image as a file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(images(shape)).save(buffer, suffix, **options)
    return buffer.getvalue()


# The targets; each imports what it needs, so that a process has one alone


def _data(name: str, seeds: list[bytes], **options: Any) -> Target:
    from wildmiddle.empirical.data import load

    return Target(seeds, name, partial(load, **options))


def _archive() -> Target:
    from wildmiddle.empirical.data import load
    from wildmiddle.empirical.data.cifar import BINARY, PYTHON

    binary, python = binary_batch(), python_batch()
    seeds = [
        tar(kind, batch, [f"{version.folder}/{name}" for name in version.batches])
        for version, batch in ((BINARY, binary), (PYTHON, python))
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]
    return Target(seeds, "a.tar.gz", load, partial(gzip.compress, compresslevel=1))


def _npz() -> Target:
    few, labels = images((3, 4, 4)), images((3,))
    return _data(
        "a.npz",
        [
            arrays("savez", train=few, test=few, train_labels=labels, test_labels=labels),
            arrays("savez_compressed", images=few, labels=labels.astype(str)),
            arrays("savez", faces=few, names=labels.astype(object)),
        ],
    )


def _images() -> Target:
    from wildmiddle.empirical.data import load

    def read(path: Path) -> object:
        for other in ("0.png", "1.png"):
            (path.parent / other).write_bytes(good)
        return load(path.parent, size=4, grayscale=True)

    good = picture("png", 6, 5, 3)
    seeds = [
        *(picture(suffix, 6, 5, 3) for suffix in ("png", "bmp", "jpeg", "webp")),
        picture("png", 6, 5),
        picture("jpeg", 9, 9, 3, progressive=True),
    ]
    return Target(seeds, "x.png", read)


def _scale() -> Target:
    from wildmiddle.checks.experiments.scale import read_scale

    folder = files("wildmiddle.checks.experiments")
    scales = [each for each in folder.iterdir() if each.name.endswith(".toml")]
    return Target(
        [each.read_bytes() for each in scales], "scale.toml", partial(read_scale, source="digits")
    )


def _experiment() -> Target:
    from dataclasses import asdict

    from wildmiddle.checks.experiments.page import read
    from wildmiddle.checks.records import Record

    record = Record(
        claim="4.2.1", instance="x", quantity="x", relation="<=", bound=1.0, margin=0.0,
        rounding=0.0, estimate=0.5, low=0.4, high=0.6, n=10, alpha=1e-6, method="x",
        parameters={"sigma": 1.0}, detectable=0.1, seed=0,
    )  # fmt: skip
    content = {"paper": "x", "records": [asdict(record)], "tables": [], "run": None}
    seeds = [json.dumps(content).encode()]
    return Target(seeds, "figure3.json", lambda path: read(path.parent, "figure3"))


def _checkpoint(name: str) -> Target:
    from torch.nn import Linear

    from wildmiddle.models import checkpoints
    from wildmiddle.models.images import prepare_training_set
    from wildmiddle.models.settings import Training

    training_set = prepare_training_set(images((3, 8, 8)) / 128 - 1, None, Training())
    checkpoint = checkpoints.describe(training_set, Training(), None)
    tensors = {part: dict(Linear(2, 2).state_dict()) for part in checkpoints.PARTS}
    with tempfile.TemporaryDirectory() as folder:
        whole = checkpoints.save(Path(folder), checkpoint, tensors)
        contents = {path.name: path.read_bytes() for path in whole.iterdir()}

    def read(path: Path) -> object:
        now = contents | {path.name: path.read_bytes()}
        # The checksums agree: what is behind them is tried.
        now[checkpoints.SUMS] = b"".join(
            f"{hashlib.sha256(content).hexdigest()}  {other}\n".encode()
            for other, content in now.items()
            if other != checkpoints.SUMS
        )
        for other, content in now.items():
            (path.parent / other).write_bytes(content)
        root = path.parents[1]
        if name == "checkpoint.json":
            return checkpoints.read(root)
        return checkpoints.read_tensors(root, checkpoint.step, "ema")

    return Target([contents[name]], f"{whole.name}/{name}", read)


TARGETS: dict[str, Callable[[], Target]] = {
    "CIFAR-10 binary": lambda: _data("a.bin", [binary_batch()]),
    "CIFAR-10 for Python": lambda: _data("data_batch_1", [python_batch()]),
    "tar": _archive,
    "npy": lambda: _data("a.npy", [arrays("save", arr=images((4, 3, 3)))]),
    "npz": _npz,
    "images": _images,
    "Parquet": lambda: _data("a.parquet", [table("parquet")]),
    "Arrow": lambda: _data("a.arrow", [table("arrow")]),
    "scale": _scale,
    "experiment": _experiment,
    "checkpoint": lambda: _checkpoint("checkpoint.json"),
    "safetensors": lambda: _checkpoint("ema.safetensors"),
}


# Changes


def change(seeds: list[bytes], rng: random.Random) -> bytes:
    """A good file with one to eight changes."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(content) + 1)
        if rng.random() < 0.3:  # headers stand at the start, and rarely weigh much
            at = min(at, rng.randrange(128))
        length = rng.choice((1, 1, 2, 4, 8, 64, 512))
        match rng.randrange(8):
            case 0:
                content[at : at + 1] = rng.randbytes(1)
            case 1:
                content[at : at + length] = rng.randbytes(length)
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = rng.choice((rng.randbytes(length), bytes(length), b"9" * length))
            case 4:
                content[at:at] = content[at : at + length] * rng.choice((1, 2, 100))
            case 5:
                content[at : at + 4] = rng.choice(NUMBERS)
            case 6:
                other = rng.choice(seeds)
                content[at:] = other[rng.randrange(len(other) + 1) :]
            case 7:
                found = list(re.finditer(rb"\d+", content[at : at + 4096]))
                if found:
                    start, end = rng.choice(found).span()
                    content[at + start : at + end] = rng.choice(WORDS)
    return bytes(content)


NUMBERS = [struct.pack("<I", n) for n in (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)] + [
    struct.pack(">I", n) for n in (1, 2**16, 2**31 - 1)
]
WORDS = [
    b"-1",
    b"0",
    b"1e999",
    b"nan",
    b"true",
    b"null",
    b'"x"',
    b"[]",
    b"{}",
    b"9" * 30,
    b"9" * 5000,
]


# Trying one input, and many


class Trial:
    """Tries inputs on one target, in a folder of its own."""

    def __init__(self, target: Target, folder: Path) -> None:
        from wildmiddle.empirical.data import DataError  # here: its modules may be instrumented
        from wildmiddle.models.checkpoints import CheckpointError

        # Other subclasses of ValueError are what decoders raise, about no file in particular.
        self.refusals = ValueError, DataError, CheckpointError
        self.target, self.path, self.tally = target, folder / target.name, Tally()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, content: bytes) -> None:
        """Write the input and read it."""
        tally, start = self.tally, time.process_time()
        self.path.write_bytes(self.target.pack(content))
        try:
            self.target.read(self.path)
            tally.read += 1
        except Exception as error:
            if type(error) not in self.refusals:
                last = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
                self._note(place, str(error), content)
            elif "MemoryError" in str(error):
                self._note("out of memory", str(error), content)
            elif len(str(error).splitlines()) != 1:
                self._note("a refusal that is not one line", str(error), content)
            else:
                tally.refused += 1
        seconds = time.process_time() - start
        tally.inputs += 1
        tally.slowest = max(tally.slowest, seconds)
        if seconds > SECONDS:
            self._note(f"more than {SECONDS:g} s", f"{seconds:.1f} s", content)

    def _note(self, place: str, message: str, content: bytes) -> None:
        known = self.tally.findings.get(place)
        if known is None or 2 * len(content) < len(known[1]):
            self.tally.findings[place] = message[:200], content.hex()


def bound_memory() -> None:
    """Hold this process to ``MEMORY`` besides what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(name: str, inputs: int, seed: int, guided: bool) -> None:
    """Try inputs on one target and print the tally as JSON."""
    if guided:
        import atheris

        with atheris.instrument_imports(include=["wildmiddle"]):
            target = TARGETS[name]()
    else:
        target = TARGETS[name]()
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(target, Path(place) / "input")
        for content in target.seeds:
            trial(content)
        good = trial.tally
        if good.read != len(target.seeds):
            raise SystemExit(f"{name}: a good file is not read: {good}")
        trial.tally = Tally()
        bound_memory()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def report() -> None:
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
            print(json.dumps(vars(trial.tally) | {"peak": peak}), flush=True)

        if not guided:
            rng = random.Random(f"{seed} {name}")
            for _ in range(inputs):
                trial(change(target.seeds, rng))
            report()
            return
        corpus = Path(place) / "corpus"
        corpus.mkdir()
        for i, content in enumerate(target.seeds):
            (corpus / str(i)).write_bytes(content)

        def once(content: bytes) -> None:
            trial(content)
            if trial.tally.inputs == inputs:  # libFuzzer itself would end without a word
                report()
                os._exit(0)

        options = [f"-seed={seed + 1}", "-max_len=100000", "-rss_limit_mb=0", "-timeout=60"]
        atheris.Setup(["fuzz", str(corpus), *options], once)
        atheris.Fuzz()


def main() -> int:
    """Try all targets, each in a process of its own, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="by coverage; needs atheris")
    parser.add_argument("--target", action="append", choices=TARGETS, help="all without it")
    parser.add_argument("--alone", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        run(options.alone, options.inputs, options.seed, options.guided)
        return 0
    names = options.target or list(TARGETS)
    each = -(-options.inputs // len(names))
    bad = False
    print("| files | inputs | read | refused | findings | slowest, s | memory, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in names:
        command = [sys.executable, __file__, "--alone", name, "--inputs", str(each)]
        command += ["--seed", str(options.seed), *(["--guided"] if options.guided else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not done.stdout.strip():
            bad = True
            print(f"{name}: ended with {done.returncode}\n{done.stderr[-2000:]}", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        findings = found["findings"]
        bad = bad or bool(findings)
        print(
            f"| {name} | {found['inputs']} | {found['read']} | {found['refused']} | "
            f"{len(findings)} | {found['slowest']:.2f} | {found['peak'] / 2**20:.0f} |",
            flush=True,
        )
        for where, (message, content) in findings.items():
            print(f"  {where}: {message!r}, as for {content[:200]}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
