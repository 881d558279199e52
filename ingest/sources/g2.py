"""Dataset `g2`: the 162 atoms and molecules of the G2/97 set, as ASE carries them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.systems.dataset import Dataset, code_file
from ingest.systems.entry import Entry, Label

_SOURCE = "G2/97 (ase.data.g2)"


def _entries() -> Iterator[Entry]:
    """Yield neutral MP2(full)/6-31G(d) geometries, with SMILES if bonds can be perceived.

    The source id is ASE's name.
    """
    from ase.collections import g2  # here so that listing datasets stays fast
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
    """Yield experimental values in the units of ase.data.g2.

    Its enthalpies of atoms are those at 0 K.
    """
    temperature = "0K" if n_atoms == 1 else "298K"
    yield Label(f"formation_enthalpy_{temperature}", record["enthalpy"], "kcal/mol", _SOURCE)
    if "ionization energy" in record:
        yield Label("ionization_energy", record["ionization energy"], "eV", _SOURCE)


DATASET = Dataset(
    name="g2",
    title="Atoms and molecules of the G2/97 set (162)",
    source="ase.collections.g2; Curtiss et al., J. Chem. Phys. 106, 1063 (1997)",
    license="LGPL-2.1-or-later (ASE)",
    packages=("ase", "rdkit"),
    entries=_entries,
    made_from=(__file__, code_file("ingest.systems.molecules")),
    approx_systems=162,
    approx_seconds=2,
)
