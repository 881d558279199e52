"""The views `embeddings` and `node_embeddings` of a store, over the Parquet files beside it.

A view lists absolute paths, so that any DuckDB client reads vectors in any working directory. Our
own connections read the files where they are now: where that is elsewhere, or where a file is
missing, a variable of the connection takes the place of the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb

from schemas.errors import StoreError
from schemas.object_stores import load_httpfs
from schemas.paths import MEMORY, escape_glob
from schemas.vectors import NODES, VectorFile, list_vector_files, literals, modified_at

COLUMNS = "system_id, model_id, representation, content_hash, run_id, vector"
NODE_COLUMNS = "system_id, node, content_hash, model_id, representation, run_id, vector"
_TYPES = {"node": "INTEGER", "vector": "FLOAT[]"}  # of columns that are no text
_PREFIX = "matterzoo_vectors_"
_VARIABLE = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class _View:
    """A view over vector files.

    Attributes:
        name: Its name.
        of_nodes: Whether it is over files whose rows are of atoms or residues.
        columns: Its columns.
        superseded: SQL for the rows that do not count, by run_id, system_id and representation.
        no_file: A file with the columns and no rows: DuckDB does not read a list of no files.
        comments: Statements that comment on it.
    """

    name: str
    of_nodes: bool
    columns: str
    superseded: str
    no_file: Path
    comments: str

    @property
    def no_rows(self) -> str:
        """SQL for what the view is over if the store has no such files."""
        columns = (
            f"NULL::{_TYPES.get(name, 'VARCHAR')} AS {name}" for name in self.columns.split(", ")
        )
        return f"SELECT {', '.join(columns)} WHERE false"


VIEWS = (
    _View(
        "embeddings",
        of_nodes=False,
        columns=COLUMNS,
        superseded="superseded",
        no_file=_FOLDER / "no_vectors.parquet",
        comments="""
COMMENT ON VIEW embeddings IS 'Vectors, one per system, model and representation.';
COMMENT ON COLUMN embeddings.system_id IS 'The system, as in table systems';
COMMENT ON COLUMN embeddings.content_hash IS
    'What the model saw; two vectors are compared only where it agrees';
COMMENT ON COLUMN embeddings.vector IS 'float32, in the model''s own arbitrary units';
""",
    ),
    _View(
        "node_embeddings",
        of_nodes=True,
        columns=NODE_COLUMNS,
        superseded="(SELECT run_id, system_id, split_part(representation, ':', 1) AS "
        "representation FROM superseded WHERE suffix(representation, ':nodes'))",
        no_file=_FOLDER / "no_nodes.parquet",
        comments="""
COMMENT ON VIEW node_embeddings IS
    'Vectors of atoms and residues, one per node, model and representation.';
COMMENT ON COLUMN node_embeddings.system_id IS 'The system, as in table systems';
COMMENT ON COLUMN node_embeddings.node IS
    'Which atom or residue, from 0, in the order of systems.numbers or of systems.sequence';
COMMENT ON COLUMN node_embeddings.content_hash IS
    'What the model saw of the system; two vectors are compared only where it agrees';
