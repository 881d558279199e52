"""Untrained twins: their names and their seeds."""

from __future__ import annotations

import hashlib

TWIN = "@untrained"  # ends the id of a model's untrained twin
SEED_BITS = 31  # what torch, numpy's older generator and signed 32-bit integers can take as a seed


def twin_seed(model_id: str) -> int:
    """Return the seed of a model's untrained twin: the first 31 bits of the SHA-256 of its id.

    With one seed for all, two models of one architecture would have the same twin, and the
    alignment of a network with itself would pass for what an architecture shares before training.

    Args:
        model_id: The id of the trained model.
    """
    digest = hashlib.sha256(model_id.encode()).digest()
    return int.from_bytes(digest, "big") >> (8 * len(digest) - SEED_BITS)
