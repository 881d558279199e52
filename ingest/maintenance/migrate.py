"""Bring a store of an earlier version into the form of today, with its vectors in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.maintenance.exchange import discard_store, exchange_store, new_store
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, list_runs
from ingest.runs.import_vectors import LONGEST
from ingest.runs.store.access import bound_resources, lock_store
from ingest.runs.store.inserts import insert_row
from ingest.runs.store.vector_tables import remove_empty
from ingest.runs.store.waiting import PATIENCE, retry_while_locked
from ingest.runs.vectors.conversion import convert, discard_shards
from ingest.runs.vectors.files import (
    has_shards,
    list_files,
    name_dataset,
    name_model,
    put_in_place,
)
from schemas.errors import FILE_ERRORS, StoreError, explain_error
from schemas.message import one_line
from schemas.migrations import VECTORS, migrate_safely, migrations, version_of
from schemas.paths import escape_glob
from schemas.store import open_as_it_is, update
from schemas.vectors import list_vector_files, literals, modified_at
from schemas.views import write_views
from zoo.files import rename_durably
from zoo.worker.vector_files import VectorFiles, VectorRows

ROWS_AT_ONCE = 4096
RUNS = """
SELECT run_id, model_id, representation, split_part(min(system_id), '/', 1), any_value(len(vector)),
    count(*)
FROM embeddings GROUP BY ALL ORDER BY ALL
"""
ROWS = """
SELECT system_id, content_hash, vector FROM embeddings
WHERE run_id = ? AND representation = ? ORDER BY system_id
"""
KEEP = """
CREATE TEMP TABLE kept AS
SELECT run_id, system_id, representation, model_id, hash(content_hash, vector) AS content
FROM embeddings
"""
SUPERSEDE = """
INSERT INTO superseded SELECT run_id, system_id, representation
FROM read_parquet({files}, hive_partitioning = false)
ANTI JOIN kept USING (run_id, system_id, representation)
"""
SUM = """
SELECT count(*), sum(hash(run_id, system_id, representation, model_id, {})::HUGEINT) FROM {}
"""


@dataclass(frozen=True)
class _Stored:
    """Vectors of one run and representation that the store holds."""

    run_id: str
    model_id: str
    representation: str
    dataset: str
    dimension: int
    rows: int


def migrate_store(layout: Layout, log: Callable[[str], None] = print) -> str:
    """Bring a store of an earlier version up to date. Nothing is computed.

    If the store holds its vectors itself, they are written to files: the shards of each run become
    its vector files; where they are gone or damaged, the store's own rows do. The store then
    changes in one transaction, in which all rows are compared. A kill leaves it as it was, and the
    same command goes on.

    Args:
        layout: The store and the files beside it.
        log: Gets a line per run.

    Returns:
        The outcome, as a line to report.

    Raises:
        StoreError: The store cannot be migrated, and is as it was.
    """
    if not layout.store.exists():
        raise StoreError(f"there is no store at {layout.store}; `matterzoo ingest` makes one")
    with lock_store(layout, PATIENCE, log):
        connection = retry_while_locked(
            lambda: open_as_it_is(layout.store, read_only=False), layout.store, PATIENCE, log
        )
        try:
            version = version_of(connection, layout.store)
            if version < VECTORS:
                _migrate(connection, layout, version, log)
        except FILE_ERRORS as error:
            raise explain_error(layout.store, error) from error
        finally:
            connection.close()
        if version >= VECTORS:
            retry_while_locked(lambda: update(layout.store), layout.store, PATIENCE, log)
        _shrink(layout)
    newest = max(migrations())
    if version == newest:
        return f"{layout.store} has matterzoo schema {newest} already; nothing to do"
    if version >= VECTORS:
        return f"{layout.store} has matterzoo schema {newest} now, it had {version}"
    return f"{layout.store} has its vectors in {layout.vectors} now"


def _migrate(
    connection: duckdb.DuckDBPyConnection, layout: Layout, version: int, log: Callable[[str], None]
) -> None:
    known = migrations()
    earlier = {v: file for v, file in known.items() if version < v < VECTORS}
    if earlier:
        migrate_safely(connection, layout.store, earlier)
    bound_resources(connection, dimension=LONGEST)
    connection.execute("SET temp_directory = ?", [str(layout.spill)])
    converted = _convert_runs(layout, log)
    rows = []
    for stored in [_Stored(*row) for row in connection.execute(RUNS).fetchall()]:
        run = converted.get(stored.run_id)
        written = _rows_of(run, stored) if run else _write_rows(connection, layout, stored)
        rows += list(written)
    later = {v: file for v, file in known.items() if v >= VECTORS}
    migrate_safely(
        connection,
        layout.store,
        later,
        before=lambda: connection.execute(KEEP),
        after=lambda: _register(connection, layout, rows),
    )


def _convert_runs(layout: Layout, log: Callable[[str], None]) -> dict[str, Run]:
    """Make vector files of all shards; return the runs that have them, by their ids."""
    converted = {}
    runs = [run for run in list_runs(layout) if run.finished]
    for number, run in enumerate(runs, start=1):
        log(f"{number}/{len(runs)} {run.run_id}")
        try:
            if has_shards(run):
                convert(run)
            discard_shards(run)  # those that a kill has left
            put_in_place(run)
            for file in list_files(run):
                file.check()
        except (ShardError, Damaged, LookupError, TypeError) as error:
            log(f"  its vectors are taken from the store itself, since {error}")
        else:
            converted[run.run_id] = run
    return converted


def _rows_of(run: Run, stored: _Stored) -> Iterator[dict[str, Any]]:
    """Yield the rows of vector_files for the files of a converted run."""
    for file in list_files(run):
        if file.representation == stored.representation and file.rows:
            row = vars(stored) | {"file": file.place, "folder": file.folder, "rows": file.rows}
            yield row | {"bytes": file.bytes, "sha256": file.sha256}


def _write_rows(
    connection: duckdb.DuckDBPyConnection, layout: Layout, stored: _Stored
) -> Iterator[dict[str, Any]]:
    """Write vector files from the store's rows, and yield their rows of vector_files."""
    place = Path(name_dataset(stored.dataset), name_model(stored.model_id))
    folder = layout.vectors / place
    folder.mkdir(parents=True, exist_ok=True)
    reader = connection.execute(ROWS, [stored.run_id, stored.representation]).to_arrow_reader(
        ROWS_AT_ONCE
    )
    parts = (
        VectorRows(
            batch["system_id"],
            batch["content_hash"],
            batch["vector"].flatten().to_numpy().reshape(len(batch), stored.dimension),
        )
        for batch in reader
    )
    files = VectorFiles(folder, stored.run_id, stored.model_id, card_hash="")
    files.write(stored.representation, parts, stored.rows)
    for number, entry in enumerate(files.entries):
        name = f"{stored.run_id}-{stored.representation}-{number:05d}.parquet"
        rename_durably(folder / entry["file"], folder / name)
        yield vars(stored) | entry | {"file": str(place / name), "folder": str(layout.vectors)}


