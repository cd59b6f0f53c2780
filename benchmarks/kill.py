"""What is left of runs that are killed: ``python benchmarks/kill.py --times 50``.

Each command is started, killed with SIGKILL and started again, many times, each time in a folder of
its own: half of the times after a random time, half of them at a random operation on a file, where
most of what could break would break. Right after the kill, every file that has its final name must
be the one that an undisturbed run writes; after the second run all files must be, and none besides.
The processes are forked from one that has imported everything, so that a start takes no seconds.
Exit code 1 if anything was lost, wrong or left over.
"""

import argparse
import hashlib
import http.server
import importlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import wildmiddle.checks.experiments.figure2
import wildmiddle.checks.report
import wildmiddle.checks.verify  # noqa: F401  imported before the processes part
from wildmiddle.checks.cli import main as command_line
from wildmiddle.empirical.data import load
from wildmiddle.empirical.data.download import Remote, download
from wildmiddle.empirical.locks import LOCK
from wildmiddle.models.networks import Network
from wildmiddle.models.training import LOG, Training, train

SEED = 20261125
CRASHED = 70
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")

SCALE = """
[data]
source = "digits"
train_size = 30
test_size = 20
[models]
memorizing = 10
generalizing = 30
[training]
steps = 8
batch_size = 4
[measures]
samples = 8
outputs = 20
steps = 4
window = 2
checkpoints = 2
"""

Job = Callable[[Path], object]


@dataclass
class Fates:
    """How the killed runs of one command ended, and what was wrong, in words."""

    counts: Counter[str]
    faults: list[str]


def jobs(source: Path, port: int, content: bytes) -> dict[str, Job]:
    """The commands by name: each works in the folder that it is given."""
    rng = np.random.default_rng(SEED)
    images = rng.uniform(-1, 1, (12, 4, 4))
    network = Network(widths=(8,), attention=(False,), groups=4)
    training = Training(network=network, steps=12, batch_size=4, checkpoint_every=3)
    scale = source / "tiny.toml"
    scale.write_text(SCALE)
    pictures = source / "pictures"
    pictures.mkdir()
    for i in range(60):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i:03d}.png")
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    remote = Remote(f"http://127.0.0.1:{port}/archive.bin", size=len(content), md5=md5)
    reproduce = ["reproduce", "figure2", "--scale", str(scale), "--device", "cpu", "--quiet"]
    verify = ["verify", "--claims", "4.8", "--train-size", "30", "--test-size", "20", "--quiet"]
    verify += ["--samples", "500", "--device", "cpu"]
    return {
        "train": lambda folder: train(images, training, folder, device="cpu"),
        "reproduce": lambda folder: command_line([*reproduce, "--output", str(folder)]),
        "verify": lambda folder: command_line([*verify, "--output", str(folder)]),
        "cache": lambda folder: load(str(pictures), cache=folder, size=8),
        "download": lambda folder: download(remote, folder),
    }


