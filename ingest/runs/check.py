"""Is a finished run what it says it is? Nothing lands that does not pass here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.integrity import Damaged, check_file
from ingest.layout import escape_glob
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from schemas.message import one_line
from zoo.encoder import ENERGY

COLUMNS = {
    "system_id": "VARCHAR",
    "content_hash": "VARCHAR",
    "representation": "VARCHAR",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "vector": "FLOAT[]",
    ENERGY: "DOUBLE",
}
STATUSES = ("ok", "failed", "not_applicable")
# Each finds rows that must not be; the first of them, and how many, go into the message.
FAULTS = {
    "has a status other than ok, failed and not_applicable": "status NOT IN ('ok', 'failed', 'not_applicable')",
    "is ok but has no vector, or has a vector but is not ok": "(status = 'ok') != (vector IS NOT NULL)",
    "is not ok and gives no reason": "status != 'ok' AND coalesce(reason, '') = ''",
    "has a vector of another length than the card says": "len(vector) != dimensions[representation]",
    # The sum (in double precision) of finite float32 numbers is finite; one NaN or infinity spoils it, a NULL does not.
    "has an energy that is not finite": "NOT isfinite(energy)",
    "has an energy, and its model's card promises none": "energy IS NOT NULL AND NOT promises_energy",
    "has a vector that is not finite": "len(vector) != list_count(vector) OR NOT isfinite(list_sum(vector))",
}
UNEXPECTED = """
SELECT count(*), min(system_id) FROM (
    SELECT system_id, content_hash FROM shards ANTI JOIN expected USING (system_id, content_hash, representation)
)
"""
REPEATED = """
SELECT count(*), min(system_id) FROM (
    SELECT system_id FROM shards GROUP BY system_id, representation HAVING count(*) > 1
)
"""
DISAGREEING = """
SELECT count(*), min(system_id) FROM (
    SELECT system_id FROM shards GROUP BY system_id HAVING min(energy) != max(energy)
)
"""
MISSING = "SELECT count(*), min(system_id) FROM expected ANTI JOIN shards USING (system_id, representation)"


@dataclass(frozen=True)
class Counts:
    """Systems × representations by outcome."""

    sent: int
    ok: int
    failed: int
    not_applicable: int


def check(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """Check a finished run; leaves its rows as the temporary view `shards`. Raises ShardError with what to do."""
    try:
        return inspect(connection, run)
    except (ShardError, Damaged) as error:
        raise refused(run, str(error)) from error


def refused(run: Run, reason: str) -> ShardError:
    """The error of a run that does not land, with what to do."""
    return ShardError(
        f"run {run.run_id} was not loaded into the store: {reason}. Nothing of it was stored: "
        f"remove {run.folder} and repeat the command to compute it again",
        reason,
    )


def inspect(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """As check; what is wrong, and no more, is the ShardError.

    Every system sent is there once for each representation, every vector is finite and as long as the card says, and
    the counts are those of run.json. Works through DuckDB: memory does not grow with the number of systems.
    """
    job, said = run.read("job/job.json"), run.read("out/run.json")
    _check_stamps(run, job, said)
    try:
        for file in run.shards:
            _check_file(file, job)
        _make_views(connection, run, job)
        _check_rows(connection)
        counts = count_rows(connection, run)
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise  # says nothing about the shards
    except (duckdb.Error, OSError) as error:
        raise ShardError(one_line(error)) from error
    if vars(counts) != said["counts"]:
        raise ShardError(f"its shards hold {vars(counts)}, but its run.json says {said['counts']}")
    return counts


def _check_stamps(run: Run, job: dict[str, Any], said: dict[str, Any]) -> None:
    """Are the files those that were written? Runs of before there were stamps have none."""
    stated = said.get("shards", {})
    unknown = {file.name for file in run.shards} - stated.keys()
    if stated and unknown:
        raise ShardError(f"{min(unknown)} is there, and its run.json does not name it")
    for name, stamp in stated.items():
        check_file(run.out / name, stamp)
    if job.get("sent") is not None:
        check_file(run.systems, job["sent"])


def count_rows(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """What the shards of a run hold, finished or not."""
    found = {}
    if run.shards:
        query = "SELECT status, count(*) FROM read_parquet(?, hive_partitioning = false) GROUP BY status"
        found = dict(
            connection.execute(query, [[escape_glob(shard) for shard in run.shards]]).fetchall()
        )
    return Counts(sent=sum(found.values()), **{status: found.get(status, 0) for status in STATUSES})


def _check_file(file: Path, job: dict[str, Any]) -> None:
    """A shard is Parquet, and of this run."""
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except (OSError, ValueError) as error:
        raise ShardError(f"{file.name} is not a whole Parquet file ({error})") from error
    for key in ("run_id", "model_id", "card_hash"):
        found = metadata.get(key.encode(), b"").decode()
        if found != job[key]:
            raise ShardError(f"{file.name} was written with {key} {found!r}, expected {job[key]!r}")


def _make_views(connection: duckdb.DuckDBPyConnection, run: Run, job: dict[str, Any]) -> None:
    """Temporary views `shards` (what came) and `expected` (what was sent)."""
    if not run.shards:
        raise ShardError("it has no shards")
    dimensions = {r["name"]: r["dimension"] for r in job["model"]["representation"]}
    keys, values = list(dimensions), list(dimensions.values())
    columns = ", ".join(f"{name}::{kind} AS {name}" for name, kind in COLUMNS.items())
    files = _literals([escape_glob(file) for file in run.shards])
    # Shards of before there were energies have no such column; the second, empty table gives it to them.
    read = f"read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    rows = f"FROM {read} UNION ALL BY NAME SELECT NULL AS {ENERGY} WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW shards AS SELECT {columns} FROM ({rows})")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE card (dimensions MAP(VARCHAR, INTEGER), promises_energy BOOLEAN)"
    )
    promised = job["model"].get(ENERGY) is not None
    connection.execute(
        "INSERT INTO card SELECT map(?::VARCHAR[], ?::INTEGER[]), ?", [keys, values, promised]
    )
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW expected AS SELECT system_id, content_hash, representation "
        f"FROM read_parquet({_literals([escape_glob(run.systems)])}, hive_partitioning = false), "
        f"(SELECT unnest({_literals(job['representations'])}) AS representation)"
    )


def _check_rows(connection: duckdb.DuckDBPyConnection) -> None:
    sums = ", ".join(
        f"count_if({fault}), min(system_id) FILTER ({fault})" for fault in FAULTS.values()
    )
    found = connection.execute(f"SELECT {sums} FROM shards, card").fetchall()[0]
    for what, count, first in zip(FAULTS, found[::2], found[1::2], strict=True):
        _refuse(count, first, what)
    for what, query in (
        ("is there more than once", REPEATED),
        ("has more than one energy", DISAGREEING),
        ("was not sent, or not with this content", UNEXPECTED),
        ("was sent and is not there", MISSING),
    ):
        ((count, first),) = connection.execute(query).fetchall()
        _refuse(count, first, what)


def _refuse(count: int, first: str, what: str) -> None:
    if count:
        raise ShardError(f"{first} {what}" + (f" (and {count - 1} more)" if count > 1 else ""))


def _literals(values: list[str]) -> str:
    """A list of SQL strings; a view cannot hold parameters."""
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
