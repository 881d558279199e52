"""What is missing is found exactly, and the same request gives the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pyarrow.parquet as pq
import pytest

import ingest.runs.plan as plan_module
from ingest.layout import Layout
from ingest.runs.chunks.cut import cut_into_chunks
from ingest.runs.folder import Run, lock_run
from ingest.runs.job_folder import set_device
from ingest.runs.load import load
from ingest.runs.plan import Plan, plan
from ingest.runs.request import Request
from ingest.runs.store.memory_limit import SHARED
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.tables import ROW_GROUP
from schemas.store import connect
from zoo.cards import schema as card
from zoo.cards.discovery import find_model, load_models
from zoo.worker.tables import SYSTEMS

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut datasets after every 8 systems."""
    monkeypatch.setattr(plan_module, "cut_into_chunks", partial(cut_into_chunks, size=8))


def ids(run: Run | MaterializedDataset) -> list[str]:
    found: list[str] = pq.read_table(run.systems, columns=["system_id"])["system_id"].to_pylist()
    return found


def sent(planned: Plan) -> list[str]:
    (run,) = planned.runs
    assert len(ids(run)) == planned.sent
    return ids(run)


def cut_off(run: Run | None, finish: Finish) -> Run:
    """Return a run that has shards and no run.json."""
    (finish(run, merged=False).out / "run.json").unlink()
    assert run is not None
    return run


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
        planned(made, device="cuda:1").run,
        planned(made, limit=20).run,
    ]
    others = [
        planned(made, dtype="float64").run,
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
    twins = [find_model(f"{trained.model_id}@untrained{number}") for number in ("", "-2")]
    runs = [
        plan(layout, Request(s, made, (s.model.default_representation,))).run
        for s in (trained, *twins)
    ]
    rows = [run.read("model.json") for run in runs if run]
    jobs = [run.read("job/job.json") for run in runs if run]
    assert [job["untrained_seed"] for job in jobs] == [None, *(t.untrained_seed for t in twins)]
    assert [row["model"]["untrained_of"] for row in rows] == [None, *[trained.model_id] * 2]
    assert [row["model"]["title"].partition(" (")[2] for row in rows[1:]] == [
        "untrained twin)",
        "untrained twin 2)",
    ]
    assert rows[1]["model"]["training_sets"] == [] and rows[1]["scores"] == []
    assert len({job["run_id"] for job in jobs}) == 3


def test_a_twin_of_another_seed_is_out_of_date_and_never_beside_the_new_one(
    layout: Layout, dataset: Make, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twins were once drawn from seed 0 for all models; such a twin is run again."""
    made = dataset(6)
    twin = next(s for s in load_models().values() if s.model.trainable).twin()
    request = Request(twin, made, (twin.model.default_representation,))
    with monkeypatch.context() as patch:
        patch.setattr(card, "twin_seed", lambda model_id, draw: 0)
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
    assert planned(made) == Plan((), 20, 0)  # the system that failed is answered, too
    assert planned(made, limit=3) == Plan((), 3, 0)


def test_each_system_is_sent_for_the_representations_that_it_lacks(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(6)
    first = planned(made, limit=2).run
    load(layout, finish(first))
    both = planned(made, names=("nodes", "whole"))
    found = {tuple(run.read("job/job.json")["representations"]): ids(run) for run in both.runs}
    assert found.keys() == {("whole",), ("nodes", "whole")} and both.sent == 6
    assert first is not None and found["whole",] == ids(first)
    assert sorted(found["whole",] + found["nodes", "whole"]) == ids(made)


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


def test_the_chunks_are_the_same_whatever_is_stored(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, small_chunks: None
) -> None:
    made = dataset(20)
    first = planned(made)
    assert [len(ids(run)) for run in first.runs] == [8, 8, 4]
    assert sorted(name for run in first.runs for name in ids(run)) == ids(made)
    assert planned(made, device="cuda").runs == first.runs
    load(layout, finish(first.runs[1]))
    assert planned(made).runs == (first.runs[0], first.runs[2])
    assert planned(made, limit=16).runs == (first.runs[0],)


def test_a_limit_that_grows_keeps_whole_chunks_and_sends_only_the_rest_of_the_last(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, small_chunks: None
) -> None:
    made = dataset(20)
    few = planned(made, limit=10)
    assert [len(ids(run)) for run in few.runs] == [8, 2]
    for run in few.runs:
        load(layout, finish(run))
    more = planned(made)
    assert [len(ids(run)) for run in more.runs] == [6, 4] and more.sent == 10
    for run in more.runs:
        load(layout, finish(run))
    assert planned(made) == Plan((), 20, 0)
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT system_id) FROM embeddings"
        assert connection.execute(query).fetchall() == [(16, 16)]  # each run has one failure


def test_a_dataset_that_grew_sends_what_is_new(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, small_chunks: None
) -> None:
    made = dataset(16)
    for run in planned(made).runs:
        load(layout, finish(run))
    grown = dataset(20)
    assert sorted(name for run in planned(grown).runs for name in ids(run)) == ids(grown)[16:]


def test_a_run_that_has_begun_is_continued_by_a_request_that_contains_it(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    few = cut_off(planned(made, limit=5).run, finish)
    more = planned(made, device="cuda:1", batch=3)
    assert more.runs[0] == few and [len(ids(run)) for run in more.runs] == [5, 15]
    job = few.read("job/job.json")
    assert (job["run_id"], job["device"], job["batch"]) == (few.run_id, "cuda:1", 3)
    assert planned(made).runs == more.runs
    only_planned = planned(dataset(20, moved=20, shift=0.1), limit=5).run  # it has no shards
    assert only_planned not in planned(dataset(20, moved=20, shift=0.1)).runs


def test_a_run_that_an_earlier_version_named_is_continued_or_loaded(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, small_chunks: None
) -> None:
    made = dataset(20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "cut_into_chunks", cut_into_chunks)
        whole = planned(made).run
    assert whole is not None
    old = Run(whole.folder.with_name(f"{whole.run_id[:-12]}0123456789ab"))
    whole.folder.rename(old.folder)
    old.write("job/job.json", old.read("job/job.json") | {"run_id": old.run_id})
    begun = cut_off(old, finish)
    assert planned(made).runs == (begun,) and planned(made).sent == 20
    load(layout, finish(begun))
    assert planned(made) == Plan((), 20, 0)


@pytest.mark.parametrize("change", ["card_hash", "encoder_hash", "dtype", "representations"])
def test_a_run_that_has_begun_with_something_else_is_left_alone(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, change: str
) -> None:
    made = dataset(20)
    few = cut_off(planned(made, limit=5).run, finish)
    other = ["whole"] if change == "representations" else "other"
    few.write("job/job.json", few.read("job/job.json") | {change: other})
    assert [len(ids(run)) for run in planned(made).runs] == [20]


def test_a_run_that_has_begun_is_left_alone_once_any_of_it_is_stored(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    begun = cut_off(planned(made, limit=9).run, finish)
    load(layout, finish(planned(made, limit=4).run))
    (rest,) = planned(made, limit=9).runs
    assert rest != begun and len(ids(rest)) == 5


def test_a_run_that_has_begun_with_damaged_systems_is_not_taken_over(
    dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    few = cut_off(planned(made, limit=5).run, finish)
    few.systems.write_bytes(few.systems.read_bytes()[:-1])
    assert [len(ids(run)) for run in planned(made).runs] == [20]


def test_an_open_connection_keeps_its_memory_and_threads(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    connect(layout.store).close()
    with connect(layout.store, read_only=True) as ours:
        ours.execute("SET memory_limit = '3.7GiB'; SET threads = 3")
        before = ours.execute(SHARED).fetchall()
        assert planned(dataset(20)).sent == 20
        assert ours.execute(SHARED).fetchall() == before


def test_the_job_of_a_run_that_others_do_is_left_as_it_is(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    """Neither device nor batch budget is part of a run's id, so others may ask for the same run."""
    made = dataset(8)
    first, *_ = planned(made, device="cuda", batch=7).runs

    def asked() -> tuple[str, int | None]:
        job = first.read("job/job.json")
        return job["device"], job["batch"]

    request = Request(find_model("toy"), made, ("nodes",))
    with lock_run(first):  # as its task on another node does
        assert first in planned(made).runs
    assert asked() == ("cuda", 7)
    assert first in plan(layout, request, left=[first]).runs
    cut_off(first, finish)
    assert plan(layout, request, left=[first]).run == first
    assert asked() == ("cuda", 7)
    assert first in planned(made).runs
    assert asked() == ("cpu", None)
    with lock_run(first):
        set_device(first, "cuda", 7)
    assert asked() == ("cuda", 7)
