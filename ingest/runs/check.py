"""Check that a finished run is what it says it is. No run is loaded that does not pass here.

Memory does not grow with the number of systems; see `ingest.runs.vectors.rows`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.integrity import Damaged, check_file
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.vectors.files import RunFile, list_files
from ingest.runs.vectors.numbers import check_numbers
from ingest.runs.vectors.rows import compare_nodes, compare_rows, find_faults, refuse_rows
from schemas.message import one_line
from schemas.object_stores import load_httpfs
from schemas.paths import escape_glob
from schemas.vectors import literals
from schemas.views import node_keys
from zoo.encoder import ENERGY
from zoo.worker.pooling import NODE_FIELDS

STATUSES = ("ok", "failed", "not_applicable")
# {what is wrong with a row: the condition that finds such rows}. How many there are, and the first
# of them, go into the message.
FAULTS = {
    "has a status other than ok, failed and not_applicable": (
        "status NOT IN ('ok', 'failed', 'not_applicable')"
    ),
    "is not ok and gives no reason": "status != 'ok' AND coalesce(reason, '') = ''",
    "has an energy that is not finite": f"NOT isfinite({ENERGY})",
    "has an energy, and its model's card promises none": (
        f"{ENERGY} IS NOT NULL AND NOT $promises_energy"
    ),
}
# {what is wrong with the rows together: the query that finds such rows}, in the order of checks.
UNLIKE_SENT = {
    "is there more than once": """
        SELECT system_id FROM outcomes GROUP BY system_id, representation HAVING count(*) > 1
    """,
    "was not sent, or not with this content": """
        SELECT system_id FROM outcomes
        ANTI JOIN expected USING (system_id, content_hash, representation)
    """,
    "was sent and is not there": """
        SELECT system_id FROM expected ANTI JOIN outcomes USING (system_id, representation)
    """,
}
UNLIKE_OUTCOMES = {
    "has more than one vector": """
        SELECT system_id FROM vectors GROUP BY system_id, representation HAVING count(*) > 1
    """,
    "has a vector and is not ok, or not with this content": """
        SELECT system_id FROM vectors
        ANTI JOIN done USING (system_id, content_hash, representation)
    """,
    "is ok and has no vector": """
        SELECT system_id FROM done ANTI JOIN vectors USING (system_id, representation)
    """,
}
# If the energies of all representations are the same, so is the sum of their hashes.
ENERGIES = f"""
SELECT count(DISTINCT found) > 1 FROM (
    SELECT sum(hash(system_id, {ENERGY})::HUGEINT) AS found FROM outcomes GROUP BY representation
)
"""
DISAGREEING = f"""
SELECT system_id FROM outcomes GROUP BY system_id
HAVING min({ENERGY}) != max({ENERGY})
"""


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
        connection: Any connection; gets the run's rows as the temporary view `outcomes`, and ids
            and hashes of its vectors as `vectors`.
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

    Every system sent has an outcome per representation, every one that is ok has a vector, every
    vector is finite and as long as the card says, and the counts are those of run.json.

    Args:
        connection: Any connection; gets views, see `check_run`.
        run: A finished run.

    Returns:
        How many vectors and failures the run has.

    Raises:
        ShardError: The files are not what the run's JSON files say.
        Damaged: A file is missing or not as it was written.
    """
    job, result = run.read("job/job.json"), run.read("out/run.json")
    _check_stamps(run, job, result)
    try:
        # Those of a file were checked before it went into an object store; its stamp is the same.
        check_numbers([file for file in list_files(run) if file.is_local], job)
        _make_views(connection, run, job)
        _check_rows(connection, job)
        counts = count_outcomes(connection, "outcomes")
    except (duckdb.OutOfMemoryException, duckdb.InterruptException):
        raise  # says nothing about the files
    except (duckdb.Error, OSError) as error:
        raise ShardError(one_line(error)) from error
    if vars(counts) != result["counts"]:
        raise ShardError(f"its files hold {vars(counts)}, but its run.json says {result['counts']}")
    return counts


