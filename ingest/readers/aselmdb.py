"""ASE's LMDB database, in which FAIR chemistry publishes its datasets. The id is the row's key `material_id` (or
`system_id`, …), or else its number in the file.

One file; its keys are '1', '2', … and a few with names, which are no rows. A row is JSON, compressed with zlib. Arrays
are {"__ndarray__": [shape, type, values]} (ase-db-backends) or plain lists (fairchem before version 2). Charge,
multiplicity and energies are read from the row's data or keys as from extxyz; the row's own energy (eV) is a label.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.readers import (
    READ_KEYS,
    Ignored,
    Item,
    Reader,
    Record,
    Refused,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
    reason,
)
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable

if TYPE_CHECKING:
    from lmdb import Transaction

Row = dict[str, Any]
# What decoded() and entry() may raise.
UNDECODABLE = (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError)
LARGEST_ROW = (
    2**26
)  # bytes of JSON: half a million atoms with forces. A few hundred bytes may unpack to gigabytes.
KINDS = re.compile(
    r"[<>|=]?([iu][1248]|f[248]|b1|bool|u?int(8|16|32|64)|float(16|32|64))"
)  # of arrays: no text


def records(path: Path) -> Iterator[Record | Item]:
    ignored = Ignored()
    with opened(path) as database:
        for number in numbers(database):
            yield Record(number, partial(_row, database, number, path.name, ignored), "ASE")
    yield from ignored.remarks()


def _row(
    database: Transaction, number: str, source: str, ignored: Ignored
) -> Iterator[Entry | Unreadable]:
    try:
        row = decoded(database, number)
        facts = facts_of(row)
        name = id_of(facts, number)
        found = entry(
            name, row, energies_of({**facts, "energy": row.get("energy")}, source, ignored)
        )
    except UNDECODABLE as error:
        yield Unreadable(number, reason("ASE", error))
        return
    ignored.count(*(key for key in facts if key not in READ_KEYS))
    yield found


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
            lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, readahead=False
            ) as environment,
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
        raise Refused(f"no row has the number {number}")
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(raw, LARGEST_ROW)
    if unpacking.unconsumed_tail:
        raise Refused(f"row {number} unpacks to more than {LARGEST_ROW} bytes")
    if not unpacking.eof:
        raise Refused(f"row {number} is cut: its compressed data has no end")
    row = json.loads(content)
    if not isinstance(row, dict):
        raise Refused(f"expected a JSON object, got {type(row).__name__}")
    return row


def facts_of(row: Row) -> Row:
    """What the publisher adds to the fields that ASE knows."""
    return {**row.get("key_value_pairs", {}), **row.get("data", {})}


def entry(name: str, row: Row, labels: tuple[Label, ...]) -> Entry:
    """A row's system. UNDECODABLE where the row is none."""
    facts = facts_of(row)
    return Entry(
        name,
        array(row["numbers"]),
        array(row["positions"]),
        array(row["cell"]),
        array(row["pbc"]),
        charge_of(facts),
        multiplicity_of(facts),
        labels=labels,
    )


def array(value: Any) -> np.ndarray:
    """An array as either library wrote it."""
    if isinstance(value, dict):
        shape, kind, flat = value["__ndarray__"]
        if not KINDS.fullmatch(str(kind)):
            raise Refused(f"an array of {kind!r:.40}; expected numbers")
        return np.array(flat, dtype=kind).reshape(shape)
    return np.array(value)


READER = Reader(suffixes=(".aselmdb",), records=records, packages=("lmdb",), code=(__file__,))
