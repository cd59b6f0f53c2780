"""Functions and programs of a user's own: features of images, or a denoiser."""

import importlib
import importlib.util
import pickletools
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import torch

SCRIPTED = (".ts", ".torchscript")
_OPCODES = 1_000_000  # of a pickle that is looked at


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


def names_in_pickle(path: Path) -> list[str]:
    """The functions and classes that a pickle asks for, by name; nothing of it is run.

    Those before the end, or before the first damage.
    """
    found: dict[str, None] = {}
    memo: dict[int, str | None] = {}
    texts: list[str | None] = [None, None]
    last: str | None = None
    with suppress(Exception), path.open("rb") as file:  # pickletools raises many kinds
        for opcode, given, _ in islice(pickletools.genops(file), _OPCODES):
            argument: Any = given
            if opcode.name == "MEMOIZE":
                memo[len(memo)] = last
            elif "PUT" in opcode.name:
                memo[int(argument)] = last
            elif opcode.name == "GLOBAL":
                found[argument.replace(" ", ".")] = None
            elif opcode.name == "STACK_GLOBAL":  # its module and its name are on the stack
                found[f"{texts[-2]}.{texts[-1]}"] = None
            else:
                last = memo.get(int(argument)) if "GET" in opcode.name else argument
                last = last if isinstance(last, str) else None
                texts = [texts[-1], last] if last is not None else texts
    return list(found)


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
