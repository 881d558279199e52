"""Checkpoints of Uni-Mol and Uni-Mol2 with random weights and the published vocabulary.

The package fixes the sizes of these networks in its code, so a checkpoint is as large as the
published one. The package's own representations are the reference.
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
    from unimol_tools.models import UniMolModel, UniMolV2Model

from zoo.encoder import SYMBOLS, NotApplicable, System

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
ELEMENTS = [
    "C", "N", "O", "S", "H", "Cl", "F", "Br", "I", "Si", "P", "B", "Na",
    "K", "Al", "Ca", "Sn", "As", "Hg", "Fe", "Zn", "Cr", "Se", "Gd", "Au", "Li",
]  # fmt: skip


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the checkpoint and, for Uni-Mol, the vocabulary."""
    checkpoint, *rest = (folder / file["path"] for file in model["weights"]["files"])
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {}}, checkpoint)
    torch.manual_seed(seed + 1)  # not the twin's weights
    if rest:
        rest[0].write_text("\n".join(SPECIAL + ELEMENTS))
        network = UniMolModel(
            pretrained_model_path=str(checkpoint), pretrained_dict_path=str(rest[0])
        )
    else:
        network = UniMolV2Model(
            model_size=model["options"]["size"], pretrained_model_path=str(checkpoint)
        )
        with torch.no_grad():
            # Many parameters are zero at first, and every layer would be the identity.
            for parameter in network.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    learned = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if "classification_head" not in name
    }
    torch.save({"model": learned}, checkpoint)
    names = [each["name"] for each in model["representation"]]
    return dict.fromkeys(names, network.args.encoder_embed_dim)


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return what UniMolRepr gives for the same atoms or the same SMILES."""
    if system.pbc is not None and system.pbc.any():
        raise NotApplicable("periodic")
    checkpoint, *rest = (str(folder / file["path"]) for file in model["weights"]["files"])
    if not rest:
        package = UniMolRepr(
            model_name="unimolv2",
            model_size=model["options"]["size"],
            use_cuda=False,
            pretrained_model_path=checkpoint,
        )
        layers = keep_layers(package.model)
        found = package.get_repr([system.smiles], return_atomic_reprs=True)
        return means(found, layers, None)
    without = model["options"]["remove_hs"]
    package = UniMolRepr(
        data_type="molecule",
        remove_hs=without,
        use_cuda=False,
        pretrained_model_path=checkpoint,
        pretrained_dict_path=rest[0],
    )
    layers = keep_layers(package.model)
    symbols = [SYMBOLS[number - 1] for number in system.numbers]
    found = package.get_repr(
        {"atoms": [symbols], "coordinates": [system.positions]}, return_atomic_reprs=True
    )
    count = sum(symbol != "H" for symbol in symbols) if without else len(symbols)
    return means(found, layers, count)


def keep_layers(network: torch.nn.Module) -> list[np.ndarray]:
    """Return the list that the next call fills with what is before the layers and after each."""
    kept: list[np.ndarray] = []
    norm = "layer_norm" if isinstance(network, UniMolV2Model) else "emb_layer_norm"
    getattr(network.encoder, norm).register_forward_hook(
        lambda _, __, states: kept.append(states[0].numpy())
    )
    for layer in network.encoder.layers:
        layer.register_forward_hook(lambda _, __, found: kept.append(found[0][0].numpy()))
    return kept


def means(
    found: Mapping[str, Any], layers: list[np.ndarray], count: int | None
) -> dict[str, np.ndarray]:
    """Return the vectors of the only molecule, from its first `count` rows.

    Uni-Mol's last row is that of [SEP]. In the layers, the first row is that of a token.
    """
    atoms = np.array(found["atomic_reprs"][0])[:count]
    last = {"last_hidden": atoms.mean(axis=0), "cls": np.array(found["cls_repr"][0])}
    inner = {f"layer-{i}": rows[1 : len(atoms) + 1].mean(0) for i, rows in enumerate(layers[:-1])}
    return last | inner | {f"layer-{len(layers) - 1}": last["last_hidden"]}
