"""Which columns of a table, or arrays of a file, hold the ids and the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.readers.shared.fields import ID_COLUMNS, find_column
from ingest.readers.shared.text import printable
from ingest.runs.errors import VectorsError

IDS = ("system_id", *ID_COLUMNS)  # the store's own name first
VECTORS = (
    *("vector", "vectors", "embedding", "embeddings", "representation", "representations"),
    *("features", "latent", "emb"),
)
# Of NumPy's files also X; in a table, x may be a component beside y and z.
ARRAYS = (*VECTORS, "x")
# An index that pandas has written as a column: it is the ids only if no other column is.
UNNAMED = ("", "unnamed:_0", "__index_level_0__", "index", "level_0")
_NAMED = 8  # columns in one message


@dataclass(frozen=True)
class Columns:
    """Where the ids and the vectors are.

    Attributes:
        ids: The place of the column of ids, None if there is none.
        vectors: The places of the columns of numbers: one of whole vectors, or one per component.
        whole: Whether each vector is in one column.
        unnamed: Whether the ids are an index that pandas wrote; it may only count the rows.
    """

    ids: int | None
    vectors: tuple[int, ...]
    whole: bool
    unnamed: bool = False


def find_columns(names: Sequence[str]) -> Columns:
    """Find the ids and the vectors by the names that people use.

    Args:
        names: The names of all columns.

    Returns:
        Where they are. Without a column of whole vectors, all but the ids are components.
    """
    ids = find_column(names, IDS)
    unnamed = find_column(names, UNNAMED)
    whole = find_column(names, VECTORS)
    is_index = ids is None and unnamed is not None
    if is_index:
        ids = unnamed
    if whole is not None and (whole != ids):
        return Columns(ids, (whole,), whole=True, unnamed=is_index)
    rest = (place for place in range(len(names)) if place not in (ids, unnamed))
    return Columns(ids, tuple(rest), whole=False, unnamed=is_index)


def describe(names: Sequence[str], columns: Columns) -> str | None:
    """Return which columns are taken, in one line; None if they have our own names.

    Args:
        names: The names of all columns.
        columns: What `find_columns` returned.
    """
    ids = None if columns.ids is None else names[columns.ids]
    if ids in (None, "system_id") and (not columns.whole or names[columns.vectors[0]] == "vector"):
        return None
    shown = "the rows' order" if ids is None else f"column {printable(ids)!r}"
    if columns.whole:
        return f"  ids are {shown}, vectors column {printable(names[columns.vectors[0]])!r}"
    return f"  ids are {shown}, components all other columns ({len(columns.vectors)})"


def refuse_columns(file: Path, names: Sequence[str], what: str) -> VectorsError:
    """Return the error of a file that lacks ids or vectors.

    Args:
        file: The file.
        names: The names of its columns or arrays.
        what: What it lacks: 'ids' or 'vectors'.
    """
    found = printable(", ".join(names[:_NAMED])) or "nothing"
    found += ", …" if len(names) > _NAMED else ""
    if what == "vectors":
        return VectorsError(
            f"{file} has no vectors: expected {', '.join(VECTORS[:4])}, or numbers in columns of a "
            f"table; it has {found}"
        )
    return VectorsError(
        f"{file} has no ids: expected {', '.join(IDS[:3])} or the like; it has {found}. "
        "--ids FILE gives them, or --numbered if the rows are in the order of the dataset"
    )


def refuse_counter(file: Path, name: str) -> VectorsError:
    """Return the error of a file whose only ids are the numbers 0, 1, 2, … that pandas wrote.

    Args:
        file: The file.
        name: The name of the column.
    """
    return VectorsError(
        f"{file} has no ids: its column {printable(name)!r} only counts the rows from 0. --ids "
        "FILE gives them, or --numbered if the rows are in the order of the dataset; if these "
        "are ids, call the column id"
    )
