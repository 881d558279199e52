"""PDB and mmCIF: each protein chain of the first model. The id is `<file stem>_<chain>`.

`ingest.systems.proteins` says what a chain is and which letter a residue has. A chain with a
residue that lacks a backbone atom is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ingest.readers.shared import mmcif_atoms, pdb_atoms, text
from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.pdb_atoms import FoundChain, add_atom
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems import proteins
from ingest.systems.dataset import Item
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.proteins import BACKBONE, Chain

_MMCIF = (".cif", ".mmcif")


def records(path: Path) -> Iterator[Record | Item]:
    """Read a file as one record.

    Args:
        path: A PDB or mmCIF file.

    Yields:
        The record, with one entry per chain.
    """
    yield Record(plain_name(path).stem, partial(_entries, path), "this reader")


def _entries(path: Path) -> Iterator[Item]:
    with text.open_text(path) as file:
        seqres = dict[str, set[str]]()
        if plain_name(path).suffix.lower() in _MMCIF:
            chains = _read_mmcif(file)
        else:
            chains, seqres = pdb_atoms.read_pdb(file)
    if not any(chain.has_atoms or chain.residues for chain in chains.values()):
        raise RecordError("no ATOM records; expected a protein structure")
    lists_polymer = any(chain.listed for chain in chains.values())
    for name, chain in chains.items():
        polymer = (
            chain.listed if lists_polymer else proteins.polymer_of(chain.residues, seqres.get(name))
        )
        yield from _chain_entry(f"{plain_name(path).stem}_{name}", polymer, chain.has_atoms)


def _chain_entry(name: str, residues: Chain, has_atoms: bool) -> Iterator[Item]:
    """Yield the entry of a chain; nothing for one of waters and ligands alone."""
    residues = {place: residue for place, residue in residues.items() if residue.is_amino_acid()}
    if not residues:
        if has_atoms:
            fault = "a chain without amino acids (nucleic acid?); expected a protein"
            yield Unreadable(name, fault)
        return
    for place, residue in residues.items():
        if residue.best() is None:
            number = "".join(map(str, place)) if isinstance(place, tuple) else place
            missing = ", ".join(residue.missing_atoms) or "an atom in every alternate location"
            where = f"residue {residue.names[0]} {number}"
            yield Unreadable(name, f"{where} lacks {missing}: complete its backbone or remove it")
            return
    sequence, backbone = proteins.sequence_and_backbone(residues)
    yield Entry(name, sequence=sequence, backbone=backbone)


def _read_mmcif(file: Iterable[str]) -> dict[str, FoundChain]:
    chains: dict[str, FoundChain] = defaultdict(FoundChain)
    try:
        for atom in mmcif_atoms.read_atoms(file):
            chain = chains[atom.chain]
            chain.has_atoms |= not atom.hetero
            if atom.name not in BACKBONE:
                continue
            seen = atom.hetero, atom.variant, atom.name, (atom.occupancy, atom.position)
            if atom.place is not None:
                add_atom(chain.listed, atom.place, *seen)
            if atom.number is not None:
                add_atom(chain.residues, atom.number, *seen)
    except mmcif_atoms.MmcifError as error:
        raise RecordError(str(error)) from error
    for chain in chains.values():
        chain.listed = dict(sorted(chain.listed.items(), key=lambda item: int(str(item[0]))))
    return chains


READER = Reader(
    suffixes=(".pdb", ".ent", ".mmcif"),
    records=records,
    packages=("biopython",),
    code=(__file__, pdb_atoms.__file__, mmcif_atoms.__file__, proteins.__file__),
    chains=True,
)
