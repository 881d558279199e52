"""What `make check MODEL=…` found, when, and on what: a family's checked.lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.cards.family import Family, Selection
from zoo.cards.weights_source import Weights
from zoo.files import write_atomically


def evidence(selection: Selection, *, real: bool) -> dict[str, str]:
    """What a record holds for: the lock, the encoder, the card. A dummy checkpoint's is no matter of the weights' hashes."""
    family, model = selection.family, selection.model
    without = model.model_copy(update={"weights": Weights(source="none")})
    card = (model if real else without).card_hash(untrained=selection.untrained)
    return {"lock_hash": family.lock_hash, "encoder_hash": family.encoder_hash, "card_hash": card}


def records(family: Family) -> dict[str, dict[str, Any]]:
    """{model_id: what the family's checked.lock says of it}; nothing if there is none."""
    path = _path(family)
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    return found


def holds(selection: Selection, record: Mapping[str, Any]) -> bool:
    """Whether a record is of the family and the card as they are now."""
    return all(
        record[k] == v for k, v in evidence(selection, real=record["weights"] == "real").items()
    )


def keep(selection: Selection, record: Mapping[str, Any]) -> Path:
    """Write a model's record to its family's checked.lock, whole or not at all; records that no longer hold go."""
    family, path = selection.family, _path(selection.family)
    there = {
        model_id: kept
        for model_id, kept in records(family).items()
        if kept["lock_hash"] == family.lock_hash
    }
    content = there | {selection.model_id: dict(record)}
    write_atomically(path, json.dumps(dict(sorted(content.items())), indent=1) + "\n")
    return path


def _path(family: Family) -> Path:
    return family.path / "checked.lock"
