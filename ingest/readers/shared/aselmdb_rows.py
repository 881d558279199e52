"""Rows of ASE's databases in LMDB and JSON, for users' files and for published archives.

The keys of the file are '1', '2', … and a few with names, which are not rows. A row is JSON, in
LMDB compressed with zlib. Arrays are {"__ndarray__": [shape, type, values]} (ase-db-backends) or
plain lists (fairchem before version 2).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.readers.shared.fields import (
    READ_KEYS,
    UnreadKeys,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
)
from ingest.readers.shared.guard import parser_reason
from ingest.readers.shared.reader import RecordError
from ingest.systems.entry import DatasetError, Entry, Label, Unreadable

if TYPE_CHECKING:
    from lmdb import Transaction

Row = dict[str, Any]
# What `read_row` and `row_entry` may raise for a row that is not one.
ROW_ERRORS = (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError)
# Bytes of JSON, as half a million atoms with forces have. A few hundred bytes may unpack to
# gigabytes.
_MAX_ROW = 2**26
# Types of arrays; text is not among them.
_NUMBER_TYPE = re.compile(r"[<>|=]?([iu][1248]|f[248]|b1|bool|u?int(8|16|32|64)|float(16|32|64))")


@contextmanager
def open_database(path: Path) -> Iterator[Transaction]:
    """Open a database for reading.

    Args:
        path: An .aselmdb file.

    Yields:
        A transaction over the rows.

    Raises:
        DatasetError: The file is cut or damaged; LMDB itself would end the process.
    """
    import lmdb  # here so that listing formats stays fast
    from lmdb.verify import VerifyError, verify

    try:  # faults of free pages matter only to a program that writes
        faults = [fault for fault in verify(str(path), subdir=False) if "freeDB" not in fault]
    except VerifyError as error:
        faults = [str(error)]
    if faults:
        raise DatasetError(f"{path} is not a whole .aselmdb file: {faults[0]}; get it again")
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


def row_numbers(database: Transaction) -> Iterator[str]:
    """List the number of each row as text, in the order of the text.

    Args:
        database: An open database.

    Yields:
        Decimal numbers.
    """
    for key in database.cursor().iternext(values=False):
        if bytes(key).isdigit():
            yield bytes(key).decode()


def read_row(database: Transaction, number: str) -> Row:
    """Read a row.

    Args:
        database: An open database.
        number: The number of the row.

    Returns:
        The row as a JSON object.

    Raises:
        RecordError: There is no such row, or it is too large, cut, or not an object. Other faults
            raise another of ROW_ERRORS.
    """
    raw = database.get(number.encode())
    if raw is None:
        raise RecordError(f"no row has the number {number}")
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(raw, _MAX_ROW)
    if unpacking.unconsumed_tail:
        raise RecordError(f"row {number} unpacks to more than {_MAX_ROW} bytes")
    if not unpacking.eof:
        raise RecordError(f"row {number} is cut: its compressed data has no end")
    row = json.loads(content)
    if not isinstance(row, dict):
        raise RecordError(f"expected a JSON object, got {type(row).__name__}")
    return row


def row_fields(row: Row) -> Row:
    """Return the fields that the publisher adds to those that ASE knows.

    Args:
        row: A row, as `read_row` returns it.
    """
    return {**row.get("key_value_pairs", {}), **row.get("data", {})}


def row_entry(name: str, row: Row, labels: tuple[Label, ...]) -> Entry:
    """Return the system of a row. A row that is not a system raises one of ROW_ERRORS.

    Args:
        name: The id of the entry.
        row: A row, as `read_row` returns it.
        labels: The labels of the entry.
    """
    fields = row_fields(row)
    return Entry(
        name,
        read_array(row["numbers"]),
        read_array(row["positions"]),
        read_array(row["cell"]),
        read_array(row["pbc"]),
        charge_of(fields),
        multiplicity_of(fields),
        labels=labels,
    )


def read_entry(
    name: str, read: Callable[[], Row], source: str, unread: UnreadKeys
) -> Iterator[Entry | Unreadable]:
    """Read a row as a user's entry, with the id, the charge and the energies that it gives.

    Args:
        name: The id if none of the row's fields is one.
        read: Gives the row, or raises one of ROW_ERRORS.
        source: The name of the file.
        unread: Counts the fields that are not read.

    Yields:
        The entry, or why the row is none.
    """
    try:
        row = read()
        fields = row_fields(row)
        labels = energies_of({**fields, "energy": row.get("energy")}, source, unread)
        entry = row_entry(id_of(fields, name), row, labels)
    except ROW_ERRORS as error:
        yield Unreadable(name, parser_reason("ASE", error))
        return
    unread.count(*(key for key in fields if key not in READ_KEYS))
    yield entry


def read_array(value: Any) -> np.ndarray:
    """Return an array, as either library wrote it.

    Args:
        value: A list, or an object with the key `__ndarray__`.

    Raises:
        RecordError: Its elements are not numbers.
    """
    if isinstance(value, dict) and "array" in value:  # a cell is an object of ASE
        value = value["array"]
    if isinstance(value, dict):
        shape, kind, flat = value["__ndarray__"]
        if not _NUMBER_TYPE.fullmatch(str(kind)):
            raise RecordError(f"an array of {kind!r:.40}; expected numbers")
        return np.array(flat, dtype=kind).reshape(shape)
    return np.array(value)
