"""Read tables of ids and vectors as text, row by row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.readers.shared.packed import plain_name
from ingest.readers.shared.text import describe_bad_byte, open_text, printable
from ingest.runs.errors import VectorsError
from ingest.runs.user_vectors.arrays import BATCH_NUMBERS, MOST_NUMBERS, Batch
from ingest.runs.user_vectors.columns import Columns, find_columns, refuse_columns


def read_header(file: Path, needs_ids: bool) -> tuple[list[str], Columns]:
    """Read the names of a table's columns, and which of them are ids and vectors.

    Args:
        file: A .csv (commas) or .tsv (tabs) file with a header line.
        needs_ids: Whether a table without ids is refused.

    Raises:
        VectorsError: The file holds something else.
    """
    with _opened(file) as lines:
        names = [name.strip() for name in next(lines, [])]
    return names, _columns(file, names, needs_ids)


def read_csv(file: Path, names: Sequence[str], columns: Columns) -> Iterator[Batch]:
    """Read a table of ids and vectors, some rows at a time.

    Args:
        file: A .csv (commas) or .tsv (tabs) file with a header line.
        names: The names of its columns.
        columns: Which of them are taken.

    Yields:
        Ids, None if there are none, and vectors.

    Raises:
        VectorsError: The file holds something else.
    """
    with _opened(file) as lines:
        next(lines)
        yield from _batches(file, lines, names, columns)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    delimiter = "\t" if plain_name(file).suffix.lower() == ".tsv" else ","
    with open_text(file, newline="") as text:
        lines = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            yield lines
        except csv.Error as error:
            raise VectorsError(f"{file}: line {lines.line_num} is no CSV: {error}") from error


def _columns(file: Path, names: Sequence[str], needs_ids: bool) -> Columns:
    columns = find_columns(names)
    separated = len(names) == 1 and any(mark in names[0] for mark in ";\t|")
    # Of components, pandas names the columns 0, 1, 2.
    headless = any(_is_number(name) and not name.isdecimal() for name in names)
    if separated or headless or not names:
        found = printable(", ".join(map(repr, names[:4]))) or "nothing"
        raise VectorsError(
            f"{file}: expected a header line such as system_id, x0, x1, separated by commas "
            f"(in a .tsv by tabs); found {found}"
        )
    if columns.ids is None and needs_ids:
        raise refuse_columns(file, names, "ids")
    if not columns.vectors:
        raise refuse_columns(file, names, "vectors")
    return columns


def _batches(file: Path, lines: Any, names: Sequence[str], columns: Columns) -> Iterator[Batch]:
    ids: list[str] = []
    vectors: list[NDArray[np.float64]] = []
    numbers = 0
    for row in filter(None, lines):
        vector = np.array(_vector(file, lines.line_num, names, row, columns))
        if vectors and len(vector) != len(vectors[0]):
            yield _stacked(ids, vectors, columns)
            ids, vectors, numbers = [], [], 0
        ids.append("" if columns.ids is None else row[columns.ids])
        vectors.append(vector)
        numbers += len(vector)
        if numbers >= BATCH_NUMBERS:
            yield _stacked(ids, vectors, columns)
            ids, vectors, numbers = [], [], 0
    if ids:
        yield _stacked(ids, vectors, columns)


def _stacked(ids: list[str], vectors: list[NDArray[np.float64]], columns: Columns) -> Batch:
    return (None if columns.ids is None else ids), np.stack(vectors)


def _vector(
    file: Path, line: int, names: Sequence[str], row: Sequence[str], columns: Columns
) -> list[float]:
    """Return the vector of one line, with NaN for an empty field."""
    if bad := describe_bad_byte(",".join(row), line):
        raise VectorsError(f"{file}: {bad}")
    if len(row) != len(names):
        raise VectorsError(
            f"{file}: line {line} has {len(row)} fields, "
            f"expected {len(names)} as in the header line"
        )
    if columns.whole:
        return _list_of_numbers(file, line, row[columns.vectors[0]])
    texts = [row[place] for place in columns.vectors]
    try:
        return list(map(float, texts))
    except ValueError:
        return [_number(file, line, names[place], row[place]) for place in columns.vectors]


def _list_of_numbers(file: Path, line: int, text: str) -> list[float]:
    """Return the vector that a field holds as text, as pandas writes lists and arrays."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    words = inner.replace(",", " ").split()
    least = 1 if text.strip().startswith("[") else 2  # a number alone is rather a component
    try:
        if not least <= len(words) <= MOST_NUMBERS:
            raise ValueError
        return [float(word) for word in words]
    except ValueError:
        hint = " (NumPy has shortened it)" if "..." in words else ""
        raise VectorsError(
            f"{file}: line {line} has no vector such as [0.25, 1e-3]: {printable(text)!r:.60}{hint}"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(file: Path, line: int, name: str, text: str) -> float:
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        where = f"line {line}, column {printable(name)}"
        raise VectorsError(
            f"{file}: {where}: {printable(text)!r} is no number, such as 0.25 or 1e-3"
        ) from None
