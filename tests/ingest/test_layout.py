"""Each store has a data folder of its own, and folders may have any name."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.integrity import read_json
from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError
from schemas.store import connect
from tests.ingest.stores import quiet

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]


@pytest.mark.parametrize(
    "name",
    [
        "date=2026",
        "status=failed",
        "energy=1.0",
        "system_id=1",
        "a b",
        "qu'ote",
        "st*r",
        "br[a]cket",
        "ü;$%",
    ],
)
def test_a_folder_may_have_any_name(
    name: str,
    layout: Layout,
    dataset: Make,
    planned: Planned,
    finish: Finish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finish(planned(dataset(20)).run)
    there = Layout(layout.store.parent / name / "matter.duckdb")
    there.store.parent.mkdir()
    layout.data.rename(there.data)
    counts = load(there, Run.of(there, run.run_id), log=quiet)
    assert (counts.sent, counts.ok) == (20, 19)
    assert rebuild(there, quiet) == 1


def test_folders_that_match_a_pattern_are_not_read(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    run = finish(planned(dataset(20)).run)
    other, there = (
        Layout(layout.store.parent / name / "matter.duckdb") for name in ("star", "st*r")
    )
    for place in (other, there):
        place.store.parent.mkdir()
        subprocess.run(["cp", "-r", str(layout.data), str(place.data)], check=True)
    finish(Run.of(other, run.run_id), seed=1)
    load(there, Run.of(there, run.run_id), log=quiet)
    (file,) = there.vectors.rglob("*.parquet")
    with pq.ParquetFile(file) as vectors:
        rows = vectors.read(["system_id", "vector"]).to_pylist()
    expected = {row["system_id"]: row["vector"] for row in rows}
    with connect(there.store, read_only=True) as connection:
        for system_id, vector in connection.execute(
            "SELECT system_id, vector FROM embeddings"
        ).fetchall():
            assert list(vector) == expected[system_id]


def test_a_folder_with_a_question_mark_is_refused(layout: Layout) -> None:
    folder = layout.store.parent / "what?"
    folder.mkdir()
    with pytest.raises(
        StoreError, match="has a '[?]' in it, and DuckDB opens no file below such a name"
    ):
        connect(folder / "matter.duckdb")
    assert list(folder.iterdir()) == []


def test_each_store_has_a_data_folder_of_its_own(tmp_path: Path) -> None:
    names = ["matter.duckdb", "exp.1", "exp.2", "m.db", "m.duckdb", "plain", "a.b.duckdb", "a.b"]
    folders = [Layout.find(str(tmp_path / name)).data.name for name in names]
    assert folders[:5] == ["matter.data", "exp.1.data", "exp.2.data", "m.db.data", "m.data"]
    assert len(set(folders[:6])) == 6


def test_a_data_folder_of_another_store_is_refused(tmp_path: Path) -> None:
    connect(tmp_path / "x.duckdb").close()
    Layout.find(str(tmp_path / "x.duckdb")).claim()
    with pytest.raises(
        StoreError, match=r"x.data belongs to the store x.duckdb; give this one another name"
    ):
        Layout.find(str(tmp_path / "x"))
    (tmp_path / "x.data").rename(tmp_path / "y.data")
    (tmp_path / "x.duckdb").rename(
        tmp_path / "y.duckdb"
    )  # a store and its folder may be renamed together
    Layout.find(str(tmp_path / "y.duckdb")).claim()
    assert read_json(tmp_path / "y.data" / "store.json") == {"store": "y.duckdb"}


def test_a_store_whose_folder_was_shared_says_how_to_part(tmp_path: Path) -> None:
    connect(tmp_path / "exp.1").close()
    (tmp_path / "exp.data" / "runs").mkdir(parents=True)
    said = "Older versions kept the runs of exp.1 in exp.data, shared .* named exp.*; "
    said += "this version expects exp.1.data: "
    with pytest.raises(StoreError, match=rf"{said}mv {tmp_path}/exp.data {tmp_path}/exp.1.data"):
        Layout.find(str(tmp_path / "exp.1"))
    connect(tmp_path / "exp.duckdb").close()
    (tmp_path / "exp.txt").write_text("no store")
    with pytest.raises(
        StoreError, match=rf"{said}cp -r \S+ \S+ \(not mv: exp.duckdb may have runs there, too\)"
    ):
        Layout.find(str(tmp_path / "exp.1"))
    (tmp_path / "exp.data").rename(tmp_path / "exp.1.data")
    Layout.find(str(tmp_path / "exp.1"))


def test_a_new_store_is_not_told_of_another_s_folder(tmp_path: Path) -> None:
    for name in (
        "exp.1",
        "exp.1.db",
    ):  # older versions kept the runs of exp.1.db where those of exp.1 are now
        connect(tmp_path / name).close()
    one = Layout.find(str(tmp_path / "exp.1"))
    one.claim()
    (one.data / "runs").mkdir()
    assert Layout.find(str(tmp_path / "exp.1.db")).data == tmp_path / "exp.1.db.data"
    connect(tmp_path / "old.db").close()
    Layout(tmp_path / "old.db").claim()
    (tmp_path / "old.data" / "runs").mkdir(parents=True)  # comes later, and is nobody's
    Layout.find(str(tmp_path / "old.db"))
