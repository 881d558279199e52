"""Reading a family's folder: family.toml, models.toml and weights.lock become cards."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zoo.cards.base import CardError
from zoo.cards.defaults import NEVER_SHARED, find_unused_defaults, is_default, merge_defaults
from zoo.cards.family import Family
from zoo.cards.representations import name_layers
from zoo.cards.weights_source import PINS_FILE, Pins, Weights, known_pins, read_pins
from zoo.places import weights_pins

FILES = ("family.toml", "models.toml", PINS_FILE)  # what cards are read from


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


def read_models(folder: Path) -> list[dict[str, Any]]:
    """Read the [[model]] tables of a family with what they leave to [defaults].

    Args:
        folder: The family's folder, of which `load_family` has found no fault.

    Returns:
        One table per model, without the hashes of weights.lock.

    Raises:
        CardError: The file cannot be read, or is no TOML.
    """
    content = read_toml(folder / "models.toml")
    return [merge_defaults(model, content.get("defaults", {})) for model in content["model"]]


def load_family(path: Path) -> Family:
    """Read the cards of one family; once, as long as its files stay as they are.

    Args:
        path: The family's folder.

    Returns:
        The family with its models, whose weights have the hashes that weights.lock records.

    Raises:
        CardError: A file cannot be read or a card is wrong; the message lists every fault.
    """
    files = [*(path / name for name in FILES), weights_pins(path)]
    return _load_family(path, tuple(map(_stamp, files)))


def _stamp(file: Path) -> tuple[int, ...] | None:
    """Return what changes with the content of a file; None if there is no such file."""
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@lru_cache(maxsize=256)
def _load_family(path: Path, stamps: tuple[tuple[int, ...] | None, ...]) -> Family:
    """Read the cards of one family; the stamps of its files are only part of the cache's key."""
    family, content = read_toml(path / "family.toml"), read_toml(path / "models.toml")
    faults = [*_misplaced_keys(family, content)]
    own, defaults = content.get("model", []), content.get("defaults", {})
    mergeable = isinstance(defaults, dict) and isinstance(own, list)
    models = [_merged(model, defaults) for model in own] if mergeable else own
    try:
        card = _with_pins(Family.model_validate({**family, "path": path, "models": models}))
    except ValidationError as error:
        faults += _list_faults(error, own)
    except ValueError as error:
        raise CardError(f"family {path.name}: {error}") from error
    if family.get("name", path.name) != path.name:
        faults.append(f"name: {family['name']!r} is not the name of its folder, {path.name!r}")
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise CardError(f"family {path.name}: {len(faults)} faults in its cards:\n{listed}")
    return card


def _misplaced_keys(family: dict[str, Any], content: dict[str, Any]) -> Iterator[str]:
    for key in sorted(family.keys() & {"path", "models"}):
        yield f"family.toml: unknown key {key!r}"
    for key in sorted(content.keys() - {"model", "defaults"}):
        yield f"models.toml: unknown key {key!r}, expected [[model]] or [defaults]"
    defaults = content.get("defaults", {})
    if not isinstance(defaults, dict):
        yield f"models.toml: expected a table [defaults] (got {defaults!r:.60})"
        return
    for key in sorted(defaults.keys() & {*NEVER_SHARED}):
        yield f"models.toml: {key!r} under [defaults], expected under each [[model]]"
    models = content.get("model")
    if isinstance(models, list) and models and all(isinstance(model, dict) for model in models):
        shared = {key: value for key, value in defaults.items() if key not in NEVER_SHARED}
        for name in find_unused_defaults(models, shared):
            yield f"models.toml: every model has its own {name}, so remove it from [defaults]"


def _merged(model: Any, defaults: dict[str, Any]) -> Any:
    return name_layers(merge_defaults(model, defaults)) if isinstance(model, dict) else model


def _list_faults(error: ValidationError, own: Any) -> list[str]:
    """Return one line per fault; one of a default is listed once, not once per model."""
    faults = []
    for fault in error.errors():
        # A list is too short, too, if its items are wrong, and these have their own faults.
        if fault["type"] == "too_short" and fault["input"]:
            continue
        where = fault["loc"]
        if fault["type"] != "missing" and len(where) > 2 and where[0] == "models":
            model, inside = own[int(where[1])], where[2:]
            if isinstance(model, dict) and is_default(model, inside):
                where = ("defaults", *inside)
        faults.append(f"{'.'.join(map(str, where))}: {fault['msg']} (got {fault['input']!r:.60})")
    return list(dict.fromkeys(faults))


def _with_pins(family: Family) -> Family:
    try:
        known, carried = known_pins(family.path), read_pins(family.path / PINS_FILE)
        if not known:
            return family
        pinned = [
            model.model_copy(update={"weights": _pinned(model.weights, known, carried)})
            for model in family.models
        ]
    except (KeyError, TypeError, AttributeError, OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{family.pins} cannot be read: {error!r}; `matterzoo pin MODEL` writes it"
        ) from error
    return family.model_copy(update={"models": tuple(pinned)})


def _pinned(weights: Weights, known: Pins, carried: Pins) -> Weights:
    """Return weights with all pins; without the user's own if the card says otherwise by now."""
    try:
        return weights.with_pins(known)
    except ValueError:
        return weights.with_pins(carried)
