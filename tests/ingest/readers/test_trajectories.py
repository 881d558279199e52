"""Trajectories and JSON databases of ASE, compared with what ASE itself reads."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry

Good = Callable[[Path], list[Entry]]
Reasons = Callable[[Path], dict[str, str]]


def frames() -> list[Atoms]:
    slab = fcc111("Al", (2, 2, 2), vacuum=5.0)
    slab.set_constraint(FixAtoms([0, 1]))
    slab.calc = SinglePointCalculator(slab, energy=-12.5, forces=slab.positions)
    water = molecule("H2O")
    water.info.update(charge=1, spin=2)
    return [slab, water, bulk("NaCl", "rocksalt", 5.6), bulk("Fe")]


@pytest.mark.parametrize("suffix", [".traj", ".json", ".db"])
def test_it_is_read_as_ase_reads_it(suffix: str, good: Good, tmp_path: Path) -> None:
    path = tmp_path / f"set{suffix}"
    ase.io.write(path, frames())
    found = good(path)
    expected = ase.io.read(path, ":")
    assert len(found) == len(expected) == 4
    for entry, atoms in zip(found, expected, strict=True):
        assert entry.numbers is not None
        assert entry.numbers.tolist() == atoms.numbers.tolist()
        np.testing.assert_array_equal(entry.positions, atoms.positions)
        if atoms.pbc.any():
            np.testing.assert_array_equal(entry.cell, atoms.cell.array)
            np.testing.assert_array_equal(entry.pbc, atoms.pbc)
        else:
            assert entry.cell is None
    assert [label.value for label in found[0].labels] == [-12.5]


def test_a_frame_has_the_charge_of_its_info(good: Good, tmp_path: Path) -> None:
    path = tmp_path / "set.traj"
    ase.io.write(path, frames())
    assert [(e.source_id, e.charge, e.spin) for e in good(path)] == [
        ("0", None, None),
        ("1", 1, 2),
        ("2", None, None),
        ("3", None, None),
    ]


def test_frames_of_a_relaxation_share_their_elements(good: Good, tmp_path: Path) -> None:
    path = tmp_path / "relaxation.traj"
    with ase.io.Trajectory(path, "w") as trajectory:
        for length in (3.5, 3.6, 3.7):
            trajectory.write(bulk("Cu", a=length, cubic=True))
    found = good(path)
    assert [entry.source_id for entry in found] == ["0", "1", "2"]
    assert [float(entry.cell[0, 0]) for entry in found if entry.cell is not None] == [3.5, 3.6, 3.7]
    assert all(entry.numbers is not None and (entry.numbers == 29).all() for entry in found)


def test_the_keys_of_a_json_database_are_read(good: Good, tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    with ase.db.connect(path) as rows:
        rows.write(bulk("Cu"), material_id="mp-30", energy_above=0.1)
        rows.write(molecule("H2O"), data={"charge": 1})
    first, second = good(path)
    assert (first.source_id, second.charge) == ("mp-30", 1)
    assert len(second.source_id) == 32  # ASE's unique id


def test_an_array_that_claims_more_than_the_file_is_one_frame(
    reasons: Reasons, tmp_path: Path
) -> None:
    path = tmp_path / "set.traj"
    ase.io.write(path, [molecule("H2O"), molecule("CH4")])
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'[[3, 3], "float64"', b'[[9, 9], "float64"', 1))
    assert list(reasons(path)) == ["0"]
    path.write_bytes(whole.replace(b'[[3], "int64", ', b'[[9], "int64", ', 1))
    assert list(reasons(path)) == ["0"]


def test_a_list_of_frames_that_claims_more_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.traj"
    ase.io.write(path, molecule("H2O"))
    content = bytearray(path.read_bytes())
    content[32:40] = struct.pack("<q", 2**58)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"not a whole trajectory of ASE: expected 2305843009"):
        list(find_dataset(str(path)).entries())


def test_a_large_json_database_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    with path.open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(DatasetError, match=r"ase db set.json --insert-into set.db"):
        list(find_dataset(str(path)).entries())
