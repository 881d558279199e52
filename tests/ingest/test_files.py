"""Users' files: what each reader gives back, and one clear sentence for whatever is wrong with a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from ingest.datasets import find_dataset, load_datasets
from ingest.datasets.readers import load_readers
from ingest.systems import DatasetError, Entry, Unreadable, checked, content_hash, materialise

CIF = """data_{name}
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0.0 0.0 0.0 {occupancy}
Cl1 Cl 0.5 0.5 0.5 1
"""
NACL = CIF.format(name="x", occupancy=1)
POSCAR = "CsCl\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
PDB = "".join(
    f"ATOM  {serial:5d}  {atom:<3s} {residue} {chain}{number:4d}    {x:8.3f}{number:8.3f}{0:8.3f}  1.00  0.00"
    f"           {atom[0]}\n"
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


@pytest.fixture
def file(tmp_path: Path) -> File:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path: Path) -> list[Entry | Unreadable]:
    outcomes = find_dataset(str(path)).entries()
    return [checked(entry) if isinstance(entry, Entry) else entry for entry in outcomes]


def good(path: Path) -> list[Entry]:
    entries = read(path)
    assert [entry for entry in entries if isinstance(entry, Unreadable)] == []
    return [entry for entry in entries if isinstance(entry, Entry)]


def reasons(path: Path) -> dict[str, str]:
    return {entry.source_id: entry.reason for entry in read(path) if isinstance(entry, Unreadable)}


def content(atoms: Atoms) -> str:
    entry = checked(Entry("x", atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))
    assert isinstance(entry, Entry)
    return content_hash(entry)


# Structures


@given(st.data())
def test_extxyz_keeps_the_content(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Written by ASE, read by us: what the format can hold is the same, to the bit of the hash."""
    numbers = data.draw(st.lists(st.integers(1, 103), min_size=1, max_size=5))
    grid = nps.arrays(np.int64, (len(numbers), 3), elements=st.integers(-(10**9), 10**9))
    periodic = data.draw(st.booleans())
    atoms = Atoms(numbers, data.draw(grid) / 1e8, cell=np.diag([3.0, 4.0, 5.0]) if periodic else None, pbc=periodic)
    path = tmp_path_factory.mktemp("xyz") / "one.extxyz"
    ase.io.write(path, [atoms, atoms], format="extxyz")
    first, second = good(path)
    assert content_hash(first) == content_hash(second) == content(atoms)
    assert (first.source_id, second.source_id) == ("0", "1")


def test_extxyz_reads_ids_charge_spin_and_energy(file: File) -> None:
    comment = 'Properties=species:S:1:pos:R:3 material_id=mp-1 charge=-1 spin=2 energy=-7.5 pbc="F F F"'
    (entry,) = good(file("set.extxyz", f"2\n{comment}\nO 0 0 0\nH 0 0 0.97\n"))
    assert (entry.source_id, entry.charge, entry.spin) == ("mp-1", -1, 2)
    (label,) = entry.labels
    assert (label.property, label.value, label.unit, label.source) == ("energy", -7.5, "eV", "set.extxyz")


def test_plain_xyz_is_a_molecule(file: File) -> None:
    (entry,) = good(file("water.xyz", "3\nwater, as it comes\nO 0 0 0\nH 0 0 0.96\nH 0.93 0 -0.24\n"))
    assert entry.cell is None
    assert entry.numbers.tolist() == [8, 1, 1]


FRAME = "1\n\nH 0 0 0\n"


@pytest.mark.parametrize(
    ("text", "broken", "reason"),
    [
        (FRAME + "3\n\nH 0 0 0\n", "1", "the file ends after 1 of 3 atoms"),
        (FRAME + "3\n", "1", "the file ends after 0 of 3 atoms"),
        (FRAME + "H 0 0 0\n" + FRAME, "1", "expected a number of atoms, got 'H 0 0 0'; frames end here"),
        (FRAME + "1\n\nXx 0 0 0\n" + FRAME, "1", "ASE cannot read it: KeyError: 'Xx'"),
        (FRAME + "1\n\nH 0 0\n" + FRAME, "1", "ValueError: could not assign"),
        (FRAME + "1\n\nH 0 0 nan\n" + FRAME, "1", "position of atom 0 is nan"),
        (FRAME + "1\ncharge=0.5\nH 0 0 0\n" + FRAME, "1", "charge = .*0.5.* is not a whole number"),
        (FRAME + '1\nLattice="1 2"\nH 0 0 0\n', "1", "expecting special 3x3 matrix"),
        (FRAME + '1\nLattice="1 0 0 0 1 0 0 0 0"\nH 0 0 0\n', "1", "span no volume"),
    ],
)
def test_a_broken_frame_does_not_hide_the_others(text: str, broken: str, reason: str, file: File) -> None:
    path = file("set.xyz", text)
    found = reasons(path)
    assert list(found) == [broken]
    assert re.search(reason, found[broken])
    assert "0" in {entry.source_id for entry in read(path) if isinstance(entry, Entry)}


