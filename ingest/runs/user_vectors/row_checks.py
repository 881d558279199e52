"""Refuse imported vectors that cannot be stored, before anything is."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from ingest.runs.errors import VectorsError
from ingest.systems.materialized import MaterializedDataset
from schemas.paths import escape_glob

LARGEST = np.finfo(np.float32).max
# Ids may have the dataset's name in front or not; an id of the source may itself begin with it.
KNOWN = """
CREATE TEMP TABLE known AS
WITH s AS (
    SELECT system_id, content_hash FROM read_parquet($systems, hive_partitioning = false)
)
SELECT i.row, i.system_id AS given_id, coalesce(named.system_id, bare.system_id) AS system_id,
       coalesce(named.content_hash, bare.content_hash) AS content_hash
FROM imported AS i LEFT JOIN s AS named ON named.system_id = i.system_id
    LEFT JOIN s AS bare ON bare.system_id = $dataset || '/' || i.system_id
"""
# {what is wrong: the query that finds such rows}, in the order of checks. The first that finds any
# is reported, with how many there are and their first ids.
FAULTS = {
    "rows have no system_id": (
        "SELECT row::VARCHAR FROM imported WHERE coalesce(system_id, '') = ''"
    ),
    "ids are not of dataset {dataset}": "SELECT given_id FROM known WHERE system_id IS NULL",
    "ids appear more than once": (
        "SELECT system_id FROM known GROUP BY system_id HAVING count(*) > 1"
    ),
    "systems have no vector": "SELECT system_id FROM imported WHERE coalesce(len(vector), 0) = 0",
    "vectors are not {dimension} numbers long, as the first is": (
        "SELECT system_id FROM imported WHERE len(vector) != $dimension"
    ),
    "vectors hold a number that is missing or not finite": (
        "SELECT system_id FROM imported WHERE len(vector) != list_count(vector) "
        "OR NOT (isfinite(list_min(vector)) AND isfinite(list_max(vector)))"
    ),
    "vectors hold a number too large for float32": (
        "SELECT system_id FROM imported "
        f"WHERE greatest(list_max(vector), -list_min(vector)) > {LARGEST}"
    ),
    "vectors are all zeros": (
        "SELECT system_id FROM imported WHERE list_min(vector) = 0 AND list_max(vector) = 0"
    ),
    "vectors are all zeros in float32, which holds no numbers below 1e-45": (
        "SELECT system_id FROM imported "
        "WHERE list_min(vector::FLOAT[]) = 0 AND list_max(vector::FLOAT[]) = 0"
    ),
}


def check_rows(
    connection: duckdb.DuckDBPyConnection, file: Path, dataset: MaterializedDataset
) -> int:
    """Refuse rows that cannot be stored.

    Args:
        connection: Has the table `imported` (row, system_id, vector); gets the table `known` (row,
            given_id, system_id, content_hash), the systems that the rows belong to.
        file: The file that the rows are from.
        dataset: The dataset that they are to belong to.

    Returns:
        The length of the vectors.

    Raises:
        VectorsError: Some rows cannot be stored; the message has the first of them.
    """
    values = {"systems": escape_glob(dataset.systems), "dataset": dataset.dataset}
    connection.execute(KNOWN, values)
    first = connection.execute("SELECT len(vector) FROM imported ORDER BY row LIMIT 1").fetchone()
    if first is None:
        raise VectorsError(f"{file} holds no rows")
    facts = {"dataset": dataset.dataset, "dimension": first[0]}
    for what, query in FAULTS.items():
        limits = {"dimension": first[0]} if "$dimension" in query else {}
        found = f"SELECT count(*), list(c0 ORDER BY c0)[:3] FROM ({query}) AS faults(c0)"
        count, ids = connection.execute(found, limits).fetchall()[0]
        if count:
            shown = ", ".join(ids) + (", …" if count > len(ids) else "")
            raise VectorsError(
                f"{file}: {count} {what.format(**facts)}: {shown}. Nothing was stored"
            )
    return int(first[0])
