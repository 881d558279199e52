"""The command line of `python -m ingest`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ingest.limits import Limits

UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
EXAMPLES = """examples:
  python -m ingest run chgnet-0.3.0 aflow
  python -m ingest run bundled,bundled@untrained aflow --limit 50
  python -m ingest run my-model aflow --vectors my-vectors.parquet --license CC-BY-4.0
  python -m ingest plan all aflow
"""


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with the command's name as `command`. Ends the program where they are wrong (exit code 2)."""
    about = "Bring the store to hold the vectors of a model over a dataset, and keep house."
    top = Parser(
        prog="python -m ingest",
        description=about,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    stored, started, asked = _stored(), _started(), _asked()
    _add_run(
        commands.add_parser(
            "run", parents=[asked, stored, started], help="embed a dataset with models"
        )
    )
    plan = commands.add_parser(
        "plan", parents=[asked, stored, started], help="what `run` would take, before it starts"
    )
    _add_how(plan)
    env = commands.add_parser("env", help="build a family's local environment from its lock")
    env.add_argument(
        "family", help="a family's name, all, or bundled: those with a model that needs no download"
    )
    check = commands.add_parser("check", help="does a model behave as its card says?")
    check.add_argument("model", help="ids separated by commas, or all")
    check.add_argument(
        "--dummy",
        action="store_true",
        help="with a dummy checkpoint, even where the published weights are here",
    )
    check.add_argument("--device", type=device, default="cpu", help="cpu (default), cuda, cuda:N")
    commands.add_parser("rebuild", parents=[stored], help="make the store again from its shards")
    commands.add_parser("du", parents=[stored], help="what takes how much disk")
    clean = commands.add_parser(
        "clean", parents=[stored], help="remove a model, an environment, or the cache"
    )
    clean.add_argument(
        "model",
        nargs="?",
        help="ids separated by commas: their rows in the store and their shards go",
    )
    clean.add_argument(
        "dataset",
        nargs="?",
        help="names separated by commas: only what is of the models on these goes",
    )
    clean.add_argument(
        "--yes", action="store_true", help="do not ask, where what goes is of more than one run"
    )
    clean.add_argument("--env", metavar="FAMILY", help="remove this family's environment instead")
    clean.add_argument(
        "--cache",
        action="store_true",
        help="remove the neighbor lists that questions keep instead",
    )
    commands.add_parser("datasets", help="the datasets, with their downloads and licenses")
    pin = commands.add_parser(
        "pin", help="record the checksums of a dataset's files that nobody published"
    )
    pin.add_argument("dataset", help="a dataset's name")
    _add_sharing(commands, stored)
    return top.parse_args(arguments)


def _add_sharing(commands: Any, stored: Parser) -> None:
    publish = commands.add_parser(
        "publish", parents=[stored], help="push a model's vectors to a hub, with a data card"
    )
    fetch = commands.add_parser(
        "fetch", parents=[stored], help="land vectors that others have published"
    )
    publish.add_argument("model", help="ids separated by commas")
    fetch.add_argument(
        "model", help="ids separated by commas, or all: every model over that dataset"
    )
    fetch.add_argument("--revision", help="40 hex digits, a branch or a tag (default: the newest)")
    fetch.add_argument(
        "--limit", type=positive, help="only so many systems of a dataset that is not here yet"
    )
    for parser in (publish, fetch):
        parser.add_argument(
            "dataset", help="a dataset's name (see `datasets`), or a file of systems"
        )
        parser.add_argument("repo", help="a dataset repository of the hub, owner/name")
        parser.add_argument(
            "--representation", help="names separated by commas (default: all that there are)"
        )


def _stored() -> Parser:
    options = Parser(add_help=False)
    options.add_argument(
        "--store", help="the DuckDB file (default: MATTERZOO_STORE, else matter.duckdb here)"
    )
    return options


def _started() -> Parser:
    options = Parser(add_help=False)
    options.add_argument(
        "--runtime", help="how the worker is started: docker, venv (default: the best there is)"
    )
    return options


def _asked() -> Parser:
    options = Parser(add_help=False)
    which = "ids separated by commas; all: whose weights are downloaded; bundled: that need no download; x@untrained: twin"
    options.add_argument("model", help=which)
    options.add_argument("dataset", help="a dataset's name (see `datasets`), or a file of systems")
    options.add_argument(
        "--limit",
        type=positive,
        help="only so many systems; a larger limit contains a smaller one's",
    )
    return options


def _add_how(run: argparse.ArgumentParser) -> None:
    which = "cpu (default), cuda, cuda:N, cuda:GPU-<uuid>, cuda:MIG-<uuid>; never another instead"
    run.add_argument("--device", type=device, default="cpu", help=which)
    run.add_argument(
        "--dtype", default="float32", choices=["float32", "float64", "bfloat16", "float16"]
    )
    run.add_argument(
        "--batch", type=positive, help="batch budget, in the unit of the card (default: the card's)"
    )
    run.add_argument(
        "--representation", help="names separated by commas, or 'all' (default: the card's default)"
    )


def _add_run(run: argparse.ArgumentParser) -> None:
    _add_how(run)
    run.add_argument(
        "--memory",
        type=memory,
        help="what the worker may take, such as 512m or 8g (in a container)",
    )
    run.add_argument(
        "--cpus",
        type=amount,
        help="how many CPU cores the worker may take, such as 2 (in a container)",
    )
    silence = (
        "s without a sign of life, after which the worker is taken for hung (default: %(default)g)"
    )
    run.add_argument("--timeout", type=amount, default=Limits.silence, help=silence)
    run.add_argument(
        "--vectors",
        help="a .parquet, .npz or .csv of system_id and vector, instead of computing them",
    )
    run.add_argument(
        "--yes",
        action="store_true",
        help="with --vectors: let systems lose stored vectors, unasked",
    )
    run.add_argument("--title", help="with --vectors: what the model is")
    run.add_argument(
        "--license", help="with --vectors: the vectors' license (default: recorded as not stated)"
    )


def positive(text: str) -> int:
    if not re.fullmatch(r"0*[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def amount(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def memory(text: str) -> int:
    """'8g' in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg])", text.lower())
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if not size:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of memory with its unit (k, m, g), such as 8g"
        )
    return size


def device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:(\d+|(GPU|MIG)-[0-9A-Za-z/-]+))?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not cpu, cuda, cuda:N, cuda:GPU-<uuid> or cuda:MIG-<uuid>"
        )
    return text
