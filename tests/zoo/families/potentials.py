"""What scripts share that run inside the environment of an interatomic potential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from inside import build, encoder, fault
from scipy.spatial.transform import Rotation

from zoo.encoder import System

torch.set_num_threads(1)  # small systems: threads wait for each other longer than they work


def system(atoms: Atoms) -> System:
    return System("x/1", "0" * 64, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def rows(model: Any, *structures: Atoms, name: str = "last_hidden") -> list[np.ndarray]:
    """Return the vectors per atom of structures that share a batch, in float64."""
    items = [model.prepare(system(atoms)) for atoms in structures]
    return [array.astype(float) for array in model.encode(items, [name])[name]]


def energies(model: Any, *structures: Atoms) -> list[float]:
    """Return the total energies in eV of structures that share a batch."""
    items = [model.prepare(system(atoms)) for atoms in structures]
    return [float(energy) for energy in model.encode(items, ["last_hidden"])["energy"]]


def crystals() -> list[Atoms]:
    return [rattled(), bulk("Si"), bulk("NaCl", "rocksalt", 5.64)]


def rattled() -> Atoms:
    atoms = bulk("ZnS", "wurtzite", 3.82, 6.26) * (2, 1, 1)
    atoms.rattle(0.1, seed=0)
    return atoms


def rotated() -> Atoms:
    """Return the rattled crystal, moved and rotated."""
    crystal = rattled()
    atoms = Atoms(crystal.numbers, crystal.positions + [1, 2, 3], cell=crystal.cell, pbc=True)
    rotation = Rotation.random(random_state=0).as_matrix()
    atoms.set_cell(atoms.cell @ rotation, scale_atoms=True)
    return atoms


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the distance of two means over atoms, relative to the second."""
    return float(np.linalg.norm(a.mean(0) - b.mean(0)) / np.linalg.norm(b.mean(0)))


def compare_networks(model: Any, package: torch.nn.Module) -> dict[str, Any]:
    """Compare the network of an encoder with the one that the package loads by its name."""
    ours, theirs = model.network.state_dict(), package.state_dict()
    return {
        "same weights": ours.keys() == theirs.keys()
        and all(torch.equal(ours[key], theirs[key]) for key in ours),
        "parameters": sum(p.numel() for p in package.parameters()),
    }


def compare_energies(
    model: Any, structures: list[Atoms], package: Callable[[Atoms], float]
) -> dict[str, list[float]]:
    """Return total energies in eV, ours and the package's own."""
    return {
        "energies": energies(model, *structures),
        "package's energies": [package(atoms) for atoms in structures],
    }


def geometry(model_id: str) -> dict[str, float]:
    """Return how far apart the vectors of one structure are if it is written in two ways."""
    model, crystal, ethanol = encoder(model_id), rattled(), molecule("CH3CH2OH")
    boxed = Atoms(ethanol.numbers, ethanol.positions, cell=np.diag([40.0] * 3), pbc=True)
    slab = Atoms("Au", cell=[[2.9, 0, 0], [0, 2.9, 0], [0, 0, 0]], pbc=(True, True, False))
    thick = Atoms("Au", cell=np.diag([2.9, 2.9, 30.0]), pbc=True)
    pairs = {
        "rotated and moved": (rotated(), crystal),
        "supercell": (crystal * (1, 2, 1), crystal),
        "molecule in a box of 40 Å": (boxed, ethanol),
        "slab": (slab, thick),
    }
    return {name: distance(rows(model, a)[0], rows(model, b)[0]) for name, (a, b) in pairs.items()}


def twins(model_id: str) -> dict[str, float]:
    """Return how far the twin of seed 0 is from others, and its rank over four systems.

    The rank is the third singular value: four systems span three dimensions.
    """
    structures = [*crystals(), molecule("C6H6")]

    def means(model: Any) -> np.ndarray:
        return np.array([array.mean(0) for array in rows(model, *structures)])

    zero, again = means(build(model_id, 0)), means(build(model_id, 0))
    one, trained = means(build(model_id, 1)), means(encoder(model_id))
    scale = np.linalg.norm(zero)
    spread = np.linalg.svd(zero - zero.mean(0), compute_uv=False)
    apart = {"again": again, "other seed": one, "trained": trained}
    return {name: float(np.linalg.norm(zero - x) / scale) for name, x in apart.items()} | {
        "rank": float(spread[2]),
        "relative rank": float(spread[2] / spread[0]),
    }


def common(model_id: str) -> dict[str, Any]:
    """Return what the tests of every potential look at, `suite.PotentialSuite`."""
    return {
        "geometry": geometry(model_id),
        "twins": twins(model_id),
        "single atom": float(np.linalg.norm(rows(encoder(model_id), Atoms("Ar"))[0])),
        "float64": fault(lambda: encoder(model_id, dtype="float64")),
        "no volume": fault(lambda: rows(encoder(model_id), Atoms("Si", pbc=True))),
    }
