"""The view `embeddings` of a store: Parquet files beside it, found again wherever they are moved.

The view lists absolute paths, so that any DuckDB client reads vectors in any working directory. Our
own connections read the files where they are now: where that is elsewhere, or where a file is
missing, a variable of the connection takes the place of the list.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from uuid import uuid4

import duckdb

from schemas.errors import StoreError
from schemas.object_stores import is_remote, load_httpfs
from schemas.paths import MEMORY, escape_glob, vectors_folder

COLUMNS = "system_id, model_id, representation, content_hash, run_id, vector"
# What the view is over if the store has no vectors.
NO_ROWS = """
SELECT NULL::VARCHAR AS system_id, NULL::VARCHAR AS model_id, NULL::VARCHAR AS representation,
    NULL::VARCHAR AS content_hash, NULL::VARCHAR AS run_id, NULL::FLOAT[] AS vector
WHERE false
"""
COMMENTS = """
COMMENT ON VIEW embeddings IS 'Vectors, one per system, model and representation.';
COMMENT ON COLUMN embeddings.system_id IS 'The system, as in table systems';
COMMENT ON COLUMN embeddings.content_hash IS
    'What the model saw; two vectors are compared only where it agrees';
COMMENT ON COLUMN embeddings.vector IS 'float32, in the model''s own arbitrary units';
"""
FILES = """
SELECT file, folder, f.run_id, f.dataset, f.model_id, representation, rows, bytes, sha256, modified,
    coalesce(runtime, '')
