"""Check that a finished run is what it says it is. No run is loaded that does not pass here.

Memory does not grow with the number of systems: sets of rows are compared by how many they are and
by the sum of their hashes, and only if that differs are the rows looked for that are to blame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.integrity import Damaged, check_file
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.vectors.files import list_files
from ingest.runs.vectors.numbers import check_numbers
from schemas.message import one_line
from schemas.object_stores import load_httpfs
from schemas.paths import escape_glob
from schemas.vectors import literals
from zoo.encoder import ENERGY

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
FINGERPRINT = """
SELECT count(*), coalesce(sum(hash(system_id, content_hash, representation)::HUGEINT), 0) FROM {}
"""
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
    paths = literals([escape_glob(file.path) for file in list_files(run)])
    keys = "system_id, content_hash, representation"
    vectors = f"SELECT {keys} FROM read_parquet({paths}, hive_partitioning = false)"
    for name, rows in {
        "outcomes": f"SELECT {keys}, status, reason, {ENERGY} FROM {outcomes}",
        "done": "FROM outcomes WHERE status = 'ok'",
        "vectors": vectors if list_files(run) else "FROM done WHERE false",
        "expected": "SELECT system_id, content_hash, representation "
        f"FROM {sent}, (SELECT unnest({literals(job['representations'])}) AS representation)",
    }.items():
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {rows}")


def _check_rows(connection: duckdb.DuckDBPyConnection, job: Mapping[str, Any]) -> None:
    """Refuse rows that must not be."""
    sums = ", ".join(
        f"count_if({fault}), min(system_id) FILTER ({fault})" for fault in FAULTS.values()
    )
    promises = {"promises_energy": job["model"].get(ENERGY) is not None}
    found = connection.execute(f"SELECT {sums} FROM outcomes", promises).fetchall()[0]
    for what, count, first in zip(FAULTS, found[::2], found[1::2], strict=True):
        _refuse(count, first, what)
    _compare(connection, "outcomes", "expected", UNLIKE_SENT)
    _compare(connection, "vectors", "done", UNLIKE_OUTCOMES)
    ((disagree,),) = connection.execute(ENERGIES).fetchall()
    if disagree:
        _find(connection, {"has more than one energy": DISAGREEING})


def _compare(
    connection: duckdb.DuckDBPyConnection, these: str, those: str, faults: Mapping[str, str]
) -> None:
    """Refuse two relations of different rows, by what is found wrong with them."""
    first, second = (
        connection.execute(FINGERPRINT.format(name)).fetchall() for name in (these, those)
    )
    if first != second:
        _find(connection, faults)
        raise ShardError(f"its {these} are other rows than {those}")


def _find(connection: duckdb.DuckDBPyConnection, faults: Mapping[str, str]) -> None:
    for what, query in faults.items():
        ((count, first),) = connection.execute(
            f"SELECT count(*), min(system_id) FROM ({query})"
        ).fetchall()
        _refuse(count, first, what)


def _refuse(count: int, first: str, what: str) -> None:
    if count:
        raise ShardError(f"{first} {what}" + (f" (and {count - 1} more)" if count > 1 else ""))
