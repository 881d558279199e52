"""The chunks of a dataset are tasks of their own, and any of them may be loaded first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.runs.chunks.cut import CHUNK_SYSTEMS
from matterzoo import main
from schemas.store import connect
from tests.ingest.cluster.conftest import Cluster, ask, statuses

pytestmark = pytest.mark.cluster
REST = 200  # systems of the second chunk
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def write_sequences(path: Path) -> None:
    """Write one chunk of proteins and some more, all different and short."""
    places = [(i // 8_000 % 20, i // 400 % 20, i // 20 % 20, i % 20) for i in range(CHUNK_SYSTEMS)]
    words = ["".join(LETTERS[place] for place in four) for four in places]
    words += [f"{word}A" for word in words[:REST]]
    path.write_text("".join(f">p{i}\n{word}\n" for i, word in enumerate(words)))


def digest(store: Path) -> tuple[object, ...]:
    """What all vectors of a store come to, bit by bit, whatever their order."""
    with connect(store, read_only=True) as connection:
        query = (
            "SELECT count(*), count(DISTINCT vector), "
            "sum(hash(model_id, representation, system_id, content_hash, vector)::HUGEINT), "
            "list(DISTINCT run_id ORDER BY run_id) FROM embeddings"
        )
        (found,) = connection.execute(query).fetchall()
    return tuple(found)


def test_two_chunks_loaded_in_reverse_are_those_of_one_process(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MATTERZOO_FAMILIES")
    monkeypatch.delenv("MATTERZOO_ENVS")
    store = cluster.layout.store
    write_sequences(file := store.with_name("short.fasta"))
    line = ["ingest", "random", str(file), "--on", "slurm", "--per-task", "1"]
    assert main([*line, "--sbatch=--hold"]) == 0
    (first,) = cluster.submissions
    assert list(map(len, first.tasks)) == [1, 1]
    ask("scancel", f"{first.jobs['array']}_0")
    for number in first.jobs.values():
        ask("scontrol", "release", str(number))
    cluster.wait()
    assert "1 loaded, 1 missing" in cluster.log("load")
    assert statuses(store) == [("random", "ok", REST)]
    assert main(line) == 0
    cluster.wait()
    assert "1 loaded" in cluster.log("load")
    assert statuses(store) == [("random", "ok", REST), ("random", "ok", CHUNK_SYSTEMS)]
    local = Layout(store.with_name("local.duckdb"))
    shutil.copytree(cluster.layout.dataset("short"), local.dataset("short"))
    assert main(["ingest", "random", str(file), "--store", str(local.store)]) == 0
    found = digest(store)
    assert found[:2] == (CHUNK_SYSTEMS + REST,) * 2
    assert found == digest(local.store)
