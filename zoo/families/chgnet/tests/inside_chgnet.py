"""Runs inside the environment of CHGNet: what the encoder gives, and what the package gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from chgnet.model import CHGNet
from inside import encoder, given
from potentials import (
    common,
    compare_energies,
    compare_networks,
    crystals,
    distance,
    rattled,
    rows,
    system,
)
from pymatgen.core import Structure


def to_structure(atoms: Atoms) -> Structure:
    return Structure(atoms.cell.array, atoms.numbers, atoms.positions, coords_are_cartesian=True)


def against_package(model_id: str) -> dict[str, Any]:
    """Compare our rows with the package's documented calls on its own copy of the model."""
    model, crystal = encoder(model_id), rattled()
    package = CHGNet.load(model_name=model_id.partition("-")[2], use_device="cpu")
    atoms = rows(model, crystal)[0]
    prediction = package.predict_structure(
        to_structure(crystal), task="e", return_crystal_feas=True, return_atom_feas=True
    )
    before_last = f"layer-{len(package.atom_conv_layers) - 1}"
    inner = rows(model, crystal, name=before_last)[0]
    with torch.no_grad():
        readout = package.mlp(torch.tensor(atoms, dtype=torch.float32)).sum() / len(crystal)
        reference = package.composition_model([package.graph_converter(to_structure(crystal))])

    def energy(atoms: Atoms) -> float:
        return float(package.predict_structure(to_structure(atoms), task="e")["e"]) * len(atoms)

    return {
        **compare_networks(model, package),
        "sum over atoms": float(np.abs(atoms.sum(0) - prediction["crystal_fea"]).max()),
        "before the last layer": float(np.abs(inner - prediction["atom_fea"]).max()),
        "energy from rows": float(readout + reference),
        "energy": float(prediction["e"]),
        **compare_energies(model, crystals(), energy),
    }


def lone_bond(model_id: str) -> dict[str, float]:
    """Return how much a crystal in its batch changes H2, in our encoder and in the package.

    H2 has a bond and no angle.
    """
    model = encoder(model_id)
    alone, together = rows(model, molecule("H2"))[0], rows(model, rattled(), molecule("H2"))[1]
    with torch.no_grad():
        model.network(
            [model.prepare(system(atoms)) for atoms in (rattled(), molecule("H2"))], task="e"
        )
    return {
        "ours": distance(together, alone),
        "package": distance(model._rows["last_hidden"][-2:].double().numpy(), alone),
    }


def twins_of(model_id: str, seed: int) -> list[list[float]]:
    """Return the vectors of a twin over made-up crystals, one per element."""
    structures = [bulk(symbol, "fcc", a=4.0) for symbol in given["elements"]]
    return [row.mean(0).tolist() for row in rows(encoder(model_id, seed), *structures)]


def never_trained() -> list[int]:
    """Return the elements with an embedding that fine-tuning left as it was, bit by bit."""
    first, second = (
        encoder(m).network.atom_embedding.embedding.weight
        for m in ("chgnet-0.3.0", "chgnet-r2scan")
    )
    return [z + 1 for z in range(len(first)) if torch.equal(first[z], second[z])]


result = common("chgnet-0.3.0") | {
    "package": {model_id: against_package(model_id) for model_id in given["models"]},
    "lone bond": {model_id: lone_bond(model_id) for model_id in given["models"]},
    "drawn": [twins_of(model_id, seed) for model_id, seed in given["draws"]],
    "never trained": never_trained(),
}
print(json.dumps(result))
