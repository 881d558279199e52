"""Molecule files: what each reader returns, and the reason if something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.materialize import materialize

File = Callable[[str, str | bytes], Path]
Read = Callable[[Path], list[Entry | Unreadable]]
Good = Callable[[Path], list[Entry]]
Reasons = Callable[[Path], dict[str, str]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "ID,SMILES\nm1,OCC\nm2,C1=CC=CC=C1\n"),
        ("a.csv", '\ufeffvalue, Smiles ,"Mol_ID"\n1,OCC,m1\n\n2,C1=CC=CC=C1,m2\n'),
        ("a.tsv", "canonical_smiles\tname\nOCC\tm1\nC1=CC=CC=C1\tm2\n"),
    ],
)
def test_smiles_tables(name: str, text: str, file: File, good: Good) -> None:
    entries = good(file(name, text))
    assert [(e.source_id, e.smiles, e.charge, e.spin) for e in entries] == [
        ("m1", "CCO", 0, 1),
        ("m2", "c1ccccc1", 0, 1),
    ]


def test_smiles_of_ions_and_radicals(file: File, good: Good) -> None:
    ion, radical = good(file("a.csv", "id,smiles\n1,[NH4+]\n2,[CH3]\n"))
    assert (ion.charge, ion.spin, radical.charge, radical.spin) == (1, 1, 0, 2)


def test_bad_smiles_are_unreadable_one_by_one(file: File, reasons: Reasons, read: Read) -> None:
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
        (
            "id,formula\n1,C\n",
            r"needs a column 'smiles' or .*; its first line has \['id', 'formula'\]",
        ),
        (
            "smiles,value\nC,1\n",
            r"needs a column 'id' or .*'name'.*; its first line has \['smiles', 'value'\]",
        ),
        ("id;smiles\n1;C\n", r"its first line has \['id;smiles'\]"),
    ],
)
def test_a_table_without_its_columns_is_an_error(
    text: str, message: str, file: File, read: Read
) -> None:
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


def test_sdf(file: File, good: Good) -> None:
    full = ethanol()
    flat = Chem.MolFromSmiles("c1ccccc1")
    text = sdf(full, "ethanol") + sdf(flat, MOL_ID="m2") + sdf(Chem.RemoveHs(full))
    ethanol_3d, benzene, heavy = good(file("set.sdf", text))
    assert [e.source_id for e in (ethanol_3d, benzene, heavy)] == ["ethanol", "m2", "2"]
    assert [e.smiles for e in (ethanol_3d, benzene, heavy)] == ["CCO", "c1ccccc1", "CCO"]
    assert ethanol_3d.positions == pytest.approx(full.GetConformer().GetPositions(), abs=1e-4)
    assert benzene.positions is None
    assert heavy.positions is None  # its hydrogens are nowhere, so it is no structure


def test_a_broken_sdf_record_is_unreadable(file: File, reasons: Reasons, read: Read) -> None:
    whole = sdf(ethanol(), "a")
    path = file("set.sdf", whole + whole[:200] + "\n$$$$\n" + sdf(ethanol(), "c") + whole[:100])
    found = reasons(path)
    assert set(found.values()) == {f"record {index} is not a complete MOL block" for index in found}
    assert [entry.source_id for entry in read(path) if isinstance(entry, Entry)] == ["a", "c"]


def test_sdf_garbage_is_an_error(file: File, tmp_path: Path) -> None:
    path = file("set.sdf", bytes(range(256)) * 9)
    with pytest.raises(DatasetError, match="nothing in .*set.sdf can be read"):
        materialize(find_dataset(str(path)), tmp_path / "set")
