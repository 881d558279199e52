"""Parquet files as datasets: exported systems, tables of SMILES, and what is neither.

`tests/ingest/share/test_export_systems.py` reads back what was exported.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.tables import EXPORTED

Write = Callable[..., Path]
WATER: dict[str, Any] = {
    "id": "w",
    "numbers": [8, 1, 1],
    "positions": [[0.0, 0.0, 0.0], [0.0, 0.8, 0.6], [0.0, -0.8, 0.6]],
    "charge": 0,
}


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write columns to a Parquet file."""

    def write(schema: pa.Schema | None = None, **columns: list[Any]) -> Path:
        path = tmp_path / "mine.parquet"
        pq.write_table(pa.table(columns, schema=schema), path)
        return path

    return write


def exported(*rows: dict[str, Any], **types: pa.DataType) -> dict[str, Any]:
    """Return the columns of an exported table; `types` are of columns that somebody has changed."""
    empty = dict.fromkeys(EXPORTED.names)
    columns = {name: [{**empty, **row}[name] for row in rows] for name in EXPORTED.names}
    return {
        name: pa.array(values, types.get(name, EXPORTED.field(name).type))
        for name, values in columns.items()
    }


def read(path: Path, **options: Any) -> list[Any]:
    return list(find_dataset(str(path), **options).entries())


def test_what_another_program_added_to_an_exported_table_is_left_out(table: Write) -> None:
    (found,) = read(table(**exported(WATER), note=["wet"]))
    assert isinstance(found, Entry)
    assert (found.source_id, found.numbers, found.charge) == ("w", [8, 1, 1], 0)


def test_a_table_of_smiles_is_read_as_in_csv(table: Write, tmp_path: Path) -> None:
    path = table(**{"Compound ID": [7, None, 9], "SMILES": ["OCC", "C", "C1"], "y": [1, 2, 3]})
    first, second, third = read(path)
    assert (first.source_id, first.smiles, first.charge, first.spin) == ("7", "CCO", 0, 1)
    assert isinstance(second, Unreadable) and "a row lacks its id" in second.reason
    assert isinstance(third, Unreadable) and third.source_id == "9"
    packed = tmp_path / "packed.parquet.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [item.source_id for item in read(packed)] == ["7", "row 1", "9"]
    numbered = read(table(smiles=["CCO", "C"]), numbered=True)
    assert [(entry.source_id, entry.smiles) for entry in numbered] == [("0", "CCO"), ("1", "C")]


def test_what_is_no_dataset_is_refused(table: Write, tmp_path: Path) -> None:
    vectors = table(id=["a"], vector=[[1.0]])
    with pytest.raises(DatasetError, match="needs the columns of `matterzoo export-systems`.*'sm"):
        read(vectors)
    with pytest.raises(DatasetError, match="--numbered makes ids of the rows' numbers"):
        read(table(smiles=["C"]))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(vectors.read_bytes()[:-9])
    with pytest.raises(DatasetError, match=r"broken\.parquet is not Parquet: "):
        read(broken)


def test_rows_that_are_no_systems_say_why(table: Write) -> None:
    charged, unnamed, odd = {**WATER, "charge": 0.5}, {**WATER, "id": None}, {**WATER, "smiles": 3}
    (found,) = read(table(**exported(charged, charge=pa.float64())))
    assert found == Unreadable("w", "charge = 0.5 is not a whole number")
    (found,) = read(table(**exported({**WATER, "id": 0}, id=pa.int64())))
    assert isinstance(found, Entry) and found.source_id == "0"
    (found,) = read(table(**exported(unnamed)))
    assert found == Unreadable("row 0", "a row lacks its id")
    (found,) = read(table(**exported(odd, smiles=pa.int64())))
    assert found == Unreadable("w", "smiles = 3 is not text")
    label = pa.list_(pa.struct([("property", pa.string()), ("value", pa.string())]))
    labeled = {**WATER, "labels": [{"property": "gap", "value": "1"}]}
    (found,) = read(table(**exported(labeled, labels=label)))
    assert isinstance(found, Unreadable) and "is no label; expected property, value" in found.reason
