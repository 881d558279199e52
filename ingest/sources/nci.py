"""Dataset `nci`: the distinct molecules of RDKit's sample of the NCI open database.

Each has one conformer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from ingest.systems.dataset import Dataset, code_file
from ingest.systems.entry import Entry, Unreadable


def _lines() -> Iterator[tuple[str, str]]:
    """Yield NCI number and SMILES as given, in the order of the file."""
    from rdkit import RDConfig  # here so that listing datasets stays fast

    with (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").open(encoding="utf-8") as file:
        for line in file:
            smiles, number = line.split()
            yield number, smiles


def distinct_molecules() -> Iterator[tuple[str, str] | Unreadable]:
    """Read each molecule of the file the first time it appears (99 lines repeat one).

    Yields:
        NCI number and canonical SMILES, or what cannot be read.
    """
    from ingest.systems.molecules import canonical_smiles, parse_smiles

    seen: set[str] = set()
    for number, given in _lines():
        try:
            smiles = canonical_smiles(parse_smiles(given))
        except ValueError as error:
            yield Unreadable(number, str(error))
            continue
        if smiles not in seen:
            seen.add(smiles)
            yield number, smiles


def make_entry(molecule: tuple[str, str] | Unreadable) -> Entry | Unreadable:
    """Return a molecule with its conformer.

    The conformer is a pure function of the SMILES string, so that it does not depend on the number
    of processes. Salts and mixtures (several fragments) are unreadable: a conformer search does not
    know how their parts lie to each other, and the geometry would be an invention.

    Args:
        molecule: One item of `distinct_molecules`.
    """
    from ingest.systems.molecules import formal_charge, make_conformer, multiplicity, parse_smiles

    if isinstance(molecule, Unreadable):
        return molecule
    number, smiles = molecule
    if "." in smiles:
        parts = smiles.count(".") + 1
        fault = f"{parts} fragments in {smiles}; only single molecules get a conformer"
        return Unreadable(number, fault)
    parsed = parse_smiles(smiles)
    try:
        numbers, positions = make_conformer(parsed)
    except ValueError as error:
        return Unreadable(number, str(error))
    return Entry(
        number,
        numbers,
        positions,
        charge=formal_charge(parsed),
        spin=multiplicity(parsed),
        smiles=smiles,
    )


def _cores() -> int:
    """Return the number of cores this process may use; macOS does not say, so there it is all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _entries() -> Iterator[Entry | Unreadable]:
    """Yield the molecules in the order of the file, made on all cores.

    Processes are spawned, as forking a host that runs threads may hang it.
    """
    with ProcessPoolExecutor(_cores(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(make_entry, distinct_molecules(), chunksize=16)


DATASET = Dataset(
    name="nci",
    title="Distinct molecules of RDKit's NCI sample, one ETKDGv3 + MMFF94 conformer each",
    source="rdkit Data/NCI/first_5K.smi; NCI Open Database",
    license="BSD-3-Clause (RDKit)",
    packages=("rdkit",),
    entries=_entries,
    made_from=(__file__, code_file("ingest.systems.molecules")),
    approx_systems=4_574,
    approx_seconds=90,
)
