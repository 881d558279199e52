"""Dataset `g2`: the 162 atoms and molecules of the G2/97 set, as ASE carries them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label

SOURCE = "G2/97 (ase.data.g2)"


def entries() -> Iterator[Entry]:
    """MP2(full)/6-31G(d) geometries, neutral; the source id is ASE's name. SMILES where bonds can be perceived."""
    from ase.collections import (
        g2,  # here, not above: listing datasets should not import their packages
    )
    from ase.data.g2 import data

    from ingest.systems.molecules import perceive_smiles

    for name in g2.names:
        atoms = g2[name]
        spin = round(float(atoms.get_initial_magnetic_moments().sum())) + 1
        yield Entry(
            name,
            atoms.numbers,
            atoms.positions,
            charge=0,
            spin=spin,
            smiles=perceive_smiles(atoms.numbers, atoms.positions, spin),
            labels=tuple(_labels(data[name], len(atoms))),
        )


def _labels(record: Any, n_atoms: int) -> Iterator[Label]:
    """Experimental values in the units that ase.data.g2 keeps them in. Its enthalpies of atoms are those at 0 K."""
    temperature = "0K" if n_atoms == 1 else "298K"
    yield Label(f"formation_enthalpy_{temperature}", record["enthalpy"], "kcal/mol", SOURCE)
    if "ionization energy" in record:
        yield Label("ionization_energy", record["ionization energy"], "eV", SOURCE)


DATASET = Dataset(
    name="g2",
    title="Atoms and molecules of the G2/97 set (162)",
    source="ase.collections.g2; Curtiss et al., J. Chem. Phys. 106, 1063 (1997)",
    license="LGPL-2.1-or-later (ASE)",
    packages=("ase", "rdkit"),
    entries=entries,
    made_from=(__file__, str(Path(__file__).parents[1] / "systems" / "molecules.py")),
    approx_systems=162,
    approx_seconds=2,
)
