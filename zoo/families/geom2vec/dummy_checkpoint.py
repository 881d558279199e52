"""Checkpoints with random weights in the published format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.families.geom2vec.encoder import create_model


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the one file of a model: the state of the package's own network."""
    torch.manual_seed(seed)
    path = folder / model["weights"]["files"][0]["path"]
    torch.save(create_model(**model["options"], device="cpu").state_dict(), path)
    return {r["name"]: r["dimension"] for r in model["representation"]}