def start(job: Job, folder: Path, errors: Path, kill_at: int = 0, count: Path | None = None) -> int:
    """Fork a process that does a job; it kills itself at the operation on a file of that number."""
    pid = os.fork()
    if pid:
        return pid
    code = CRASHED
    try:
        with errors.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        seen = 0

        def note(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            # What is not whole yet may lie beside the folder.
            if event in EVENTS and os.fspath(folder.parent) in str(arguments[0]):
                seen += 1
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(note)
        result = job(folder)
        code = result if isinstance(result, int) else 0
        if count is not None:
            count.write_text(json.dumps([seen, [*sys.modules]]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end(pid: int) -> int:
    """Wait for a process; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def files(folder: Path) -> dict[str, bytes]:
    """All files by their path, without the times that a report holds and the lock that stays."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name != LOCK:
            content = path.read_bytes()
            if path.name == "report.json":
                content = re.sub(rb'"seconds": [-+.e0-9]+', b'"seconds": 0', content)
            if path.name == "index.html":
                content = re.sub(rb"[-0-9]{10} [0-9:]{5} UTC", b"", content)
            found[str(path.relative_to(folder))] = content
    return found


def half_written(found: dict[str, bytes], whole: dict[str, bytes]) -> list[str]:
    """Files with a final name that are not what an undisturbed run writes there."""
    wrong = []
    for name, content in found.items():
        parts = Path(name).parts
        temporary = any(part.startswith(".") for part in parts)
        temporary |= name.endswith((".part", ".part.new", ".partial"))
        expected = whole.get(name)
        if parts[-1] == LOG and expected is not None:  # grows line by line
            expected = expected[: len(content)]
        if content != expected and not temporary:
            wrong.append(name)
    return wrong


def kill_often(name: str, job: Job, times: int, scratch: Path) -> Fates:
    """Kill a command ``times`` times and start it again each time."""
    rng = np.random.default_rng([SEED, len(name), *name.encode()])
    errors, count = scratch / "errors.txt", scratch / "count.txt"
    reference = scratch / name / "whole"
    code = end(start(job, reference, errors, count=count))
    if code not in (0, 1):
        raise SystemExit(f"{name} fails undisturbed ({code}): {errors.read_text()}")
    whole = files(reference)
    operations, modules = json.loads(count.read_text())
    for module in modules:  # what the command imports by and by is there before the next fork
        with suppress(ImportError):
            importlib.import_module(module)
    shutil.rmtree(reference.parent)
    began = time.perf_counter()
    end(start(job, reference, errors))
    lasted = time.perf_counter() - began
    shutil.rmtree(reference.parent)
    counts: Counter[str] = Counter()
    faults = []
    for i in range(times):
        folder = scratch / name / str(i)
        if i % 2:
            at = int(rng.integers(1, operations + 1))
            moment = f"operation {at} of {operations}"
            end_code = end(start(job, folder, errors, kill_at=at))
        else:
            seconds = rng.uniform(0, lasted)
            moment = f"{seconds:.3f} of {lasted:.3f} s"
            pid = start(job, folder, errors)
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)  # of one that has ended: nothing
            end_code = end(pid)
        killed = end_code == -signal.SIGKILL
        counts["at an operation" if i % 2 else "at a time"] += killed
        counts["ended before"] += not killed
        half = half_written(files(folder), whole)
        counts["half files"] += bool(half)
        again = end(start(job, folder, errors))
        found = files(folder)
        beside = {each.name for each in folder.parent.iterdir()} - {folder.name}
        extra = (found.keys() - whole.keys()) | beside
        wrong = [n for n in whole if found.get(n) != whole[n]] if again == code else ["exit code"]
        counts["left over"] += bool(extra)
        counts["lost or wrong"] += bool(wrong)
        if half or extra or wrong:
            faults.append(
                f"{name}, killed at {moment}: half written {half}, left over {sorted(extra)}, "
                f"wrong {wrong}, exit code {again} {errors.read_text()[-500:]}"
            )
        shutil.rmtree(folder.parent, ignore_errors=True)
    return Fates(counts, faults)


def serve(content: bytes, listener: socket.socket) -> int:
    """Fork a server of one file that knows ranges and takes its time."""
    pid = os.fork()
    if pid:
        return pid

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if first:
                span = f"bytes {first}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", span)
            self.end_headers()
            try:
                for at in range(first, len(content), 1 << 15):
                    self.wfile.write(content[at : at + (1 << 15)])
                    time.sleep(0.002)
            except OSError:
                return  # the client was killed

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = listener
    server.serve_forever()
    os._exit(0)


def main() -> int:
    """Print one table; 1 if anything was lost, wrong or left over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50, help="kills of each command")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON instead")
    options = parser.parse_args()
    torch.set_num_threads(1)  # and no threads before the fork, which would not be there after it
    content = np.random.default_rng(SEED).bytes(1 << 20)
    listener = socket.create_server(("127.0.0.1", 0))
    server = serve(content, listener)
    columns = ("at a time", "at an operation", "ended before")
    columns += ("half files", "left over", "lost or wrong")
    found, faults = {}, []
    try:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "source").mkdir()
            commands = jobs(Path(scratch) / "source", listener.getsockname()[1], content)
            if not options.json:
                print(f"| command | killed {' | '.join(columns)} |\n|---{'|---:' * len(columns)}|")
            for name, job in commands.items():
                fates = kill_often(name, job, options.times, Path(scratch))
                found[name] = {column: fates.counts[column] for column in columns}
                faults += fates.faults
                if not options.json:
                    print(f"| {name} | {' | '.join(map(str, found[name].values()))} |", flush=True)
    finally:
        os.kill(server, signal.SIGKILL)
    if options.json:
        print(json.dumps(found))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