FROM vector_files AS f LEFT JOIN runs USING (run_id)
WHERE ($model_id IS NULL OR f.model_id = $model_id) AND ($dataset IS NULL OR f.dataset = $dataset)
ORDER BY file
"""
# A file with the columns of the view and no rows: DuckDB does not read a list of no files.
NO_FILE = Path(__file__).resolve().parent / "no_vectors.parquet"
_PREFIX = "matterzoo_vectors_"
_VARIABLE = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")


@dataclass(frozen=True)
class VectorFile:
    """A registered file: a row of the table `vector_files`, and where the file is now.

    Attributes:
        beside: The folder of vectors beside the store.
        file: The path below the folder of vectors.
        folder: The folder that the view names.
        run_id: The run that made it.
        dataset: The dataset of its systems.
        model_id: The model.
        representation: The representation.
        rows: How many vectors it has, superseded ones included.
        bytes: Its size.
        sha256: Its SHA-256.
        modified: When it was written, in ns since 1970; None in an object store.
        runtime: What started the run's worker.
    """

    beside: str
    file: str
    folder: str
    run_id: str
    dataset: str
    model_id: str
    representation: str
    rows: int
    bytes: int
    sha256: str
    modified: int | None
    runtime: str

    @property
    def listed(self) -> str:
        """The path that the view names."""
        return f"{self.folder}/{self.file}"

    @cached_property
    def path(self) -> str:
        """The path where the file is: beside the store, else where the view says."""
        beside = f"{self.beside}/{self.file}"
        return beside if self.is_local and Path(beside).exists() else self.listed

    @property
    def is_local(self) -> bool:
        """Whether the file is on a file system, and not in an object store."""
        return not is_remote(self.folder)

    @cached_property
    def fault(self) -> str | None:
        """What is wrong with the file, and what mends it; else None.

        Its content is looked at only if its size or time has changed, and if this process could
        note that it is whole: a large store that may only be read is not read at each opening.
        """
        if not self.is_local:
            return None
        try:
            status = Path(self.path).stat()
        except OSError:
            return f"{self.path} is missing: {self.remedy}"
        if status.st_size != self.bytes:
            return f"{self.path} has {status.st_size} bytes, expected {self.bytes}: {self.remedy}"
        if not self.is_as_noted and os.access(self.path, os.W_OK):
            found = _hash(self.path, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            if found != self.sha256:
                return f"{self.path} is not as it was written: {self.remedy}"
        return None

    @property
    def is_as_noted(self) -> bool:
        """Whether the file is where the view says, and was not modified since it was written."""
        if not self.is_local:
            return True
        return self.path == self.listed and modified_at(self.path) in (self.modified, None)

    @property
    def remedy(self) -> str:
        """What brings the vectors of the file back."""
        command = f"`matterzoo ingest {self.model_id} {self.dataset}"
        if self.runtime == "fetched":
            again = f"`matterzoo fetch {self.model_id} {self.dataset} REPOSITORY` fetches it again"
        elif self.runtime == "given":
            again = f"{command} --vectors FILE` imports its vectors again"
        else:
            again = f"{command} --representation {self.representation}` computes its vectors again"
        return f"restore it, or {again}"


def modified_at(path: str) -> int | None:
    """Return when a file was modified, in ns since 1970; None if it is on no file system.

    Args:
        path: The path or address of a file.
    """
    try:
        return None if is_remote(path) else Path(path).stat().st_mtime_ns
    except OSError:
        return None


def list_vector_files(
    connection: duckdb.DuckDBPyConnection,
    store: str | Path,
    model_id: str | None = None,
    dataset: str | None = None,
) -> list[VectorFile]:
    """Return the registered files, by name.

    Args:
        connection: An open store.
        store: Its path.
        model_id: Only files of this model; None for all.
        dataset: Only files of this dataset; None for all.
    """
    chosen = {"model_id": model_id, "dataset": dataset}
    beside = str(vectors_folder(store).absolute())
    rows = connection.execute(FILES, chosen).fetchall()
    return [VectorFile(beside, *row) for row in rows]


def write_view(connection: duckdb.DuckDBPyConnection, store: str | Path) -> None:
    """Write the view `embeddings` over the registered files, where they are now.

    Args:
        connection: A store that is open for writing; within a transaction, if others must see the
            view together with other changes.
        store: Its path, or that of the store whose files are registered.
    """
    files = list_vector_files(connection, store)
    for file in files:
        if not file.is_as_noted and file.fault is None:
            folder = file.path.removesuffix(f"/{file.file}")
            connection.execute(
                "UPDATE vector_files SET folder = ?, modified = ? WHERE file = ?",
                [folder, modified_at(file.path), file.file],
            )
    if not all(file.is_local for file in files):
        load_httpfs(connection)
    # DuckDB opens the first of the files when it makes the view.
    files.sort(key=lambda file: file.fault is not None)
    rows = NO_ROWS
    if files and files[0].fault is None:
        variable = f"{_PREFIX}{uuid4().hex}"
        paths = literals([escape_glob(file.path) for file in files])
        rows = (
            f"SELECT {COLUMNS} FROM read_parquet(coalesce(getvariable('{variable}')::VARCHAR[], "
            f"{paths}), hive_partitioning = false) "
            "ANTI JOIN superseded USING (run_id, system_id, representation)"
        )
    connection.execute(f"CREATE OR REPLACE VIEW embeddings AS {rows}")
    connection.execute(COMMENTS)


def follow_files(
    connection: duckdb.DuckDBPyConnection, store: str | Path, *, read_only: bool
) -> list[VectorFile]:
    """Have a connection read the vector files where they are now, and leave out damaged ones.

    If the files were moved, and the store may be written, the view is written again.

    Args:
        connection: A store, just opened, or a cursor.
        store: Its path.
        read_only: Whether it is open to be read only.

    Returns:
        The registered files, by name.
    """
    if str(store) == MEMORY:
        return []
    files = list_vector_files(connection, store)
    if not all(file.is_local for file in files):
        with suppress(StoreError):  # without them, the rest of the store answers
            load_httpfs(connection)
    if not read_only and are_moved(connection, files):
        connection.execute("BEGIN")
        write_view(connection, store)
        connection.execute("COMMIT")
        files = list_vector_files(connection, store)
    whole = [file.path for file in files if file.fault is None]
    if whole == [file.listed for file in files]:
        return files
    variable = _variable(connection)
    if variable is not None:
        paths = [escape_glob(path) for path in whole or [str(NO_FILE)]]
        connection.execute(f"SET VARIABLE {variable} = {literals(paths)}")
    return files


def are_moved(connection: duckdb.DuckDBPyConnection, files: Sequence[VectorFile]) -> bool:
    """Return whether the store should note where its vector files are, as after a move of it.

    That is if whole files are elsewhere than the view says, or have another time. The view lists
    none if none was there when it was written.

    Args:
        connection: An open store.
        files: Its registered files.
    """
    whole = [file for file in files if file.fault is None]
    if any(not file.is_as_noted for file in whole):
        return True
    return bool(whole) and _variable(connection) is None


def literals(values: Sequence[str]) -> str:
    """Return a list of strings in SQL; a view cannot hold parameters.

    Args:
        values: The strings.
    """
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def is_view_of_files(sql: str) -> bool:
    """Return whether a view reads files as those do that `write_view` writes.

    Args:
        sql: The statement that made the view.
    """
    return _VARIABLE.search(sql) is not None


@lru_cache(maxsize=4096)
def _hash(path: str, *identity: int) -> str:
    """Return the SHA-256 of a file; `identity` is what changes if its content does."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _variable(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the variable that the view reads, None for a view without files."""
    sql = (
        "SELECT sql FROM duckdb_views() "
        "WHERE view_name = 'embeddings' AND database_name = current_database()"
    )
    row = connection.execute(sql).fetchone()
    found = None if row is None else _VARIABLE.search(row[0])
    return None if found is None else found[0]
