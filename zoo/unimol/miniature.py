"""A checkpoint of Uni-Mol with random weights and the published vocabulary; and the package's own representations.

The package fixes the size of this network in its code, so the checkpoint is as large as the published one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
    from unimol_tools import UniMolRepr
    from unimol_tools.models import UniMolModel

from zoo.encoder import SYMBOLS, NotApplicable, System

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
ELEMENTS = [
    *(
        "C",
        "N",
        "O",
        "S",
        "H",
        "Cl",
        "F",
        "Br",
        "I",
        "Si",
        "P",
        "B",
        "Na",
        "K",
        "Al",
        "Ca",
        "Sn",
        "As",
        "Hg",
        "Fe",
        "Zn",
    ),
    *("Cr", "Se", "Gd", "Au", "Li"),
]


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    checkpoint, dictionary = (folder / file["path"] for file in model["weights"]["files"])
    dictionary.write_text("\n".join(SPECIAL + ELEMENTS))
    torch.save({"model": {}}, checkpoint)
    torch.manual_seed(seed + 1)  # another draw than the twin's
    network = UniMolModel(pretrained_model_path=str(checkpoint), pretrained_dict_path=str(dictionary))
    learned = {name: tensor for name, tensor in network.state_dict().items() if "classification_head" not in name}
    torch.save({"model": learned}, checkpoint)
    return dict.fromkeys(("last_hidden", "cls"), network.args.encoder_embed_dim)


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """What UniMolRepr gives for the same atoms and coordinates."""
    if system.pbc is not None and system.pbc.any():
        raise NotApplicable("periodic")
    checkpoint, dictionary = (str(folder / file["path"]) for file in model["weights"]["files"])
    without = model["options"]["remove_hs"]
    package = UniMolRepr(
        data_type="molecule",
        remove_hs=without,
        use_cuda=False,
        pretrained_model_path=checkpoint,
        pretrained_dict_path=dictionary,
    )
    symbols = [SYMBOLS[number - 1] for number in system.numbers]
    data = {"atoms": [symbols], "coordinates": [system.positions]}
    found = package.get_repr(data, return_atomic_reprs=True)
    count = sum(symbol != "H" for symbol in symbols) if without else len(symbols)
    atoms = np.array(found["atomic_reprs"][0])[:count]  # the row after them is that of [SEP]
    return {"last_hidden": atoms.mean(axis=0), "cls": np.array(found["cls_repr"][0])}
