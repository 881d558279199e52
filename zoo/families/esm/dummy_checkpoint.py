"""ESM C and ESM3 with the published number of layers, but narrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from esm.sdk.api import ESMProtein, LogitsConfig

from zoo.encoder import System
from zoo.families.esm.encoder import READERS, build, load

HEADS = 2  # of the published width


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the files of the card: the state of each network, that of ESM3 in bfloat16."""
    options, paths = model["options"], [folder / file["path"] for file in model["weights"]["files"]]
    torch.manual_seed(seed + 1)  # not the twin's weights
    width = options["width"] // options["heads"] * HEADS
    network = build(options, options["layers"], width)
    if options["architecture"] == "ESM3":
        network = network.bfloat16()
    state = network.state_dict()
    shapes = "_structure_encoder."
    parts = [{name: value for name, value in state.items() if not name.startswith(shapes)}]
    parts.append(
        {
            name.removeprefix(shapes): value
            for name, value in state.items()
            if name.startswith(shapes)
        }
    )
    for path, part in zip(paths, parts, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(part, path)
    return dict.fromkeys((r["name"] for r in model["representation"]), width)


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the package's own embeddings of one protein: encode, then logits."""
    files = [folder / file["path"] for file in model["weights"]["files"]]
    network = load(model["options"], files).eval()
    item = READERS[model["options"]["architecture"]](network, model["options"]).prepare(system)
    protein = item if isinstance(item, ESMProtein) else ESMProtein(sequence=system.sequence)
    output = network.logits(
        network.encode(protein), LogitsConfig(sequence=True, return_embeddings=True)
    )
    return {"last_hidden": output.embeddings[0, 1:-1].mean(0).numpy()}
