"""Fetched vectors are in another store what they were in the first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import query
from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import list_runs
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import ShareError
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from tests.hub import Fault, Hub
from tests.ingest.share.repositories import (
    REPO,
    Tables,
    as_rows,
    fetch_all,
    files,
    quiet,
    records,
    repository,
    rows,
    with_table,
)

# The hub's client uploads in a way that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_another_store_has_the_same(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout], contents: Tables
) -> None:
    loaded(names=("nodes", "nodes:std"))
    commit = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    logged = fetch_all(place)
    assert (
        "toy on tiny (nodes): 19 ok, 1 failed, 0 not applicable" in logged[0] and len(logged) == 2
    )
    columns = "system_id, model_id, representation, content_hash, vector"
    assert rows(place, columns) == rows(layout, columns) and len(rows(place)) == 38
    assert (
        len(rows(place, table="failures")) == len(rows(layout, table="failures")) == 3
    )  # one entry is unreadable
    assert rows(place, table="models") == rows(layout, table="models")
    facts = rows(
        place, "runtime, image, origin, status, sent, ok, failed, device_name, seconds", "runs"
    )
    assert facts == [("fetched", None, f"{REPO}@{commit}", "ok", 20, 19, 1, "made up", 9.0)] * 2
    before = contents(place.store)
    rebuild(place, quiet)
    assert contents(place.store) == before
    assert fetch_all(place) == [
        f"toy on tiny ({n}): 20 of 20 systems already stored; nothing to do"
        for n in ("nodes", "nodes:std")
    ]
    assert contents(place.store) == before and not list((place.data / "fetched").iterdir())
    question = """
        SELECT value
        FROM alignment('toy', 'toy#nodes:std', dataset := 'tiny', k := 3, permutations := 0)
    """
    answers = [query.connect(p.store).execute(question).fetchall() for p in (layout, place)]
    assert answers[0] == answers[1] and answers[0][0][0] is not None
    remove_models(place, ["toy"], None, lambda lines, runs: None)
    assert rows(place) == [] and list_runs(place) == []


def test_from_a_run_to_another_store_by_commands(
    hub: Hub, layout: Layout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "toy,toy-picky", "elements", "--limit", "7"]) == 0
    assert main(["publish", "toy,toy-picky", "elements", REPO]) == 0
    out = capfd.readouterr().out
    revision = repository(hub).branches["main"]
    assert f"{REPO} is a new dataset repository, which everybody can see" in out
    assert f"matterzoo fetch toy-picky elements {REPO} --revision {revision}" in out
    store = str(tmp_path / "new.duckdb")
    assert main(["fetch", "all", "elements", REPO, "--store", store]) == 0
    assert f"{REPO} at {revision}" in capfd.readouterr().out
    columns = "system_id, model_id, vector"
    assert rows(Layout(Path(store)), columns) == rows(layout, columns)
    assert main(["ingest", "toy", "elements", "--limit", "7", "--store", store]) == 0
    assert "toy on elements: 7 of 7 systems already stored; nothing to do" in capfd.readouterr().out


def test_own_runs_are_recognized(hub: Hub, layout: Layout, loaded: Any) -> None:
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert fetch_all(layout) == [
        "toy on tiny (nodes): 20 of 20 systems already stored; nothing to do"
    ]
    assert hub.asked("/storage/") == []


def test_one_representation_of_several(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded(names=("nodes", "whole"))
    publish_vectors(layout, "toy", "tiny", REPO, ["whole"], quiet)
    place = other()
    with pytest.raises(
        ShareError,
        match=r"no vectors of toy on tiny \(nodes\); did you mean 'toy on tiny \(whole\)'",
    ):
        fetch_all(place, names=["nodes"])
    fetch_all(place)
    assert {name for (name,) in rows(place, "representation")} == {"whole"}
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    fetch_all(place, names=["nodes"])
    assert len(rows(place)) == 38


def test_an_older_revision_and_a_branch(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded()
    first = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    loaded("toy-picky")
    publish_vectors(layout, "toy-picky", "tiny", REPO, None, quiet)
    place = other()
    assert read_offer(REPO, "main").models("tiny") == ["toy", "toy-picky"]
    assert (read_offer(REPO, first).commit, read_offer(REPO, first).models("tiny")) == (
        first,
        ["toy"],
    )
    with pytest.raises(
        ShareError,
        match=f"{REPO} at {first} has no vectors of toy-picky on tiny; did you mean 'toy on ",
    ):
        fetch_all(place, "toy-picky", first)
    with pytest.raises(
        ShareError, match=f"datasets/{REPO} has no revision dev: it was moved or removed"
    ):
        read_offer(REPO, "dev")


def test_a_dataset_that_differs(
    hub: Hub,
    layout: Layout,
    loaded: Any,
    dataset: Callable[..., MaterializedDataset],
    other: Callable[[], Layout],
) -> None:
    """Vectors of systems that differ here are left out, as they could not be compared."""
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    dataset(15, moved=5, shift=0.5)
    place = other()
    logged = fetch_all(place)
    assert "5 systems are not in the tiny on this machine" in logged[1]
    assert "5 systems are with other content in the tiny on this machine" in logged[2]
    assert [name for (name,) in rows(place, "system_id")] == [f"tiny/s{i:04}" for i in range(5, 15)]
    shutil.rmtree(place.store.parent)
    dataset(15, moved=15, shift=0.5)
    with pytest.raises(
        ShareError,
        match="refused: none of its systems is in the tiny on this machine with the same con",
    ):
        fetch_all(other())


def test_a_download_that_breaks_is_resumed(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded(n=2000)
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    hub.faults = [Fault("/storage/", cut=20_000)]
    assert "the connection" in fetch_all(place)[0]
    assert len(rows(place)) == 1999
    assert hub.asked("/storage/")[-1].headers["Range"] == "bytes=20000-"


def test_imported_vectors_and_a_model_without_a_card_here(
    hub: Hub,
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    other: Callable[[], Layout],
    tmp_path: Path,
) -> None:
    """The card travels with the vectors. What was imported before goes."""

    def import_mine(
        place: Layout, n: int, license: str | None = "CC-BY-4.0", value: float = 1.0
    ) -> None:
        file = tmp_path / "mine.csv"
        file.write_text("system_id,a,b\n" + "".join(f"s{i:04},{value},{i + 1}\n" for i in range(n)))
        import_vectors(place, ImportedVectors("mine", file, "Mine", license), dataset(20))

    import_mine(layout, 20)
    publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    import_mine(layout, 9)
    publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    assert len(records(hub)) == len([path for path in files(hub) if path.endswith(".parquet")]) == 1
    place = other()
    fetch_all(place, "mine")
    columns = "model_id, family, title, license_weights, card_hash"
    assert rows(place, columns, "models") == rows(layout, columns, "models")
    assert (
        rows(place, "system_id, vector") == rows(layout, "system_id, vector")
        and len(rows(place)) == 9
    )
    remove_models(place, ["mine"], None, lambda lines, runs: None)
    import_mine(place, 20, value=7.0)
    with pytest.raises(
        ShareError, match="a model named mine that came from this machine, .*matterzoo clean mine"
    ):
        fetch_all(place, "mine")
    assert len(rows(place)) == 20


ENERGIES = "system_id, property, value, unit, source"


def test_energies_are_shared_too(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded("toy-potential", names=("nodes", "whole"))
    publish_vectors(layout, "toy-potential", "tiny", REPO, None, quiet)
    place = other()
    fetch_all(place, "toy-potential")
    assert (
        rows(place, ENERGIES, "labels") == rows(layout, ENERGIES, "labels")
        and len(rows(place, ENERGIES, "labels")) == 39
    )


def test_a_model_without_a_card_here_keeps_its_energies(
    hub: Hub,
    layout: Layout,
    loaded: Any,
    other: Callable[[], Layout],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    loaded("toy-potential")
    publish_vectors(layout, "toy-potential", "tiny", REPO, None, quiet)
    place = other()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "empty"))
    fetch_all(place, "toy-potential")
    assert rows(place, ENERGIES, "labels") == rows(layout, ENERGIES, "labels")


def test_files_of_versions_without_energies_are_still_read(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    with_table(lambda table: table.drop_columns(["energy"]))(hub)
    place = other()
    fetch_all(place)
    assert len(rows(place)) == 19


def test_two_files_of_one_run(
    hub: Hub, layout: Layout, loaded: Any, other: Callable[[], Layout]
) -> None:
    loaded()
    first = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    fetch_all(place)
    before = rows(place)
    as_rows(lambda found: found[3].update(vector=[1.0, 2.0, 3.0]))(hub)
    with pytest.raises(
        ShareError,
        match=f"is here already, from {REPO}@{first}, and .* has another file of that name",
    ):
        fetch_all(place)
    assert rows(place) == before


def test_a_file_that_is_gone_is_not_offered(hub: Hub, layout: Layout, loaded: Any) -> None:
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    (record,) = records(hub)
    repository(hub).commit({record["file"]: None})
    with pytest.raises(
        ShareError, match="has no vectors of toy on tiny; there is nothing of matterzoo's in it"
    ):
        read_offer(REPO, None).choose("toy", "tiny", None)
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert read_offer(REPO, None).models("tiny") == ["toy"] and record["file"] in files(hub)