def _register(
    connection: duckdb.DuckDBPyConnection, layout: Layout, rows: list[dict[str, Any]]
) -> None:
    """Register files, and refuse if the view then has other rows than the table had."""
    for row in rows:
        kept = {name: value for name, value in row.items() if name != "dimension"}
        modified = modified_at(f"{row['folder']}/{row['file']}")
        insert_row(connection, "vector_files", kept | {"modified": modified})
    files = [escape_glob(file.path) for file in list_vector_files(connection, layout.store)]
    if files:
        connection.execute(SUPERSEDE.format(files=literals(files)))
    remove_empty(connection)
    write_views(connection, layout.store)
    before = connection.execute(SUM.format("content", "kept")).fetchall()
    after = connection.execute(SUM.format("hash(content_hash, vector)", "embeddings")).fetchall()
    connection.execute("DROP TABLE kept")
    if before != after:
        raise StoreError(
            f"{layout.store} stays as it was: of its {before[0][0]} vectors, the files of its runs "
            f"have other {after[0][0]}. `matterzoo rebuild` of the version that made it may mend "
            "it; then repeat"
        )


def _shrink(layout: Layout) -> None:
    """Write the store anew, if most of its file is free; DuckDB never gives space back."""
    with duckdb.connect(str(layout.store), read_only=True) as connection:
        query = "SELECT free_blocks, total_blocks FROM pragma_database_size()"
        ((free, total),) = connection.execute(query).fetchall()
    if 2 * free < total:
        return
    new = new_store(layout.store)
    try:
        discard_store(new)
        with duckdb.connect() as connection:
            for path, name in ((layout.store, "former"), (new, "smaller")):
                quoted = literals([str(path)])[1:-1]
                connection.execute(f"ATTACH {quoted} AS {name}")
            connection.execute("COPY FROM DATABASE former TO smaller")
        exchange_store(layout.store, new, None)
    except duckdb.Error as error:
        raise StoreError(
            f"{layout.store} is migrated, but could not be written anew without the space that its "
            f"vectors took ({one_line(error)}); free space, and repeat"
        ) from error
    finally:
        discard_store(new)
