"""Untrained twins: their names and their seeds.

A model has as many twins as are asked for, each a network that is drawn at random by itself:
MODEL@untrained, MODEL@untrained-2, MODEL@untrained-3, ….
"""

from __future__ import annotations

import hashlib
import re

TWIN = "@untrained"  # ends the id of a model's first untrained twin
TWIN_SUFFIX = rf"{TWIN}(?:-(?:[2-9]|[1-9]\d{{1,5}}))?"  # how ids of twins end, as a pattern
SEED_BITS = 31  # what torch, numpy's older generator and signed 32-bit integers can take as a seed


def twin_id(model_id: str, draw: int = 1) -> str:
    """Return the id of an untrained twin.

    Args:
        model_id: The id of the trained model.
        draw: Which of its twins, from 1.
    """
    return f"{model_id}{TWIN}" if draw == 1 else f"{model_id}{TWIN}-{draw}"


def split_twin(name: str) -> tuple[str, int | None]:
    """Split the id of a twin.

    Args:
        name: An id, of a trained model or of a twin.

    Returns:
        The id of the trained model, and which of its twins is meant, from 1; None if none is.
    """
    found = re.fullmatch(f"(.*?)({TWIN_SUFFIX})", name)
    if found is None:
        return name, None
    return found[1], int(found[2].removeprefix(TWIN).removeprefix("-") or 1)


def twin_seed(model_id: str, draw: int = 1) -> int:
    """Return the seed of an untrained twin: the first 31 bits of the SHA-256 of a name.

    The name is the trained model's for the first twin, and the twin's own for the others. With one
    seed for all, two models of one architecture would have the same twin, and the alignment of a
    network with itself would pass for what an architecture shares before training.

    Args:
        model_id: The id of the trained model.
        draw: Which of its twins, from 1.
    """
    name = model_id if draw == 1 else twin_id(model_id, draw)
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest, "big") >> (8 * len(digest) - SEED_BITS)
