"""Put vectors into a store, and take them out, without runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.runs.store.vector_tables import remove_empty
from schemas.views import write_views
from zoo.worker.sealed import stamp
from zoo.worker.tables import NODE_OPTIONS, NODE_VECTORS, VECTORS, VECTORS_OPTIONS
from zoo.worker.vector_files import rows_per_group

Table = NDArray[np.float32]


def put(
    connection: duckdb.DuckDBPyConnection,
    model_id: str,
    ids: Sequence[str],
    vectors: Table | Sequence[Sequence[float]],
    *,
    representation: str = "last",
    content: str | Sequence[str] = "c",
    run_id: str | None = None,
    view: bool = True,
) -> None:
    """Write vectors of one model on one dataset to a file, and register it.

    Args:
        connection: A store in a file, open for writing.
        model_id: The model.
        ids: The systems.
        vectors: Their vectors, (n, d), or of different lengths.
        representation: The representation.
        content: The content hash, or one per system.
        run_id: The run; None is a new one.
        view: Whether `embeddings` shows them at once. To put many, write the view once at the end.
    """
    if isinstance(vectors, np.ndarray):
        ends = np.arange(0, vectors.size + 1, max(vectors.shape[1], 1), dtype=np.int32)
        lists = pa.ListArray.from_arrays(ends, pa.array(np.ravel(vectors), pa.float32()))
    else:
        lists = pa.array(vectors, pa.list_(pa.float32()))
    run_id = run_id or f"run-{uuid4().hex[:12]}"
    one = {"model_id": model_id, "representation": representation, "run_id": run_id}
    if isinstance(content, str):
        content = [content] * len(ids)
    columns = {"system_id": pa.array(ids), "content_hash": pa.array(content), "vector": lists}
    same = {name: pa.repeat(pa.scalar(value), len(ids)) for name, value in one.items()}
    add(connection, pa.table(columns | same), view=view)


def add(connection: duckdb.DuckDBPyConnection, rows: pa.Table, *, view: bool = True) -> None:
    """Write rows of `embeddings`, of one run, representation and dataset, and register them.

    Rows with a column `node` are of `node_embeddings`.
    """
    store = path_of(connection)
    dataset = rows["system_id"][0].as_py().split("/")[0]
    model_id, representation, run_id = (
        rows[name][0].as_py() for name in ("model_id", "representation", "run_id")
    )
    nodes = "node" in rows.column_names
    folder = store.with_suffix(".data") / ("nodes" if nodes else "vectors")
    schema, options = (NODE_VECTORS, NODE_OPTIONS) if nodes else (VECTORS, VECTORS_OPTIONS)
    place = f"dataset={dataset}/model={model_id}/{run_id}-{uuid4().hex[:5]}.parquet"
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    order = [(name, "ascending") for name in ("system_id", "node") if name in rows.column_names]
    rows = rows.select(schema.names).cast(schema).sort_by(order)
    widest = pc.max(pc.list_value_length(rows["vector"])).as_py()
    pq.write_table(rows, file, rows_per_group(max(widest, 1)), **options)
    found = stamp(file)
    connection.execute(
        "INSERT INTO vector_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            place,
            str(folder),
            run_id,
            dataset,
            model_id,
            representation + (":nodes" if nodes else ""),
            rows.num_rows,
            found["size"],
            found["sha256"],
            file.stat().st_mtime_ns,
            pc.sum(pc.equal(rows["node"], 0)).as_py() if nodes else None,
        ],
    )
    if view:
        write_views(connection, store)


def put_nodes(
    connection: duckdb.DuckDBPyConnection,
    model_id: str,
    sizes: Mapping[str, int],
    vectors: Table,
    *,
    view: bool = True,
) -> None:
    """Write vectors of the nodes of a model's systems to a file, and register it.

    Args:
        connection: A store in a file, open for writing.
        model_id: The model.
        sizes: How many nodes each system has.
        vectors: The vectors of all nodes, in the order of `sizes`, (n, d).
        view: As of `put`.
    """
    counts = list(sizes.values())
    system_ids = np.repeat(list(sizes), counts)
    ends = np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32)
    one = {"model_id": model_id, "representation": "last", "content_hash": "c"}
    one |= {"run_id": f"run-{uuid4().hex[:12]}"}
    columns = {
        "system_id": pa.array(system_ids),
        "node": pa.array(np.concatenate([np.arange(n) for n in counts]), pa.int32()),
        "vector": pa.ListArray.from_arrays(ends, pa.array(np.ravel(vectors), pa.float32())),
    }
    same = {name: pa.repeat(pa.scalar(value), len(system_ids)) for name, value in one.items()}
    add(connection, pa.table(columns | same), view=view)


def add_query(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None = None
) -> None:
    """Add what a query over `embeddings` returns, as rows of new runs."""
    rows = connection.execute(sql, parameters or {}).to_arrow_table()
    split = pa.table(
        {
            "dataset": [name.split("/")[0] for name in rows["system_id"].to_pylist()],
            "model_id": rows["model_id"],
            "representation": rows["representation"],
        }
    )
    for part in split.group_by(split.column_names).aggregate([]).to_pylist():
        mask = [row == part for row in split.to_pylist()]
        run = pa.repeat(pa.scalar(f"run-{uuid4().hex[:12]}"), sum(mask))
        chosen = rows.filter(pa.array(mask))
        place = chosen.column_names.index("run_id")
        add(connection, chosen.set_column(place, "run_id", run))


def remove(
    connection: duckdb.DuckDBPyConnection, where: str, parameters: Sequence[object] = ()
) -> None:
    """Have rows of `embeddings` not count any more, as if a later run had replaced them."""
    connection.execute(
        "INSERT INTO superseded SELECT run_id, system_id, representation FROM embeddings "
        f"WHERE {where}",
        list(parameters),
    )
    remove_empty(connection)
    write_views(connection, path_of(connection))


def path_of(connection: duckdb.DuckDBPyConnection) -> Path:
    """Return the path of the store that a connection writes to."""
    sql = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    return Path(connection.execute(sql).fetchall()[0][0])
