"""Runs inside the environment of aimnet2: what the encoder gives, and what the files give.

Standard output is one JSON object: "aim" of one batch by the first network, ours and that of the
file with this network alone; "energies" of the four networks, and "ensemble" of the published file
as a whole; "embedded", layer 0 and the embedding of the
elements; "charged", the vectors of ammonium told its charge and told none; "twins" of two seeds;
and "periodic", the fault for a crystal.
"""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inside import build, encoder, fault, given

from zoo.encoder import System

FOLDER = Path(sysconfig.get_paths()["purelib"], "Auto3D", "models")
MOLECULES = [(np.array(numbers), np.array(positions)) for numbers, positions in given["molecules"]]


def system(molecule: tuple[np.ndarray, np.ndarray], charge: int | None = None) -> System:
    return System("x/1", "0" * 64, molecule[0], molecule[1], charge=charge)


def encoded(model: Any, *systems: System) -> dict[str, Any]:
    found = model.encode([model.prepare(one) for one in systems], ["aim"])
    return {"aim": [rows.tolist() for rows in found["aim"]], "energy": found["energy"]}


def embedded(model: Any) -> list[list[list[float]]]:
    """Return the rows of layer 0 of the first molecule, and those of the network's table."""
    [rows] = model.encode([model.prepare(system(MOLECULES[0]))], ["layer-0"])["layer-0"]
    return [rows.tolist(), model.network.afv.weight[MOLECULES[0][0]].tolist()]


def published(file: str) -> list[dict[str, torch.Tensor]]:
    """Call a published file as its authors document it, with one molecule after another."""
    network = torch.jit.load(str(FOLDER / file))
    found = []
    for molecule in MOLECULES:
        numbers, positions = (torch.tensor(part)[None] for part in molecule)
        data = {"coord": positions.float(), "numbers": numbers, "charge": torch.zeros(1)}
        with torch.jit.optimized_execution(False):
            found.append(network(data))
    return found


def crystal() -> System:
    periodic = np.array([True, True, True])
    return System("x/1", "0" * 64, MOLECULES[0][0], MOLECULES[0][1], np.eye(3) * 9, periodic)


together = [encoded(encoder(model), *map(system, MOLECULES)) for model in given["models"]]
first, ammonium = encoder("aimnet2-wb97m-d3-0"), MOLECULES[-1]
alone, whole = published("aimnet2_wb97m-d3_0.jpt"), published("aimnet2_wb97m_ens_f.jpt")
result = {
    "aim": [together[0]["aim"], [found["aim"][0].tolist() for found in alone]],
    "energies": [found["energy"] for found in together],
    "ensemble": [float(found["energy"]) for found in whole],
    "embedded": embedded(first),
    "charged": encoded(first, system(ammonium, 1), system(ammonium))["aim"],
    "twins": [
        encoded(build("aimnet2-wb97m-d3-0", seed), *map(system, MOLECULES))["aim"]
        for seed in (1, 2, 1)
    ],
    "periodic": fault(lambda: first.prepare(crystal())),
}
print(json.dumps(result))
