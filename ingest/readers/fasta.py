"""FASTA files of proteins. The id is the header's first word, or the record's number from 0."""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ingest.readers import Item, Reader, Record, Refused, text
from ingest.systems.entry import DatasetError, Entry

LETTERS = frozenset(string.ascii_uppercase)  # IUPAC's extended protein alphabet uses every one
NUCLEOTIDES = frozenset("ACGTUN")
AMBIGUOUS = NUCLEOTIDES | frozenset(
    "RYKMSWBDHV"
)  # IUPAC's codes for two or three bases; E, F, I, L, P, Q are none
SHORTEST_GENE = 30  # a longer chain of nothing but A, C, G, T, U and N is no protein
MOSTLY = 0.5  # share of plain bases in a gene with ambiguous ones


def records(path: Path) -> Iterator[Record | Item]:
    for index, (header, sequence, line, block) in enumerate(_records(path)):
        name = (header.split() or [str(index)])[0]
        yield Record(name, partial(_entry, name, sequence), "this reader", block, line)


def _records(path: Path) -> Iterator[tuple[str, str, int, str]]:
    """Header (without '>'), sequence, number of the first line, and text of each record."""
    first, lines = 1, list[str]()
    with text.opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(">"):
                if lines:
                    yield _split(lines, first)
                first, lines = number, [line]
            elif lines:
                lines.append(line)
            elif line.strip():
                raise DatasetError(
                    f"{path} is not FASTA: its first line is {line.strip()!r:.60}, expected '>' and an id"
                )
    if lines:
        yield _split(lines, first)


def _split(lines: list[str], first: int) -> tuple[str, str, int, str]:
    return lines[0][1:].strip(), "".join("".join(lines[1:]).split()), first, "".join(lines)


def _entry(name: str, sequence: str) -> Iterator[Entry]:
    """Lower case (soft masking) is raised; a final '*' (stop codon) is dropped."""
    sequence = sequence.removesuffix("*")
    if not sequence:
        raise Refused("an empty sequence")
    strange = {
        x for x in set(sequence) if x.upper() not in LETTERS and not text.BAD.match(x)
    }  # 'ß' becomes 'SS'
    if strange:
        place = next(place for place, letter in enumerate(sequence, start=1) if letter in strange)
        raise Refused(f"{sequence[place - 1]!r} at residue {place} is not an amino acid's letter")
    sequence = sequence.upper()
    if len(sequence) >= SHORTEST_GENE:
        _refuse_gene(sequence)
    yield Entry(name, sequence=sequence)


def _refuse_gene(sequence: str) -> None:
    """Raise Refused for a nucleotide sequence.

    One is a chain of plain bases, or of IUPAC's codes for bases with all four bases among them and most of it plain: a
    protein of 30 residues without E, F, I, L, P and Q is rare (a third of all residues are one of these), and such as
    there are (silk) have no cysteine.
    """
    found = frozenset(sequence)
    if found <= NUCLEOTIDES:
        raise Refused(
            f"{len(sequence)} letters, all of ACGTUN: a nucleotide sequence; expected a protein"
        )
    plain = sum(sequence.count(letter) for letter in NUCLEOTIDES) / len(sequence)
    if found <= AMBIGUOUS and {"A", "C", "G"} <= found and found & {"T", "U"} and plain >= MOSTLY:
        raise Refused(
            f"{len(sequence)} letters, all of them IUPAC's codes for nucleotides, {plain:.0%} of ACGTUN:"
            " a nucleotide sequence; expected a protein"
        )


READER = Reader(suffixes=(".fasta", ".fa", ".faa"), records=records, packages=(), code=(__file__,))
