"""Runs inside the environment of ani: energies and rows of the encoder, and torchani's own.

Standard input also has "molecules", [atomic numbers, positions] of each. Standard output is one
JSON object: "energies" in eV per model, ours, the package's, and those that one linear map of our
rows gives; "shapes" of the rows; "layers", the hidden layers of the first atom and those that its
element's network makes of one another; "twins" of two seeds; and "periodic", the fault for a
crystal.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import torchani
from Auto3D.batch_opt.ANI2xt_no_rep import ANI2xt
from inside import build, encoder, fault, given

from zoo.encoder import System

MOLECULES = [(np.array(numbers), np.array(positions)) for numbers, positions in given["molecules"]]
HARTREE = 27.211386245988  # eV
ENSEMBLES = {"ani-1x": torchani.models.ANI1x, "ani-1ccx": torchani.models.ANI1ccx}


def system(molecule: tuple[np.ndarray, np.ndarray]) -> System:
    return System("x/1", "0" * 64, *molecule)


def fitting(model: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    return [one for one in MOLECULES if set(one[0].tolist()) <= set(model.species)]


def encoded(model: Any) -> dict[str, Any]:
    return model.encode([model.prepare(system(one)) for one in fitting(model)], ["last_hidden"])


def theirs(model_id: str) -> list[float]:
    """Return the energies in eV of the package's own network, one molecule at a time."""
    if model_id in ENSEMBLES:
        network = ENSEMBLES[model_id](periodic_table_index=True)[0]
    else:
        network = ANI2xt("cpu", periodic_table_index=True)
    found = []
    for numbers, positions in fitting(encoder(model_id)):
        species, place = torch.tensor(numbers)[None], torch.tensor(positions).float()[None]
        if model_id in ENSEMBLES:
            found.append(float(network((species, place))[1]) * HARTREE)
        else:
            found.append(float(network(species, place)))
    return found


def read_out(model_id: str) -> list[float]:
    """Return the energies in eV that one linear map of the rows gives."""
    model = encoder(model_id)
    lasts = [network[-1] for network in model.networks.values()]
    weights = torch.cat([last.weight[0] for last in lasts]).numpy()
    own = [
        float(last.bias) + energy
        for last, energy in zip(lasts, model.model["options"]["self_energies"], strict=True)
    ]
    found = []
    for (numbers, _), rows in zip(fitting(model), encoded(model)["last_hidden"], strict=True):
        constant = sum(own[model.species[number]] for number in numbers.tolist())
        found.append((float((rows @ weights).sum()) + constant) * HARTREE)
    return found


def layers(model_id: str) -> list[list[Any]]:
    """Return the first atom's layers, without the columns of other elements, and what they make."""
    model = encoder(model_id)
    names = ["layer-0", "layer-1", "layer-2"]
    found = model.encode([model.prepare(system(MOLECULES[0]))], names)
    number = model.species[int(MOLECULES[0][0][0])]
    networks = list(model.networks.values())
    own = []
    for depth, name in enumerate(names):
        widths = [network[2 * depth].out_features for network in networks]
        start = sum(widths[:number])
        row = torch.tensor(found[name][0][0])
        own.append(row[start : start + widths[number]])
        assert row.count_nonzero() == own[-1].count_nonzero()
    made = [networks[number][2 * depth : 2 * depth + 2](own[depth - 1]) for depth in (1, 2)]
    return [[rows.tolist() for rows in own[1:]], [rows.tolist() for rows in made]]


def crystal() -> System:
    periodic = np.array([True, True, True])
    return System("x/1", "0" * 64, *MOLECULES[0], np.eye(3) * 9, periodic)


result = {
    "energies": {
        name: [encoded(encoder(name))["energy"], theirs(name), read_out(name)]
        for name in given["models"]
    },
    "shapes": {
        name: [np.shape(rows) for rows in encoded(encoder(name))["last_hidden"]]
        for name in given["models"]
    },
    "layers": {name: layers(name) for name in given["models"]},
    "twins": [
        [rows.mean(axis=0).tolist() for rows in encoded(build("ani-2xt", seed))["last_hidden"]]
        for seed in (1, 2, 1)
    ],
    "periodic": fault(lambda: encoder("ani-2xt").prepare(crystal())),
}
print(json.dumps(result))
