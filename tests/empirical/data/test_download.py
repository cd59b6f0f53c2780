"""Downloading from a server on this machine: resumed, verified, refused, unreachable."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wildmiddle.checks.cli import main
from wildmiddle.empirical.data import download as module
from wildmiddle.empirical.data.cifar import BINARY
from wildmiddle.empirical.data.download import CIFAR10, Remote, download
from wildmiddle.empirical.data.source import DataError

CONTENT = np.random.default_rng(20260217).bytes(300_000)


@dataclass
class Behaviour:
    """What the server does, and the ranges that it was asked for."""

    content: bytes = CONTENT
    ranges: bool = True
    status: int | None = None
    stop_after: int | None = None
    """Bytes of an answer after which the connection is closed."""
    endless: bool = False
    """Whether the answer goes on for 64 MB, or until nobody listens."""
    sent: int = 0
    """Megabytes of the endless answer."""
    shift: int = 0
    """How far the range that is sent starts from the one asked for."""
    asked: list[str | None] = field(default_factory=list)


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Remote]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            behaviour.asked.append(wanted)
            if behaviour.status is not None:
                self.send_error(behaviour.status)
                return
            if behaviour.endless:
                self.send_response(200)
                self.end_headers()
                with suppress(ConnectionError):
                    while behaviour.sent < 64:
                        self.wfile.write(bytes(1 << 20))
                        behaviour.sent += 1
                return
            start = 0
            if wanted is not None and behaviour.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) + behaviour.shift
                if start >= len(behaviour.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                size = len(behaviour.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            body = behaviour.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: behaviour.stop_after])

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
            yield Remote(url, len(CONTENT), hashlib.md5(CONTENT).hexdigest())
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def refused(remote: Remote, folder: Path, *fragments: str) -> str:
    with pytest.raises(DataError) as caught:
        download(remote, folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert [f for f in fragments if f not in message] == [], message
    return message


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_is_fetched_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = Behaviour()
    folder = tmp_path / "made" / "for it"
    with serving(server) as remote:
        for _ in range(2):
            path = download(remote, folder, progress=True)
            assert path == folder / "archive.tar.gz"
            assert path.read_bytes() == CONTENT
    assert server.asked == [None]
    assert names(folder) == ["archive.tar.gz"]
    assert tuple(capfd.readouterr()) == ("", "")  # no terminal, no bar


def test_a_stopped_transfer_is_gone_on_with(tmp_path: Path) -> None:
    server = Behaviour(stop_after=100_000)
    with serving(server) as remote:
        refused(remote, tmp_path, "stopped after 100000 of 300000", "archive.tar.gz.part", "go on")
        assert names(tmp_path) == ["archive.tar.gz.part"]
        refused(remote, tmp_path, "stopped after 200000 of 300000")
        assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]
    assert names(tmp_path) == ["archive.tar.gz"]


def test_a_server_without_ranges_sends_all_again(tmp_path: Path) -> None:
    server = Behaviour(ranges=False)
    (tmp_path / "archive.tar.gz.part").write_bytes(CONTENT[:1000])
    with serving(server) as remote:
        assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_part_never_becomes_shorter(tmp_path: Path) -> None:
    part = tmp_path / "archive.tar.gz.part"
    part.write_bytes(CONTENT[:2000])
    # Servers that begin anew and stop before they come as far; one that has less than the part; and
    # one that starts elsewhere and breaks off when it is asked again.
    for server in (
        Behaviour(ranges=False, stop_after=0),
        Behaviour(ranges=False, stop_after=1500),
        Behaviour(content=b"<html>sign in first</html>", ranges=False),
        Behaviour(content=CONTENT[:1000]),
        Behaviour(shift=7, stop_after=1500),
    ):
        with serving(server) as remote:
            refused(remote, tmp_path, "stopped after 2000 of 300000", "go on")
        assert server.asked[0] == "bytes=2000-"
        assert part.read_bytes() == CONTENT[:2000]
        assert names(tmp_path) == [part.name]
    with serving(Behaviour(ranges=False, stop_after=2001)) as remote:
        refused(remote, tmp_path, "stopped after 2001 of 300000")
    assert part.read_bytes() == CONTENT[:2001]
    with serving(Behaviour()) as remote:
        assert download(remote, tmp_path).read_bytes() == CONTENT


def test_an_interrupted_new_start_keeps_what_is_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = module._copy

    def interrupted(*arguments: Any) -> None:
        copy(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_copy", interrupted)
    part = tmp_path / "archive.tar.gz.part"
    for sent, kept in ((1000, 2000), (3000, 3000)):
        part.write_bytes(CONTENT[:2000])
        with (
            serving(Behaviour(ranges=False, stop_after=sent)) as remote,
            pytest.raises(KeyboardInterrupt),
        ):
            download(remote, tmp_path)
        assert part.read_bytes() == CONTENT[:kept]
        assert names(tmp_path) == [part.name]


def test_a_new_start_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "archive.tar.gz.part").write_bytes(CONTENT[:1000])
    (tmp_path / "archive.tar.gz.part.new").write_bytes(CONTENT[:2000])
    server = Behaviour()
    with serving(server) as remote:
        download(remote, tmp_path)
    assert server.asked == ["bytes=2000-"]
    assert names(tmp_path) == ["archive.tar.gz"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setattr(module, "_new", lambda part: tmp_path / "full")
    monkeypatch.setattr(module, "_keep_longer", lambda part, new: None)
    with serving(Behaviour()) as remote:
        refused(remote, tmp_path / "made", "No space left", "make room")
        (tmp_path / "file").write_text("")
        refused(remote, tmp_path / "file" / "in it", "cannot be written", "another folder")


@pytest.mark.parametrize("part", [CONTENT, CONTENT + b"x", b""])
def test_a_part_that_is_whole_too_long_or_empty(tmp_path: Path, part: bytes) -> None:
    server = Behaviour()
    (tmp_path / "archive.tar.gz.part").write_bytes(part)
    with serving(server) as remote:
        assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked == ([] if part == CONTENT else [None])


def test_another_range_than_asked_for_does_not_pass(tmp_path: Path) -> None:
    (tmp_path / "archive.tar.gz.part").write_bytes(CONTENT[:1000])
    server = Behaviour(shift=7)
    with serving(server) as remote:
        assert download(remote, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


@pytest.mark.parametrize("start", [0, 1000])
def test_a_wrong_checksum_keeps_nothing(tmp_path: Path, start: int) -> None:
    wrong = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    if start:
        (tmp_path / "archive.tar.gz.part").write_bytes(CONTENT[:start])
    with serving(Behaviour(content=wrong)) as remote:
        refused(remote, tmp_path, hashlib.md5(wrong).hexdigest(), remote.md5, "deleted")
    assert names(tmp_path) == []


def test_more_bytes_than_published_are_not_waited_for(tmp_path: Path) -> None:
    server = Behaviour(endless=True)
    with serving(server) as remote:
        refused(remote, tmp_path, "more than the official 300000 bytes", "deleted")
    assert server.sent < 64
    assert names(tmp_path) == []


def test_a_file_that_is_there_is_verified_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "archive.tar.gz").write_bytes(CONTENT[:-1])
    server = Behaviour()
    with serving(server) as remote:
        refused(remote, tmp_path, "archive.tar.gz: MD5", "cut or changed", "delete it")
    assert server.asked == []
    assert (tmp_path / "archive.tar.gz").read_bytes() == CONTENT[:-1]


def refusing() -> Remote:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Remote(f"http://127.0.0.1:{port}/archive.tar.gz", len(CONTENT), "0" * 32)


def test_without_a_connection_it_says_what_to_put_where(tmp_path: Path) -> None:
    target = str(tmp_path / "archive.tar.gz")
    refused(refusing(), tmp_path, "refused", "another machine", f"put it at {target}", "--data")
    (tmp_path / "archive.tar.gz.part").write_bytes(b"kept")
    refused(refusing(), tmp_path, "another machine")
    assert (tmp_path / "archive.tar.gz.part").read_bytes() == b"kept"


@pytest.mark.parametrize("status", [403, 404, 416, 503])
def test_a_server_that_says_no(tmp_path: Path, status: int) -> None:
    with serving(Behaviour(status=status)) as remote:
        refused(remote, tmp_path, f"HTTP {status}", "another machine")
    assert names(tmp_path) == []


def test_a_server_that_speaks_something_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 no web server here\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        refused(replace(CIFAR10, url=f"http://127.0.0.1:{port}/a.tgz"), tmp_path, "put it at")
        thread.join()


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.tgz"
        refused(replace(CIFAR10, url=url), tmp_path, "timed out", "put it at")


# The command


def test_the_command_fetches_what_data_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Behaviour()) as remote:
        monkeypatch.setattr(module, "CIFAR10", remote)
        assert main(["data", "cifar10", "--output", str(tmp_path)]) == 0
        printed = capsys.readouterr()
        assert f"--data {tmp_path / 'archive.tar.gz'}" in printed.out
        assert (len(printed.out.splitlines()), printed.err) == (1, "")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "archive.tar.gz").unlink()
        assert main(["data", "cifar10"]) == 0
    assert names(tmp_path) == ["archive.tar.gz"]


def test_the_command_without_a_network_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "CIFAR10", refusing())
    assert main(["data", "cifar10", "--output", str(tmp_path / "new")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert f"put it at {tmp_path / 'new' / 'archive.tar.gz'}" in printed.err


def test_an_interrupted_download_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_copy", interrupted)
    (tmp_path / "archive.tar.gz.part").write_bytes(CONTENT[:1000])
    with serving(Behaviour()) as remote:
        monkeypatch.setattr(module, "CIFAR10", remote)
        assert main(["data", "cifar10", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "wildmiddle: interrupted; what has arrived is kept\n"
    assert (tmp_path / "archive.tar.gz.part").read_bytes() == CONTENT[:1000]


def test_the_published_archive() -> None:
    assert CIFAR10.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert CIFAR10.name == BINARY.archive
    assert (CIFAR10.size, CIFAR10.md5) == (170_052_171, "c32a1d4ab5d03f1284b67883e8d87530")
