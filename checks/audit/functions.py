"""Functions and programs of a user's own: features of images, or a denoiser."""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from wildmiddle.models.denoisers import Denoiser

SCRIPTED = (".ts", ".torchscript")

_log = logging.getLogger(__name__)


@contextmanager
def code_of(name: str, remedy: str) -> Iterator[None]:
    """Turn whatever a user's own code raises into a ValueError of one line with the remedy.

    An exit is an error too: its code would be taken for a verdict. The traceback is logged.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        _log.info("%s", name, exc_info=True)
        raise ValueError(f"{name}: {type(error).__name__}: {_in_short(error)}; {remedy}") from error


def named_function(text: str, option: str) -> Callable[..., Any]:
    """The function that ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` names.

    Its module is imported, which runs it; modules of the working directory are found. Raises
    ValueError, in one line that names the ``option``, where there is no such function.
    """
    place, _, name = text.rpartition(":")
    with code_of(f"{option} {text}", "give MODULE:FUNCTION or FILE.py:FUNCTION"):
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            if spec is None or spec.loader is None:
                raise ImportError(f"{place} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            if "" not in sys.path:
                sys.path.insert(0, "")
            module = importlib.import_module(place)
        function = getattr(module, name)
    if not callable(function):
        raise ValueError(f"{option} {text}: {name} is no function")
    found: Callable[..., Any] = function
    return found


def named_denoiser(text: str) -> Denoiser:
    """What the function that a text names returns, as :func:`checked_denoiser`."""
    name = f"the model {text}"
    function = named_function(text, "the model")
    with code_of(name, "it is called without arguments and returns denoiser(x, sigma)"):
        found = function()
    if not callable(found):
        raise ValueError(f"{name}: returned {type(found).__name__}, not denoiser(x, sigma)")
    return checked_denoiser(found, name)


def checked_denoiser(function: Callable[..., Any], name: str) -> Denoiser:
    """A function or program as a denoiser whose every answer is a tensor of the shape of ``x``.

    ValueError, in one line that has the ``name``, where it is not, and where calling it fails.
    """

    def call(x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        shape = tuple(x.shape)
        with code_of(name, f"it is called as denoiser(x, sigma), x of shape {shape}"):
            found = function(x, sigma)
        if not isinstance(found, torch.Tensor) or found.shape != x.shape:
            given = (
                f"shape {tuple(found.shape)}"
                if isinstance(found, torch.Tensor)
                else type(found).__name__
            )
            raise ValueError(f"{name}: returned {given}; it must return a tensor of shape {shape}")
        return found

    return call


def scripted_program(path: Path, device: torch.device) -> Any:
    """A program of TorchScript on a device; ValueError, in one line, for other files."""
    try:
        return torch.jit.load(path, map_location=device).eval()
    except Exception as error:  # torch raises many kinds on files that are none of its own
        raise ValueError(f"{path} is no program of torch ({_in_short(error)})") from error


def exported_program(path: Path, device: torch.device) -> Any:
    """As :func:`scripted_program` of a program of ``torch.export``; it is trusted with all."""
    try:
        return torch.export.load(path).module().to(device)
    except Exception as error:
        raise ValueError(f"{path} is no program of torch ({_in_short(error)})") from error


def _in_short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
