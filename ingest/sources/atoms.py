"""Dataset `atoms`: the 118 elements, one isolated neutral atom each, in its ground state.

So a model that reads structures embeds them like any other system, and vectors of elements that
others have published can be imported: see `ingest/commands/element_vectors.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label
from zoo.encoder import SYMBOLS

_TERM = re.compile(r"(\d+)[A-Z]")  # of a term such as 5D4 the multiplicity, in Russell-Saunders
_MEASURED = 103  # beyond this atomic number pymatgen has predictions, and some slips
_SOURCE = "pymatgen's periodic table"


def _entries() -> Iterator[Entry]:
    """Yield one atom at the origin per element; the source id is its symbol."""
    from pymatgen.core.periodic_table import Element  # here so that listing datasets stays fast

    for number, symbol in enumerate(SYMBOLS, start=1):
        known = Element(symbol).data
        term = _TERM.match(known.get("Ground level") or "")
        yield Entry(
            symbol,
            np.array([number]),
            np.zeros((1, 3)),
            charge=0,
            spin=int(term[1]) if term else None,
            labels=tuple(_labels(known)) if number <= _MEASURED else (),
        )


def _labels(known: dict[str, Any]) -> Iterator[Label]:
    if electronegativity := known.get("X"):
        yield Label("electronegativity", float(electronegativity), "1", f"{_SOURCE}, Pauling's")
    if energies := known.get("Ionization energies"):
        yield Label("ionization_energy", float(energies[0]), "eV", _SOURCE)
    radius = known.get("Atomic radius")
    if isinstance(radius, float | int):
        yield Label("atomic_radius", float(radius), "Å", f"{_SOURCE}, empirical")


DATASET = Dataset(
    name="atoms",
    title="Isolated neutral atoms of the 118 elements, in their ground states",
    source="pymatgen.core.periodic_table; Ong et al., Comput. Mater. Sci. 68, 314 (2013)",
    license="MIT (pymatgen)",
    packages=("pymatgen",),
    entries=_entries,
    made_from=(__file__,),
    approx_systems=118,
    approx_seconds=2,
)
