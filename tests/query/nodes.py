"""A store of models with vectors of nodes: atoms of crystals, and residues of chains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import store
from schemas.views import write_views
from tests.vectors import put_nodes

SIZES = {f"crystals/{i:03d}": 2 + i % 3 for i in range(60)}
CHAINS = {f"chains/{i:02d}": 3 for i in range(20)}
Table = NDArray[np.float32]


def make_vectors(seed: int = 0, n: int = sum(SIZES.values())) -> dict[str, Table]:
    """Return vectors of n nodes by model; 'near' sees what 'base' sees, 'other' does not."""
    random = np.random.default_rng(seed)
    seen = random.normal(size=(n, 4))
    near = seen + 0.1 * random.normal(size=(n, 4))
    return {
        "base": seen.astype("f4"),
        "near": near.astype("f4"),
        "other": random.normal(size=(n, 3)).astype("f4"),
    }


def make_store(path: Path) -> Path:
    """Make a store of crystals, each of hydrogen but for its first atom, and of chains.

    Of one crystal the first atom is uranium. 'near' lacks the first three crystals, and sees no
    chains; 'pooled' has no vectors of nodes.
    """
    with store.connect(path) as connection:
        for dataset, sizes in (("crystals", SIZES), ("chains", CHAINS)):
            connection.execute(
                "INSERT INTO datasets VALUES (?, 'Made up', 'here', 'CC0-1.0', ?, 0, 'hash', NULL, "
                "now())",
                [dataset, len(sizes)],
            )
            for number, (system_id, size) in enumerate(sizes.items()):
                first = 92 if number == 59 else (8, 26)[number % 2]
                atoms = [first] + [1] * (size - 1) if dataset == "crystals" else None
                connection.execute(
                    "INSERT INTO systems (system_id, dataset, content_hash, numbers, sequence) "
                    "VALUES (?, ?, 'c', ?, ?)",
                    [system_id, dataset, atoms, None if atoms else f"GA{'LW'[number > 0]}"],
                )
        vectors, others = make_vectors(), make_vectors(1, sum(CHAINS.values()))
        for model in (*vectors, "pooled"):
            connection.execute(
                "INSERT INTO models VALUES (?, 'family', 'A model', 'structure', 'last', NULL, 10, "
                "NULL, NULL, 'MIT', 'MIT', '{}', 'hash')",
                [model],
            )
        for model, x in vectors.items():
            sizes = dict(list(SIZES.items())[3:]) if model == "near" else SIZES
            put_nodes(connection, model, sizes, x[len(x) - sum(sizes.values()) :], view=False)
            if model != "near":
                put_nodes(connection, model, CHAINS, others[model], view=False)
        write_views(connection, path)
    return path
