"""How arguments are read: bad ones in one line, options from a file, a name near an unknown one.

Imports nothing heavy: ``--help`` must not wait for torch.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from wildmiddle.checks.plain_values import read_toml, require_fit
from wildmiddle.checks.streams import complain, show

_PLAIN = str | int | float | Sequence[str | int | float]
_PAIR = re.compile(r"-[\d.][^,]*,")


def _join_negative(given: Iterable[str]) -> list[str]:
    # "--range -1,1" as "--range=-1,1": argparse takes what begins with a dash for an option.
    joined: list[str] = []
    for each in given:
        if _PAIR.match(each) and joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += f"={each}"
        else:
            joined.append(each)
    return joined


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, without the usage, and that takes options from a file.

    Those of ``--config`` stand before those of the command line, which win.
    """

    config: Path | None = None

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with exit code 2."""
        read = f" (with what {self.config} says)" if self.config else ""
        complain(f"{message}{read}; see {self.prog} --help", self.prog)
        self.exit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse the options of the file, where one is named, and then those given."""
        given = _join_negative(sys.argv[1:] if args is None else args)
        if "--config" not in self._option_string_actions:
            return super().parse_known_args(given, namespace)
        finder = argparse.ArgumentParser(prog=self.prog, add_help=False, allow_abbrev=False)
        finder.add_argument("--config", type=as_path, nargs="?")
        path = finder.parse_known_args(given)[0].config
        if path is not None:
            given = [*self._read(path), *given]
            self.config = path
        found, rest = super().parse_known_args(given, namespace)
        if found.config != path:
            self.error("--config must be written in full")
        if rest:
            self.error(f"{' '.join(rest)}: no option of this command{self._meant(rest[0])}")
        return found, rest

    def _meant(self, word: str) -> str:
        from difflib import get_close_matches

        known = self._option_string_actions
        if not word.startswith("-"):
            return f"; did you mean --data {word}?" if "--data" in known else ""
        near = get_close_matches(word.partition("=")[0], known, n=1)
        return f"; did you mean {near[0]}?" if near else ""

    def _read(self, path: Path) -> list[str]:
        takes = {
            name.removeprefix("--"): action.nargs
            for action in self._actions
            for name in action.option_strings
            if name.startswith("--") and name not in ("--config", "--help")
        }
        fitting = {name: bool if nargs == 0 else _PLAIN for name, nargs in takes.items()}
        try:
            content = read_toml(path)
            require_fit(content, fitting, "the file")
        except (OSError, ValueError) as error:
            self.error(f"--config {path}: {getattr(error, 'strerror', error)}")
        given = []
        for name, value in content.items():
            values = value if isinstance(value, list) else [value]
            if takes[name] == 0:
                given += [f"--{name}"] * value
            elif takes[name] == "+":
                given += [f"--{name}={each}" for each in values]
            else:
                given.append(f"--{name}={','.join(map(str, values))}")
        return given

    def print_help(self, file: Any = None) -> None:
        """Print the help to standard output."""
        show(self.format_help(), end="")


class PrintVersion(argparse.Action):
    """Print the version of the installed package; it is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and leave."""
        from importlib.metadata import version

        show(f"wildmiddle {version('wildmiddle')}")
        parser.exit()


class PrintCompletion(argparse.Action):
    """Print the completion of a shell, of all commands and options, with files where they go."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, shell: Any, *__: Any) -> None:
        """Print it and leave; exit code 2 without shtab."""
        try:
            import shtab
        except ModuleNotFoundError:
            parser.error("--print-completion needs shtab: pip install 'wildmiddle[completion]'")
        commands: Any = next(each.choices for each in parser._actions if each.dest == "command")
        for command in commands.values():
            for action in command._actions:
                if action.type in (as_path, as_name_or_path):
                    action.complete = shtab.FILE
        show(shtab.complete(parser, shell))
        parser.exit()


def as_name_or_path(text: str) -> str:
    """A text as it is, but for the home folder, which no shell puts in after ``--data=``."""
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        raise argparse.ArgumentTypeError(
            f"{text!r} begins with a user that this system does not know; write ./~ for the name"
        )
    return expanded


def as_path(text: str) -> Path:
    """A text as a path; an empty one is refused."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give a path")
    return Path(as_name_or_path(text))
