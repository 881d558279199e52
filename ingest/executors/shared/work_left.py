"""Find out what is missing of what is asked for, and have it ready to be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.executors.shared.claims import Claims
from ingest.executors.shared.grouping import Chunk
from ingest.executors.shared.staging import Staging
from ingest.runs.chunks.whole import WholeChunks
from ingest.runs.cost import find_speed
from ingest.runs.errors import explain_disk_error
from ingest.runs.folder import Run
from ingest.runs.reporting import report_error
from ingest.runs.request import Request, why_inapplicable
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.terminal import plural


@dataclass
class Work:
    """What is to be computed and loaded.

    Attributes:
        chunks: What is to be computed.
        load: Runs that are to be loaded, and that are computed already or by a live job.
        after: Numbers of the jobs that compute some of these.
        requests: What each of these runs is part of.
    """

    chunks: list[Chunk] = field(default_factory=list)
    load: list[Run] = field(default_factory=list)
    after: set[int] = field(default_factory=set)
    requests: dict[str, Request] = field(default_factory=dict)

    def add(self, more: Work) -> None:
        """Take over what is missing of a further request.

        Args:
            more: What is missing of it.
        """
        self.chunks += more.chunks
        self.load += more.load
        self.after |= more.after
        self.requests |= more.requests


def find_work(
    staging: Staging, requests: Sequence[Request], claims: Claims
) -> tuple[Work, list[Request]]:
    """Find what is missing, have what it needs where nodes see it, and report both.

    Args:
        staging: Makes requests ready.
        requests: What is asked for.
        claims: What live jobs do, which is not done again.

    Returns:
        What is missing, and the requests that cannot be made ready, whose fault is reported.
    """
    work = Work()
    with WholeChunks(staging.layout.spill) as chunks:
        take = partial(_take, staging, chunks, claims, work)
        return work, [request for request in requests if not take(request)]


def _take(
    staging: Staging, chunks: WholeChunks, claims: Claims, work: Work, request: Request
) -> bool:
    """Add what is missing of a request to the work; return whether that was possible."""
    name = f"{request.selection.model_id} on {request.dataset.dataset}"
    reason = why_inapplicable(request.selection, request.dataset)
    if reason is not None:
        print_now(f"{name}: skipped, {reason}")
        return True
    more = Work()
    try:
        planned = staging.stage(request, claims, chunks)
        speed = find_speed(staging.layout, request.selection, request.device, request.dtype)
        for run in planned.runs:
            _add(request, run, speed, claims, more)
    except duckdb.InterruptException:
        raise
    except (MatterzooError, duckdb.Error, pa.ArrowException) as error:
        report_error(f"{name}: {error}")
        return False
    except OSError as error:
        fault = explain_disk_error(error, staging.layout)
        if fault is None:
            raise
        report_error(f"{name}: {fault}")
        return False
    work.add(more)
    computed, loaded = len(more.chunks), len(more.load)
    at_work = len(planned.runs) - computed - loaded
    print_now(f"{name}: {_describe(planned.wanted - planned.sent, computed, loaded, at_work)}")
    return True


def _add(request: Request, run: Run, speed: float | None, claims: Claims, work: Work) -> None:
    """Add a chunk to the work, unless live jobs compute and load it."""
    computing, loading = run in claims.computing, run in claims.loading
    if loading and (computing or run.finished):
        return
    work.requests[run.run_id] = request
    number = claims.computing.get(run)
    if number is not None:
        work.after.add(number)
    if computing or run.finished:
        work.load.append(run)
        return
    names = request.selection.family.name, request.selection.model_id
    seconds = pq.read_metadata(run.systems).num_rows / speed if speed else None
    work.chunks.append(Chunk(run.run_id, *names, seconds))


def _describe(stored: int, computed: int, loaded: int, at_work: int) -> str:
    """Return what is done for a request, by its chunks."""
    parts = {
        "to compute": computed,
        "computed before, to load": loaded,
        "in jobs that are not over": at_work,
    }
    said = [f"{plural(n, 'chunk')} {what}" for what, n in parts.items() if n]
    if stored:
        said.append(f"{stored} systems already stored")
    return ", ".join(said) or "nothing to do"
