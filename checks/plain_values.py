"""Values as TOML and JSON give them, held against the annotations of what is to take them."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

_WORDS = {
    str: "a text",
    Path: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    Mapping: "a table",
    type(None): "left out",
}


def read_toml(path: Traversable) -> dict[str, Any]:
    """A TOML file's tables; ValueError, in one line, for what is none, and OSError."""
    try:
        # Editors on Windows put a mark before the text, which TOML does not know.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("not in UTF-8; save the file as UTF-8") from None
    except RecursionError:
        raise ValueError("lists or tables within too many others") from None


def require_known(names: Collection[str], known: Collection[str], where: str) -> None:
    """Raise ValueError for a name that is not known, with the one that was probably meant."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"give {', '.join(known) or 'none'}"
            raise ValueError(f"{where} has no {name!r}; {meant}")


def require_fit(values: Mapping[str, Any], hints: Mapping[str, Any], where: str) -> None:
    """Raise ValueError for a key that no annotation has, or a value that does not fit its own."""
    require_known(values, hints, where)
    for name, value in values.items():
        if not fits(value, hints[name]):
            wanted = _describe(hints[name])
            raise ValueError(f"{where}: {name} = {_shorten(value)} must be {wanted}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value can stand for an annotation; a list may be a tuple, an int a float.

    Whole numbers must fit into 64 bits, and texts into UTF-8.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str) and value in parts
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        each = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(each) and all(map(fits, value, each))
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(fits(entry, parts[0]) for entry in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(
            fits(name, parts[0]) and fits(entry, parts[1]) for name, entry in value.items()
        )
    if isinstance(value, int) and hint in (int, float):
        return not isinstance(value, bool) and abs(value) < 1 << 63
    if isinstance(value, str) and hint is str:
        return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_describe, parts)))
    if origin is Literal:
        return f"one of {', '.join(parts)}"
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"a list of {len(parts)}"
    return _WORDS.get(origin or hint, "a list")


def _shorten(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists within lists
        return "a value"
    return text if len(text) <= 60 else f"{text[:57]}..."
