"""Runs inside the environment of SevenNet: what the encoder gives, and what the package gives."""

from __future__ import annotations

import json
from typing import Any

import sevenn._keys as KEY
import torch
from ase import Atoms
from ase.build import molecule
from inside import encoder, given, module
from potentials import (
    common,
    compare_energies,
    compare_networks,
    crystals,
    distance,
    rattled,
    rotated,
    rows,
    system,
)
from sevenn.calculator import SevenNetCalculator
from sevenn.util import load_checkpoint


def energy_from_rows(model: Any, atoms: Atoms, name: str) -> float:
    """Return the energy that the rest of the network makes of our rows, in eV per atom.

    Our rows replace the network's own at the gate.
    """
    ours = torch.tensor(rows(model, atoms, name=name)[0], dtype=torch.float32)
    network, gate = model.network, model.gates[name]
    hook = getattr(network, gate).register_forward_hook(lambda module, args, data: put(data, ours))
    data = network._preprocess(module.Batch.from_data_list([model.prepare(system(atoms))]))
    for layer, part in network.named_children():
        if layer == gate:
            # What came before must not matter.
            data[KEY.NODE_FEATURE] = torch.full_like(data[KEY.NODE_FEATURE], 1e6)
        if layer == "force_output":
            break
        data = part(data)
    hook.remove()
    return float(data[KEY.PRED_TOTAL_ENERGY].sum()) / len(atoms)


def put(data: Any, tensor: torch.Tensor) -> Any:
    data[KEY.NODE_FEATURE] = tensor
    return data


def against_package(model_id: str, keyword: str) -> dict[str, Any]:
    """Compare our rows with the package's calculator, loaded by its own name of the model."""
    card, model, crystal = given["models"][model_id], encoder(model_id), rattled()
    calculator = SevenNetCalculator(keyword, device="cpu", modal=card["options"].get("task"))
    crystal.calc = calculator
    structures = [molecule("H2"), *crystals()]
    return {
        **compare_networks(model, calculator.model),
        "elements": sorted(load_checkpoint(keyword).config[KEY.TYPE_MAP]),
        "energy": crystal.get_potential_energy() / len(crystal),
        **compare_energies(model, structures, calculator.get_potential_energy),
        "last_hidden": energy_from_rows(model, crystal, "last_hidden"),
        "equivariant": energy_from_rows(model, crystal, "equivariant"),
    }


def in_a_batch() -> float:
    """Return how much the rest of a batch changes a crystal."""
    model = encoder("sevennet-0")
    together = rows(model, molecule("H2"), rattled(), molecule("CH3CH2OH"))[1]
    return distance(together, rows(model, rattled())[0])


def channels() -> dict[str, float]:
    """Return how much a rotation changes the scalars and the vectors of the hidden layers."""
    model = encoder("sevennet-0")
    both = [rows(model, atoms, name="equivariant")[0] for atoms in (rotated(), rattled())]
    return {
        "scalars, rotated": distance(*(array[:, :128] for array in both)),
        "vectors, rotated": distance(*(array[:, 128:] for array in both)),
    }


def kept_by_the_twin() -> list[str]:
    """Return the parameters that the twin shares with the trained model."""
    trained, twin = (
        dict(encoder("sevennet-0", seed).network.named_parameters()) for seed in (None, 0)
    )
    return [name for name, p in trained.items() if torch.equal(p, twin[name])]


def tasks() -> float:
    """Return how far apart two tasks of one network are."""
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
result = common("sevennet-0") | {
    "package": {
        model_id: against_package(model_id, KEYWORDS[model_id]) for model_id in given["models"]
    },
    "in a batch": in_a_batch(),
    "channels": channels(),
    "kept": kept_by_the_twin(),
    "tasks": tasks(),
}
print(json.dumps(result))
