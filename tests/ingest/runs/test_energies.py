"""Energies that a model predicts are labels with the model as source, as long as its vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.integrity import read_json, write_json
from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.rebuild import rebuild
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect
from tests.ingest.runs.test_load import OUTCOMES, rewrite
from zoo.worker.sealed import stamp

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]
POTENTIAL = "toy-potential"


def predictions(layout: Layout, model_id: str = POTENTIAL) -> dict[str, float]:
    """Return the energies that the store has of a model, in eV by system."""
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT system_id, value FROM labels "
        query += "WHERE property = 'energy' AND unit = 'eV' AND source = ?"
        return dict(connection.execute(query, [model_id]).fetchall())


def count(layout: Layout, condition: str = "true") -> int:
    with connect(layout.store, read_only=True) as connection:
        return int(
            connection.execute(f"SELECT count(*) FROM labels WHERE {condition}").fetchall()[0][0]
        )


def said(run: Run) -> dict[str, float]:
    """Return the energies that a run found, for systems with a vector."""
    rows = pq.read_table(run.outcomes).to_pylist()
    return {row["system_id"]: row["energy"] for row in rows if row["status"] == "ok"}


def test_a_worker_s_energies_are_labels(layout: Layout) -> None:
    assert (
        main(["ingest", f"toy,{POTENTIAL}", "elements", "--limit", "9", "--representation", "all"])
        == 0
    )
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT system_id, list_sum(numbers) FROM systems "
        query += "SEMI JOIN embeddings USING (system_id)"
        numbers = dict(connection.execute(query).fetchall())
    assert predictions(layout) == numbers and len(numbers) >= 8
    assert predictions(layout, "toy") == {}


def test_energies_stand_beside_the_dataset_s_own_labels(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    run = finish(planned(made, POTENTIAL, names=("nodes", "whole")).run)
    load(layout, run)
    assert predictions(layout) == said(run) and len(said(run)) == 19
    assert count(layout, "source = 'made up'") == 20
    before = contents(layout.store)
    load(layout, run)
    assert contents(layout.store) == before
    load(layout, finish(planned(made).run))  # another model: the dataset is loaded again
    assert predictions(layout) == said(run)
    assert count(layout) == 39


def test_another_representation_later_doubles_nothing(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, POTENTIAL).run))
    later = finish(planned(made, POTENTIAL, names=("whole",)).run, seed=1)
    load(layout, later)
    assert predictions(layout) == said(later)


def test_an_energy_that_is_left_out_leaves_an_earlier_one_to_the_other_vector(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    first = finish(planned(made, POTENTIAL).run)
    load(layout, first)
    later = finish(planned(made, POTENTIAL, names=("whole",)).run, seed=1)
    rewrite(later, OUTCOMES, lambda rows: rows[0].update(energy=None))
    load(layout, later)
    assert predictions(layout) == said(later) | {"tiny/s0000": said(first)["tiny/s0000"]}


def test_what_left_the_dataset_or_changed_in_it_leaves_with_its_energy(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    load(layout, finish(planned(dataset(20), POTENTIAL).run))
    load(layout, finish(planned(dataset(10, moved=2, shift=0.1), "toy-picky").run))
    assert sorted(predictions(layout)) == [f"tiny/s{i:04}" for i in range(2, 10)]


def test_energies_of_another_version_of_the_card_leave_the_store(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    run = planned(made, POTENTIAL).run
    assert run is not None
    older = {"card_hash": "0" * 64}
    run.write(
        "model.json", run.read("model.json") | {"model": run.read("model.json")["model"] | older}
    )
    run.write("job/job.json", run.read("job/job.json") | older)
    load(layout, finish(run))
    assert len(predictions(layout)) == 19
    newer = finish(planned(made, POTENTIAL, limit=5).run)
    load(layout, newer)
    assert predictions(layout) == said(newer) and len(said(newer)) == 4


def test_a_store_made_again_has_the_same_and_a_model_goes_with_its_energies(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    first = finish(planned(made, POTENTIAL).run)
    load(layout, first)
    load(layout, finish(planned(made, POTENTIAL, dtype="float64").run, seed=1))
    load(layout, first)  # once more the last: its energies are the ones that count
    load(layout, finish(planned(dataset(18, moved=3, shift=0.1), "toy").run))
    assert len(predictions(layout)) == 15
    before = contents(layout.store)
    rebuild(layout, lambda text: None)
    assert contents(layout.store) == before
    assert "15 rows of labels" in remove_models(layout, [POTENTIAL], None, lambda lines, runs: None)
    assert predictions(layout) == {} and count(layout) == 18


def test_shards_of_before_and_after_there_were_energies_make_one_run(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    whole = finish(planned(dataset(20), POTENTIAL).run)
    kept = said(whole)
    run = finish(whole, merged=False)
    for shard in (run.shards[0], run.shards[-1]):
        kept = {
            name: energy
            for name, energy in kept.items()
            if name not in pq.read_table(shard)["system_id"].to_pylist()
        }
        pq.write_table(pq.read_table(shard).drop_columns(["energy"]), shard)
    load(layout, run)
    assert predictions(layout) == kept and len(kept) == 7


FAULTS = {
    "not finite": (
        {"energy": float("inf")},
        POTENTIAL,
        "tiny/s0007 has an energy that is not finite",
    ),
    "two": ({"energy": 1e9}, POTENTIAL, "tiny/s0007 has more than one energy"),
    "not promised": (
        {"energy": 1.0},
        "toy",
        "tiny/s0007 has an energy, and its model's card promises none",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_energies_that_are_refused(
    fault: str, layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    change, model_id, message = FAULTS[fault]
    run = finish(planned(dataset(20), model_id, names=("nodes", "whole")).run)
    rewrite(run, OUTCOMES, lambda rows: rows[7].update(change))
    with pytest.raises(ShardError, match=f"was not loaded into the store: {message}"):
        load(layout, run)
    assert not layout.store.exists() or count(layout) == 0


def named(dataset: MaterializedDataset, source: str) -> None:
    """Replace the source of all labels of a dataset."""
    rows = [row | {"source": source} for row in pq.read_table(dataset.labels).to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(dataset.labels)), dataset.labels)
    about = read_json(dataset.folder / "dataset.json")
    about["files"][dataset.labels.name] = stamp(dataset.labels)
    write_json(dataset.folder / "dataset.json", about)


def test_labels_called_like_a_model_are_refused(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, "toy-picky").run))
    run = finish(planned(made, POTENTIAL).run)
    before = contents(layout.store)
    for source in (POTENTIAL, "toy-picky"):
        named(made, source)
        with pytest.raises(
            ShardError,
            match=f"labels have the source '{source}', which is also the name of a model",
        ):
            load(layout, run)
        assert contents(layout.store) == before


def test_a_model_called_like_labels_of_another_dataset_is_refused(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    named(made, POTENTIAL)
    load(layout, finish(planned(made).run))
    before = contents(layout.store)
    named(made, "made up")
    with pytest.raises(ShardError, match=f"labels have the source '{POTENTIAL}'"):
        load(layout, finish(planned(made, POTENTIAL).run))
    assert contents(layout.store) == before
