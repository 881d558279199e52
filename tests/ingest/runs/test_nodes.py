"""Vectors of atoms are stored, checked, moved and removed as those of systems are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.disk import measure_usage
from ingest.maintenance.rebuild import rebuild
from ingest.runs.check import check_run
from ingest.runs.errors import RequestError, ShardError
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.runs.request import Settings, choose_representations
from ingest.runs.vectors.conversion import convert
from ingest.share.export import export
from ingest.share.fetch import fetch_vectors
from ingest.share.import_exported import import_store
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.systems.materialized import MaterializedDataset, read_materialized
from matterzoo import main
from schemas.store import connect
from schemas.views import follow_files
from tests.hub import TOKEN, serving, set_client
from tests.ingest.stores import quiet
from zoo.cards.discovery import find_model

BOTH = ("nodes", "nodes:nodes")  # the name of a representation, and its vectors of nodes
Rows = list[tuple[Any, ...]]


def rows(place: Layout, table: str = "node_embeddings") -> Rows:
    with connect(place.store, read_only=True) as connection:
        return connection.execute(f"FROM {table} ORDER BY ALL").fetchall()


@pytest.fixture
def loaded(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
) -> Run:
    """Load a run of 20 molecules of two atoms, the last of which failed."""
    run = finish(planned(dataset(20), names=BOTH).run)
    counts = load(layout, run)
    assert (counts.sent, counts.ok, counts.failed) == (40, 38, 2)
    return run


def test_a_worker_keeps_nodes_and_their_means(
    layout: Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "toy", "elements", "--nodes"]) == 0
    assert "vectors of nodes: known once the dataset is there" in capfd.readouterr().out
    assert main(["ingest", "toy", "elements", "--nodes"]) == 0
    with connect(layout.store, read_only=True) as connection:
        query = """
            SELECT count(*), count(DISTINCT system_id), bool_and(n.vector[1] = numbers[node + 1]),
                bool_and(abs(n.vector[2] - positions[node + 1][1]) < 1e-6)
            FROM node_embeddings AS n JOIN systems USING (system_id, content_hash)
        """
        [(nodes, systems, numbers, positions)] = connection.execute(query).fetchall()
        query = """
            SELECT count(*), max(abs(e.vector[2] - mean)) FROM embeddings AS e JOIN (
                SELECT system_id, avg(vector[2]) AS mean FROM node_embeddings GROUP BY ALL
            ) USING (system_id)
        """
        [(pooled, difference)] = connection.execute(query).fetchall()
    assert nodes > systems == pooled == 70 and numbers and positions and difference < 1e-5
    capfd.readouterr()
    assert main(["plan", "toy-picky", "elements", "--nodes"]) == 0
    assert re.search(r" MB, of 2\d\d nodes, 3\.\d per system;", capfd.readouterr().out)


def test_nodes_have_a_level_of_their_own(
    layout: Layout, loaded: Run, planned: Callable[..., Plan], finish: Callable[..., Run]
) -> None:
    made = read_materialized(layout.dataset("tiny"))
    stored = rows(layout)
    assert [(row[0], row[1], row[4]) for row in stored] == [
        (f"tiny/s{i:04}", node, "nodes") for i in range(19) for node in range(2)
    ]
    assert len(rows(layout, "embeddings")) == 19
    assert {row[3] for row in rows(layout, "failures") if row[1] == "tiny"} >= set(BOTH)
    assert planned(made, names=BOTH).runs == () and planned(made).runs == ()
    load(layout, loaded)
    assert rows(layout) == stored
    # Those of a later run take their place, and the means of the first stay.
    again = planned(made, names=("whole", "nodes:nodes"), dtype="float64").run
    load(layout, finish(again, seed=1))
    assert {row[5] for row in rows(layout)} == {again.run_id} and rows(layout) != stored
    assert {row[4] for row in rows(layout, "embeddings")} == {loaded.run_id, again.run_id}
    assert planned(made, names=BOTH).sent == 20


def test_a_store_is_made_again_and_moved_with_its_nodes(
    layout: Layout, loaded: Run, tmp_path: Path
) -> None:
    stored = rows(layout)
    layout.store.unlink()
    rebuild(layout, quiet)
    assert rows(layout) == stored
    (moved := tmp_path / "moved").mkdir()
    for path in (layout.store, layout.data):
        shutil.move(path, moved / path.name)
    assert rows(Layout(moved / layout.store.name)) == stored
    with duckdb.connect(str(moved / layout.store.name), read_only=True) as plain:
        assert plain.execute("SELECT count(*) FROM node_embeddings").fetchall() == [(38,)]


def test_a_damaged_file_of_nodes_is_named(layout: Layout, loaded: Run) -> None:
    [file] = layout.nodes.rglob("*.parquet")
    file.unlink()
    with connect(layout.store, read_only=True) as connection:
        [fault] = [
            each.fault
            for each in follow_files(connection, layout.store, read_only=True)
            if each.fault is not None
        ]
        assert connection.execute("FROM node_embeddings").fetchall() == []
        assert len(connection.execute("FROM embeddings").fetchall()) == 19
    assert f"{file} is missing: restore it, or" in fault
    assert "`matterzoo ingest toy tiny --representation nodes --nodes` computes" in fault


def test_nodes_are_those_of_the_systems(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
) -> None:
    run = finish(planned(dataset(9), names=BOTH).run, merged=False)
    shard = pq.read_table(run.shards[0])
    found = shard.to_pylist()
    row = next(row for row in found if row["representation"] == "nodes:nodes")
    row["vector"] += [1.0, 2.0, 3.0]  # of an atom that is not there
    pq.write_table(pa.Table.from_pylist(found, shard.schema), run.shards[0])
    convert(run)
    with pytest.raises(ShardError, match="tiny/s0... node 2 has a vector, and is no atom or resid"):
        check_run(duckdb.connect(), run)


def test_an_exported_store_has_nodes(layout: Layout, loaded: Run, tmp_path: Path) -> None:
    stored, file = rows(layout), tmp_path / "all.duckdb"
    export(layout, file, quiet)
    with duckdb.connect(str(file), read_only=True) as connection:
        assert connection.execute("FROM node_embeddings ORDER BY ALL").fetchall() == stored
    (tmp_path / "elsewhere").mkdir()
    place = Layout(tmp_path / "elsewhere" / "matter.duckdb")
    assert import_store(place, file, quiet) == 1 == len(rows(place, "runs"))
    assert rows(place) == stored
    assert import_store(place, file, quiet) == 0


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_nodes_are_published_and_fetched(
    layout: Layout, loaded: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = rows(layout)
    with serving() as hub:
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        publish_vectors(layout, "toy", "tiny", "me/vectors", None, quiet)
        offer = read_offer("me/vectors", None).choose("toy", "tiny", None)
        assert {each.representation for each in offer.records} == set(BOTH)
        (tmp_path / "other").mkdir()
        place = Layout(tmp_path / "other" / "matter.duckdb")
        shutil.copytree(layout.dataset("tiny"), place.dataset("tiny"))
        fetch_vectors(place, offer, read_materialized(place.dataset("tiny")), quiet)
    without_run = [[*row[:5], *row[6:]] for row in stored]
    assert [[*row[:5], *row[6:]] for row in rows(place)] == without_run


def test_nodes_go_with_their_model(layout: Layout, loaded: Run) -> None:
    nodes = [file.stat().st_size for file in layout.nodes.rglob("*.parquet")]
    [usage] = [each for each in measure_usage(layout) if each.kind == "vectors"]
    assert len(nodes) == 1 and usage.size > nodes[0]
    lines = remove_models(layout, ["toy"], None, lambda lines, runs: None)
    assert "38 rows of node_embeddings" in lines
    assert rows(layout) == [] and not [*layout.nodes.rglob("*.parquet")]


def test_a_model_without_nodes_is_refused() -> None:
    for name, reason in {
        "composition": "it gives 'statistics' as one vector per system",
        "chemberta-77m": "its input is smiles, so its nodes are no atoms or residues",
    }.items():
        with pytest.raises(RequestError, match=f"{name} has no vectors of nodes: {reason}"):
            choose_representations(find_model(name), None, nodes=True)
    chosen = choose_representations(find_model("chgnet-0.3.0"), "last_hidden:std", nodes=True)
    assert chosen == ("last_hidden:std", "last_hidden:nodes")
    assert Settings(nodes=True).options == {"--nodes": ""}
    with pytest.raises(RequestError, match="'last_hidden:nodes': the option --nodes keeps"):
        choose_representations(find_model("chgnet-0.3.0"), "last_hidden:nodes")
