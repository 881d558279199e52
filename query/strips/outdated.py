"""Which questions nobody asks any more, since the vectors or the code have changed since then."""

from __future__ import annotations

from pathlib import Path

import duckdb

from query import connect
from query.reading.files import find_damage
from query.strips.question import FILE, StripsError, question_folder, read_question


def find_outdated(store: str | Path) -> frozenset[str]:
    """Return the keys of the questions whose strips, or matrix, answer no question of today.

    Args:
        store: The path of the store, which is read only if there is a question.

    Raises:
        StoreError: The store cannot be opened, so it is not known what it holds.
    """
    begun = [file.parent for file in question_folder(store, "").glob(f"*/{FILE}")]
    if not begun:
        return frozenset()
    with connect(store, functions=False) as connection:
        return frozenset(folder.name for folder in begun if _is_outdated(connection, folder))


def _is_outdated(connection: duckdb.DuckDBPyConnection, folder: Path) -> bool:
    try:
        question = read_question(folder)
        changed = question.key(connection) != folder.name
    except StripsError:  # what is asked for cannot be read, which says nothing about the vectors
        return False
    except (ValueError, TypeError):  # the store lacks a model, or today's code an option
        return True
    # Where all models are asked for, one whose files are damaged is passed over until it is mended.
    return changed and not find_damage(connection, question.dataset)
