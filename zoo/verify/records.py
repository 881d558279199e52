"""What `matterzoo check` found of a family's models, when, and on what: its checked.lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.cards.family import Family, Selection
from zoo.cards.weights_source import Weights
from zoo.files import file_lock, write_atomically

Record = Mapping[str, Any]


def evidence(selection: Selection, *, real: bool) -> dict[str, str]:
    """Return the hashes of what a record holds for: the lock, the encoder, the card.

    Args:
        selection: The model.
        real: Whether the published weights were used. Otherwise their hashes do not count.
    """
    family, model = selection.family, selection.model
    without = model.model_copy(update={"weights": Weights(source="none")})
    card = (model if real else without).card_hash(
        untrained=selection.untrained, draw=selection.draw
    )
    return {"lock_hash": family.lock_hash, "encoder_hash": family.encoder_hash, "card_hash": card}


def read_records(family: Family) -> dict[str, dict[str, Any]]:
    """Return what a family's checked.lock says of each model, by id; nothing if there is none.

    Args:
        family: The family.
    """
    path = _path(family)
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def is_current(selection: Selection, record: Record) -> bool:
    """Return whether a record holds for the family and the card as they are now.

    Args:
        selection: The model.
        record: What checked.lock says of it.
    """
    found = evidence(selection, real=record["weights"] == "real")
    return all(record[key] == value for key, value in found.items())


def write_record(selection: Selection, record: Record) -> Path:
    """Write a model's record to its family's checked.lock, unless only the date would change.

    Records of another requirements.lock no longer hold and are removed.

    Args:
        selection: The model.
        record: What was found, with its evidence.

    Returns:
        The family's checked.lock.
    """
    family, path = selection.family, _path(selection.family)
    with file_lock(path.parent):  # only one process at a time changes a family's records
        stored = read_records(family)
        old = stored.get(selection.model_id)
        if old is not None and _undated(old) == _undated(record):
            return path
        kept = {
            model_id: other
            for model_id, other in stored.items()
            if other["lock_hash"] == family.lock_hash
        }
        content = kept | {selection.model_id: dict(record)}
        write_atomically(path, json.dumps(dict(sorted(content.items())), indent=1) + "\n")
    return path


def _undated(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "date"}


def _path(family: Family) -> Path:
    return family.path / "checked.lock"
