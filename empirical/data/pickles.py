"""Read a pickle of plain values and byte arrays without running anything that it asks for.

A pickle is a program for a stack machine; two of its opcodes name a function and call it. Here
`pickletools.genops` only lists the opcodes, and the few below are carried out on plain values.
A function is never looked up: the three names that NumPy writes (`_reconstruct`, `ndarray`,
`dtype`) are constants of this module, their calls are patterns, and everything else is refused.
Opcodes that a protocol-2 pickle of Python 2 does not need for this are refused as well. An opcode
of one byte may take 80 of memory, so their number is bounded, and with it time and memory.
"""

import math
import pickletools
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wildmiddle.empirical.data.source import DataError, data_errors


@dataclass(frozen=True)
class _Name:
    """A function or class as a name only."""

    module: str
    name: str


@dataclass(eq=False)
class _Array:
    """An array of uint8, as made by `_reconstruct`: empty until BUILD gives it its state."""

    pixels: NDArray[np.uint8] | None = None


_RECONSTRUCT = _Name("numpy.core.multiarray", "_reconstruct")
_NDARRAY = _Name("numpy", "ndarray")
_DTYPE = _Name("numpy", "dtype")
_UINT8 = _Name("numpy", "uint8")  # what the one permitted call of dtype gives
_MARK = _Name("", "mark")

_OPCODES = 1_000_000  # a published batch has some 30,000
_DIMENSIONS = 2  # of an array of rows

_STRINGS = ("BINSTRING", "SHORT_BINSTRING")
_NUMBERS = ("BININT", "BININT1", "BININT2")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(data: bytes, label: str, remedy: str) -> dict[bytes, Any]:
    """The dict in a protocol-2 pickle: bytes, integers, None, tuples, lists and uint8 arrays.

    Raises `DataError`, with `label` and `remedy`, for a cut pickle and for one that holds or asks
    for anything else. No code of the pickle runs, whatever it holds.
    """
    with data_errors(label, remedy):
        try:
            value = _run(data)
        except _RefusedError as refused:
            raise DataError(
                f"{label}: a pickle that {refused}, refused without running it; {remedy}"
            ) from None
    if not isinstance(value, dict):
        raise DataError(f"{label}: a pickle of no dict; {remedy}")
    return {
        key: entry.pixels if isinstance(entry, _Array) else entry for key, entry in value.items()
    }


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
                found[argument.replace(" ", ".")], last = None, None
            elif opcode.name == "STACK_GLOBAL":  # its module and its name are on the stack
                found[f"{texts[-2]}.{texts[-1]}"], last = None, None
            else:
                last = memo.get(int(argument)) if "GET" in opcode.name else argument
                last = last if isinstance(last, str) else None
                texts = [texts[-1], last] if last is not None else texts
    return list(found)


class _RefusedError(Exception):
    """What the pickle holds or asks for, as the end of a sentence."""


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    position: Any  # never None for bytes
    for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
        if count == _OPCODES:
            raise _RefusedError(f"has more than {_OPCODES} opcodes")
        name = opcode.name
        if name == "PROTO":
            if argument != 2 or position:
                raise _RefusedError(f"is of protocol {argument}, not 2")
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1"))  # genops hands bytes over as latin-1
        elif name in _NUMBERS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in _TUPLES:
            stack.append(tuple(_pop(stack, _TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(_pop_to_mark(stack)))
        elif name in ("APPEND", "APPENDS"):
            values = _pop(stack, 1) if name == "APPEND" else _pop_to_mark(stack)
            _top(stack, list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
            _set_items(_top(stack, dict), values)
        elif name == "GLOBAL":
            stack.append(_find_name(argument))
        elif name == "REDUCE":
            function, arguments = _pop(stack, 2)
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            (state,) = _pop(stack, 1)
            _build(stack[-1], state)
        elif name == "STOP":
            if len(stack) != 1 or position + 1 != len(data):
                raise _RefusedError("has something left behind its end")
            return stack[0]
        else:
            raise _RefusedError(f"uses the opcode {name}")
    raise _RefusedError("has no end")


def _pop(stack: list[Any], count: int) -> list[Any]:
    values = stack[-count:]
    if len(values) < count or any(value is _MARK for value in values):
        raise _RefusedError("takes more from its stack than is there")
    del stack[-count:]
    return values


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    for at in range(len(stack) - 1, -1, -1):
        if stack[at] is _MARK:
            values = stack[at + 1 :]
            del stack[at:]
            return values
    raise _RefusedError("takes more from its stack than is there")


def _top(stack: list[Any], kind: type) -> Any:
    if not stack or type(stack[-1]) is not kind:
        raise _RefusedError(f"fills something that is no {kind.__name__}")
    return stack[-1]


def _set_items(target: dict[bytes, Any], values: list[Any]) -> None:
    keys = values[::2]
    if len(values) % 2 or not all(type(key) is bytes for key in keys):
        raise _RefusedError("has a dict with keys that are no strings")
    target.update(zip(keys, values[1::2], strict=True))


def _find_name(argument: str) -> _Name:
    module, _, name = argument.partition(" ")
    for known in (_RECONSTRUCT, _NDARRAY, _DTYPE):
        if (module, name) == (known.module, known.name):
            return known
    raise _RefusedError(f"asks for {f'{module}.{name}'[:80]!r}")


def _call(function: Any, arguments: Any) -> Any:
    # Only the two calls that numpy.ndarray.__reduce__ and numpy.dtype.__reduce__ write.
    if function is _RECONSTRUCT and _is(arguments, _NDARRAY, (0,), b"b"):
        return _Array()
    if function is _DTYPE and _is(arguments, b"u1", 0, 1):
        return _UINT8
    raise _RefusedError("calls a function in another way than NumPy's for an array of uint8")


def _is(arguments: Any, *expected: Any) -> bool:
    return type(arguments) is tuple and arguments == expected


def _build(target: Any, state: Any) -> None:
    if target is _UINT8:
        # version, byte order (none), no subarray, no names, no fields, itemsize, alignment, flags
        if _is(state, 3, b"|", None, None, None, -1, -1, 0):
            return
    elif type(target) is _Array and type(state) is tuple and len(state) == 5:
        version, shape, dtype, fortran, content = state
        if (
            version == 1
            and dtype is _UINT8
            and type(fortran) is bool
            and type(content) is bytes
            and type(shape) is tuple
            and len(shape) <= _DIMENSIONS
            and all(type(length) is int and length >= 0 for length in shape)
            and math.prod(shape) == len(content)
        ):
            flat = np.frombuffer(content, dtype=np.uint8)
            target.pixels = flat.reshape(shape, order="F" if fortran else "C")
            return
    raise _RefusedError("has an array whose type, shape and bytes do not fit")
