"""Check that a finished run is what it says it is. No run is loaded that does not pass here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.integrity import Damaged, check_file
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from schemas.message import one_line
from schemas.paths import escape_glob
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
# {what is wrong with a row: the condition that finds such rows}. How many there are, and the first
# of them, go into the message.
FAULTS = {
    "has a status other than ok, failed and not_applicable": (
        "status NOT IN ('ok', 'failed', 'not_applicable')"
    ),
    "is ok but has no vector, or has a vector but is not ok": (
        "(status = 'ok') != (vector IS NOT NULL)"
    ),
    "is not ok and gives no reason": "status != 'ok' AND coalesce(reason, '') = ''",
    "has a vector of another length than the card says": (
        "len(vector) != dimensions[representation]"
    ),
    "has an energy that is not finite": "NOT isfinite(energy)",
    "has an energy, and its model's card promises none": (
        "energy IS NOT NULL AND NOT promises_energy"
    ),
    # The sum (in double precision) of finite float32 numbers is finite; one NaN or infinity spoils
    # it, a NULL does not.
    "has a vector that is not finite": (
        "len(vector) != list_count(vector) OR NOT isfinite(list_sum(vector))"
    ),
}
UNEXPECTED = """
SELECT count(*), min(system_id) FROM (
    SELECT system_id, content_hash FROM shards
    ANTI JOIN expected USING (system_id, content_hash, representation)
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
MISSING = """
SELECT count(*), min(system_id) FROM expected ANTI JOIN shards USING (system_id, representation)
"""
# {what is wrong with the rows together: the query that finds such rows}, in the order of checks.
FAULTS_OF_ALL = {
    "is there more than once": REPEATED,
    "has more than one energy": DISAGREEING,
    "was not sent, or not with this content": UNEXPECTED,
    "was sent and is not there": MISSING,
}


@dataclass(frozen=True)
class Counts:
    """Pairs of a system and a representation, by outcome.

    Attributes:
        sent: How many were asked for.
        ok: How many have a vector.
        failed: How many have a reason for having failed.
        not_applicable: How many the model does not take.
    """

    sent: int
    ok: int
    failed: int
    not_applicable: int


def check_run(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """Check a finished run, and name it and what to do about it if it does not pass.

    Args:
        connection: Any connection; gets the run's rows as the temporary view `shards`.
        run: A finished run.

    Returns:
        How many vectors and failures the run has.

    Raises:
        ShardError: The run does not pass.
    """
    try:
        return inspect_run(connection, run)
    except (ShardError, Damaged) as error:
        raise refusal(run, str(error)) from error


def refusal(run: Run, reason: str) -> ShardError:
    """Return the error of a run that is not loaded, with what to do.

    Args:
        run: The run.
        reason: What is wrong with it, without a period.
    """
    return ShardError(
        f"run {run.run_id} was not loaded into the store: {reason}. Nothing of it was stored: "
        f"remove {run.folder} and repeat the command to compute it again",
        reason,
    )


def inspect_run(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """Check a finished run, and say only what is wrong if it does not pass.

    Every system sent is there once per representation, every vector is finite and as long as the
    card says, and the counts are those of run.json. DuckDB does the work: memory does not grow
    with the number of systems.

    Args:
        connection: Any connection; gets the run's rows as the temporary view `shards`.
        run: A finished run.

    Returns:
        How many vectors and failures the run has.

    Raises:
        ShardError: The shards are not what the run's JSON files say.
        Damaged: A file is missing or not as it was written.
    """
    job, result = run.read("job/job.json"), run.read("out/run.json")
    _check_stamps(run, job, result)
    try:
        for file in run.shards:
            _check_metadata(file, job)
        _make_views(connection, run, job)
        _check_rows(connection)
        counts = count_rows(connection, run)
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise  # says nothing about the shards
    except (duckdb.Error, OSError) as error:
        raise ShardError(one_line(error)) from error
    if vars(counts) != result["counts"]:
        raise ShardError(
            f"its shards hold {vars(counts)}, but its run.json says {result['counts']}"
        )
    return counts


def count_rows(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """Count what the shards of a run hold, finished or not.

    Args:
        connection: Any connection.
        run: Any run.

    Returns:
        The counts; `sent` is their sum.
    """
    found = {}
    if run.shards:
        query = (
            "SELECT status, count(*) FROM read_parquet(?, hive_partitioning = false) "
            "GROUP BY status"
        )
        files = [escape_glob(shard) for shard in run.shards]
        found = dict(connection.execute(query, [files]).fetchall())
    return Counts(sent=sum(found.values()), **{status: found.get(status, 0) for status in STATUSES})


def _check_stamps(run: Run, job: dict[str, Any], result: dict[str, Any]) -> None:
    """Compare the files with the stamps that were noted; runs of early versions have none."""
    stated = result.get("shards", {})
    unknown = {file.name for file in run.shards} - stated.keys()
    if stated and unknown:
        raise ShardError(f"{min(unknown)} is there, and its run.json does not name it")
    for name, stamp in stated.items():
        check_file(run.out / name, stamp)
    if job.get("sent") is not None:
        check_file(run.systems, job["sent"])


def _check_metadata(file: Path, job: dict[str, Any]) -> None:
    """Refuse a shard that is no whole Parquet file, or that belongs to another run."""
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except (OSError, ValueError) as error:
        raise ShardError(f"{file.name} is not a whole Parquet file ({error})") from error
    for key in ("run_id", "model_id", "card_hash"):
        found = metadata.get(key.encode(), b"").decode()
        if found != job[key]:
            raise ShardError(f"{file.name} was written with {key} {found!r}, expected {job[key]!r}")


def _make_views(connection: duckdb.DuckDBPyConnection, run: Run, job: dict[str, Any]) -> None:
    """Make the temporary views `shards` (what came) and `expected` (what was sent), and `card`."""
    if not run.shards:
        raise ShardError("it has no shards")
    columns = ", ".join(f"{name}::{kind} AS {name}" for name, kind in COLUMNS.items())
    files = _literals([escape_glob(file) for file in run.shards])
    # Shards of before there were energies have no such column; the second, empty table adds it.
    read = f"read_parquet({files}, union_by_name = true, hive_partitioning = false)"
    rows = f"FROM {read} UNION ALL BY NAME SELECT NULL AS {ENERGY} WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW shards AS SELECT {columns} FROM ({rows})")
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW expected AS SELECT system_id, content_hash, representation "
        f"FROM read_parquet({_literals([escape_glob(run.systems)])}, hive_partitioning = false), "
        f"(SELECT unnest({_literals(job['representations'])}) AS representation)"
    )
    _make_card(connection, job)


def _make_card(connection: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> None:
    """Make the temporary table `card`, one row: what the model's card promises."""
    dimensions = {r["name"]: r["dimension"] for r in job["model"]["representation"]}
    names, lengths = list(dimensions), list(dimensions.values())
    promised = job["model"].get(ENERGY) is not None
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE card "
        "(dimensions MAP(VARCHAR, INTEGER), promises_energy BOOLEAN)"
    )
    connection.execute(
        "INSERT INTO card SELECT map(?::VARCHAR[], ?::INTEGER[]), ?", [names, lengths, promised]
    )


def _check_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse rows of the view `shards` that must not be."""
    sums = ", ".join(
        f"count_if({fault}), min(system_id) FILTER ({fault})" for fault in FAULTS.values()
    )
    found = connection.execute(f"SELECT {sums} FROM shards, card").fetchall()[0]
    for what, count, first in zip(FAULTS, found[::2], found[1::2], strict=True):
        _refuse(count, first, what)
    for what, query in FAULTS_OF_ALL.items():
        ((count, first),) = connection.execute(query).fetchall()
        _refuse(count, first, what)


def _refuse(count: int, first: str, what: str) -> None:
    if count:
        raise ShardError(f"{first} {what}" + (f" (and {count - 1} more)" if count > 1 else ""))


def _literals(values: list[str]) -> str:
    """Return a list of SQL strings; a view cannot hold parameters."""
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
