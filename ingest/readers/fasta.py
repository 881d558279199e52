"""FASTA files of proteins. The id is the header's first word, or the record's number from 0."""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ingest.readers.shared import text
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Entry

_LETTERS = frozenset(string.ascii_uppercase)  # IUPAC's extended protein alphabet uses every one
_NUCLEOTIDES = frozenset("ACGTUN")
# IUPAC's codes for two or three bases; E, F, I, L, P and Q are not among them.
_AMBIGUOUS = _NUCLEOTIDES | frozenset("RYKMSWBDHV")
_MIN_GENE = 30  # letters; a longer chain of nothing but A, C, G, T, U and N is not a protein
_MIN_PLAIN = 0.5  # share of plain bases in a gene that has ambiguous ones


def records(path: Path) -> Iterator[Record | Item]:
    """Cut a file at its headers.

    Args:
        path: A FASTA file.

    Yields:
        One record per sequence.

    Raises:
        DatasetError: The file does not begin with a header.
    """
    for index, (header, sequence, line, block) in enumerate(_sequences(path)):
        name = (header.split() or [str(index)])[0]
        yield Record(name, partial(_entry, name, sequence), "this reader", block, line)


def _sequences(path: Path) -> Iterator[tuple[str, str, int, str]]:
    """Yield header (without '>'), sequence, number of the first line, and text of each record."""
    first, lines = 1, list[str]()
    with text.open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(">"):
                if lines:
                    yield _split(lines, first)
                first, lines = number, [line]
            elif lines:
                lines.append(line)
            elif line.strip():
                raise DatasetError(
                    f"{path} is not FASTA: its first line is {line.strip()!r:.60}, "
                    "expected '>' and an id"
                )
    if lines:
        yield _split(lines, first)


def _split(lines: list[str], first: int) -> tuple[str, str, int, str]:
    return lines[0][1:].strip(), "".join("".join(lines[1:]).split()), first, "".join(lines)


def _entry(name: str, sequence: str) -> Iterator[Entry]:
    """Yield the entry, in upper case (lower case masks) and without a final '*' (stop codon)."""
    sequence = sequence.removesuffix("*")
    if not sequence:
        raise RecordError("an empty sequence")
    # Compared by letter, as upper() makes 'SS' of 'ß'.
    strange = {
        letter
        for letter in set(sequence)
        if letter.upper() not in _LETTERS and not text.BAD_BYTE.match(letter)
    }
    if strange:
        place = next(place for place, letter in enumerate(sequence, start=1) if letter in strange)
        raise RecordError(
            f"{sequence[place - 1]!r} at residue {place} is not an amino acid's letter"
        )
    sequence = sequence.upper()
    if len(sequence) >= _MIN_GENE:
        _refuse_gene(sequence)
    yield Entry(name, sequence=sequence)


def _refuse_gene(sequence: str) -> None:
    """Raise RecordError for a nucleotide sequence.

    A nucleotide sequence is a chain of plain bases, or of IUPAC's codes for bases with all four
    bases among them and most of it plain. A protein of 30 residues without E, F, I, L, P and Q is
    rare (a third of all residues are one of these), and those that exist (silk) have no cysteine.
    """
    found = frozenset(sequence)
    if found <= _NUCLEOTIDES:
        raise RecordError(
            f"{len(sequence)} letters, all of ACGTUN: a nucleotide sequence; expected a protein"
        )
    plain = sum(sequence.count(letter) for letter in _NUCLEOTIDES) / len(sequence)
    has_bases = {"A", "C", "G"} <= found and bool(found & {"T", "U"})
    if found <= _AMBIGUOUS and has_bases and plain >= _MIN_PLAIN:
        raise RecordError(
            f"{len(sequence)} letters, all of them IUPAC's codes for nucleotides, {plain:.0%} of "
            "ACGTUN: a nucleotide sequence; expected a protein"
        )


READER = Reader(suffixes=(".fasta", ".fa", ".faa"), records=records, packages=(), code=(__file__,))
