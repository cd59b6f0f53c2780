"""No command opens a connection, but for the one that downloads."""

import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="needs the extra train")

from wildmiddle.checks.cli import main
from wildmiddle.models.settings import Training
from wildmiddle.models.training import train

DOORS = ("connect", "connect_ex", "bind", "sendto", "sendmsg")


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every door to a network is shut; who tried one is noted, should the error be swallowed."""
    tried: list[str] = []

    def shut(name: str):
        def refuse(*arguments: object, **_: object) -> None:
            tried.append(f"{name}{arguments[-1:]}")
            raise OSError("no network")

        return refuse

    for name in DOORS:
        monkeypatch.setattr(socket.socket, name, shut(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, shut(name))
    return tried


def test_no_command_needs_a_network_unless_asked(
    attempts: list[str], tiny_text: str, tmp_path: Path, capsys
) -> None:
    scale = tmp_path / "tiny.toml"
    scale.write_text(tiny_text)
    quick = ["--samples", "200", "--device", "cpu"]
    points = np.random.default_rng(20261125).uniform(-1, 1, (50, 8, 8))
    data = tmp_path / "points.npy"
    np.save(data, points)
    commands = [
        ["theory"],
        ["theory", "4.2.2"],
        ["zone", "--device", "cpu", "--data", str(data)],
        [
            "verify",
            "--claims",
            "4.9",
            "--output",
            str(tmp_path / "report"),
            *quick,
            "--data",
            str(data),
        ],
        ["reproduce", "figure8", "--scale", str(scale), "--output", str(tmp_path / "x"), *quick],
    ]
    for command in commands:
        assert main(command) in (0, 1), (command, capsys.readouterr().err)
        assert attempts == [], command
    train(points, Training(steps=2, batch_size=4), tmp_path / "model", device="cpu")
    assert attempts == []
    capsys.readouterr()
    assert main(["data", "cifar10", "--output", str(tmp_path)]) == 2
    assert "cannot download" in capsys.readouterr().err
    assert attempts != []
