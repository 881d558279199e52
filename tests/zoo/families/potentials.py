"""What the scripts that run inside an interatomic potential's environment share: the encoder, and small structures."""

from __future__ import annotations

import importlib.util
import json
import sys
import sysconfig
from functools import cache
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

from zoo.encoder import System

torch.set_num_threads(1)  # small systems: threads wait for each other longer than they work
given = json.load(sys.stdin)
for card in given["models"].values():
    card["weights"]["folder"] = sysconfig.get_paths()["purelib"]  # as the worker does
spec = importlib.util.spec_from_file_location("family_encoder", f"{given['folder']}/encoder.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


@cache
def encoder(model_id: str, seed: int | None = None, dtype: str = "float32") -> Any:
    return module.FamilyEncoder(
        given["models"][model_id], device="cpu", dtype=dtype, untrained_seed=seed
    )


def system(atoms: Atoms) -> System:
    return System("x/1", "0" * 64, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def rows(model: Any, *structures: Atoms, name: str = "last_hidden") -> list[np.ndarray]:
    """Per-atom vectors of structures that share a batch, as float64."""
    items = [model.prepare(system(atoms)) for atoms in structures]
    return [array.astype(float) for array in model.encode(items, [name])[name]]


def energies(model: Any, *structures: Atoms) -> list[float]:
    """Total energies in eV of structures that share a batch."""
    items = [model.prepare(system(atoms)) for atoms in structures]
    return [float(energy) for energy in model.encode(items, ["last_hidden"])["energy"]]


def crystals() -> list[Atoms]:
    return [rattled(), bulk("Si"), bulk("NaCl", "rocksalt", 5.64)]


def rattled() -> Atoms:
    atoms = bulk("ZnS", "wurtzite", 3.82, 6.26) * (2, 1, 1)
    atoms.rattle(0.1, seed=0)
    return atoms


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Of the means over atoms, relative to the second."""
    return float(np.linalg.norm(a.mean(0) - b.mean(0)) / np.linalg.norm(b.mean(0)))


def fault(action: Any) -> str:
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"
