"""Protein files: what each reader returns, and the reason if something is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.systems.entry import DatasetError, Entry, Unreadable
from zoo.encoder import content_hash

PDB = "".join(
    f"ATOM  {serial:5d}  {atom:<3s} {residue} {chain}{number:4d}    "
    f"{x:8.3f}{number:8.3f}{0:8.3f}  1.00  0.00           {atom[0]}\n"
    for serial, (atom, residue, chain, number, x) in enumerate(
        [
            (atom, residue, chain, number, x)
            for chain, residues in (("A", ["MET", "LYS", "ALA"]), ("B", ["GLY"]))
            for number, residue in enumerate(residues, 1)
            for x, atom in enumerate(["N", "CA", "C", "O"])
        ],
        1,
    )
)
WATER = "HETATM   99  O   HOH W   1       9.000   9.000   9.000  1.00  0.00           O\n"
MMCIF_HEADER = """data_1ABC
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_entity_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
"""

File = Callable[[str, str | bytes], Path]
Read = Callable[[Path], list[Entry | Unreadable]]
Good = Callable[[Path], list[Entry]]
Reasons = Callable[[Path], dict[str, str]]


def test_fasta(file: File, good: Good) -> None:
    one, two = good(file("set.fasta", ">sp|P1 a protein\nMKT\nayL*\n\n>p2\nGG\n"))
    assert (one.source_id, one.sequence) == ("sp|P1", "MKTAYL")
    assert (two.source_id, two.sequence) == ("p2", "GG")


def test_bad_sequences_are_unreadable(file: File, reasons: Reasons) -> None:
    path = file("set.fa", ">a\nMK1L\n>b\n>c\nM--K\n>d\n" + "ACGT" * 10 + "\n>e\nMK\n")
    assert reasons(path) == {
        "a": "'1' at residue 3 is not an amino acid's letter",
        "b": "an empty sequence",
        "c": "'-' at residue 2 is not an amino acid's letter",
        "d": "40 letters, all of ACGTUN: a nucleotide sequence; expected a protein",
    }


def test_fasta_begins_with_a_header(file: File, read: Read) -> None:
    path = file("set.fasta", "MKT\n>a\nMK\n")
    with pytest.raises(
        DatasetError, match="is not FASTA: its first line is 'MKT', expected '>' and an id"
    ):
        read(path)


def test_pdb_chains(file: File, good: Good) -> None:
    a, b = good(file("1ABC.pdb", PDB + WATER + "END\n"))
    assert (a.source_id, a.sequence, b.source_id, b.sequence) == ("1ABC_A", "MKA", "1ABC_B", "G")
    assert a.backbone.shape == (3, 4, 3)
    assert a.backbone[1, :, 0].tolist() == [0, 1, 2, 3]
    assert a.backbone[1, :, 1].tolist() == [2, 2, 2, 2]


def test_mmcif_is_the_same_as_pdb(file: File, good: Good) -> None:
    rows = [
        (
            line[:6].strip(),
            line[6:11],
            line[12:16].strip(),
            line[17:20],
            line[21],
            line[22:26],
            line[30:54].split(),
        )
        for line in PDB.splitlines()
    ]
    text = MMCIF_HEADER + "".join(
        f"{group} {serial} {atom[0]} {atom} . {residue} {chain} 1 {number} ?"
        f" {' '.join(xyz)} 1.0 0.0 {number} {chain} 1\n"
        for group, serial, atom, residue, chain, number, xyz in rows
    )
    expected = [content_hash(entry) for entry in good(file("1ABC.pdb", PDB))]
    for name in ("1ABC.cif", "1ABC.mmcif"):
        assert [content_hash(entry) for entry in good(file(name, text))] == expected


def test_modified_residues_have_their_parents_letter(file: File, good: Good) -> None:
    (entry,) = good(
        file(
            "x.pdb",
            "".join(PDB.splitlines(True)[:4]).replace("MET", "MSE").replace("ATOM  ", "HETATM"),
        )
    )
    assert entry.sequence == "M"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "".join(PDB.splitlines(True)[:6]),
            "residue LYS 2 lacks C, O: complete its backbone or remove it",
        ),
        (
            PDB.replace("MET", " DA").replace("LYS", " DG").replace("ALA", " DC"),
            "a chain without amino acids",
        ),
        (PDB[:-40], "line 16 is not an atom of a PDB file: could not convert string to float"),
        ("hello\n", "no ATOM records; expected a protein structure"),
    ],
)
def test_a_broken_protein_is_unreadable(
    text: str, reason: str, file: File, reasons: Reasons
) -> None:
    assert re.search(reason, next(iter(reasons(file("x.pdb", text)).values())))
