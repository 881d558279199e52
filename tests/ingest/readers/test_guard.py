"""The guard around parsers: no content of a file is ever a traceback."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase.build import bulk, molecule

from ingest.readers.shared.discovery import load_readers
from ingest.readers.shared.fields import id_of
from ingest.readers.shared.guard import OUR_FAULT, read_entries
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Entry, Unreadable
from tests.ingest.aselmdb import crystals, edited, packed, plain

Reasons = Callable[[Path], dict[str, str]]


def refusing() -> Iterator[Entry]:
    raise RecordError("no such thing")
    yield


def read(*records: Record) -> list[Item]:
    reader = Reader((".x",), lambda path: iter(records), (), ())
    return list(read_entries(reader, Path("a.x")))


def test_what_a_parser_raises_makes_one_entry_unreadable() -> None:
    found = read(
        Record("parser", lambda: [int("x")], "Parser"),  # type: ignore[list-item]
        Record("refused", refusing, "Parser"),
        Record("fine", lambda: [Entry("fine", smiles="C")], "Parser"),
    )
    assert [item.reason for item in found[:2] if isinstance(item, Unreadable)] == [
        "Parser cannot read it: ValueError: invalid literal for int() with base 10: 'x'",
        "no such thing",
    ]
    assert isinstance(found[2], Entry)


def test_a_mistake_of_ours_is_told_as_one() -> None:
    (found,) = read(Record("ours", partial(id_of, None, "x"), "Parser"))  # type: ignore[arg-type]
    assert isinstance(found, Unreadable)
    assert (
        found.reason.startswith(f"{OUR_FAULT} at fields.py:") and "AttributeError" in found.reason
    )


def test_a_file_that_breaks_off_keeps_what_came_before() -> None:
    def broken(path: Path) -> Iterator[Record]:
        yield Record("fine", lambda: [Entry("fine", smiles="C")], "Parser")
        raise RecursionError("too deep")

    fine, rest = read_entries(Reader((".x",), broken, (), ()), Path("a.x"))
    assert isinstance(fine, Entry) and isinstance(rest, Unreadable)
    assert rest.source_id == "a after 1" and "too deep" in rest.reason


def test_a_row_of_an_ase_db_that_cannot_be_read_is_one_row(
    reasons: Reasons, tmp_path: Path
) -> None:
    path = tmp_path / "rows.db"
    with ase.db.connect(path) as rows:
        for name in "abc":
            rows.write(molecule("H2O"), material_id=name)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE systems SET positions = NULL WHERE id = 2")
        database.execute("UPDATE systems SET numbers = NULL WHERE id = 3")
        database.commit()
    found = reasons(path)
    assert list(found) == ["b", "c"]
    assert "must come together; one is missing" in found["b"]
    assert "nothing to embed: neither atoms" in found["c"]


def test_a_row_that_unpacks_to_gigabytes_is_refused(reasons: Reasons, tmp_path: Path) -> None:
    """600 MB in 600 kB."""
    bomb = zlib.compressobj()
    raw = b"".join(
        [bomb.compress(b"[" + b" " * 2**20)] + [bomb.compress(b" " * 2**20) for _ in range(99)]
    )
    path = edited(plain(tmp_path / "a.aselmdb", crystals(2)), {1: lambda _: raw + bomb.flush()})
    assert reasons(path) == {"1": "row 1 unpacks to more than 67108864 bytes"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"numbers": {"__ndarray__": [[1], "S100000000", ["x"]]}},
            "an array of 'S100000000'; expected numbers",
        ),
        ({"numbers": [1.5]}, "atomic number 1.5 is not a whole number"),
        ({"pbc": ["F", "F", "F"]}, "neither true nor false"),
        ({"energy": "x"}, "energy = x is not a number"),
        ({"data": {"spin": 0}}, "spin = 0 is not a multiplicity"),
    ],
)
def test_nonsense_in_a_row_is_refused(
    row: dict[str, object], reason: str, reasons: Reasons, tmp_path: Path
) -> None:
    whole = {
        "numbers": [29],
        "positions": [[0, 0, 0]],
        "cell": (np.eye(3) * 4).tolist(),
        "pbc": [True] * 3,
        **row,
    }
    path = edited(plain(tmp_path / "a.aselmdb", [bulk("Cu")]), {1: lambda _: packed(whole)})
    (found,) = reasons(path).values()
    assert reason in found


def test_deep_json_is_one_row(reasons: Reasons, tmp_path: Path) -> None:
    deep = zlib.compress(b'{"data":' + b"[" * 200_000)
    path = edited(plain(tmp_path / "a.aselmdb", crystals(2)), {1: lambda _: deep})
    assert "RecursionError" in reasons(path)["1"]


def test_a_compressed_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    bomb = zlib.compressobj(wbits=31)
    raw = b"".join(bomb.compress(b"1" * 2**20) for _ in range(70)) + bomb.flush()
    path = tmp_path / "POSCAR.gz"
    path.write_bytes(raw)
    reader = next(reader for reader in load_readers() if reader.knows_name(path))
    with pytest.raises(
        DatasetError,
        match="unpacks to more than 67108864 bytes; unpack it and give the file itself",
    ):
        list(read_entries(reader, path))
