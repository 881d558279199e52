"""What the tests of sharing do with a repository on the tests' own hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.layout import Layout
from ingest.share.fetch import fetch_vectors
from ingest.share.offer import read_offer
from ingest.share.record import INDEX
from ingest.systems.materialized import read_materialized
from schemas.store import connect
from tests.hub import Hub, Repository

REPO = "owner/vectors"
Tables = Callable[[Path], dict[str, list[str]]]


def fetch_all(
    place: Layout,
    model_id: str = "toy",
    revision: str | None = None,
    names: list[str] | None = None,
) -> list[str]:
    """Fetch what is published of a model over `tiny`, and return what was logged."""
    made, logged = read_materialized(place.dataset("tiny")), []
    assert made is not None
    fetch_vectors(
        place, read_offer(REPO, revision).choose(model_id, "tiny", names), made, logged.append
    )
    return logged


def quiet(text: str) -> None:
    """Log nothing."""


def repository(hub: Hub) -> Repository:
    return hub.repositories["datasets", REPO]


def files(hub: Hub) -> dict[str, bytes]:
    repo = repository(hub)
    return {path: blob.data for path, blob in repo.commits[repo.branches["main"]].items()}


def records(hub: Hub) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files(hub)[INDEX].splitlines()]


def rows(place: Layout, columns: str = "*", table: str = "embeddings") -> list[tuple[Any, ...]]:
    with connect(place.store, read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()


def changed(**facts: Any) -> Callable[[Hub], None]:
    """Change the record of what is published; counts__ok=3 reaches into a part."""

    def act(hub: Hub) -> None:
        (record,) = records(hub)
        for name, value in facts.items():
            *path, last = name.split("__")
            part = record
            for step in path:
                part = part[step]
            part[last] = value
        repository(hub).commit({INDEX: json.dumps(record).encode() + b"\n"})

    return act


def with_table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Hub], None]:
    """Change the vectors, and the record so that it fits them, as an attacker would."""

    def act(hub: Hub) -> None:
        (record,) = records(hub)
        table = pq.read_table(pa.BufferReader(files(hub)[record["file"]]))
        sink = pa.BufferOutputStream()
        new = change(table)
        pq.write_table(new, sink)
        with_bytes(sink.getvalue().to_pybytes(), new.num_rows)(hub)

    return act


def with_bytes(data: bytes, sent: int | None = None) -> Callable[[Hub], None]:
    def act(hub: Hub) -> None:
        (record,) = records(hub)
        repository(hub).commit({record["file"]: data})
        blob = repository(hub).commits[repository(hub).branches["main"]][record["file"]]
        more = {} if sent is None else {"counts__sent": sent, "counts__ok": sent - 1}
        changed(sha256=blob.sha256, size=len(data), **more)(hub)

    return act


def as_rows(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Hub], None]:
    def edit(table: pa.Table) -> pa.Table:
        found = table.to_pylist()
        change(found)
        return pa.Table.from_pylist(found, table.schema)

    return with_table(edit)