COMMENT ON COLUMN node_embeddings.vector IS 'float32, in the model''s own arbitrary units';
""",
    ),
)


def node_keys(rows: str, columns: str) -> str:
    """Return SQL for columns of rows of nodes, with one row per system, as full names have them.

    Args:
        rows: SQL for the rows, such as the view node_embeddings.
        columns: Their columns, with representation among them.
    """
    named = ", ".join(
        f"representation || '{NODES}' AS representation" if name == "representation" else name
        for name in columns.split(", ")
    )
    return f"SELECT {named} FROM {rows} WHERE node = 0"


def write_views(connection: duckdb.DuckDBPyConnection, store: str | Path) -> None:
    """Write the views over the registered files, where they are now.

    Args:
        connection: A store that is open for writing; within a transaction, if others must see the
            views together with other changes.
        store: Its path, or that of the store whose files are registered.
    """
    files = list_vector_files(connection, store, nodes=None)
    for file in files:
        if not file.is_as_noted and file.fault is None:
            folder = file.path.removesuffix(f"/{file.file}")
            connection.execute(
                "UPDATE vector_files SET folder = ?, modified = ? WHERE file = ?",
                [folder, modified_at(file.path), file.file],
            )
    if not all(file.is_local for file in files):
        load_httpfs(connection)
    for view in VIEWS:
        _write(connection, view, [file for file in files if file.is_of_nodes == view.of_nodes])


def _write(connection: duckdb.DuckDBPyConnection, view: _View, files: list[VectorFile]) -> None:
    # DuckDB opens the first of the files when it makes the view.
    files.sort(key=lambda file: file.fault is not None)
    rows = view.no_rows
    if files and files[0].fault is None:
        variable = f"{_PREFIX}{uuid4().hex}"
        paths = literals([escape_glob(file.path) for file in files])
        rows = (
            f"SELECT {view.columns} FROM read_parquet("
            f"coalesce(getvariable('{variable}')::VARCHAR[], {paths}), hive_partitioning = false) "
            f"ANTI JOIN {view.superseded} USING (run_id, system_id, representation)"
        )
    connection.execute(f"CREATE OR REPLACE VIEW {view.name} AS {rows}")
    connection.execute(view.comments)


def follow_files(
    connection: duckdb.DuckDBPyConnection, store: str | Path, *, read_only: bool
) -> list[VectorFile]:
    """Have a connection read the vector files where they are now, and leave out damaged ones.

    If the files were moved, and the store may be written, the views are written again.

    Args:
        connection: A store, just opened, or a cursor.
        store: Its path.
        read_only: Whether it is open to be read only.

    Returns:
        The registered files, by name.
    """
    if str(store) == MEMORY:
        return []
    files = list_vector_files(connection, store, nodes=None)
    if not all(file.is_local for file in files):
        with suppress(StoreError):  # without them, the rest of the store answers
            load_httpfs(connection)
    if not read_only and are_moved(connection, files):
        connection.execute("BEGIN")
        write_views(connection, store)
        connection.execute("COMMIT")
        files = list_vector_files(connection, store, nodes=None)
    for view in VIEWS:
        mine = [file for file in files if file.is_of_nodes == view.of_nodes]
        whole = [file.path for file in mine if file.fault is None]
        if whole == [file.listed for file in mine]:
            continue
        variable = _variable(connection, view)
        if variable is not None:
            paths = [escape_glob(path) for path in whole or [str(view.no_file)]]
            connection.execute(f"SET VARIABLE {variable} = {literals(paths)}")
    return files


def are_moved(connection: duckdb.DuckDBPyConnection, files: Sequence[VectorFile]) -> bool:
    """Return whether the store should note where its vector files are, as after a move of it.

    That is if whole files are elsewhere than their view says, or have another time. A view lists
    none if none was there when it was written.

    Args:
        connection: An open store.
        files: Its registered files.
    """
    whole = [file for file in files if file.fault is None]
    if any(not file.is_as_noted for file in whole):
        return True
    return any(
        _variable(connection, view) is None
        for view in VIEWS
        if any(file.is_of_nodes == view.of_nodes for file in whole)
    )


def are_as_listed(files: Iterable[VectorFile]) -> bool:
    """Return whether files are whole, and where the view says, so that nothing is to be followed.

    Args:
        files: Registered files of a store.
    """
    return all(file.fault is None and file.path == file.listed for file in files)


def is_view_of_files(sql: str) -> bool:
    """Return whether a view reads files as those do that `write_views` writes.

    Args:
        sql: The statement that made the view.
    """
    return _VARIABLE.search(sql) is not None


def _variable(connection: duckdb.DuckDBPyConnection, view: _View) -> str | None:
    """Return the variable that a view reads, None for a view without files."""
    sql = (
        "SELECT sql FROM duckdb_views() WHERE view_name = ? AND database_name = current_database()"
    )
    row = connection.execute(sql, [view.name]).fetchone()
    found = None if row is None else _VARIABLE.search(row[0])
    return None if found is None else found[0]
