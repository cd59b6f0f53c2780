"""Functions of a user's own, by name: features of images, or a denoiser."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
