"""Functions and programs of a user's own: features of images, or a denoiser."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SCRIPTED = (".ts", ".torchscript")


def named_function(text: str, option: str) -> Callable[..., Any]:
    """The function that ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` names.

    Its module is imported, which runs it; modules of the working directory are found. Raises
    ValueError, in one line that names the ``option``, where there is no such function.
    """
    place, _, name = text.rpartition(":")
    try:
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
    except (ImportError, AttributeError, OSError, ValueError, SyntaxError) as error:
        raise ValueError(
            f"{option} {text}: {error}; give MODULE:FUNCTION or FILE.py:FUNCTION"
        ) from error
    if not callable(function):
        raise ValueError(f"{option} {text}: {name} is no function")
    found: Callable[..., Any] = function
    return found


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


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
