"""ASE's LMDB databases as users' files: both kinds of arrays, ids, charge, spin, and damage."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import ase.db
import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Remark, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.validation import validate
from tests.ingest.aselmdb import Write, backend, crystals, edited, molecules, packed, plain
from zoo.encoder import content_hash

Good = Callable[[Path], list[Entry]]
Reasons = Callable[[Path], dict[str, str]]


def content(atoms: Atoms) -> str:
    entry = validate(
        Entry(
            "x",
            atoms.numbers,
            atoms.positions,
            atoms.cell.array,
            atoms.pbc,
            atoms.info.get("charge"),
            atoms.info.get("spin"),
        )
    )
    assert isinstance(entry, Entry)
    return content_hash(entry)


def test_this_lmdb_reads_the_format_of_the_published_files() -> None:
    assert lmdb.version()[:2] == (0, 9), "the files of LMDB 1.0 have another format"


@pytest.mark.parametrize("write", [backend, plain])
@pytest.mark.parametrize("systems", [crystals(12), molecules(12)], ids=["crystals", "molecules"])
def test_what_was_written_is_read(
    write: Write, systems: list[Atoms], good: Good, tmp_path: Path
) -> None:
    found = {entry.source_id: entry for entry in good(write(tmp_path / "a.aselmdb", systems))}
    assert set(found) == {str(number) for number in range(1, 13)}
    for number, atoms in enumerate(systems, start=1):
        entry = found[str(number)]
        assert content_hash(entry) == content(atoms)
        assert [(label.property, label.value, label.unit) for label in entry.labels] == [
            ("energy", atoms.get_potential_energy(), "eV")
        ]


def test_id_charge_and_spin_are_keys_of_the_row(good: Good, tmp_path: Path) -> None:
    path = tmp_path / "a.aselmdb"
    with ase.db.connect(path) as database:
        database.write(molecule("OH"), material_id="hydroxide", charge=-1, spin=1)
        database.write(bulk("Cu"))
    ion, copper = good(path)
    assert (ion.source_id, ion.charge, ion.spin, ion.labels) == ("hydroxide", -1, 1, ())
    assert (copper.source_id, copper.charge, copper.spin) == ("2", None, None)


def test_removed_rows_are_not_there(good: Good, tmp_path: Path) -> None:
    path = backend(tmp_path / "a.aselmdb", crystals(5))
    with ase.db.connect(path) as database:
        database.delete([2, 5])
        database.metadata = {"some": "fact"}
    assert [entry.source_id for entry in good(path)] == ["1", "3", "4"]


def test_reading_leaves_nothing_behind(good: Good, tmp_path: Path) -> None:
    good(backend(tmp_path / "a.aselmdb", crystals(2)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.aselmdb"]


ROWS = {
    "not compressed": (lambda raw: b"\x00" + raw, "Error -3 while decompressing data"),
    "cut": (lambda raw: raw[: len(raw) // 2], "row 2 is cut: its compressed data has no end"),
    "not JSON": (lambda raw: zlib.compress(b"{'numbers'"), "JSONDecodeError"),
    "not text": (lambda raw: zlib.compress(b"\xff\xfe\xfa"), "UnicodeDecodeError"),
    "a list": (lambda raw: packed([1, 2]), "expected a JSON object, got list"),
    "no positions": (lambda raw: packed({"numbers": [1]}), "KeyError: 'positions'"),
    "data that is none": (
        lambda raw: packed({"data": 3}),
        "TypeError: 'int' object is not a mapping",
    ),
    "ragged": (
        lambda raw: packed(
            {"numbers": [1, 1], "positions": [[0, 0, 0], [1]], "cell": [], "pbc": [False] * 3}
        ),
        "ValueError: setting an array element with a sequence",
    ),
    "a shape that does not fit": (
        lambda raw: packed({"numbers": {"__ndarray__": [[3], "int64", [1, 1]]}}),
        "ValueError: cannot reshape array of size 2 into shape (3,)",
    ),
    "half a charge": (
        lambda raw: packed(
            {
                "numbers": [1],
                "positions": [[0, 0, 0]],
                "cell": None,
                "pbc": [0, 0, 0],
                "data": {"charge": 0.5},
            }
        ),
        "charge = 0.5 is not a whole number",
    ),
    "element 0": (
        lambda raw: packed(
            {
                "numbers": [0],
                "positions": [[0, 0, 0]],
                "cell": np.eye(3).tolist(),
                "pbc": [False] * 3,
            }
        ),
        "atomic number 0 is not between 1 and 118",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_row_is_one_row(name: str, reasons: Reasons, tmp_path: Path) -> None:
    edit, reason = ROWS[name]
    found = reasons(edited(backend(tmp_path / "a.aselmdb", crystals(3)), {2: edit}))
    assert list(found) == ["2"] and reason in found["2"], found


def test_a_database_of_broken_rows_says_why(tmp_path: Path) -> None:
    path = edited(backend(tmp_path / "a.aselmdb", crystals(1)), {1: lambda raw: b"?"})
    with pytest.raises(
        DatasetError,
        match=r"nothing in .*a.aselmdb can be read: the first of its entries, 1: row 1 is cut",
    ):
        materialize(find_dataset(str(path)), tmp_path / "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """121 rows in several levels of pages, of which some lie beside the tree and some are free."""
    path = backend(
        tmp_path_factory.mktemp("whole") / "a.aselmdb",
        [*crystals(140), bulk("Cu", cubic=True) * (4, 4, 4)],
    )
    with ase.db.connect(path) as database:
        database.delete(list(range(1, 21)))
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_a_cut_file_is_one_clear_error(share: float, whole: bytes, tmp_path: Path) -> None:
    """Without a check, the system would kill LMDB when it reads beyond the end."""
    path = tmp_path / "a.aselmdb"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        DatasetError,
        match=rf"{re.escape(str(path))} is not a whole .aselmdb file: .*; get it again",
    ):
        list(find_dataset(str(path)).entries())


@pytest.mark.parametrize("damage", [bytes(4096), b"\xa5" * 4096], ids=["zeros", "garbage"])
def test_a_damaged_page_is_one_clear_error(damage: bytes, whole: bytes, tmp_path: Path) -> None:
    """Without a check, LMDB would end the process on some of them."""
    path = tmp_path / "a.aselmdb"
    refused = 0
    for start in range(2 * 4096, len(whole), 4096):
        path.write_bytes(whole[:start] + damage + whole[start + 4096 :])
        try:
            found = [x for x in find_dataset(str(path)).entries() if not isinstance(x, Remark)]
        except DatasetError as error:
            assert "is not a whole .aselmdb file" in str(error)
            refused += 1
        else:  # a page that is nothing but a row's bytes, or that nothing uses
            assert sum(isinstance(entry, Unreadable) for entry in found) <= 1 and len(found) == 121
    assert refused > 10
