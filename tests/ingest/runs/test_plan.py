"""What is missing is found exactly, and the same request gives the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan, plan
from ingest.runs.request import Request
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.tables import ROW_GROUP
from schemas.store import connect
from zoo.cards import schema as card
from zoo.cards.discovery import find_model, load_models
from zoo.worker.tables import SYSTEMS

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]


def sent(planned: Plan) -> list[str]:
    assert planned.run is not None
    ids: list[str] = pq.read_table(planned.run.systems, columns=["system_id"])[
        "system_id"
    ].to_pylist()
    assert len(ids) == planned.sent
    return ids


def test_without_a_store_everything_is_missing_and_no_store_appears(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    made = dataset(20)
    all_of_it = planned(made)
    assert sent(all_of_it) == pq.read_table(made.systems)["system_id"].to_pylist()
    assert all_of_it.run is not None and all_of_it.run.systems.samefile(
        made.systems
    )  # a link, not a copy
    assert not layout.store.exists()


def test_a_limit_contains_every_smaller_one(dataset: Make, planned: Planned) -> None:
    made = dataset(20)
    chosen = [set(sent(planned(made, limit=n))) for n in (1, 5, 12, 20, 99)]
    assert [len(ids) for ids in chosen] == [1, 5, 12, 20, 20]
    assert all(small <= large for small, large in zip(chosen, chosen[1:], strict=False))
    assert (
        sorted(chosen[1]) != pq.read_table(made.systems)["system_id"].to_pylist()[:5]
    )  # spread, not the first rows


def test_a_job_that_is_a_part_keeps_types_order_and_small_row_groups(
    dataset: Make, planned: Planned
) -> None:
    made = dataset(1100)
    run = planned(made, limit=1050).run
    assert run is not None
    file = pq.ParquetFile(run.systems)
    assert file.schema_arrow.equals(SYSTEMS)
    assert all(file.metadata.row_group(i).num_rows <= ROW_GROUP for i in range(file.num_row_groups))
    ids = file.read()["system_id"].to_pylist()
    assert ids == sorted(ids)  # as in the dataset


def test_the_same_request_is_the_same_run_and_another_is_another(
    dataset: Make, planned: Planned
) -> None:
    made = dataset(20)
    base = planned(made).run
    same = [
        planned(made, batch=3).run,
        planned(made, device="cpu").run,
        planned(made, limit=20).run,
    ]
    others = [
        planned(made, dtype="float64").run,
        planned(made, device="cuda:1").run,
        planned(made, limit=19).run,
        planned(made, names=("nodes", "whole")).run,
        planned(made, model_id="toy-picky").run,
        planned(dataset(20, moved=1, shift=0.01)).run,
    ]
    assert same == [base] * 3
    assert (
        len({run.run_id for run in others if run} | {base.run_id if base else ""})
        == len(others) + 1
    )


def test_a_trained_model_and_its_twin_have_runs_of_their_own(layout: Layout, dataset: Make) -> None:
    made = dataset(3)
    trained = next(s for s in load_models().values() if s.model.trainable)
    twin = find_model(trained.model_id + "@untrained")
    runs = [
        plan(layout, Request(s, made, (s.model.default_representation,))).run
        for s in (trained, twin)
    ]
    rows = [run.read("model.json") for run in runs if run]
    jobs = [run.read("job/job.json") for run in runs if run]
    assert [job["untrained_seed"] for job in jobs] == [None, twin.untrained_seed]
    assert [row["model"]["untrained_of"] for row in rows] == [None, trained.model_id]
    assert rows[1]["model"]["training_sets"] == [] and rows[1]["scores"] == []
    assert jobs[0]["run_id"] != jobs[1]["run_id"]


def test_a_twin_of_another_seed_is_out_of_date_and_never_beside_the_new_one(
    layout: Layout, dataset: Make, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twins were once drawn from seed 0 for all models; such a twin is run again."""
    made = dataset(6)
    twin = next(s for s in load_models().values() if s.model.trainable).twin()
    request = Request(twin, made, (twin.model.default_representation,))
    with monkeypatch.context() as patch:
        patch.setattr(card, "twin_seed", lambda model_id: 0)
        old = finish(plan(layout, request).run)
    load(layout, old)
    new = plan(layout, replace(request, limit=2))
    assert new.run is not None and new.run.run_id != old.run_id
    assert new.sent == 2
    load(layout, finish(new.run, seed=1))
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT DISTINCT untrained_seed FROM embeddings JOIN runs USING (run_id)"
        assert connection.execute(query).fetchall() == [(twin.untrained_seed,)]
    assert plan(layout, request).sent == 4  # what the old seed gave is asked for again


def test_what_is_loaded_is_not_missing(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, limit=5).run))
    rest = planned(made)
    assert (rest.wanted, rest.sent) == (20, 15)
    load(layout, finish(rest.run))
    assert planned(made) == Plan(None, 20, 0)  # the system that failed is answered, too
    assert planned(made, limit=3) == Plan(None, 3, 0)


def test_only_the_representation_that_is_missing_is_asked_for(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(6)
    load(layout, finish(planned(made).run))
    both = planned(made, names=("nodes", "whole"))
    assert both.run is not None and both.run.read("job/job.json")["representations"] == ["whole"]


def test_what_has_changed_is_missing_again(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    load(layout, finish(planned(dataset(20)).run))
    assert sent(planned(dataset(20, moved=2, shift=0.1))) == ["tiny/s0000", "tiny/s0001"]


def test_another_dtype_is_missing(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(4)
    load(layout, finish(planned(made).run))
    assert planned(made, dtype="float64").sent == 4
