"""Finding families and models. They are found by their folders and are listed nowhere."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from zoo.cards.base import CardError
from zoo.cards.family import Family, Selection
from zoo.cards.loading import load_family
from zoo.cards.twins import TWIN, split_twin
from zoo.errors import did_you_mean
from zoo.places import FAMILIES


def search_path() -> list[Path]:
    """Return the folders whose sub-folders are families.

    They are the project's own and those that MATTERZOO_FAMILIES names, separated as in PATH.

    Raises:
        CardError: MATTERZOO_FAMILIES names something that is no folder.
    """
    named = os.environ.get("MATTERZOO_FAMILIES", "").split(os.pathsep)
    own = [Path(path) for path in named if path]
    for folder in own:
        if not folder.is_dir():
            raise CardError(f"MATTERZOO_FAMILIES names {folder}, which is no folder; make it first")
    return [FAMILIES, *own]


def family_folders() -> list[Path]:
    """Return the folder of every family on the search path: each that holds a family.toml."""
    return [file.parent for root in search_path() for file in sorted(root.glob("*/family.toml"))]


def load_families() -> dict[str, Family]:
    """Return every family on the search path, by name.

    Raises:
        CardError: A family has faults, or two families or two models share a name.
    """
    found = [load_family(folder) for folder in family_folders()]
    families = {family.name: family for family in found}
    ids = [model.id for family in found for model in family.models]
    for kind, names in (("family", [f.name for f in found]), ("model", ids)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CardError(
                f"{kind} names must be unique, but these appear twice: {', '.join(twice)}"
            )
    return families


def load_models() -> dict[str, Selection]:
    """Return every model of every family, by id. Untrained twins are not listed.

    Raises:
        CardError: A family has faults, or two families or two models share a name.
    """
    return {
        selection.model_id: selection
        for family in load_families().values()
        for selection in _selections(family)
    }


def load_demo() -> list[Selection]:
    """Return the models, and untrained twins, that `make demo` embeds with.

    Raises:
        CardError: A family has faults, or two families or two models share a name.
    """
    models = load_models()
    named = [split_twin(name) for family in load_families().values() for name in family.demo]
    return [models[base] if draw is None else models[base].twin(draw) for base, draw in named]


def find_family(name: str) -> Family:
    """Find a family, whatever may be wrong with others.

    Args:
        name: The name of the family.

    Returns:
        The family.

    Raises:
        CardError: There is no such family (the message has the nearest name), or it has faults.
    """
    folders = {folder.name: folder for folder in family_folders()}
    if name not in folders:
        hint = did_you_mean(name, folders)
        raise CardError(f"no family is named {name!r}; {hint} (`matterzoo list` shows all)")
    return load_family(folders[name])


def find_families(name: str) -> list[Family]:
    """Find the families that a user names.

    Args:
        name: The name of a family; 'all'; 'bundled', for those with a model that needs no download
            of its own; or 'demo', for those that `make demo` embeds with.

    Returns:
        The families.

    Raises:
        CardError: There is no such family, or one has faults.
    """
    if name not in ("all", "bundled", "demo"):
        return [find_family(name)]
    families = load_families().values()
    if name == "demo":
        return [family for family in families if family.demo]
    return [family for family in families if name == "all" or family.bundled]


def find_model(model_id: str) -> Selection:
    """Find a model, whatever may be wrong with families of others.

    Args:
        model_id: The id of a model; 'MODEL@untrained' or 'MODEL@untrained-2' for a twin of it.

    Returns:
        The model with its family.

    Raises:
        CardError: There is no such model (the message has the nearest id), or it is a twin of a
            model that has nothing to train.
    """
    base, draw = split_twin(model_id)
    # At first without the cards of families that do not name it: to read all takes 0.08 s of CPU.
    selection = _sound_models(base).get(base) or _sound_models().get(base)
    if selection is None:
        models = load_models()  # raises where a family has faults: it may be one of its models
        model, is_twin, _ = base.partition(TWIN)
        if is_twin and model in models:
            raise CardError(
                f"{model_id!r} is no untrained twin; expected {model}{TWIN}, {model}{TWIN}-2, …"
            )
        hint = did_you_mean(base, models)
        raise CardError(f"no model is named {base!r}; {hint} (`matterzoo list` shows all)")
    return selection if draw is None else selection.twin(draw)


def _sound_models(mentioned: str = "") -> dict[str, Selection]:
    """Return the models of every family without faults, by id.

    Args:
        mentioned: Only families with this text in their models.toml.
    """
    found: dict[str, Selection] = {}
    for folder in family_folders():
        with suppress(CardError, OSError, UnicodeDecodeError):
            if mentioned in (folder / "models.toml").read_text():
                found |= {s.model_id: s for s in _selections(load_family(folder))}
    return found


def _selections(family: Family) -> list[Selection]:
    return [Selection(family=family, model=model, untrained=False) for model in family.models]
