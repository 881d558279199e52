"""Export a store: one DuckDB file with all that it holds, for whoever has nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import duckdb

from ingest.callbacks import Log
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.chunks.shared import FOLDER as CHUNKS
from ingest.runs.folder import LOADING, Run
from ingest.runs.store.access import THREADS
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.vectors.files import RunFile, has_shards, list_files
from ingest.share.exported import FORMAT, LONGEST, SCHEMA, TABLES, ExportError, add_file, comments
from schemas.migrations import apply, migrations
from schemas.object_stores import load_httpfs
from schemas.paths import escape_glob
from schemas.store import connect
from schemas.vectors import NODES, VectorFile, list_vector_files
from schemas.views import COLUMNS, NODE_COLUMNS
from zoo.files import move_unless_exists

# Files of a run's folder that an import needs no more.
_LEFT_OUT = ("worker.log", LOADING)
# As the files of vectors, and those of vectors of nodes, name the representation.
_REPLACED = "(SELECT system_id, representation FROM superseded WHERE run_id = ?)"
_REPLACED_NODES = f"""(
    SELECT system_id, replace(representation, '{NODES}', '') AS representation
    FROM superseded WHERE run_id = ? AND suffix(representation, '{NODES}')
)"""
_ROWS = "SELECT {} FROM read_parquet(?, hive_partitioning = false) AS v"


def export(layout: Layout, file: Path, log: Log = print) -> int:
    """Write a store and the folder beside it to one DuckDB file, whole or not at all.

    The file has the same tables, with the vectors in a table `embeddings`. `matterzoo import` makes
    a store of it again.

    Args:
        layout: The store and the files beside it.
        file: The file, which must not exist.
        log: Gets a line per run.

    Returns:
        The number of vectors in the table `embeddings`.

    Raises:
        ExportError: The file exists, or cannot be written there.
        Damaged: A file beside the store is missing or damaged.
        StoreError: The store cannot be read.
    """
    file = file.absolute()
    refuse_target(file)
    connect(layout.store, read_only=True).close()  # says what is wrong with it, if anything is
    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        _create(temporary)
        with _opened(layout, temporary) as connection:
            count = _fill(connection, layout, log)
        if not move_unless_exists(temporary, file):
            raise ExportError(f"{file} exists now, and is not replaced; give another name")
    finally:
        for path in (temporary, temporary.with_name(f"{temporary.name}.wal")):
            path.unlink(missing_ok=True)
    return count


def refuse_target(file: Path) -> None:
    """Refuse a file that exists, or that has no folder to lie in.

    Args:
        file: The file to be written.

    Raises:
        ExportError: It cannot be written there.
    """
    if file.exists():
        raise ExportError(f"{file} exists, and is not replaced; give another name, or remove it")
    if not file.parent.is_dir():
        raise ExportError(f"there is no folder {file.parent} to hold {file.name}; make it first")


def _create(file: Path) -> None:
    """Make an exported store without rows."""
    with duckdb.connect(str(file)) as connection:
        apply(connection, migrations())
        connection.execute(SCHEMA)
        for statement in comments():
            connection.execute(statement)
        connection.execute("CHECKPOINT")


@contextmanager
def _opened(layout: Layout, target: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store to be read only, as the default, and the exported store as `target`."""
    spill = str(target.with_name(f"{target.name}.tmp"))
    with duckdb.connect(config={"threads": THREADS, "temp_directory": spill}) as connection:
        for path, name, options in ((layout.store, "store", "(READ_ONLY)"), (target, "target", "")):
            literal = "'" + str(path).replace("'", "''") + "'"
            connection.execute(f"ATTACH {literal} AS {name} {options}")
        connection.execute("USE store")
        ((systems,),) = connection.execute("SELECT count(*) FROM systems").fetchall()
        connection.execute(f"SET memory_limit = '{memory_limit(systems, LONGEST)}'")
        yield connection


def _fill(connection: duckdb.DuckDBPyConnection, layout: Layout, log: Log) -> int:
    """Copy tables, vectors and files; return how many vectors there are."""
    for table in TABLES:
        connection.execute(f"INSERT INTO target.{table} BY NAME SELECT * FROM {table}")
    names = connection.execute("SELECT dataset FROM datasets ORDER BY dataset").fetchall()
    for (dataset,) in names:
        _add_files(connection, layout, layout.dataset(dataset))
    listed = list_vector_files(connection, layout.store, nodes=None)
    registered = {file.file: file for file in listed}
    rows = connection.execute("SELECT run_id FROM runs ORDER BY model_id, run_id").fetchall()
    for number, (run_id,) in enumerate(rows, start=1):
        log(f"{number}/{len(rows)} {run_id}")
        run = Run.of(layout, run_id)
        if not run.job.is_dir():
            raise Damaged(f"{run.folder} is missing, and the store holds run {run_id}; restore it")
        _add_files(connection, layout, run.folder)
        if run.finished and not has_shards(run):
            _add_vectors(connection, list_files(run), registered)
    about = [FORMAT, version("matterzoo")]
    connection.execute("INSERT INTO target.exported VALUES (?, ?, now())", about)
    connection.execute("CHECKPOINT target")
    return int(connection.execute("SELECT count(*) FROM target.embeddings").fetchall()[0][0])


def _add_files(connection: duckdb.DuckDBPyConnection, layout: Layout, folder: Path) -> None:
    """Add the files of a dataset or of a run, vectors apart."""
    connection.execute("BEGIN")
    for file in _list(folder):
        add_file(connection, file.relative_to(layout.data).as_posix(), file)
    connection.execute("COMMIT")


def _list(folder: Path) -> Sequence[Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        path
        for path in found
        if not path.name.startswith((".", "vectors-", "nodes-"))
        and path.name not in _LEFT_OUT
        and path.parent.name != CHUNKS  # each is a file of a job, too
    ]


def _add_vectors(
    connection: duckdb.DuckDBPyConnection,
    files: Iterable[RunFile],
    registered: dict[str, VectorFile],
) -> None:
    """Copy the vectors of a run: those that count to the store's tables, others beside them."""
    for file in files:
        table, columns, replaced = "embeddings", COLUMNS, _REPLACED
        if file.systems is not None:
            table, columns, replaced = "node_embeddings", NODE_COLUMNS, _REPLACED_NODES
        rows = _ROWS.format(columns)
        if not file.is_local:
            load_httpfs(connection)
        known = registered.get(file.place)
        if known is None:
            file.check()
            source = [escape_glob(file.path)]
            connection.execute(f"INSERT INTO target.superseded_{table} {rows}", source)
            continue
        if known.fault is not None:
            raise Damaged(known.fault)
        file.check()
        for name, join in ((table, "ANTI"), (f"superseded_{table}", "SEMI")):
            connection.execute(
                f"INSERT INTO target.{name} {rows} "
                f"{join} JOIN {replaced} USING (system_id, representation)",
                [escape_glob(known.path), file.run.run_id],
            )
