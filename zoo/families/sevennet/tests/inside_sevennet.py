"""Runs inside the environment of SevenNet: what the encoder gives, and what the package gives without it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import sevenn._keys as KEY
import torch
from ase import Atoms
from ase.build import bulk, molecule
from potentials import (
    crystals,
    distance,
    encoder,
    energies,
    fault,
    given,
    module,
    rattled,
    rows,
    system,
)
from scipy.spatial.transform import Rotation
from sevenn.calculator import SevenNetCalculator
from sevenn.util import load_checkpoint


def energy_from_rows(model: Any, atoms: Atoms, name: str) -> float:
    """Give the network our rows in place of its own at that gate, run the rest of it, and read the energy."""
    ours = torch.tensor(rows(model, atoms, name=name)[0], dtype=torch.float32)
    network, gate = model.network, model.gates[name]
    hook = getattr(network, gate).register_forward_hook(lambda module, args, data: put(data, ours))
    data = network._preprocess(module.Batch.from_data_list([model.prepare(system(atoms))]))
    for layer, part in network.named_children():
        if layer == gate:
            data[KEY.NODE_FEATURE] = torch.full_like(
                data[KEY.NODE_FEATURE], 1e6
            )  # what came before must not matter
        if layer == "force_output":
            break
        data = part(data)
    hook.remove()
    return float(data[KEY.PRED_TOTAL_ENERGY].sum()) / len(atoms)


def put(data: Any, tensor: torch.Tensor) -> Any:
    data[KEY.NODE_FEATURE] = tensor
    return data


def against_package(model_id: str, keyword: str) -> dict[str, Any]:
    """The package's calculator by its own name of the model, beside our rows."""
    card, model, crystal = given["models"][model_id], encoder(model_id), rattled()
    calculator = SevenNetCalculator(keyword, device="cpu", modal=card["options"].get("task"))
    crystal.calc = calculator
    ours, theirs = model.network.state_dict(), calculator.model.state_dict()
    type_map = load_checkpoint(keyword).config[KEY.TYPE_MAP]
    return {
        "same weights": ours.keys() == theirs.keys()
        and all(torch.equal(ours[key], theirs[key]) for key in ours),
        "parameters": sum(p.numel() for p in calculator.model.parameters()),
        "elements": sorted(type_map),
        "energy": crystal.get_potential_energy() / len(crystal),
        "energies": energies(model, molecule("H2"), *crystals()),
        "package's energies": [
            calculator.get_potential_energy(atoms) for atoms in (molecule("H2"), *crystals())
        ],
        "last_hidden": energy_from_rows(model, crystal, "last_hidden"),
        "equivariant": energy_from_rows(model, crystal, "equivariant"),
    }


def geometry() -> dict[str, float]:
    """One structure written in different ways; the distance to how it was written first."""
    model, crystal, ethanol = encoder("sevennet-0"), rattled(), molecule("CH3CH2OH")
    turned = Atoms(crystal.numbers, crystal.positions + [1, 2, 3], cell=crystal.cell, pbc=True)
    rotation = Rotation.random(random_state=0).as_matrix()
    turned.set_cell(turned.cell @ rotation, scale_atoms=True)
    boxed = Atoms(ethanol.numbers, ethanol.positions, cell=np.diag([40.0] * 3), pbc=True)
    slab = Atoms("Au", cell=[[2.9, 0, 0], [0, 2.9, 0], [0, 0, 0]], pbc=(True, True, False))
    thick = Atoms("Au", cell=np.diag([2.9, 2.9, 30.0]), pbc=True)
    pairs = {"turned and moved": (turned, crystal), "supercell": (crystal * (1, 2, 1), crystal)}
    pairs |= {"molecule in a box of 40 Å": (boxed, ethanol), "slab": (slab, thick)}
    found = {name: distance(rows(model, a)[0], rows(model, b)[0]) for name, (a, b) in pairs.items()}
    together = rows(model, molecule("H2"), crystal, ethanol)[1]
    all_channels = [rows(model, atoms, name="equivariant")[0] for atoms in (turned, crystal)]
    return found | {
        "in a batch": distance(together, rows(model, crystal)[0]),
        "scalars, turned": distance(*(array[:, :128] for array in all_channels)),
        "vectors, turned": distance(*(array[:, 128:] for array in all_channels)),
    }


def twins() -> dict[str, float]:
    structures = [rattled(), bulk("Si"), bulk("NaCl", "rocksalt", 5.64), molecule("C6H6")]

    def means(seed: int | None) -> np.ndarray:
        return np.array([array.mean(0) for array in rows(encoder("sevennet-0", seed), *structures)])

    zero, again, one, trained = means(0), means(0), means(1), means(None)
    scale = np.linalg.norm(zero)
    spread = np.linalg.svd(zero - zero.mean(0), compute_uv=False)
    apart = {"again": again, "other seed": one, "trained": trained}
    return {name: float(np.linalg.norm(zero - x) / scale) for name, x in apart.items()} | {
        "rank": float(spread[2] / spread[0])
    }


def kept_by_the_twin() -> list[str]:
    """Parameters that the twin shares with the trained model."""
    trained, twin = (
        dict(encoder("sevennet-0", seed).network.named_parameters()) for seed in (None, 0)
    )
    return [name for name, p in trained.items() if torch.equal(p, twin[name])]


def tasks() -> float:
    pbe, r2scan = (
        rows(encoder(f"sevennet-mf-0-{task}"), rattled())[0] for task in ("pbe", "r2scan")
    )
    return distance(pbe, r2scan)


KEYWORDS = {
    "sevennet-0": "7net-0",
    "sevennet-0-22may2024": "7net-0_22May2024",
    "sevennet-l3i5": "7net-l3i5",
    "sevennet-mf-0-pbe": "7net-mf-0",
    "sevennet-mf-0-r2scan": "7net-mf-0",
}
result = {
    "package": {
        model_id: against_package(model_id, KEYWORDS[model_id]) for model_id in given["models"]
    },
    "geometry": geometry(),
    "twins": twins(),
    "kept": kept_by_the_twin(),
    "tasks": tasks(),
    "single atom": float(np.linalg.norm(rows(encoder("sevennet-0"), Atoms("Ar"))[0])),
    "float64": fault(lambda: encoder("sevennet-0", dtype="float64")),
    "no volume": fault(lambda: rows(encoder("sevennet-0"), Atoms("Si", pbc=True))),
}
print(json.dumps(result))
