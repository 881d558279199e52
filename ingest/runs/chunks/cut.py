"""Cut a dataset into chunks, each of which is computed by one run.

The systems that are asked for are put in the order of samples (`ingest.systems.sample`) and cut
after every CHUNK_SYSTEMS. So the chunks of a request depend on the dataset and the limit alone:
not on what is stored, on the machine, or on how fast a model is. A larger limit has all whole
chunks of a smaller one; only the last chunk is shorter, where the limit cuts it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.runs.chunks.shared import Part
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.sample import ORDER_IN_SQL
from ingest.systems.tables import ROW_GROUP
from schemas.paths import escape_glob
from zoo.worker.tables import SYSTEMS

# Of 256 to 1,024 numbers per vector, that makes a file of 67 to 268 MB; the default sample of a
# large dataset, 50,000 systems, is one chunk.
CHUNK_SYSTEMS = 65_536
IN_ORDER = f"""
CREATE TEMP TABLE in_order AS
SELECT system_id, content_hash FROM read_parquet($systems, hive_partitioning = false)
ORDER BY {ORDER_IN_SQL}
LIMIT $limit
"""
# The rows of a table are numbered as they came in; a window over all of them would not be sorted
# on disk.
WANTED = """
CREATE TEMP VIEW wanted AS SELECT system_id, content_hash, rowid // {size} AS chunk FROM in_order
"""
# The SHA-256 over the ids and content hashes of systems, which is part of a run's id.
HASH = "sha256(string_agg(system_id || chr(9) || content_hash || chr(10), '' ORDER BY system_id))"


def cut_into_chunks(
    connection: duckdb.DuckDBPyConnection, systems: Path, limit: int, size: int = CHUNK_SYSTEMS
) -> None:
    """Make the temporary view `wanted` (system_id, content_hash, chunk) of the systems asked for.

    Args:
        connection: Where the view is made.
        systems: The dataset's systems.parquet.
        limit: How many systems are asked for.
        size: Systems per chunk. Chunks are numbered from 0.
    """
    connection.execute(IN_ORDER, {"systems": escape_glob(systems), "limit": limit})
    connection.execute(WANTED.format(size=size))


def cut_out(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> Part:
    """Return the part of a dataset that is in the table `sent`.

    Args:
        connection: Has the table `sent` (system_id, content_hash), no larger than a chunk, which
            has to stay as it is until the part is copied.
        dataset: The dataset.
    """
    ((systems_hash, count),) = connection.execute(f"SELECT {HASH}, count(*) FROM sent").fetchall()
    return Part(dataset, count, systems_hash, partial(_copy_sent, connection, dataset.systems))


def _copy_sent(connection: duckdb.DuckDBPyConnection, systems: Path, target: Path) -> None:
    """Write the systems of the table `sent` in the order of the dataset."""
    connection.execute("SET threads = 1")  # several would mix up the order
    query = (
        f"SELECT {', '.join(SYSTEMS.names)} FROM read_parquet(?, hive_partitioning = false) "
        "SEMI JOIN sent USING (system_id)"
    )
    reader = connection.execute(query, [escape_glob(systems)]).to_arrow_reader(ROW_GROUP)
    with open_part(target) as writer:
        for batch in reader:
            table = pa.Table.from_batches([batch]).cast(SYSTEMS)
            writer.write_table(table, row_group_size=ROW_GROUP)


def open_part(target: Path) -> pq.ParquetWriter:
    """Return what writes the file of a part.

    Args:
        target: The file.
    """
    return pq.ParquetWriter(target, SYSTEMS, compression="zstd", write_page_checksum=True)
