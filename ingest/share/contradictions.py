"""Compare an exported store with the store that it is to be imported into.

An import adds and never replaces. So it is refused, before anything is written, if what it would
add stands against something that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.store.access import THREADS
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.vectors.files import has_shards, is_whole, list_files
from ingest.share.exported import ALL_NODES, ALL_VECTORS, LONGEST, ExportedStore, ExportError
from ingest.systems.materialized import read_materialized
from schemas.paths import escape_glob
from schemas.store import connect
from schemas.vectors import NODES, literals

# Vectors of the same systems by another run. Of nodes, failures have full names.
_OTHER_VECTORS = """
    SELECT v.model_id, any_value(r.dataset), count(*) FROM {view} AS v
    SEMI JOIN (
        SELECT system_id, model_id, representation FROM exported.main.{view}
        UNION ALL SELECT system_id, model_id, representation FROM exported.main.superseded_{view}
        UNION ALL SELECT system_id, model_id, {named} FROM exported.main.failures
    ) USING (system_id, model_id, representation)
    JOIN runs AS r USING (run_id)
    WHERE run_id NOT IN (SELECT run_id FROM exported.main.runs)
    GROUP BY v.model_id
"""
_REMEDY = (
    "the store has vectors of {0} of {2} of the same systems, which another run computed; "
    "`matterzoo clean {0} {1}` removes them"
)
# {query for the rows that stand against each other: what is said of the first}
_QUERIES = {
    """
    SELECT model_id FROM exported.main.models AS e JOIN models AS m USING (model_id)
    WHERE e.card_hash != m.card_hash
    """: "the store has {0} by another version of its card; `matterzoo clean {0}` removes that",
    """
    SELECT r.model_id, r.dataset FROM runs AS r
    JOIN exported.main.runs AS e USING (model_id, dataset) JOIN models AS m USING (model_id)
    WHERE m.family = 'given' AND r.run_id NOT IN (SELECT run_id FROM exported.main.runs)
    """: (
        "the store has other vectors of {0} on {1}, which were imported; "
        "`matterzoo clean {0} {1}` removes them"
    ),
    _OTHER_VECTORS.format(view="embeddings", named="representation"): _REMEDY,
    _OTHER_VECTORS.format(
        view="node_embeddings",
        named=f"CASE WHEN suffix(representation, '{NODES}') "
        f"THEN replace(representation, '{NODES}', '') END",
    ): _REMEDY,
    """
    SELECT l.property, l.system_id FROM labels AS l
    JOIN exported.main.labels AS e USING (system_id, property, source)
    WHERE (l.value, l.unit) != (e.value, e.unit)
    """: "the store has another {0} of {1}",
    """
    SELECT s.score, s.model_id FROM scores AS s
    JOIN exported.main.scores AS e USING (model_id, score, test_set, source)
    WHERE (s.value, s.unit) != (e.value, e.unit)
    """: "the store has another {0} of {1}",
}
# The same for the same rows, in whatever order.
_FINGERPRINT = """
SELECT representation, count(*), sum(hash(system_id, content_hash, vector)::HUGEINT)
FROM ({rows}) GROUP BY representation ORDER BY representation
"""


def attach(connection: duckdb.DuckDBPyConnection, exported: ExportedStore) -> None:
    """Attach an exported store to a connection, under the name `exported`.

    Args:
        connection: A connection.
        exported: The exported store.
    """
    file = "'" + str(exported.file).replace("'", "''") + "'"
    connection.execute(f"ATTACH {file} AS exported (READ_ONLY)")


def refuse_contradictions(layout: Layout, exported: ExportedStore) -> None:
    """Refuse an exported store that stands against what a store holds.

    Args:
        layout: The store, which exists, and the files beside it.
        exported: The exported store.

    Raises:
        ExportError: It does; the message says in what, and what to do.
    """
    found = next(_contradictions(layout, exported), None)
    if found is not None:
        raise ExportError(
            f"{exported.file} is not imported into {layout.store}, and nothing of it is stored: "
            f"{found}. Or import the file into a store of its own (--store)"
        )


def _contradictions(layout: Layout, exported: ExportedStore) -> Iterator[str]:
    yield from _other_datasets(layout, exported)
    with connect(layout.store, read_only=True) as connection:
        ((systems,),) = connection.execute("SELECT count(*) FROM systems").fetchall()
        connection.execute(f"SET memory_limit = '{memory_limit(systems, LONGEST)}'")
        connection.execute(f"SET threads = {THREADS}")
        connection.execute("SET temp_directory = ?", [str(layout.spill)])
        attach(connection, exported)
        for query, said in _QUERIES.items():
            if "node_embeddings" in query and not exported.has_nodes:
                continue
            row = connection.execute(f"{query} ORDER BY ALL LIMIT 1").fetchone()
            if row is not None:
                yield said.format(*row)
        yield from _other_runs(layout, exported, connection)


def _other_datasets(layout: Layout, exported: ExportedStore) -> Iterator[str]:
    query = "SELECT dataset, dataset_hash, n_systems FROM datasets ORDER BY dataset"
    for name, dataset_hash, count in exported.connection.execute(query).fetchall():
        here = read_materialized(layout.dataset(name))
        if here is not None and here.dataset_hash != dataset_hash:
            yield (
                f"the {name} of the store has other systems ({here.n_systems}) than that of the "
                f"file ({count})"
            )


def _other_runs(
    layout: Layout, exported: ExportedStore, connection: duckdb.DuckDBPyConnection
) -> Iterator[str]:
    """Yield the runs that are finished here with other vectors: by another computation."""
    query = (
        "SELECT run_id, model_id, dataset FROM exported.main.runs WHERE status = 'ok' ORDER BY 1"
    )
    for run_id, model_id, dataset in connection.execute(query).fetchall():
        run = Run.of(layout, run_id)
        if not run.finished or has_shards(run) or not is_whole(run):
            continue
        if any(_differs(run, exported, connection, nodes) for nodes in (False, exported.has_nodes)):
            yield (
                f"run {run_id} is here, with other vectors; `matterzoo clean {model_id} {dataset}` "
                "removes it"
            )


def _differs(
    run: Run, exported: ExportedStore, connection: duckdb.DuckDBPyConnection, nodes: bool
) -> bool:
    """Return whether an exported store has other vectors of a run, of systems or of nodes."""
    files = [file for file in list_files(run) if file.rows and (file.systems is not None) == nodes]
    paths = literals([escape_glob(file.path) for file in files])
    here = f"FROM read_parquet({paths}, hive_partitioning = false)"
    rows = connection.execute(_FINGERPRINT.format(rows=here)).fetchall() if files else []
    there = f"SELECT * FROM ({ALL_NODES if nodes else ALL_VECTORS}) WHERE run_id = ?"
    found = exported.connection.execute(_FINGERPRINT.format(rows=there), [run.run_id])
    return rows != found.fetchall()
