"""FASTA files of proteins. The id is the header's first word."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

from ingest.datasets.readers import Reader
from ingest.systems import DatasetError, Entry, Unreadable

LETTERS = frozenset(string.ascii_uppercase)  # IUPAC's extended protein alphabet uses every one
NUCLEOTIDES = frozenset("ACGTUN")
SHORTEST_GENE = 30  # a longer chain of nothing but A, C, G, T, U and N is no protein


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    for index, (header, sequence) in enumerate(_records(path)):
        yield _entry((header.split() or [str(index)])[0], sequence)


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """Header (without '>') and sequence of each record."""
    header, lines = None, list[str]()
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith(">"):
                if header is not None:
                    yield header, "".join(lines)
                header, lines = line[1:].strip(), []
            elif header is None and line.strip():
                raise DatasetError(
                    f"{path} is not FASTA: its first line is {line.strip()!r:.60}, expected '>' and an id"
                )
            else:
                lines.append("".join(line.split()))
    if header is not None:
        yield header, "".join(lines)


def _entry(name: str, sequence: str) -> Entry | Unreadable:
    """Lower case (soft masking) is raised; a final '*' (stop codon) is dropped."""
    sequence = sequence.upper().removesuffix("*")
    strange = [letter for letter in sequence if letter not in LETTERS]
    if not sequence:
        return Unreadable(name, "an empty sequence")
    if strange:
        place = sequence.index(strange[0]) + 1
        return Unreadable(name, f"{strange[0]!r} at residue {place} is not an amino acid's letter")
    if len(sequence) >= SHORTEST_GENE and NUCLEOTIDES.issuperset(sequence):
        return Unreadable(name, f"{len(sequence)} letters, all of ACGTUN: a nucleotide sequence; expected a protein")
    return Entry(name, sequence=sequence)


READER = Reader(suffixes=(".fasta", ".fa", ".faa"), entries=entries, packages=(), code=(__file__,))