def count_rows(connection: duckdb.DuckDBPyConnection, run: Run) -> Counts:
    """Count what the shards of a run hold that has not finished.

    Args:
        connection: Any connection.
        run: A run.

    Returns:
        The counts; `sent` is their sum.
    """
    if not run.shards:
        return Counts(0, 0, 0, 0)
    shards = literals([escape_glob(shard) for shard in run.shards])
    return count_outcomes(connection, f"read_parquet({shards}, hive_partitioning = false)")


def count_outcomes(connection: duckdb.DuckDBPyConnection, rows: str) -> Counts:
    """Count rows by their status.

    Args:
        connection: Any connection.
        rows: A relation in SQL.
    """
    query = f"SELECT status, count(*) FROM {rows} GROUP BY status"
    found = dict(connection.execute(query).fetchall())
    return Counts(sent=sum(found.values()), **{status: found.get(status, 0) for status in STATUSES})


def _check_stamps(run: Run, job: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Compare the files with the stamps that were noted; jobs of early versions have none."""
    check_file(run.outcomes, result["outcomes"])
    for file in list_files(run):
        file.check()
    if job.get("sent") is not None:
        check_file(run.systems, job["sent"])


def _make_views(connection: duckdb.DuckDBPyConnection, run: Run, job: Mapping[str, Any]) -> None:
    """Make the temporary views `expected` (what was sent), `outcomes`, `done` and `vectors`."""
    sent, outcomes = (
        f"read_parquet({literals([escape_glob(file)])}, hive_partitioning = false)"
        for file in (run.systems, run.outcomes)
    )
    if not all(file.is_local for file in list_files(run)):
        load_httpfs(connection)
    of_systems = _read([file for file in list_files(run) if file.systems is None])
    of_nodes = _read([file for file in list_files(run) if file.systems is not None])
    keys = "system_id, content_hash, representation"
    vectors = [f"SELECT {keys} FROM {of_systems}"] if of_systems else []
    vectors += [node_keys(of_nodes, keys)] if of_nodes else []
    for name, rows in {
        "outcomes": f"SELECT {keys}, status, reason, {ENERGY} FROM {outcomes}",
        "done": "FROM outcomes WHERE status = 'ok'",
        "vectors": " UNION ALL ".join(vectors) or "FROM done WHERE false",
        "expected": "SELECT system_id, content_hash, representation "
        f"FROM {sent}, (SELECT unnest({literals(job['representations'])}) AS representation)",
    }.items():
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {rows}")
    if of_nodes:
        compare_nodes(connection, of_nodes, sent, NODE_FIELDS[job["model"]["input"]])


def _read(files: Sequence[RunFile]) -> str | None:
    """Return SQL for the rows of files, None if there are none."""
    paths = literals([escape_glob(file.path) for file in files])
    return f"read_parquet({paths}, hive_partitioning = false)" if files else None


def _check_rows(connection: duckdb.DuckDBPyConnection, job: Mapping[str, Any]) -> None:
    """Refuse rows that must not be."""
    sums = ", ".join(
        f"count_if({fault}), min(system_id) FILTER ({fault})" for fault in FAULTS.values()
    )
    promises = {"promises_energy": job["model"].get(ENERGY) is not None}
    found = connection.execute(f"SELECT {sums} FROM outcomes", promises).fetchall()[0]
    for what, count, first in zip(FAULTS, found[::2], found[1::2], strict=True):
        refuse_rows(count, first, what)
    compare_rows(connection, "outcomes", "expected", UNLIKE_SENT)
    compare_rows(connection, "vectors", "done", UNLIKE_OUTCOMES)
    ((disagree,),) = connection.execute(ENERGIES).fetchall()
    if disagree:
        find_faults(connection, {"has more than one energy": DISAGREEING})
