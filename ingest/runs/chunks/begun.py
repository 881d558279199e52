"""Take over runs that have begun and that compute nothing but what a request lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import duckdb

from ingest.integrity import Damaged, check_file
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.job_folder import decide, run_folders, take_over
from ingest.runs.request import Request
from schemas.paths import escape_glob

# NULL if the run computes anything that is not missing.
COVERED = """
SELECT count(*) = count(missing.system_id)
FROM read_parquet($systems, hive_partitioning = false) AS run
LEFT JOIN missing ON run.system_id = missing.system_id
    AND run.content_hash = missing.content_hash AND missing.lacks & $bits = $bits
"""
TAKE_AWAY = """
UPDATE missing SET lacks = lacks - $bits
WHERE system_id IN (SELECT system_id FROM read_parquet($systems, hive_partitioning = false))
"""
ANSWERED = "DELETE FROM missing WHERE lacks = 0"


def take_over_begun(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    request: Request,
    left: Collection[Run] = (),
) -> Iterator[Run]:
    """Find the runs that have shards and compute only what is missing, and take that away.

    Such a run may be the chunk of a request with another limit, or one that an earlier version of
    matterzoo has named or cut in another way. A run that computes anything else is left alone.

    Args:
        connection: Has the table `missing` (system_id, content_hash, chunk, lacks), whose rows
            are taken away.
        layout: The store and the files beside it.
        request: What is asked for.
        left: Runs whose jobs are left as they are.

    Yields:
        The runs, the finished ones first.
    """
    found = run_folders(layout, request.selection.model_id, request.dataset.dataset)
    begun = [run for run in found if run.finished or run.shards]
    for run in sorted(begun, key=lambda run: (not run.finished, run.run_id)):
        names = _representations(run, request)
        if names and _is_missing(connection, run, bits_of(request, names)):
            take_over(run, request, names, left)
            yield run


def bits_of(request: Request, names: list[str]) -> int:
    """Return a set of representations as a number: bit i stands for number i of the request's.

    Args:
        request: What is asked for.
        names: Some of its representations.
    """
    return sum(1 << request.representations.index(name) for name in names)


def names_of(request: Request, bits: int) -> list[str]:
    """Return the representations that a number of `bits_of` stands for, in the request's order.

    Args:
        request: What is asked for.
        bits: The set.
    """
    return [name for i, name in enumerate(request.representations) if bits >> i & 1]


def _representations(run: Run, request: Request) -> list[str]:
    """Return the representations of a run; none if it is another model's, or not what it was."""
    try:
        job = run.read("job/job.json")
        names: list[str] = job["representations"]
        deciding = decide(request, names)
        check_file(run.systems, job["sent"])
    except (Damaged, KeyError, TypeError):  # a job of before there were stamps has none
        return []
    same = all(job.get(name) == value for name, value in deciding.items())
    return names if same and set(names) <= set(request.representations) else []


def _is_missing(connection: duckdb.DuckDBPyConnection, run: Run, bits: int) -> bool:
    """Return whether a run computes only what is missing; then that is taken away."""
    values = {"systems": escape_glob(run.systems), "bits": bits}
    if connection.execute(COVERED, values).fetchall() != [(True,)]:
        return False
    connection.execute(TAKE_AWAY, values)
    connection.execute(ANSWERED)
    return True
