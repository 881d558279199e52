"""The commands about what exists: models, their weights, families."""

from __future__ import annotations

from pathlib import Path

from zoo.command_line import Commands, named

MODELS = "zoo.commands.models"
FAMILIES = "zoo.commands.families"
SOME_MODELS = "model ids, separated by commas, or all"


def add_commands(commands: Commands) -> None:
    """Add the commands of this package.

    Args:
        commands: The program's commands.
    """
    _add_models(commands)
    _add_families(commands)


def _add_models(commands: Commands) -> None:
    sub = commands.add("list", f"{MODELS}:list_models", "list the models, one per line")
    sub.add_argument("--family", help="only those of this family")
    sub.add_argument("--input", help="only those that take this kind of input")
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole cards")
    what = "explain one model: weights, licenses, representations, compute, provenance"
    sub = commands.add("info", f"{MODELS}:info", what)
    sub.add_argument("model", help="a model's id, or MODEL@untrained for an untrained twin")
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole card")
    what = "download the files of models' weights, verify them, and record what nobody has yet"
    sub = commands.add("weights", f"{MODELS}:fetch_weights", what)
    sub.add_argument("models", metavar="MODELS", type=named, help=SOME_MODELS)
    about = "do not ask whether a license is accepted: it is"
    sub.add_argument("--yes", action="store_true", help=about)


def _add_families(commands: Commands) -> None:
    what = "resolve a family's requirements.in into its requirements.lock, with hashes"
    sub = commands.add("lock", f"{FAMILIES}:lock_families", what)
    sub.add_argument("family", help="the family's name, or all")
    newest = "take the newest versions, not those of the old lock"
    sub.add_argument("--upgrade", action="store_true", help=newest)
    what = "begin a new family: a folder that runs once it is locked, to be filled in"
    sub = commands.add("new", f"{FAMILIES}:new_family", what)
    sub.add_argument("name", help="lower-case letters, digits, dots and dashes")
    where = "where the folder is made (default: MATTERZOO_FAMILIES, else among the others)"
    sub.add_argument("--folder", type=Path, help=where)
