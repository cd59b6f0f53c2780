"""What a command prints: readable in every encoding, quiet once nobody reads it any more.

Imports nothing heavy: ``--help`` must not wait.
"""

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TextIO

_ASCII = {
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "−": "-",
    "–": "-",
    "—": "-",
    "∞": "inf",
    "√": "sqrt",
    "×": "x",
    "·": "*",
    "’": "'",
    "…": "...",
    "⟹": "=>",
    "→": "->",
    "↦": "|->",
    "∼": "~",
    "∅": "{}",
    "∩": "intersect",
    "⋃": "union ",
    "∈": "in",
    "∑": "sum ",
    "∏": "prod ",
    "∫": "int ",
    "∂": "d",
    "∇": "grad ",
    "‖": "||",
    "⟨": "<",
    "⟩": ">",
    "\u0305": "_bar",
}
"""Signs of mathematics in ASCII; Greek letters go by their names."""

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}


def prepare() -> None:
    """Make the standard streams fit to be written to, whatever the process was started with.

    One that is closed leads nowhere, so that no file of ours gets its number. A character that the
    encoding lacks is written in ASCII.
    """
    codecs.register_error("wildmiddle.ascii", _in_ascii)
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="wildmiddle.ascii")


def show(text: str, end: str = "\n") -> None:
    r"""Print a text at once; nothing more is printed once its reader has gone, as ``head`` does.

    Control characters, such as a file name may hold, are shown as ``\x1b``. Raises OSError where
    the text cannot be written, on a full disk for one.
    """
    _write(sys.stdout, text.translate(_CONTROLS) + end)


def complain(text: str, command: str = "wildmiddle") -> None:
    """Print one line to standard error, with the name of the command before it."""
    line = " ".join(f"{command}: {text}".split())
    with suppress(OSError):  # nothing can be said where standard error cannot be written
        _write(sys.stderr, line.translate(_CONTROLS) + "\n")


def can_show(text: str) -> bool:
    """Whether standard output can encode a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # What waits in the buffer would fail again when Python ends, with an exit code of its own.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(character: str) -> str:
    if character in _ASCII:
        return _ASCII[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK"):
        word = name.rpartition(" ")[2].replace("LAMDA", "LAMBDA")  # as Unicode spells it
        return word.lower() if "SMALL" in name else word.capitalize()
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode()
