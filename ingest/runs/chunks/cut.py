"""Cut a dataset into chunks, each of which is computed by one run.

The systems that are asked for are put in the order of samples (`ingest.systems.sample`) and cut
after every CHUNK_SYSTEMS. So the chunks of a request depend on the dataset and the limit alone:
not on what is stored, on the machine, or on how fast a model is. A larger limit has all whole
chunks of a smaller one; only the last chunk is shorter, where the limit cuts it.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from ingest.systems.sample import ORDER_IN_SQL
from schemas.paths import escape_glob

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
