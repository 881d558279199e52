"""What exists: list and explain the models, check and lock families, begin a new one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, get_args

from zoo.cards.base import CardError
from zoo.cards.discovery import family_folders, find_families, find_family, find_model, load_models
from zoo.cards.family import Selection
from zoo.cards.faults import find_faults
from zoo.cards.requirements import LockError, lock
from zoo.cards.scaffold import write_family
from zoo.cards.schema import Input
from zoo.cards.twins import TWIN
from zoo.description import HEADING, explain, list_row, summarize
from zoo.errors import did_you_mean
from zoo.places import FAMILIES
from zoo.terminal import print_table
from zoo.weights.errors import WeightsError
from zoo.weights.local import download_weights, weights_status
from zoo.weights.pins import pin


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def list_models(options: argparse.Namespace) -> None:
    if options.family is not None:
        find_family(options.family)
    if options.input is not None and options.input not in get_args(Input):
        raise CardError(
            f"no model's input is named {options.input!r}; {did_you_mean(options.input, get_args(Input))}"
        )
    found = [
        selection
        for selection in load_models().values()
        if options.family in (None, selection.family.name)
        and options.input in (None, selection.model.input)
    ]
    if options.json:
        print(json.dumps([summarize(selection) for selection in found], indent=1))
        return
    print_table([HEADING, *(list_row(selection) for selection in found)])
    print(
        f"\n{len(found)} models. Those with parameters have an untrained twin, MODEL{TWIN}. `info MODEL` says more."
    )


def info(options: argparse.Namespace) -> None:
    selection = find_model(options.model)
    if options.json:
        print(json.dumps(summarize(selection), indent=1))
        return
    print(f"{selection.model_id}: {selection.model.title}\n")
    print_table(list(explain(selection)))


def fetch_weights(options: argparse.Namespace) -> None:
    for_each(options.models, fetch_one)


def fetch_one(selection: Selection) -> None:
    place = download_weights(selection, say)
    print(
        f"{selection.model_id}: {f'verified, in {place.folder}' if place else weights_status(selection)}"
    )


def pin_weights(options: argparse.Namespace) -> None:
    for_each(
        options.models,
        lambda selection: print(
            f"{selection.model.id}: {pin(selection, say, again=options.again)}"
        ),
    )


def for_each(names: str, act: Callable[[Selection], None]) -> None:
    """Do it with every model named, whatever happens to the others; then raise what happened."""
    chosen = (
        list(load_models().values())
        if names == "all"
        else [find_model(name) for name in names.split(",")]
    )
    faults = []
    for selection in chosen:
        try:
            act(selection)
        except WeightsError as error:
            faults.append(str(error))
    if faults:
        raise WeightsError("\n".join(faults))


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def lock_family(options: argparse.Namespace) -> None:
    for family in find_families(options.family):
        changes = lock(family, upgrade=options.upgrade)
        print(f"{family.lock}: {', '.join(changes) if changes else 'nothing is new'}")


def new_family(options: argparse.Namespace) -> None:
    folder = write_family(options.name, options.folder.resolve())
    elsewhere = (
        ""
        if folder.parent == FAMILIES
        else f"export MATTERZOO_FAMILIES={folder.parent}   # where families are looked for too\n"
    )
    print(
        f"{folder} is a family that runs once it is locked. Fill in its four files, then:\n{elsewhere}"
        f"python -m zoo lock {options.name}\npython -m zoo check {options.name}\n"
        f"python -m ingest run {options.name}-composition aflow"
    )


def check(options: argparse.Namespace) -> None:
    folders = {folder.name: folder for folder in family_folders()}
    for name in options.family:
        if name not in folders:
            raise CardError(f"no family is named {name!r}; {did_you_mean(name, folders)}")
    chosen = options.family or list(folders)
    faults = find_faults([folders[name] for name in chosen])
    if faults:
        raise CardError("\n".join(faults))
    models = [s for s in load_models().values() if s.family.name in chosen]
    print(f"{len(chosen)} families, {len(models)} models: no faults")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m zoo", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(
        name: str, act: Callable[[argparse.Namespace], None], help: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(act=act)
        return sub

    sub = command("list", list_models, "list the models, one a line")
    sub.add_argument("--family", help="only those of this family")
    sub.add_argument("--input", help="only those that take " + ", ".join(get_args(Input)))
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole cards")
    sub = command(
        "info", info, "explain one model: weights, licenses, representations, compute, provenance"
    )
    sub.add_argument("model", help=f"a model's id, or MODEL{TWIN} for its untrained twin")
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole card")
    sub = command(
        "weights", fetch_weights, "download the files of models' weights, and verify them"
    )
    sub.add_argument("models", help="model ids, separated by commas, or all")
    sub = command(
        "pin", pin_weights, "download the files of models' weights once, and record their hashes"
    )
    sub.add_argument("models", help="model ids, separated by commas, or all")
    sub.add_argument(
        "--again", action="store_true", help="let what is found now replace what was pinned"
    )
    sub = command(
        "lock",
        lock_family,
        "resolve a family's requirements.in into its requirements.lock, with hashes",
    )
    sub.add_argument("family", help="the family's name, or all")
    sub.add_argument(
        "--upgrade", action="store_true", help="take the newest versions, not those of the old lock"
    )
    sub = command(
        "new",
        new_family,
        "begin a new family: a folder that runs once it is locked, to be filled in",
    )
    sub.add_argument("name", help="lower-case letters, digits, dots and dashes")
    sub.add_argument(
        "--folder",
        type=Path,
        default=FAMILIES,
        help="where the folder is made (default: among the others)",
    )
    sub = command("check", check, "list every fault of the families' cards, encoders and locks")
    sub.add_argument("family", nargs="*", help="names of families (default: all)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    known = ("list", "info", "weights", "pin", "lock", "new", "check")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        parser.error(f"no command is named {arguments[0]!r}; {did_you_mean(arguments[0], known)}")
    options = parser.parse_args(arguments)
    try:
        options.act(options)
    except (CardError, LockError, WeightsError) as error:
        print(f"python -m zoo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "interrupted; a download goes on from there when it is asked for again", file=sys.stderr
        )
        return 130
    except BrokenPipeError:  # `python -m zoo list | head`
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
