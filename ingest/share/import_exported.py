"""Import an exported store: its datasets and runs go into a store, one run at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from ingest.callbacks import Log
from ingest.layout import Layout
from ingest.runs.check import inspect_run
from ingest.runs.errors import ShardError
from ingest.runs.folder import LOADED, Run, lock_run
from ingest.runs.load import load
from ingest.runs.store.access import open_store, transaction
from ingest.runs.store.run_tables import put_failed_run
from ingest.runs.vectors.files import has_shards
from ingest.share.contradictions import attach, refuse_contradictions
from ingest.share.exported import ALL_NODES, ALL_VECTORS, ExportedStore, ExportError
from ingest.systems.materialized import DESCRIPTION
from schemas.message import one_line
from schemas.store import connect
from zoo.files import fsync, write_folder_atomically
from zoo.worker.pooling import NODES, split_name
from zoo.worker.vector_files import VectorFiles, VectorRows

PATIENCE = 30.0  # seconds to wait for a store that others use
ROWS_AT_ONCE = 2048  # vectors in memory, as DuckDB hands them over
_PARTS = f"""
SELECT representation, count(*), max(len(vector)) FROM ({ALL_VECTORS}) WHERE run_id = ?
GROUP BY representation
"""
_ROWS = f"""
SELECT system_id, content_hash, vector FROM ({ALL_VECTORS})
WHERE run_id = ? AND representation = ? ORDER BY system_id
"""
_PARTS_OF_NODES = f"""
SELECT representation || ':{NODES}', count(*), max(len(vector)) FROM ({ALL_NODES})
WHERE run_id = ? GROUP BY representation
"""
_NODES = f"""
SELECT system_id, content_hash, vector, node FROM ({ALL_NODES})
WHERE run_id = ? AND representation = split_part(?, ':', 1) ORDER BY system_id, node
"""
# What somebody wrote into the tables, and no dataset or run has.
_FURTHER = {
    "labels": "system_id, property, source",
    "scores": "model_id, score, test_set, source",
}


def import_store(layout: Layout, file: Path, log: Log = print) -> int:
    """Put what an exported store holds into a store. What is stored already stays as it is.

    Args:
        layout: The store and the files beside it; neither need exist.
        file: A file that `export` wrote.
        log: Gets a line per run.

    Returns:
        How many runs were put into the store that were not there.

    Raises:
        ExportError: The file cannot be read or contradicts what is stored; nothing was stored.
        ShardError: A run is not what it says it is. Runs before it stay.
        StoreError: The store cannot be written.
    """
    shared = layout.data / "imported" / "shared"
    exported = ExportedStore.open(file.absolute(), shared)
    try:
        if layout.store.exists():
            refuse_contradictions(layout, exported)
        shared.mkdir(parents=True, exist_ok=True)
        _write_datasets(layout, exported)
        stored = _stored_runs(layout)
        runs = [*_runs_in_order(exported)]
        new = [(run_id, status) for run_id, status in runs if stored.get(run_id) != "ok"]
        if len(new) < len(runs):
            log(f"{len(runs) - len(new)} of {len(runs)} runs are stored already")
        for number, (run_id, status) in enumerate(new, start=1):
            log(f"{number}/{len(new)} {run_id}")
            _import_run(layout, exported, run_id, status, log)
        _add_further_rows(layout, exported)
        return len(new)
    finally:
        exported.connection.close()
        shutil.rmtree(shared, ignore_errors=True)
        with suppress(OSError):
            (layout.data / "imported").rmdir()


def _write_datasets(layout: Layout, exported: ExportedStore) -> None:
    query = "SELECT dataset, epoch(added) FROM datasets ORDER BY dataset"
    for name, added in exported.connection.execute(query).fetchall():
        folder = layout.dataset(name)
        if not folder.exists():
            with write_folder_atomically(folder) as new:
                exported.write_folder(f"datasets/{name}", new)
                os.utime(new / DESCRIPTION, (added, added))  # the column `added`


def _stored_runs(layout: Layout) -> dict[str, str]:
    """Return the status of every run of the store."""
    if not layout.store.exists():
        return {}
    with connect(layout.store, read_only=True) as connection:
        return dict(connection.execute("SELECT run_id, status FROM runs").fetchall())


def _runs_in_order(exported: ExportedStore) -> Iterator[tuple[str, str]]:
    """Yield each run and its status, in the order in which they were loaded; failed ones last."""

    def place(row: tuple[str, str]) -> tuple[bool, int, str, str]:
        note = exported.read_json(f"runs/{row[0]}/{LOADED}") if row[1] == "ok" else {}
        number, time = note.get("sequence") or 0, note.get("landed") or ""
        return row[1] != "ok", number, time, row[0]

    yield from sorted(
        exported.connection.execute("SELECT run_id, status FROM runs").fetchall(), key=place
    )


def _import_run(
    layout: Layout, exported: ExportedStore, run_id: str, status: str, log: Log
) -> None:
    run, staged = Run.of(layout, run_id), Run(layout.data / "imported" / run_id)
    if not (run.finished and status == "ok"):  # else an import was cut off before the load
        shutil.rmtree(staged.folder, ignore_errors=True)
        staged.folder.mkdir(parents=True)
        with lock_run(staged):
            _stage(exported, staged, status)
            _put_in_place(staged, run)
    if status == "ok":
        load(layout, run, patience=PATIENCE, log=log)
    else:
        with open_store(layout, PATIENCE, log) as connection, transaction(connection):
            put_failed_run(connection, run)


def _stage(exported: ExportedStore, staged: Run, status: str) -> None:
    """Write the folder of a run beside the others, and check it."""
    exported.write_folder(f"runs/{staged.run_id}", staged.folder)
    (staged.folder / LOADED).unlink(missing_ok=True)  # its place is among this store's loads
    if status != "ok":
        return
    try:
        if not has_shards(staged):
            _write_vectors(exported, staged)
        spill = str(staged.folder / "tmp")
        with duckdb.connect(config={"temp_directory": spill}) as connection:
            inspect_run(connection, staged)
    except (ShardError, ValueError) as error:
        raise ExportError(
            f"run {staged.run_id} of {exported.file} is refused: {one_line(error)}. Nothing of it "
            "is stored"
        ) from error
    shutil.rmtree(staged.folder / "tmp", ignore_errors=True)


def _write_vectors(exported: ExportedStore, staged: Run) -> None:
    """Write the vector files of a run again, and note them in its run.json."""
    job, result = staged.read("job/job.json"), staged.read("out/run.json")
    files = VectorFiles(staged.out, staged.run_id, job["model_id"], job["card_hash"])
    found = exported.connection.execute(_PARTS, [staged.run_id]).fetchall()
    if exported.has_nodes:
        found += exported.connection.execute(_PARTS_OF_NODES, [staged.run_id]).fetchall()
    parts = {representation: (count, dimension) for representation, count, dimension in found}
    for representation in dict.fromkeys(entry["representation"] for entry in result["vectors"]):
        count, dimension = parts.get(representation, (0, 1))
        rows = _read_vectors(exported, staged.run_id, representation, dimension)
        files.write(representation, rows, count)
    staged.write("out/run.json", result | {"vectors": files.entries})


def _read_vectors(
    exported: ExportedStore, run_id: str, representation: str, dimension: int
) -> Iterator[VectorRows]:
    """Yield the vectors of a run in the order of system_id, some at a time."""
    of_nodes = split_name(representation)[1] == NODES
    with exported.connection.cursor() as cursor:
        rows = cursor.execute(_NODES if of_nodes else _ROWS, [run_id, representation])
        for batch in rows.to_arrow_reader(ROWS_AT_ONCE):
            numbers = batch["vector"].flatten().to_numpy().reshape(-1, dimension)
            nodes = batch["node"].to_numpy() if of_nodes else None
            yield VectorRows(batch["system_id"], batch["content_hash"], numbers, nodes)


def _put_in_place(staged: Run, run: Run) -> None:
    """Move a run among the others; what is there of the same run has never been finished."""
    if run.folder.exists():
        with lock_run(run):
            shutil.rmtree(run.folder)
    run.folder.parent.mkdir(exist_ok=True)
    staged.folder.replace(run.folder)
    fsync(run.folder.parent)


def _add_further_rows(layout: Layout, exported: ExportedStore) -> None:
    with open_store(layout, PATIENCE) as connection:
        attach(connection, exported)
        with transaction(connection):
            for table, key in _FURTHER.items():
                connection.execute(
                    f"INSERT INTO {table} BY NAME SELECT * FROM exported.main.{table} "
                    f"ANTI JOIN {table} USING ({key})"
                )
        connection.execute("DETACH exported")