def test_xyz_ids_must_be_unique(file: File, tmp_path: Path) -> None:
    path = file("set.xyz", "1\nid=a\nH 0 0 0\n" * 2)
    with pytest.raises(DatasetError, match=r"set.xyz: the id 'a' appears twice, as entry 1 and entry 2"):
        materialise(find_dataset(str(path)), tmp_path / "set")


def test_cif_with_many_blocks(file: File) -> None:
    blocks = ["data_global\n_journal_name 'none'\n", *(CIF.format(name=name, occupancy=1) for name in ("one", ""))]
    one, two = good(file("many.cif", "".join(blocks)))
    assert (one.source_id, two.source_id) == ("one", "many")
    assert one.numbers.tolist() == [11, 17]
    assert one.positions.tolist() == pytest.approx(np.array([[0, 0, 0], [2.82] * 3]))
    assert one.pbc.all()


@given(st.sampled_from(["NaCl", "Si", "Fe", "Mg"]))
def test_cif_keeps_the_crystal(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Written by ASE, read by pymatgen: the same volume and distances."""
    atoms = bulk(name, "rocksalt", a=5.64) if name == "NaCl" else bulk(name)
    path = tmp_path_factory.mktemp("cif") / "crystal.cif"
    ase.io.write(path, atoms)
    (entry,) = good(path)
    again = Atoms(entry.numbers, entry.positions, cell=entry.cell, pbc=entry.pbc)
    assert again.get_volume() == pytest.approx(atoms.get_volume(), rel=1e-5)
    assert sorted(again.numbers) == sorted(atoms.numbers)
    assert again.get_all_distances(mic=True) == pytest.approx(atoms.get_all_distances(mic=True), abs=1e-3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CIF.format(name="x", occupancy=0.5), r"partial occupancy at site Na1 \(Na:0.5.*\): give an ordered cell"),
        (
            CIF.format(name="x", occupancy=1).replace("_cell_length_a 5.64\n", ""),
            "^pymatgen cannot read it: ValueError: No structure parsed",
        ),
        (NACL[:-30], "^pymatgen cannot read it: "),
        (
            CIF.format(name="x", occupancy=1) + "_chemical_formula_sum 'Na1 Cl1 H4'\n",
            "crystal than .*: Missing elements H",
        ),
        (NACL + "_chemical_formula_sum 'Na1 Cl2'\n", "crystal than .*: Incorrect stoich"),
        (NACL.replace("P 1", "Q 9"), "crystal than .*: .*Defaulting to P1"),
        ("data_x\n_journal_name 'none'\n", "no data block has an _atom_site loop"),
        ("hello\n", "no data block has an _atom_site loop"),
    ],
)
def test_a_broken_cif_is_unreadable(text: str, reason: str, file: File) -> None:
    (found,) = reasons(file("x.cif", text)).values()
    assert re.search(reason, found)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR.relaxed", "cscl.vasp", "cscl.poscar"])
def test_poscar(name: str, file: File) -> None:
    (entry,) = good(file(name, POSCAR))
    assert entry.numbers.tolist() == [55, 17]
    assert entry.positions[1].tolist() == [2.06, 2.06, 2.06]


@pytest.mark.parametrize("text", [POSCAR[:-12], POSCAR[:30], POSCAR.replace("1 1", "1 x"), "nothing\n"])
def test_a_broken_poscar_is_unreadable(text: str, file: File) -> None:
    (found,) = reasons(file("POSCAR", text)).values()
    assert re.match(r"ASE cannot read it: \w+Error: \S", found)


def test_ase_db(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with ase.db.connect(path) as rows:
        rows.write(bulk("Cu"), material_id="mp-30")
        rows.write(molecule("H2O"))
        rows.write(molecule("OH"), charge_state="x", spin=2)
    unique_id = ase.db.connect(path).get(id=2).unique_id
    copper, water, hydroxyl = good(path)
    assert (copper.source_id, water.source_id) == ("mp-30", unique_id)
    assert content_hash(copper) == content(bulk("Cu"))
    assert water.cell is None
    assert hydroxyl.spin == 2


@pytest.mark.parametrize("damage", [lambda b: b"not a database" * 99, lambda b: b[: len(b) // 2]])
def test_a_broken_db_is_an_error(damage: Callable[[bytes], bytes], tmp_path: Path, file: File) -> None:
    whole = tmp_path / "whole.db"
    with ase.db.connect(whole) as rows:
        for _ in range(20):
            rows.write(molecule("C6H6"))
    path = file("half.db", damage(whole.read_bytes()))
    with pytest.raises(DatasetError, match="half.db is not an ASE database that can be read to its end"):
        read(path)


# Molecules


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "ID,SMILES\nm1,OCC\nm2,C1=CC=CC=C1\n"),
        ("a.csv", '\ufeffvalue, Smiles ,"Mol_ID"\n1,OCC,m1\n\n2,C1=CC=CC=C1,m2\n'),
        ("a.tsv", "canonical_smiles\tname\nOCC\tm1\nC1=CC=CC=C1\tm2\n"),
    ],
)
def test_smiles_tables(name: str, text: str, file: File) -> None:
    entries = good(file(name, text))
    assert [(e.source_id, e.smiles, e.charge, e.spin) for e in entries] == [
        ("m1", "CCO", 0, 1),
        ("m2", "c1ccccc1", 0, 1),
    ]


def test_smiles_of_ions_and_radicals(file: File) -> None:
    ion, radical = good(file("a.csv", "id,smiles\n1,[NH4+]\n2,[CH3]\n"))
    assert (ion.charge, ion.spin, radical.charge, radical.spin) == (1, 1, 0, 2)


def test_bad_smiles_are_unreadable_one_by_one(file: File) -> None:
    path = file("a.csv", "id,smiles\n1,CC\n2,CC(\n3,\n4,C(C)(C)(C)(C)C\n,CC\n6\n7,CCC\n")
    found = reasons(path)
    assert found["2"] == "'CC(' is not a SMILES string"
    assert found["3"] == "'' is not a SMILES string"
    assert found["4"].startswith("impossible chemistry: Explicit valence for atom # 0 C, 5,")
    assert found["line 6"].startswith("line 6 lacks its id or its SMILES")
    assert found["6"].startswith("line 7 lacks its id or its SMILES")
    assert [entry.source_id for entry in read(path) if isinstance(entry, Entry)] == ["1", "7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,formula\n1,C\n", r"needs a column 'smiles' or .*; its first line has \['id', 'formula'\]"),
        ("smiles,value\nC,1\n", r"needs a column 'id' or .*'name'.*; its first line has \['smiles', 'value'\]"),
        ("id;smiles\n1;C\n", r"its first line has \['id;smiles'\]"),
    ],
)
def test_a_table_without_its_columns_is_an_error(text: str, message: str, file: File) -> None:
    path = file("a.csv", text)
    with pytest.raises(DatasetError, match=message):
        read(path)


def ethanol() -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles("OCC"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    return mol


def sdf(mol: Chem.Mol, title: str = "", **fields: str) -> str:
    mol.SetProp("_Name", title)
    data = "".join(f">  <{key}>\n{value}\n\n" for key, value in fields.items())
    return Chem.MolToMolBlock(mol) + data + "$$$$\n"


def test_sdf(file: File) -> None:
    full = ethanol()
    flat = Chem.MolFromSmiles("c1ccccc1")
    text = sdf(full, "ethanol") + sdf(flat, MOL_ID="m2") + sdf(Chem.RemoveHs(full))
    ethanol_3d, benzene, heavy = good(file("set.sdf", text))
    assert [e.source_id for e in (ethanol_3d, benzene, heavy)] == ["ethanol", "m2", "2"]
    assert [e.smiles for e in (ethanol_3d, benzene, heavy)] == ["CCO", "c1ccccc1", "CCO"]
    assert ethanol_3d.positions == pytest.approx(full.GetConformer().GetPositions(), abs=1e-4)
    assert benzene.positions is None
    assert heavy.positions is None  # its hydrogens are nowhere, so it is no structure


def test_a_broken_sdf_record_is_unreadable(file: File) -> None:
    whole = sdf(ethanol(), "a")
    path = file("set.sdf", whole + whole[:200] + "\n$$$$\n" + sdf(ethanol(), "c") + whole[:100])
    found = reasons(path)
    assert set(found.values()) == {f"record {index} is not a complete MOL block" for index in found}
    assert [entry.source_id for entry in read(path) if isinstance(entry, Entry)] == ["a", "c"]


def test_sdf_garbage_is_an_error(file: File, tmp_path: Path) -> None:
    path = file("set.sdf", bytes(range(256)) * 9)
    with pytest.raises(DatasetError, match="nothing in .*set.sdf can be read"):
        materialise(find_dataset(str(path)), tmp_path / "set")


# Proteins


def test_fasta(file: File) -> None:
    one, two = good(file("set.fasta", ">sp|P1 a protein\nMKT\nayL*\n\n>p2\nGG\n"))
    assert (one.source_id, one.sequence) == ("sp|P1", "MKTAYL")
    assert (two.source_id, two.sequence) == ("p2", "GG")


def test_bad_sequences_are_unreadable(file: File) -> None:
    path = file("set.fa", ">a\nMK1L\n>b\n>c\nM--K\n>d\n" + "ACGT" * 10 + "\n>e\nMK\n")
    assert reasons(path) == {
        "a": "'1' at residue 3 is not an amino acid's letter",
        "b": "an empty sequence",
        "c": "'-' at residue 2 is not an amino acid's letter",
        "d": "40 letters, all of ACGTUN: a nucleotide sequence; expected a protein",
    }


def test_fasta_begins_with_a_header(file: File) -> None:
    path = file("set.fasta", "MKT\n>a\nMK\n")
    with pytest.raises(DatasetError, match="is not FASTA: its first line is 'MKT', expected '>' and an id"):
        read(path)


def test_pdb_chains(file: File) -> None:
    a, b = good(file("1ABC.pdb", PDB + WATER + "END\n"))
    assert (a.source_id, a.sequence, b.source_id, b.sequence) == ("1ABC_A", "MKA", "1ABC_B", "G")
    assert a.backbone.shape == (3, 4, 3)
    assert a.backbone[1, :, 0].tolist() == [0, 1, 2, 3]
    assert a.backbone[1, :, 1].tolist() == [2, 2, 2, 2]


def test_mmcif_is_the_same_as_pdb(file: File) -> None:
    rows = [
        (line[:6].strip(), line[6:11], line[12:16].strip(), line[17:20], line[21], line[22:26], line[30:54].split())
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


def test_modified_residues_have_their_parents_letter(file: File) -> None:
    (entry,) = good(file("x.pdb", "".join(PDB.splitlines(True)[:4]).replace("MET", "MSE").replace("ATOM  ", "HETATM")))
    assert entry.sequence == "M"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("".join(PDB.splitlines(True)[:6]), "residue LYS 2 lacks C, O: complete its backbone or remove it"),
        (PDB.replace("MET", " DA").replace("LYS", " DG").replace("ALA", " DC"), "a chain without amino acids"),
        (PDB[:-40], "^Biopython cannot read it: "),
        ("hello\n", "no ATOM records; expected a protein structure"),
    ],
)
def test_a_broken_protein_is_unreadable(text: str, reason: str, file: File) -> None:
    assert re.search(reason, next(iter(reasons(file("x.pdb", text)).values())))


# Files as such


SUFFIXES = sorted({suffix for reader in load_readers() for suffix in reader.suffixes})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_an_error(suffix: str, file: File) -> None:
    path = file("empty" + suffix, "")
    with pytest.raises(DatasetError, match=r"is empty \(0 bytes\)"):
        find_dataset(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("junk", [bytes(range(255, -1, -1)) * 8, b"\n\n\n", b"\x00" * 4096, b"lorem ipsum\n" * 50])
def test_garbage_is_one_clear_error(suffix: str, junk: bytes, file: File, tmp_path: Path) -> None:
    path = file("junk" + suffix, junk)
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        materialise(find_dataset(str(path)), tmp_path / "out" / "junk")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_format_lists_the_known(file: File) -> None:
    path = file("a.xlsx", "x")
    with pytest.raises(DatasetError, match=r"a.xlsx: no reader for '.xlsx'; expected .*\.cif.*\.csv.*\.extxyz.*\.sdf"):
        find_dataset(str(path))


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a folder; give one file"):
        find_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("My set (2).EXTXYZ", "my-set-2"), ("a.b.xyz", "a.b"), ("POSCAR", "poscar"), ("...xyz", "file")],
)
def test_a_file_is_named_by_its_stem(name: str, dataset: str, file: File) -> None:
    assert find_dataset(str(file(name, POSCAR))).name == dataset


def test_a_file_may_not_take_an_embedded_datasets_name(file: File) -> None:
    for name in load_datasets():
        path = file(name + ".xyz", FRAME)
        with pytest.raises(DatasetError, match=f"would be called '{name}', which is an embedded dataset; rename"):
            find_dataset(str(path))


def test_a_changed_file_is_read_again(file: File, tmp_path: Path) -> None:
    path = file("set.xyz", FRAME)
    first = materialise(find_dataset(str(path)), tmp_path / "set")
    assert materialise(find_dataset(str(path)), tmp_path / "set") == first
    file("set.xyz", FRAME * 2)
    assert materialise(find_dataset(str(path)), tmp_path / "set").n_systems == 2
