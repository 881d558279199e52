"""Structure files: what each reader returns, and the reason if something is wrong."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from ingest.readers.shared.packed import SystemFault
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.validation import validate
from zoo.encoder import content_hash

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
File = Callable[[str, str | bytes], Path]
Read = Callable[[Path], list[Entry | Unreadable]]
Good = Callable[[Path], list[Entry]]
Reasons = Callable[[Path], dict[str, str]]


def content(atoms: Atoms) -> str:
    entry = validate(Entry("x", atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))
    assert isinstance(entry, Entry)
    return content_hash(entry)


@settings(deadline=None)  # the first example imports the parser
@given(st.data())
def test_extxyz_keeps_the_content(
    tmp_path_factory: pytest.TempPathFactory, good: Good, data: st.DataObject
) -> None:
    """What the format can hold is the same after ASE wrote it, to the bit of the hash."""
    numbers = data.draw(st.lists(st.integers(1, 103), min_size=1, max_size=5))
    grid = nps.arrays(np.int64, (len(numbers), 3), elements=st.integers(-(10**9), 10**9))
    periodic = data.draw(st.booleans())
    apart = 21.0 * np.arange(len(numbers))[:, None]  # Å; no two atoms in one place
    cell = np.diag([300.0, 400.0, 500.0]) if periodic else None
    atoms = Atoms(numbers, data.draw(grid) / 1e8 + apart, cell=cell, pbc=periodic)
    path = tmp_path_factory.mktemp("xyz") / "one.extxyz"
    ase.io.write(path, [atoms, atoms], format="extxyz")
    first, second = good(path)
    assert content_hash(first) == content_hash(second) == content(atoms)
    assert (first.source_id, second.source_id) == ("0", "1")


def test_extxyz_reads_ids_charge_spin_and_energy(file: File, good: Good) -> None:
    comment = (
        'Properties=species:S:1:pos:R:3 material_id=mp-1 charge=-1 spin=2 energy=-7.5 pbc="F F F"'
    )
    (entry,) = good(file("set.extxyz", f"2\n{comment}\nO 0 0 0\nH 0 0 0.97\n"))
    assert (entry.source_id, entry.charge, entry.spin) == ("mp-1", -1, 2)
    (label,) = entry.labels
    assert (label.property, label.value, label.unit, label.source) == (
        "energy",
        -7.5,
        "eV",
        "set.extxyz",
    )


def test_plain_xyz_is_a_molecule(file: File, good: Good) -> None:
    (entry,) = good(
        file("water.xyz", "3\nwater, as it comes\nO 0 0 0\nH 0 0 0.96\nH 0.93 0 -0.24\n")
    )
    assert entry.cell is None
    assert entry.numbers.tolist() == [8, 1, 1]


FRAME = "1\n\nH 0 0 0\n"


@pytest.mark.parametrize(
    ("text", "broken", "reason"),
    [
        (FRAME + "3\n\nH 0 0 0\n", "1", "the file ends after 1 of 3 atoms"),
        (FRAME + "3\n", "1", "the file ends after 0 of 3 atoms"),
        (
            FRAME + "H 0 0 0\n" + FRAME,
            "1",
            "expected a number of atoms, got 'H 0 0 0'; frames end here",
        ),
        (FRAME + "1\n\nXx 0 0 0\n" + FRAME, "1", "ASE cannot read it: KeyError: 'Xx'"),
        (FRAME + "1\n\nH 0 0\n" + FRAME, "1", "atom 0 has 3 values; Properties names 4 columns"),
        (FRAME + "1\n\nH 0 0 nan\n" + FRAME, "1", "position of atom 0 is nan"),
        (FRAME + "1\ncharge=0.5\nH 0 0 0\n" + FRAME, "1", "charge = .*0.5.* is not a whole number"),
        (FRAME + '1\nLattice="1 2"\nH 0 0 0\n', "1", "expecting special 3x3 matrix"),
        (FRAME + '1\nLattice="1 0 0 0 1 0 0 0 0"\nH 0 0 0\n', "1", "span no volume"),
    ],
)
def test_a_broken_frame_does_not_hide_the_others(
    text: str, broken: str, reason: str, file: File, reasons: Reasons, read: Read
) -> None:
    path = file("set.xyz", text)
    found = reasons(path)
    assert list(found) == [broken]
    assert re.search(reason, found[broken])
    assert "0" in {entry.source_id for entry in read(path) if isinstance(entry, Entry)}


def test_xyz_ids_must_be_unique(file: File, tmp_path: Path) -> None:
    path = file("set.xyz", "1\nid=a\nH 0 0 0\n" * 2)
    with pytest.raises(
        DatasetError, match=r"set.xyz: the id 'a' appears twice, as entry 1 and entry 2"
    ):
        materialize(find_dataset(str(path)), tmp_path / "set")


def test_cif_with_many_blocks(file: File, good: Good) -> None:
    blocks = [
        "data_global\n_journal_name 'none'\n",
        *(CIF.format(name=name, occupancy=1) for name in ("one", "")),
    ]
    one, two = good(file("many.cif", "".join(blocks)))
    assert (one.source_id, two.source_id) == ("one", "many")
    assert one.numbers.tolist() == [11, 17]
    assert one.positions.tolist() == pytest.approx(np.array([[0, 0, 0], [2.82] * 3]))
    assert one.pbc.all()


@settings(deadline=None)  # the first example imports the parser
@given(st.sampled_from(["NaCl", "Si", "Fe", "Mg"]))
def test_cif_keeps_the_crystal(
    tmp_path_factory: pytest.TempPathFactory, good: Good, name: str
) -> None:
    """Volume and distances are the same after ASE wrote it and pymatgen read it."""
    atoms = bulk(name, "rocksalt", a=5.64) if name == "NaCl" else bulk(name)
    path = tmp_path_factory.mktemp("cif") / "crystal.cif"
    ase.io.write(path, atoms)
    (entry,) = good(path)
    again = Atoms(entry.numbers, entry.positions, cell=entry.cell, pbc=entry.pbc)
    assert again.get_volume() == pytest.approx(atoms.get_volume(), rel=1e-5)
    assert sorted(again.numbers) == sorted(atoms.numbers)
    assert again.get_all_distances(mic=True) == pytest.approx(
        atoms.get_all_distances(mic=True), abs=1e-3
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            CIF.format(name="x", occupancy=0.5),
            r"partial occupancy at site Na1 \(Na:0.5.*\): give an ordered cell",
        ),
        (
            CIF.format(name="x", occupancy=1).replace("_cell_length_a 5.64\n", ""),
            "^the cell has no _cell_length_a",
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
def test_a_broken_cif_is_unreadable(text: str, reason: str, file: File, reasons: Reasons) -> None:
    (found,) = reasons(file("x.cif", text)).values()
    assert re.search(reason, found)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR.relaxed", "cscl.vasp", "cscl.poscar"])
def test_poscar(name: str, file: File, good: Good) -> None:
    (entry,) = good(file(name, POSCAR))
    assert entry.numbers.tolist() == [55, 17]
    assert entry.positions[1].tolist() == [2.06, 2.06, 2.06]


@pytest.mark.parametrize(
    "text", [POSCAR[:-12], POSCAR[:30], POSCAR.replace("1 1", "1 x"), "nothing\n"]
)
def test_a_broken_poscar_is_unreadable(text: str, file: File, reasons: Reasons) -> None:
    (found,) = reasons(file("POSCAR", text)).values()
    assert re.match(
        r"ASE cannot read it: \w+Error: \S|line 7 counts 2 atoms; 1 lines are left", found
    )


def test_ase_db(tmp_path: Path, good: Good) -> None:
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


def test_a_db_that_another_program_keeps_is_read_later(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.readers.ase_db._LOCK_SECONDS", 0.1)
    path = tmp_path / "rows.db"
    with ase.db.connect(path) as rows:
        rows.write(bulk("Cu"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SystemFault, match=r"rows\.db cannot be read now, .* locked \(BUSY\)"):
            read(path)
    assert len(read(path)) == 1


@pytest.mark.parametrize("damage", [lambda b: b"not a database" * 99, lambda b: b[: len(b) // 2]])
def test_a_broken_db_is_an_error(
    damage: Callable[[bytes], bytes], tmp_path: Path, file: File, read: Read
) -> None:
    whole = tmp_path / "whole.db"
    with ase.db.connect(whole) as rows:
        for _ in range(20):
            rows.write(molecule("C6H6"))
    path = file("half.db", damage(whole.read_bytes()))
    with pytest.raises(
        DatasetError, match="half.db is not an ASE database that can be read to its end"
    ):
        read(path)
