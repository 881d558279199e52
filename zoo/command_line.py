"""What the commands of all packages share: the parser, usage errors, types of values."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from zoo.errors import MatterzooError
from zoo.terminal import above_bars

EXTRAS = {  # what a light installation lacks: {top-level module: the extra that brings it}
    **dict.fromkeys(
        ("ase", "docker", "huggingface_hub", "lmdb", "packaging", "pydantic", "pymatgen"), "ingest"
    ),
    **dict.fromkeys(("rdkit", "requests", "spglib", "uv"), "ingest"),
    **dict.fromkeys(("altair", "vl_convert", "umap"), "report"),
    **dict.fromkeys(("starlette", "uvicorn"), "serve"),
}
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}


class UsageError(MatterzooError):
    """The command line is wrong: an unknown command or option, or a value of the wrong kind."""


class ExtraMissing(MatterzooError):
    """A package is not installed that comes with an extra of matterzoo."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions of one line."""

    def error(self, message: str) -> NoReturn:
        """Report what is wrong with the command line.

        Args:
            message: What is wrong.

        Raises:
            UsageError: Always.
        """
        surplus = message.removeprefix("unrecognized arguments: ").split()
        if surplus and Path(surplus[0]).exists():
            message += "; a glob of files needs quotes, so that the shell leaves it as it is"
        raise UsageError(f"{message}; see {self.prog} --help")


class Commands:
    """The commands of the program.

    A command names its handler as text, 'package.module:function', which is imported when the
    command runs: `matterzoo --help` needs none of what the commands need.
    """

    def __init__(self, parser: Parser) -> None:
        self._parsers = parser.add_subparsers(
            required=True, metavar="COMMAND", dest="command", parser_class=Parser
        )

    def add(self, name: str, handler: str, help: str, **options: Any) -> Parser:
        """Add a command.

        Args:
            name: The word that a user types.
            handler: 'package.module:function'; the function takes the parsed options and returns
                the exit code.
            help: One clause that says what the command does.
            options: Further arguments of argparse's `add_parser`.

        Returns:
            The command's parser, which its arguments are added to.
        """
        about = options.pop("description", f"{help[0].upper()}{help[1:]}.")
        parser: Parser = self._parsers.add_parser(name, help=help, description=about, **options)
        parser.set_defaults(handler=handler)
        return parser

    def find(self, name: str) -> Parser:
        """Return the parser of a command that was added.

        Args:
            name: The word that a user types.
        """
        found: Parser = self._parsers.choices[name]
        return found

    @property
    def names(self) -> list[str]:
        """The names of all commands."""
        return list(self._parsers.choices)


def print_now(text: str) -> None:
    """Print a line as it comes, also where the output goes into a file.

    Args:
        text: The line.
    """
    with above_bars():
        print(text, flush=True)


def agrees(question: str, *, yes: bool = False) -> bool | None:
    """Ask the user a question, in a terminal.

    Args:
        question: The question.
        yes: Whether the user has agreed already.

    Returns:
        Whether the user agrees; the end of the input (Ctrl-D) is a no. None if there is no terminal
        to ask at.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        return None
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()  # what follows begins a line
        return False


def run(options: argparse.Namespace) -> int:
    """Import the handler of the command that was given, and call it.

    Args:
        options: What the parser returned.

    Returns:
        The exit code.

    Raises:
        ExtraMissing: The command needs a package that is not installed.
    """
    code: int = call(options.handler, options)
    return code


def call(named_as: str, options: argparse.Namespace) -> Any:
    """Import what a parser names as text, and call it with the options.

    Args:
        named_as: 'package.module:function'.
        options: What the parser returned.

    Returns:
        What the function returns.

    Raises:
        ExtraMissing: It needs a package that is not installed.
    """
    module, function = named_as.split(":")
    try:
        return getattr(import_module(module), function)(options)
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error


def missing_extra(error: ModuleNotFoundError) -> Exception:
    """Return the error that says which extra brings a module, or the same error if none does.

    Args:
        error: What an import raised.
    """
    name = (error.name or "").split(".")[0]
    if name not in EXTRAS:
        return error
    return ExtraMissing(
        f"this needs {name}, which is not installed; pip install 'matterzoo[{EXTRAS[name]}]'"
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the store.

    Args:
        parser: The command's parser.
    """
    parser.add_argument(
        "--store",
        type=named,
        help="the DuckDB file (default: MATTERZOO_STORE, else ./matter.duckdb)",
    )


def split_names(text: str | None) -> list[str]:
    """Return the names in a list that a user typed, each once, in its order.

    Args:
        text: Names separated by commas; None is an empty list.
    """
    parts = (part.strip() for part in (text or "").split(","))
    return list(dict.fromkeys(filter(None, parts)))


def switches(options: argparse.Namespace, chosen: Iterable[str]) -> list[str]:
    """Return those of the options' names that were given a value.

    Args:
        options: What the parser returned.
        chosen: Names of options.
    """
    return [name for name in chosen if vars(options).get(name) not in (None, False)]


def named(text: str) -> str:
    """Return text that names something: `--store "$UNSET"` must not pass for no option at all.

    Args:
        text: what was typed.

    Raises:
        argparse.ArgumentTypeError: it is empty, or only commas and spaces.
    """
    if not split_names(text):
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return text


def positive(text: str) -> int:
    """Return a whole number above 0.

    Args:
        text: What was typed.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    if not re.fullmatch(r"0*[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def job_task() -> int | None:
    """Return the number that Slurm gives a task of an array of jobs, None outside of one.

    Raises:
        UsageError: The variable is no number.
    """
    text = os.environ.get("SLURM_ARRAY_TASK_ID")
    if text is not None and not re.fullmatch(r"\d+", text):
        raise UsageError(f"SLURM_ARRAY_TASK_ID={text!r} is not a whole number; give --task NUMBER")
    return None if text is None else int(text)


def amount(text: str) -> float:
    """Return a number above 0.

    Args:
        text: What was typed.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def memory(text: str) -> int:
    """Return an amount of memory in bytes.

    Args:
        text: A number with its unit, k, m or g (powers of 1024), such as '8g'.

    Raises:
        argparse.ArgumentTypeError: it is no amount of memory.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg])", text.lower())
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if not size:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of memory with its unit (k, m, g), such as 8g"
        )
    return size


def device(text: str) -> str:
    """Return the name of a device.

    Args:
        text: Cpu, cuda, cuda:N, cuda:GPU-<uuid> or cuda:MIG-<uuid>.

    Raises:
        argparse.ArgumentTypeError: it names no device.
    """
    if not re.fullmatch(r"cpu|cuda(:(\d+|(GPU|MIG)-[0-9A-Za-z/-]+))?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not cpu, cuda, cuda:N, cuda:GPU-<uuid> or cuda:MIG-<uuid>"
        )
    return text
