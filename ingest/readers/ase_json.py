"""ASE's database in JSON, which `ase.io.write` and `ase.db` make of a name that ends in `.json`.

What is read of a row is what `ase_db` reads of one in SQLite.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ingest.readers.shared import aselmdb_rows as rows
from ingest.readers.shared import text
from ingest.readers.shared.fields import UnreadKeys
from ingest.readers.shared.packed import plain_name, plain_size
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError

_MAX_SIZE = 2**28  # bytes; the whole file has to be in memory, ten times as large


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the rows of a database.

    Args:
        path: A JSON file.

    Yields:
        One record per row, and a remark on what is not read.

    Raises:
        DatasetError: The file is not JSON, is not a database of ASE, or is very large.
    """
    content = _load(path)
    unread = UnreadKeys()
    for number in content["ids"]:
        row = content.get(str(number))
        name = str(row.get("unique_id") or number) if isinstance(row, dict) else str(number)
        read = partial(rows.read_entry, name, partial(_row, number, row), path.name, unread)
        yield Record(name, read, "ASE")
    yield from unread.remarks()


def _load(path: Path) -> dict[str, Any]:
    if plain_size(path) > _MAX_SIZE:
        raise DatasetError(
            f"{path} is larger than {_MAX_SIZE} bytes; "
            f"convert it: `ase db {path.name} --insert-into {plain_name(path).stem}.db`"
        )
    try:
        with text.open_text(path) as file:
            content = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {text.printable(str(error))}") from error
    if not isinstance(content, dict) or not isinstance(content.get("ids"), list):
        raise DatasetError(
            f"{path} is not a database of ASE: expected rows by their number, and a list 'ids'"
        )
    return content


def _row(number: object, row: object) -> rows.Row:
    if not isinstance(row, dict):
        raise RecordError(f"row {number!r:.40} is not there: expected a JSON object")
    return row


READER = Reader(
    suffixes=(".json",),
    records=records,
    packages=(),
    code=(__file__, rows.__file__),
)
