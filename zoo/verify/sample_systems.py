"""Small systems of every kind, on which golden vectors and `matterzoo check` are computed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
from ase import Atoms

from zoo.worker.tables import SYSTEMS

ROTATED = "~rotated"  # ends the id of a system that was rotated and moved
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
PROTEINS = {  # sequence, and (phi, psi) in degrees, which the residues take in turn
    "ubiquitin": (
        "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
        [(-120.0, 130.0)],
    ),
    "helix": ("AEAAAKEAAAKEAAAKA", [(-57.0, -47.0)]),
    "loop": ("GSWNDPYHCKF", [(-57.0, -47.0), (-120.0, 130.0), (60.0, 30.0)]),
}
# Engh and Huber (1991): Å from that atom to the next along the chain, and degrees at that atom.
BONDS = {"N": 1.458, "CA": 1.525, "C": 1.329}
ANGLES = {"N": 121.7, "CA": 111.0, "C": 117.2}
CARBONYL = 1.231  # Å


def default_systems() -> pa.Table:
    """Return the systems, in the columns of a job's systems.parquet.

    They are crystals, one of them distorted; molecules; a single atom; and a molecule and proteins
    without atoms.
    """
    # Every command that lists the runtimes imports this module; ase.build takes half a second.
    from ase.build import bulk, molecule

    distorted = bulk("Fe", cubic=True) * (2, 1, 1)
    distorted.rattle(0.1, seed=0)
    found = {"Si": bulk("Si"), "ZnS": bulk("ZnS", "wurtzite", 3.82, 6.26), "Fe": distorted}
    found |= {"CCO": molecule("CH3CH2OH"), "c1ccccc1": molecule("C6H6"), "[Ar]": Atoms("Ar")}
    rows = [_structure_row(name, atoms) for name, atoms in found.items()]
    rows.append(molecule_row("caffeine", CAFFEINE))
    for name, (sequence, torsions) in PROTEINS.items():
        chain = build_backbone([torsions[i % len(torsions)] for i in range(len(sequence))])
        rows.append(_row(name) | {"sequence": sequence, "backbone": chain.tolist()})
    return pa.Table.from_pylist(rows, schema=SYSTEMS)


def molecule_row(name: str, smiles: str) -> dict[str, Any]:
    """Return the row of a molecule without positions.

    Args:
        name: Its name.
        smiles: Its SMILES.
    """
    return _row(name) | {"smiles": smiles}


def _structure_row(name: str, atoms: Atoms) -> dict[str, Any]:
    """Return the row of a crystal, or of a molecule, which is named by its SMILES."""
    row = _row(name) | {"numbers": atoms.numbers, "positions": atoms.positions.tolist()}
    if atoms.pbc.any():
        return row | {"cell": atoms.cell.tolist(), "pbc": atoms.pbc}
    return row | {"smiles": name}


def _row(name: str) -> dict[str, Any]:
    return {
        "system_id": f"golden/{name}",
        "content_hash": hashlib.sha256(name.encode()).hexdigest(),
    }


def build_backbone(torsions: list[tuple[float, float]]) -> np.ndarray:
    """Build the backbone of a chain with ideal bonds and angles.

    Args:
        torsions: (phi, psi) of each residue, in degrees.

    Returns:
        (residues, 4, 3) The positions of N, CA, C and O, in Å.
    """
    atoms = [np.array([0.0, 0.0, 0.0]), np.array([BONDS["N"], 0.0, 0.0])]
    bend = np.radians(ANGLES["CA"])
    atoms.append(atoms[1] + BONDS["CA"] * np.array([-np.cos(bend), np.sin(bend), 0.0]))
    for i in range(1, len(torsions) + 1):  # one residue beyond the end, for the last oxygen
        phi = torsions[i][0] if i < len(torsions) else -120.0
        for last, torsion in (("C", torsions[i - 1][1]), ("N", 180.0), ("CA", phi)):
            atoms.append(_next_atom(atoms[-3:], BONDS[last], ANGLES[last], torsion))
    chain = np.array(atoms).reshape(-1, 3, 3)
    along = _unit(chain[:-1, 2] - chain[:-1, 1]) - _unit(chain[1:, 0] - chain[:-1, 2])
    oxygen = chain[:-1, 2] + CARBONYL * _unit(along)
    return np.concatenate([chain[:-1], oxygen[:, None]], axis=1)


def _next_atom(last: list[np.ndarray], length: float, angle: float, torsion: float) -> np.ndarray:
    """Place the atom that follows three others, at a bond length, a bond angle and a torsion."""
    a, b, c = last
    along = _unit(c - b)
    normal = _unit(np.cross(b - a, along))
    bend, turn = np.radians(180.0 - angle), np.radians(torsion)
    steps = np.array([np.cos(bend), np.sin(bend) * np.cos(turn), np.sin(bend) * np.sin(turn)])
    moved: np.ndarray = c + length * steps @ np.array([along, np.cross(normal, along), normal])
    return moved


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def rotate_systems(systems: pa.Table) -> pa.Table:
    """Return copies of the systems that have positions, rotated and moved.

    ROTATED is added to their ids.

    Args:
        systems: Systems, in the columns of `zoo.worker.tables.SYSTEMS`.
    """
    from scipy.spatial.transform import Rotation

    matrix, shift = Rotation.random(random_state=0).as_matrix().T, np.array([1.0, 2.0, 3.0])
    rows = []
    for row in systems.to_pylist():
        if row["positions"] is None and row["backbone"] is None:
            continue
        row["system_id"] += ROTATED
        for name in ("positions", "backbone"):
            if row[name] is not None:
                row[name] = (np.array(row[name]) @ matrix + shift).tolist()
        row["cell"] = None if row["cell"] is None else (np.array(row["cell"]) @ matrix).tolist()
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SYSTEMS)
