"""A store of models with layers: what is in common grows toward one pair of layers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import store
from schemas.views import write_views
from tests.vectors import put

DATASETS = {"crystals": 40, "molecules": 30}
LAYERS = {"deep": 4, "wide": 3, "tall": 20}  # of a model
SHARED = {"deep": 2, "wide": 1}  # the layer that sees most of what the models have in common
Table = NDArray[np.float32]


def make_layers(model: str, n: int) -> list[Table]:
    """Return the vectors of each layer of a model on the dataset with n systems, (n, 6).

    Layers of a model have much in common, also in models that share nothing with others.
    """
    seen = np.random.default_rng(n).normal(size=(n, 3))
    rng = np.random.default_rng(len(model) + sum(map(ord, model)))
    own = rng.normal(size=(n, 3))
    found = []
    for layer in range(LAYERS[model]):
        near = 1.5 / (1 + 3 * abs(layer - SHARED[model])) if model in SHARED else 0.0
        both = np.hstack([own, near * seen])
        found.append((both @ rng.normal(size=(6, 6)) + 0.2 * rng.normal(size=(n, 6))).astype("f4"))
    return found


def make_store(path: Path) -> Path:
    """Make a store of these models; 'tall' is on crystals alone, 'plain' names no layers."""
    with store.connect(path) as connection:
        for dataset, n in DATASETS.items():
            connection.execute(
                "INSERT INTO datasets "
                "VALUES (?, 'Made up', 'here', 'CC0-1.0', ?, 0, 'hash', NULL, now())",
                [dataset, n],
            )
            ids = [f"{dataset}/{i:03d}" for i in range(n)]
            for model in LAYERS if dataset == "crystals" else SHARED:
                for layer, table in enumerate(make_layers(model, n)):
                    name = f"layer-{layer}"
                    # The first layer of 'wide' lacks a molecule.
                    lacks = int((model, layer, dataset) == ("wide", 0, "molecules"))
                    some = ids[lacks:], table[lacks:]
                    put(connection, model, *some, representation=name, view=False)
                    if model == "deep" and layer:
                        std = table * np.float32(2)
                        put(connection, model, ids, std, representation=f"{name}:std", view=False)
                put(connection, model, ids, table, view=False)
            put(connection, "plain", ids, make_layers("deep", n)[2], view=False)
        write_views(connection, path)
        for model in (*LAYERS, "plain"):
            layers = {"dimensions": [6] * LAYERS.get(model, 0)}
            card = json.dumps({"layers": layers} if model in LAYERS else {})
            connection.execute(
                "INSERT INTO models VALUES (?, 'family', 'A model', 'structure', 'last', NULL, 10, "
                "NULL, NULL, 'MIT', 'MIT', ?, 'hash')",
                [model, card],
            )
    return path
