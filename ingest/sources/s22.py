"""Dataset `s22`: the 22 noncovalent complexes of S22, as ASE carries them."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.systems.dataset import Dataset, code_file
from ingest.systems.entry import Entry, Label

_SOURCE = "S22, CCSD(T)/CBS (ase.data.s22)"


def _entries() -> Iterator[Entry]:
    """Yield neutral dimers at equilibrium, with SMILES if bonds can be perceived.

    The source id is ASE's name.
    """
    from ase.data import s22  # here so that listing datasets stays fast

    from ingest.systems.molecules import perceive_smiles

    for name in s22.s22:
        atoms = s22.create_s22_system(name)
        energy = s22.get_interaction_energy_s22(name)
        yield Entry(
            name,
            atoms.numbers,
            atoms.positions,
            charge=0,
            spin=1,
            smiles=perceive_smiles(atoms.numbers, atoms.positions, 1),
            labels=(Label("interaction_energy", energy, "eV", _SOURCE),),
        )


DATASET = Dataset(
    name="s22",
    title="Noncovalent complexes of S22",
    source="ase.data.s22; Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006)",
    license="LGPL-2.1-or-later (ASE)",
    packages=("ase", "rdkit"),
    entries=_entries,
    made_from=(__file__, code_file("ingest.systems.molecules")),
    approx_systems=22,
    approx_seconds=1,
)
