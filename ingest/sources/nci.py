"""Dataset `nci`: the distinct molecules of RDKit's sample of the NCI open database, one conformer each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Unreadable


def sample() -> Iterator[tuple[str, str]]:
    """The file's lines in order: NCI number, SMILES as given."""
    from rdkit import RDConfig  # here, not above: listing datasets should not import their packages

    with (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").open(encoding="utf-8") as file:
        for line in file:
            smiles, number = line.split()
            yield number, smiles


def distinct() -> Iterator[tuple[str, str] | Unreadable]:
    """NCI number and canonical SMILES of each molecule the first time it appears (99 lines repeat one)."""
    from ingest.systems.molecules import canonical_smiles, parse_smiles

    seen: set[str] = set()
    for number, given in sample():
        try:
            smiles = canonical_smiles(parse_smiles(given))
        except ValueError as error:
            yield Unreadable(number, str(error))
            continue
        if smiles not in seen:
            seen.add(smiles)
            yield number, smiles


def entry(molecule: tuple[str, str] | Unreadable) -> Entry | Unreadable:
    """One molecule with its conformer: a pure function of the SMILES string, so any number of processes agrees.

    Salts and mixtures (several fragments) are unreadable: how their parts lie to each other is nothing that a
    conformer search knows, so that the geometry would be an invention.
    """
    from ingest.systems.molecules import formal_charge, make_conformer, multiplicity, parse_smiles

    if isinstance(molecule, Unreadable):
        return molecule
    number, smiles = molecule
    if "." in smiles:
        parts = smiles.count(".") + 1
        return Unreadable(
            number, f"{parts} fragments in {smiles}; only single molecules get a conformer"
        )
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
    """Those this process may use; macOS cannot say and gives all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def entries() -> Iterator[Entry | Unreadable]:
    """All cores, in the file's order. Processes are spawned: forking a host that runs threads may hang it."""
    with ProcessPoolExecutor(_cores(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(entry, distinct(), chunksize=16)


DATASET = Dataset(
    name="nci",
    title="Distinct molecules of RDKit's NCI sample, one ETKDGv3 + MMFF94 conformer each",
    source="rdkit Data/NCI/first_5K.smi; NCI Open Database",
    license="BSD-3-Clause (RDKit)",
    packages=("rdkit",),
    entries=entries,
    made_from=(__file__, str(Path(__file__).parents[1] / "systems" / "molecules.py")),
    approx_systems=4_574,
    approx_seconds=90,
)
