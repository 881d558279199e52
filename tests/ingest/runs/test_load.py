"""A run is loaded whole or not at all, loading it twice changes nothing, and rebuild works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.check import Counts
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.load import load, load_failure
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError, StoreLocked
from schemas.store import connect
from zoo.worker.sealed import stamp

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]


def query(layout: Layout, sql: str) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        rows: list[tuple[object, ...]] = connection.execute(sql).fetchall()
    return rows


def test_everything_of_a_run_is_in_its_table(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    counts = load(layout, finish(planned(dataset(20), names=("nodes", "whole")).run))
    assert counts == Counts(sent=40, ok=38, failed=2, not_applicable=0)
    tables = ("datasets", "systems", "models", "runs", "embeddings", "failures", "labels")
    assert [query(layout, f"SELECT count(*) FROM {t}")[0][0] for t in tables] == [
        1,
        20,
        1,
        1,
        38,
        3,
        20,
    ]
    assert query(
        layout, "SELECT system_id, status, reason FROM failures WHERE model_id IS NULL"
    ) == [("tiny/torn", "unreadable", "half a line")]
    assert query(layout, "SELECT status, sent, ok, failed, runtime, seconds FROM runs") == [
        ("ok", 40, 38, 2, "venv", 9.0)
    ]
    assert query(layout, "SELECT family, license_code, card->>'id' FROM models") == [
        ("toy", "MIT", "toy")
    ]


def test_vectors_are_the_shards_own(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run, merged=False)
    rows = pq.read_table(run.shards).to_pylist()
    load(layout, run)
    assert run.shards == []
    expected = [(r["system_id"], r["vector"]) for r in rows if r["status"] == "ok"]
    assert query(layout, "SELECT system_id, vector FROM embeddings ORDER BY system_id") == sorted(
        expected
    )


def test_formulas_are_in_hills_order(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    load(layout, finish(planned(dataset(9)).run))
    found = dict(query(layout, "SELECT system_id, formula FROM systems"))
    assert found["tiny/s0000"] == "H2"
    assert found["tiny/s0005"] == "CH"
    assert found["tiny/s0004"] == "BH"
    assert found["tiny/s0008"] == "FH"


def test_twice_is_once(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    run = finish(planned(dataset(20)).run)
    load(layout, run)
    before = contents(layout.store)
    load(layout, run)
    assert contents(layout.store) == before


def test_a_later_run_takes_the_place_of_an_earlier_one(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made).run))
    load(layout, finish(planned(made, dtype="float64").run, seed=1))
    found = "SELECT count(*), count(DISTINCT system_id), count(DISTINCT run_id) FROM embeddings"
    assert query(layout, found) == [(19, 19, 1)]
    assert query(layout, "SELECT count(*) FROM failures WHERE model_id IS NOT NULL") == [(1,)]


def test_what_left_the_dataset_or_changed_in_it_leaves_the_store(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    load(layout, finish(planned(dataset(20)).run))
    load(layout, finish(planned(dataset(10, moved=2, shift=0.1), model_id="toy-picky").run))
    assert query(layout, "SELECT count(*), max(system_id) FROM systems") == [(10, "tiny/s0009")]
    kept = "SELECT count(*), min(system_id) FROM embeddings WHERE model_id = 'toy'"
    assert query(layout, kept) == [(8, "tiny/s0002")]
    moved = "SELECT count(*), round(max(value), 6) FROM labels WHERE system_id < 'tiny/s0002'"
    assert query(layout, moved) == [(2, 0.801)]


def test_vectors_of_another_version_of_the_card_leave_the_store(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    run = planned(made).run
    assert run is not None
    rows, job = run.read("model.json"), run.read("job/job.json")
    older = {"card_hash": "0" * 64}
    run.write("model.json", rows | {"model": rows["model"] | older})
    run.write("job/job.json", job | older)
    load(layout, finish(run))
    assert planned(made).sent == 20
    load(layout, finish(planned(made, limit=5).run))
    assert query(layout, "SELECT count(*) FROM embeddings") == [(4,)]


def rewrite(
    run: Run, name: str, change: Callable[[list[dict[str, object]]], object], **metadata: str
) -> None:
    """Change the rows of a file of a run as if they had been written so."""
    file = run.out / name
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    renamed = table.schema.with_metadata(
        (table.schema.metadata or {}) | {k.encode(): v for k, v in metadata.items()}
    )
    pq.write_table(pa.Table.from_pylist(rows, renamed), file)
    result, found = run.read("out/run.json"), stamp(file)
    if name == OUTCOMES:
        run.write("out/run.json", result | {"outcomes": found})
    else:
        vectors = [{"rows": len(rows), "bytes": found["size"], "sha256": found["sha256"]}]
        run.write("out/run.json", result | {"vectors": [result["vectors"][0] | vectors[0]]})


OUTCOMES, VECTORS = "outcomes.parquet", "vectors-00000.parquet"
FAULTS: dict[str, tuple[Callable[[Run], object], str]] = {
    "torn": (
        lambda r: (r.out / VECTORS).write_bytes((r.out / VECTORS).read_bytes()[:-20]),
        "vectors-00000.parquet is damaged: expected",
    ),
    "no file": (lambda r: r.outcomes.unlink(), "outcomes.parquet is missing"),
    "missing": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows.__delitem__(slice(7, 14))),
        "tiny/s0007 was sent and is not there .and 6 more",
    ),
    "repeated": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows.append(rows[7])),
        "tiny/s0007 is there more than once",
    ),
    "unknown": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows.append(rows[0] | {"system_id": "x"})),
        "x was not sent",
    ),
    "changed": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[7].update(content_hash="0")),
        "tiny/s0007 was not sent, or not with",
    ),
    "no reason": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[0].update(status="failed")),
        "gives no reason",
    ),
    "status": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[0].update(status="fine")),
        "has a status other than ok, failed",
    ),
    "infinite energy": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[0].update(energy=np.inf)),
        "has an energy that is not finite",
    ),
    "energy": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[0].update(energy=1.0)),
        "has an energy, and its model's card promises none",
    ),
    "nan": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows[7].update(vector=[1.0, np.nan, 1.0])),
        "s0007 has a vector that is",
    ),
    "infinite": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows[0].update(vector=[np.inf, 0, -np.inf])),
        "vector that is not finite",
    ),
    "short": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows[7].update(vector=[1.0])),
        "s0007 has a vector of another length",
    ),
    "no vector": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows.pop(7)),
        "tiny/s0007 is ok and has no vector",
    ),
    "two vectors": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows.append(rows[7])),
        "tiny/s0007 has more than one vector",
    ),
    "not ok": (
        lambda r: rewrite(r, OUTCOMES, lambda rows: rows[7].update(status="failed", reason="so")),
        "tiny/s0007 has a vector and is not ok",
    ),
    "another run": (
        lambda r: rewrite(r, VECTORS, len, run_id="other"),
        "was written with run_id 'other', expected 'toy--tiny",
    ),
    "another run's rows": (
        lambda r: rewrite(r, VECTORS, lambda rows: rows[0].update(run_id="other")),
        "has run_id 'other', expected 'toy--tiny",
    ),
    "rows": (
        lambda r: r.write(
            "out/run.json",
            r.read("out/run.json")
            | {"vectors": [r.read("out/run.json")["vectors"][0] | {"rows": 18}]},
        ),
        "vectors-00000.parquet has 19 rows, but its run.json says 18",
    ),
    "counts": (
        lambda r: r.write(
            "out/run.json",
            r.read("out/run.json")
            | {"counts": {"sent": 20, "ok": 18, "failed": 2, "not_applicable": 0}},
        ),
        "its files hold .*'ok': 19.*, but its run.json says .*'ok': 18",
    ),
}


def test_a_run_with_a_fault_leaves_the_store_as_it_was(
    layout: Layout,
    dataset: Make,
    planned: Planned,
    finish: Finish,
    contents: Contents,
    subtests: pytest.Subtests,
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, model_id="toy-picky").run))
    before = contents(layout.store)
    run = finish(planned(made).run)
    whole = layout.data / "whole"
    shutil.copytree(run.out, whole)
    for fault, (damage, message) in FAULTS.items():
        with subtests.test(fault):
            damage(run)
            remedy = f"remove .*{run.run_id} and repeat"
            with pytest.raises(ShardError, match=f"was not loaded .*: .*{message}.*{remedy}"):
                load(layout, run)
            assert contents(layout.store) == before
        shutil.rmtree(run.out)
        shutil.copytree(whole, run.out)


SHARD_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn": (
        lambda f: f.write_bytes(f.read_bytes()[:-20]),
        "shard-00001.parquet is not a whole Parquet file",
    ),
    "missing": (lambda f: f.unlink(), "tiny/s0007 was sent and is not there .and 6 more"),
    "none": (lambda f: [g.unlink() for g in f.parent.glob("shard-*")], "it has no shards"),
}


@pytest.mark.parametrize("fault", SHARD_FAULTS)
def test_faults_of_shards_are_found_before_they_become_vector_files(
    fault: str, layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run, merged=False)
    damage, message = SHARD_FAULTS[fault]
    damage(run.shards[1])
    with pytest.raises(ShardError, match=f"was not loaded .*: .*{message}"):
        load(layout, run)
    assert query(layout, "SELECT count(*) FROM embeddings") == [(0,)]


def test_a_failure_in_the_middle_of_a_load_leaves_the_store_as_it_was(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, model_id="toy-picky").run))
    before = contents(layout.store)
    run = finish(planned(made).run)
    run.write(
        "model.json", run.read("model.json") | {"scores": [{"name": "mae", "value": 1.0}]}
    )  # no unit
    with pytest.raises(Exception, match="NOT NULL constraint failed"):
        load(layout, run)
    assert contents(layout.store) == before
    assert not (run.folder / "landed.json").exists()


def test_a_failed_run_is_recorded_until_it_succeeds(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = planned(dataset(20)).run
    assert run is not None
    load_failure(layout, run, "the worker ended early", datetime.now(UTC))
    rows = query(layout, "SELECT run_id, status, reason FROM runs")
    assert rows == [(run.run_id, "failed", "the worker ended early")]
    assert query(layout, "SELECT count(*) FROM systems") == [(0,)]
    load(layout, finish(run))
    assert query(layout, "SELECT status, reason FROM runs") == [("ok", None)]


def test_a_failed_run_records_how_far_it_came(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20), names=("nodes", "whole")).run, merged=False)
    (run.out / "run.json").unlink()
    run.shards[-1].unlink()  # 5 rows, of 40
    load_failure(layout, run, "the worker ended early", datetime.now(UTC))
    rows = query(layout, "SELECT status, sent, ok, failed, not_applicable FROM runs")
    assert rows == [("failed", 40, 35, 0, 0)]
    assert query(layout, "SELECT count(*) FROM embeddings") == [(0,)]


def test_what_ran_it_is_what_the_store_says(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    first, second = planned(made).run, planned(made, dtype="float64").run
    assert first is not None and second is not None
    first.write("runtime.json", {"runtime": "docker", "image": "sha256:1f"})
    second.write("runtime.json", {"runtime": "venv", "image": None})
    for run in (first, second):
        load(layout, finish(run))
    expected = [("docker", "sha256:1f"), ("venv", None)]
    assert query(layout, "SELECT runtime, image FROM runs ORDER BY runtime") == expected
    rebuild(layout, lambda text: None)
    assert query(layout, "SELECT runtime, image FROM runs ORDER BY runtime") == expected


def test_a_run_without_runtime_json_was_in_a_local_environment(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run)
    run.write("model.json", run.read("model.json") | {"runtime": "venv"})
    load(layout, run)
    assert query(layout, "SELECT runtime, image FROM runs") == [("venv", None)]


def test_a_store_made_again_holds_the_same(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    first = finish(planned(made).run)
    load(layout, first)
    load(layout, finish(planned(made, dtype="float64").run, seed=1))
    load(layout, first)  # once more the last: its vectors are the ones that count
    changed = dataset(18, moved=3, shift=0.1)
    load(layout, finish(planned(changed, model_id="toy-picky", limit=9).run))
    failed = planned(changed, model_id="toy-broken").run
    assert failed is not None
    load_failure(layout, failed, "broken on purpose", datetime.now(UTC))
    planned(changed)  # a job that never ran
    before = contents(layout.store)
    said: list[str] = []
    assert rebuild(layout, said.append) == 4
    assert contents(layout.store) == before
    layout.store.unlink()
    rebuild(layout, said.append)
    assert contents(layout.store) == before
    assert not list(layout.store.parent.glob(".*.new*"))


def test_a_store_that_cannot_be_made_again_stays(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run)
    load(layout, run)
    (file,) = layout.vectors.rglob("*.parquet")
    file.unlink()
    sound = layout.store.read_bytes()
    for content, said in (
        (
            sound,
            r"is sound and stays as it was: .*lose 1 of its 1 runs:\n.*00000.parquet is missing",
        ),
        (
            b"torn" * 5000,
            r"is as it was, as no run can be loaded:\n.*00000.parquet is missing"
            r"[^$]*as it is broken",
        ),
    ):
        layout.store.write_bytes(content)
        with pytest.raises(StoreError, match=said):
            rebuild(layout, lambda text: None)
        assert layout.store.read_bytes() == content
    assert not list(layout.store.parent.glob(".*.new*"))


def test_a_broken_store_is_kept_aside_when_it_is_made_again(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    load(layout, finish(planned(dataset(20)).run))
    before = contents(layout.store)
    layout.store.write_text("torn" * 5000)
    rebuild(layout, lambda text: None)
    assert contents(layout.store) == before
    assert layout.store.with_name("matter.duckdb.broken").read_text() == "torn" * 5000


def test_nothing_to_rebuild_from(layout: Layout) -> None:
    with pytest.raises(StoreError, match="holds no run, so there is nothing to make a store from"):
        rebuild(layout)


def test_a_load_does_not_wait_for_its_own_process(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run)
    load(layout, run)
    said: list[str] = []
    with (
        connect(layout.store, read_only=True),
        pytest.raises(StoreLocked, match="already open in this process"),
    ):
        load(layout, run, patience=0.3, log=said.append)
    assert said == []
    assert json.loads((run.folder / "landed.json").read_text())["landed"]
