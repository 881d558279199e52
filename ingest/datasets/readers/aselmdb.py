"""ASE's LMDB database, in which FAIR chemistry publishes its datasets. The id is the row's key `material_id` (or
`system_id`, …), or else its number in the file.

One file; its keys are '1', '2', … and a few with names, which are no rows. A row is JSON, compressed with zlib. Arrays
are {"__ndarray__": [shape, type, values]} (ase-db-backends) or plain lists (fairchem before version 2). `charge` and
`spin` (multiplicity, 2S + 1) are read from the row's data or keys, its energy (eV) becomes a label.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.datasets.readers import Reader, id_of, integer_of, reason
from ingest.entries import DatasetError, Entry, Label, Unreadable

if TYPE_CHECKING:
    from lmdb import Transaction

Row = dict[str, Any]
UNDECODABLE = (zlib.error, ValueError, TypeError, KeyError, AttributeError)  # what decoded() and entry() may raise


def entries(path: Path) -> Iterator[Entry | Unreadable]:
    with opened(path) as database:
        for number in numbers(database):
            try:
                row = decoded(database, number)
                name = id_of(facts_of(row), number)
                energy = row.get("energy")
                yield entry(name, row, [] if energy is None else [Label("energy", float(energy), "eV", path.name)])
            except UNDECODABLE as error:
                yield Unreadable(number, reason("ASE", error))


@contextmanager
def opened(path: Path) -> Iterator[Transaction]:
    """The database, to be read. DatasetError where it is cut or damaged: LMDB itself would end the process."""
    import lmdb  # here, not above: listing formats should not import their packages
    from lmdb.verify import VerifyError, verify

    try:  # pages that are free, or that nothing uses, matter to who writes
        faults = [fault for fault in verify(str(path), subdir=False) if "freeDB" not in fault]
    except VerifyError as error:
        faults = [str(error)]
    if faults:
        raise DatasetError(f"{path} is no whole .aselmdb file: {faults[0]}; get it anew")
    try:
        with (
            lmdb.open(str(path), subdir=False, readonly=True, lock=False, readahead=False) as environment,
            environment.begin() as transaction,
        ):
            yield transaction
    except lmdb.Error as error:
        raise DatasetError(f"{path} cannot be read as .aselmdb: {error}") from error


def numbers(database: Transaction) -> Iterator[str]:
    """The number of each row, as text, in the order of the text."""
    for key in database.cursor().iternext(values=False):
        if bytes(key).isdigit():
            yield bytes(key).decode()


def decoded(database: Transaction, number: str) -> Row:
    """A row by its number. UNDECODABLE where there is none, or none that is JSON."""
    raw = database.get(number.encode())
    if raw is None:
        raise KeyError(f"no row has the number {number}")
    row = json.loads(zlib.decompress(raw))
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}")
    return row


def facts_of(row: Row) -> Row:
    """What the publisher adds to the fields that ASE knows."""
    return {**row.get("key_value_pairs", {}), **row.get("data", {})}


def entry(name: str, row: Row, labels: list[Label]) -> Entry:
    """A row's system. UNDECODABLE where the row is none."""
    facts = facts_of(row)
    return Entry(
        name,
        array(row["numbers"]),
        array(row["positions"]),
        array(row["cell"]),
        array(row["pbc"]),
        integer_of(facts, "charge"),
        integer_of(facts, "spin"),
        labels=tuple(labels),
    )


def array(value: Any) -> np.ndarray:
    """An array as either library wrote it."""
    if isinstance(value, dict):
        shape, kind, flat = value["__ndarray__"]
        return np.array(flat, dtype=kind).reshape(shape)
    return np.array(value)


READER = Reader(suffixes=(".aselmdb",), entries=entries, packages=("lmdb",), code=(__file__,))
