"""Runs inside the environment of CHGNet: what the encoder gives, and what the package gives without it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from chgnet.model import CHGNet
from potentials import crystals, distance, encoder, energies, fault, given, rattled, rows, system
from pymatgen.core import Structure
from scipy.spatial.transform import Rotation


def to_structure(atoms: Atoms) -> Structure:
    return Structure(atoms.cell.array, atoms.numbers, atoms.positions, coords_are_cartesian=True)


def against_package(model_id: str) -> dict[str, Any]:
    """The package's documented calls on its own copy of the model, beside our rows."""
    model, package = (
        encoder(model_id),
        CHGNet.load(model_name=model_id.partition("-")[2], use_device="cpu"),
    )
    crystal, atoms = rattled(), rows(encoder(model_id), rattled())[0]
    prediction = package.predict_structure(
        to_structure(crystal), task="e", return_crystal_feas=True
    )
    with torch.no_grad():
        readout = package.mlp(torch.tensor(atoms, dtype=torch.float32)).sum() / len(crystal)
        reference = package.composition_model([package.graph_converter(to_structure(crystal))])
    ours, theirs = model.network.state_dict(), package.state_dict()
    return {
        "same weights": ours.keys() == theirs.keys()
        and all(torch.equal(ours[key], theirs[key]) for key in ours),
        "parameters": sum(p.numel() for p in package.parameters()),
        "sum over atoms": float(np.abs(atoms.sum(0) - prediction["crystal_fea"]).max()),
        "energy from rows": float(readout + reference),
        "energy": float(prediction["e"]),
        "energies": energies(model, *crystals()),
        "package's energies": [
            float(package.predict_structure(to_structure(atoms), task="e")["e"]) * len(atoms)
            for atoms in crystals()
        ],
    }


def lone_bond(model_id: str) -> dict[str, float]:
    """H2 has a bond and no angle. Does a crystal in its batch change it, in our encoder and in the plain package?"""
    model = encoder(model_id)
    alone, together = rows(model, molecule("H2"))[0], rows(model, rattled(), molecule("H2"))[1]
    with torch.no_grad():
        model.network(
            [model.prepare(system(atoms)) for atoms in (rattled(), molecule("H2"))], task="e"
        )
    return {
        "ours": distance(together, alone),
        "package": distance(model._rows[-2:].double().numpy(), alone),
    }


def geometry() -> dict[str, float]:
    """One structure written in different ways; the distance to how it was written first."""
    model, crystal, ethanol = encoder("chgnet-0.3.0"), rattled(), molecule("CH3CH2OH")
    turned = Atoms(crystal.numbers, crystal.positions + [1, 2, 3], cell=crystal.cell, pbc=True)
    rotation = Rotation.random(random_state=0).as_matrix()
    turned.set_cell(turned.cell @ rotation, scale_atoms=True)
    boxed = Atoms(ethanol.numbers, ethanol.positions, cell=np.diag([40.0] * 3), pbc=True)
    slab = Atoms("Au", cell=[[2.9, 0, 0], [0, 2.9, 0], [0, 0, 0]], pbc=(True, True, False))
    thick = Atoms("Au", cell=np.diag([2.9, 2.9, 30.0]), pbc=True)
    pairs = {"turned and moved": (turned, crystal), "supercell": (crystal * (1, 2, 1), crystal)}
    pairs |= {"molecule in a box of 40 Å": (boxed, ethanol), "slab": (slab, thick)}
    return {name: distance(rows(model, a)[0], rows(model, b)[0]) for name, (a, b) in pairs.items()}


def twins() -> dict[str, float]:
    structures = [rattled(), bulk("Si"), bulk("NaCl", "rocksalt", 5.64), molecule("C6H6")]

    def means(seed: int | None) -> np.ndarray:
        return np.array(
            [array.mean(0) for array in rows(encoder("chgnet-0.3.0", seed), *structures)]
        )

    zero, again, one, trained = means(0), means(0), means(1), means(None)
    scale = np.linalg.norm(zero)
    spread = np.linalg.svd(zero - zero.mean(0), compute_uv=False)
    apart = {"again": again, "other seed": one, "trained": trained}
    return {name: float(np.linalg.norm(zero - x) / scale) for name, x in apart.items()} | {
        "rank": float(spread[2])
    }


def twins_of(model_id: str, seed: int) -> list[list[float]]:
    """The vectors of a twin over made-up crystals of single elements, in the order of their symbols."""
    structures = [bulk(symbol, "fcc", a=4.0) for symbol in given["elements"]]
    return [row.mean(0).tolist() for row in rows(encoder(model_id, seed), *structures)]


def never_trained() -> list[int]:
    """Elements whose embedding fine-tuning left alone, bit by bit."""
    first, second = (
        encoder(m).network.atom_embedding.embedding.weight
        for m in ("chgnet-0.3.0", "chgnet-r2scan")
    )
    return [z + 1 for z in range(len(first)) if torch.equal(first[z], second[z])]


result = {
    "package": {model_id: against_package(model_id) for model_id in given["models"]},
    "lone bond": {model_id: lone_bond(model_id) for model_id in given["models"]},
    "geometry": geometry(),
    "twins": twins(),
    "drawn": [twins_of(model_id, seed) for model_id, seed in given["draws"]],
    "never trained": never_trained(),
    "single atom": float(np.linalg.norm(rows(encoder("chgnet-0.3.0"), Atoms("Ar"))[0])),
    "float64": fault(lambda: encoder("chgnet-0.3.0", dtype="float64")),
    "no volume": fault(lambda: rows(encoder("chgnet-0.3.0"), Atoms("Si", pbc=True))),
}
print(json.dumps(result))
