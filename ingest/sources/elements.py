"""Dataset `elements`: the 71 elemental crystals of the Delta project, as ASE carries them."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label

# ASE's name of a property: (property, unit, source). Volumes are per atom.
_PROPERTIES = {
    "wien2k_volume": ("volume_per_atom", "Å^3", "WIEN2k PBE (Delta project)"),
    "wien2k_B": ("bulk_modulus", "GPa", "WIEN2k PBE (Delta project)"),
    "wien2k_Bp": ("bulk_modulus_derivative", "1", "WIEN2k PBE (Delta project)"),
    "exp_volume": ("volume_per_atom", "Å^3", "experiment (Delta project)"),
    "exp_B": ("bulk_modulus", "GPa", "experiment (Delta project)"),
    "exp_Bp": ("bulk_modulus_derivative", "1", "experiment (Delta project)"),
}


def _entries() -> Iterator[Entry]:
    """Yield one crystal per element; the source id is its symbol."""
    from ase.collections import dcdft  # here so that listing datasets stays fast

    for symbol in dcdft.names:
        atoms = dcdft[symbol]
        labels = tuple(_label(key, value) for key, value in sorted(dcdft.data[symbol].items()))
        yield Entry(
            symbol, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, labels=labels
        )


def _label(key: str, value: float) -> Label:
    name, unit, source = _PROPERTIES[key]
    return Label(name, value, unit, source)


DATASET = Dataset(
    name="elements",
    title="Elemental crystals of the Delta project (71 elements)",
    source="ase.collections.dcdft; Lejaeghere et al., Science 351, aad3000 (2016)",
    license="LGPL-2.1-or-later (ASE)",
    packages=("ase",),
    entries=_entries,
    made_from=(__file__,),
    approx_systems=71,
    approx_seconds=1,
)
