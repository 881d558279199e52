"""Reading a family's folder: family.toml, models.toml and weights.lock become cards."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.cards.base import CardError
from zoo.cards.family import Family


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of a family.

    Args:
        path: The file, in the family's folder.

    Returns:
        Its content.

    Raises:
        CardError: The file cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"family {path.parent.name}: {path} cannot be read: {error}") from error


def load_family(path: Path) -> Family:
    """Read the cards of one family.

    Args:
        path: The family's folder.

    Returns:
        The family with its models, whose weights have the hashes that weights.lock records.

    Raises:
        CardError: A file cannot be read or a card is wrong; the message lists every fault.
    """
    family, models = read_toml(path / "family.toml"), read_toml(path / "models.toml")
    faults = [
        f"  family.toml: unknown key {key!r}" for key in sorted(set(family) & {"path", "models"})
    ]
    faults += [
        f"  models.toml: unknown key {key!r}, expected [[model]]"
        for key in sorted(set(models) - {"model"})
    ]
    try:
        card = Family.model_validate({**family, "path": path, "models": models.get("model", [])})
        card = _with_pins(card)
    except ValidationError as error:
        faults += _list_faults(error)
    except ValueError as error:
        raise CardError(f"family {path.name}: {error}") from error
    if family.get("name", path.name) != path.name:
        faults.append(f"  name: {family['name']!r} is not the name of its folder, {path.name!r}")
    if faults:
        raise CardError(
            f"family {path.name}: {len(faults)} faults in its cards:\n" + "\n".join(faults)
        )
    return card


def _list_faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        # A list is too short, too, if its items are wrong, and these have their own faults.
        if fault["type"] == "too_short" and fault["input"]:
            continue
        where = ".".join(map(str, fault["loc"]))
        faults.append(f"  {where}: {fault['msg']} (got {fault['input']!r:.60})")
    return faults


def _with_pins(family: Family) -> Family:
    if not family.pins.exists():
        return family
    try:
        pins = json.loads(family.pins.read_text())
        pinned = [
            model.model_copy(update={"weights": model.weights.with_pins(pins)})
            for model in family.models
        ]
    except (KeyError, TypeError, AttributeError, OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{family.pins} cannot be read: {error!r}; `matterzoo pin MODEL` writes it"
        ) from error
    return family.model_copy(update={"models": tuple(pinned)})
