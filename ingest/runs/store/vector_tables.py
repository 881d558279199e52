"""Register vector files in the store, and note which of their rows no longer count.

Files are never written again. A row that a later run replaces, or whose system has left its dataset
or changed in it, goes into the table `superseded`; a file of which no row counts is no longer
registered. It stays on disk, as `rebuild` goes the same way again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from ingest.layout import Layout
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.store.inserts import insert_row
from ingest.runs.vectors.files import list_files
from schemas.paths import escape_glob
from schemas.vectors import VectorFile, list_vector_files, literals, modified_at
from schemas.views import node_keys, write_views

KEYS = "run_id, system_id, representation, content_hash"
NO_KEYS = f"SELECT {KEYS} FROM embeddings WHERE false"
SUPERSEDE = """
INSERT INTO superseded SELECT run_id, system_id, representation FROM ({rows})
ANTI JOIN superseded USING (run_id, system_id, representation)
"""
OF_RUN = "DELETE FROM {} WHERE run_id = $run_id"
OF_ANOTHER_CARD = """
DELETE FROM vector_files WHERE model_id = $model_id
AND run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id)
"""
# Files of which every row is superseded.
EMPTIED = """
DELETE FROM vector_files WHERE (run_id, representation) IN (
    SELECT (run_id, representation) FROM (
        SELECT run_id, representation, sum(coalesce(systems, rows)) AS n FROM vector_files
        GROUP BY ALL
    ) JOIN (
        SELECT run_id, representation, count(*) AS n FROM superseded GROUP BY ALL
    ) USING (run_id, representation, n)
)
"""
UNREGISTERED = """
DELETE FROM superseded
WHERE (run_id, representation) NOT IN (SELECT (run_id, representation) FROM vector_files)
"""
TWICE = """
SELECT system_id, count(*) FROM ({rows}) GROUP BY system_id, representation HAVING count(*) > 1
ORDER BY ALL LIMIT 1
"""


def forget_earlier(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    run: Run,
    *,
    card_hash: str,
    replaces_all: bool,
) -> None:
    """Have the rows not count that a run replaces.

    Those are the rows of its own earlier load, all of another version of the model's card, and
    those of the same systems and representations; of imported vectors, all of the dataset.

    Args:
        connection: The open store, within a transaction; has the view `outcomes`, see `check_run`.
        layout: The store and the files beside it.
        run: The run that is going to be registered.
        card_hash: The hash of its model's card.
        replaces_all: Whether it replaces all vectors of its model on its dataset.
    """
    model = {"model_id": run.model_id}
    for table in ("vector_files", "superseded"):
        connection.execute(OF_RUN.format(table), {"run_id": run.run_id})
    connection.execute(OF_ANOTHER_CARD, model | {"card_hash": card_hash})
    if replaces_all:
        connection.execute(
            "DELETE FROM vector_files WHERE model_id = $model_id AND dataset = $dataset",
            model | {"dataset": run.dataset},
        )
    files = list_vector_files(connection, layout.store, run.model_id, run.dataset, nodes=None)
    for file in files:
        if file.fault is not None and not Run.of(layout, file.run_id).outcomes.exists():
            # Nobody knows its rows, so that some would count twice if it came back.
            connection.execute("DELETE FROM vector_files WHERE file = ?", [file.file])
    if files:
        earlier = f"FROM ({keys_of(layout, files)})"
        same = f"{earlier} SEMI JOIN outcomes USING (system_id, representation)"
        connection.execute(SUPERSEDE.format(rows=same))
    remove_empty(connection)


def register(
    connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run, *, all_current: bool
) -> None:
    """Register the vector files of a run, so that `embeddings` has their rows.

    Args:
        connection: The open store, within a transaction; has the view `vectors`, see `check_run`.
        layout: The store and the files beside it.
        run: A checked run, whose files are in their place.
        all_current: Whether all its systems are known to be in the dataset with the same content.

    Raises:
        ShardError: A system would have two vectors of one model and representation.
    """
    for file in list_files(run):
        if file.rows:
            insert_row(
                connection,
                "vector_files",
                {
                    "file": file.place,
                    "folder": file.folder,
                    "run_id": run.run_id,
                    "dataset": run.dataset,
                    "model_id": run.model_id,
                    "representation": file.representation,
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "modified": modified_at(file.path),
                    "systems": file.systems,
                },
            )
    if not all_current:
        supersede_outdated(connection, layout, run.dataset, run.run_id)
    _refuse_doubles(connection, layout, run)
    write_views(connection, layout.store)


def supersede_outdated(
    connection: duckdb.DuckDBPyConnection, layout: Layout, dataset: str, run_id: str | None = None
) -> None:
    """Have the rows of systems not count that left a dataset, or have another content in it now.

    Args:
        connection: The open store, within a transaction.
        layout: The store and the files beside it.
        dataset: The dataset.
        run_id: Only rows of this run; None for all.
    """
    files = [
        file
        for file in list_vector_files(connection, layout.store, dataset=dataset, nodes=None)
        if run_id in (None, file.run_id)
    ]
    if files:
        current = "(SELECT system_id, content_hash FROM systems)"
        outdated = (
            f"FROM ({keys_of(layout, files)}) ANTI JOIN {current} USING (system_id, content_hash)"
        )
        connection.execute(SUPERSEDE.format(rows=outdated))
        remove_empty(connection)


def remove_empty(connection: duckdb.DuckDBPyConnection) -> None:
    """No longer register files of which no row counts, nor note rows of files not registered.

    Args:
        connection: The open store, within a transaction.
    """
    connection.execute(EMPTIED)
    connection.execute(UNREGISTERED)


def live_keys(layout: Layout, files: Sequence[VectorFile]) -> str:
    """Return SQL for the keys of all rows of registered files that count.

    Args:
        layout: The store and the files beside it.
        files: Registered files.
    """
    return (
        f"FROM ({keys_of(layout, files)}) "
        "ANTI JOIN superseded USING (run_id, system_id, representation)"
    )


def keys_of(layout: Layout, files: Sequence[VectorFile]) -> str:
    """Return SQL for run_id, system_id, representation and content_hash of all rows of files.

    The nodes of a system have one row together, as have its outcomes. Which rows a missing file
    had, the outcomes of its run say.

    Args:
        layout: The store and the files beside it.
        files: Registered files.
    """
    whole = [file for file in files if file.fault is None]
    of_systems = [file.path for file in whole if not file.is_of_nodes]
    of_nodes = [file.path for file in whole if file.is_of_nodes]
    parts = [f"SELECT {KEYS} FROM {_read(of_systems)}"] if of_systems else []
    parts += [node_keys(_read(of_nodes), KEYS)] if of_nodes else []
    lost = {(file.run_id, file.representation) for file in files if file.fault is not None}
    for run_id, representation in sorted(lost):
        outcomes = Run.of(layout, run_id).outcomes
        if outcomes.exists():
            run, name = literals([run_id]), literals([representation])
            parts.append(
                f"SELECT {run}[1] AS run_id, system_id, representation, content_hash "
                f"FROM {_read([outcomes])} WHERE status = 'ok' AND representation = {name}[1]"
            )
    return " UNION ".join(parts) if len(parts) > 1 else (parts or [NO_KEYS])[0]


def _read(files: Iterable[str | Path]) -> str:
    paths = literals([escape_glob(file) for file in files])
    return f"read_parquet({paths}, hive_partitioning = false)"


def _refuse_doubles(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> None:
    """Refuse two vectors of one system; within a run, `check_run` has found none."""
    files = list_vector_files(connection, layout.store, run.model_id, run.dataset, nodes=None)
    names = {file.representation for file in files if file.run_id == run.run_id}
    shared = [file for file in files if file.representation in names]
    if {file.run_id for file in shared} == {run.run_id} or not shared:
        return
    found = connection.execute(TWICE.format(rows=live_keys(layout, shared))).fetchone()
    if found is not None:
        raise ShardError(
            f"run {run.run_id} was not loaded into the store: {found[0]} would have {found[1]} "
            f"vectors of {run.model_id}, expected one; `matterzoo rebuild` makes the store again"
        )
