"""Vectors published on a hub, by one store, are in another what they were: or are refused, and nothing lands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

import query
from ingest.integrity import read_json, write_json
from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import list_runs
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.runs.job_folder import model_rows
from ingest.runs.load import load
from ingest.share.fetch import fetch_vectors
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import INDEX, ModelRow, ScoreRow, ShareError, license_of
from ingest.systems.materialized import MaterializedDataset, read_materialized
from matterzoo import main
from schemas.store import connect
from tests.hub import TOKEN, Fault, Hub, Repository, serving, set_client, tunnel
from zoo.cards.discovery import load_models

# The hub's client uploads in a way that its own HTTP library wants to see no longer.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "owner/vectors"
Tables = Callable[[Path], dict[str, list[str]]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def landed(
    layout: Layout, dataset: Callable[..., MaterializedDataset], planned: Any, finish: Any
) -> Callable[..., None]:
    """Land a run of a toy model over `tiny`: random vectors, the last of its 20 systems failed."""

    def make(
        model_id: str = "toy", names: tuple[str, ...] = ("nodes",), n: int = 20, seed: int = 0
    ) -> None:
        load(layout, finish(planned(dataset(n), model_id, names).run, seed=seed))

    return make


@pytest.fixture
def other(layout: Layout, tmp_path: Path) -> Callable[[], Layout]:
    """The same dataset in another place, without a store."""

    def make() -> Layout:
        (tmp_path / "other").mkdir(exist_ok=True)
        place = Layout(tmp_path / "other" / "matter.duckdb")
        shutil.copytree(layout.dataset("tiny"), place.dataset("tiny"))
        return place

    return make


def bring(
    place: Layout,
    model_id: str = "toy",
    revision: str | None = None,
    names: list[str] | None = None,
) -> list[str]:
    """Fetch; returns what was said."""
    made, said = read_materialized(place.dataset("tiny")), []
    assert made is not None
    fetch_vectors(
        place, read_offer(REPO, revision).choose(model_id, "tiny", names), made, said.append
    )
    return said


def quiet(text: str) -> None:
    """Nobody listens."""


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


# There and back


def test_another_store_has_the_same(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout], contents: Tables
) -> None:
    landed(names=("nodes", "whole"))
    commit = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    said = bring(place)
    assert "toy on tiny (nodes): 19 ok, 1 failed, 0 not applicable" in said[0] and len(said) == 2
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
    assert bring(place) == [
        f"toy on tiny ({n}): 20 of 20 systems already stored; nothing to do"
        for n in ("nodes", "whole")
    ]
    assert contents(place.store) == before and not list((place.data / "fetched").iterdir())
    question = "SELECT value FROM alignment('toy', 'toy#whole', dataset := 'tiny', k := 3, permutations := 0)"
    answers = [query.connect(p.store).execute(question).fetchall() for p in (layout, place)]
    assert answers[0] == answers[1] and answers[0][0][0] is not None
    remove_models(place, ["toy"], None, lambda lines, runs: None)
    assert rows(place) == [] and list_runs(place) == []


def test_from_a_run_to_anothers_query_by_commands(
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


def test_its_own_runs_are_recognized(hub: Hub, layout: Layout, landed: Any) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert bring(layout) == ["toy on tiny (nodes): 20 of 20 systems already stored; nothing to do"]
    assert hub.asked("/storage/") == []


def test_one_representation_of_several(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed(names=("nodes", "whole"))
    publish_vectors(layout, "toy", "tiny", REPO, ["whole"], quiet)
    place = other()
    with pytest.raises(
        ShareError,
        match=r"no vectors of toy on tiny \(nodes\); did you mean 'toy on tiny \(whole\)'",
    ):
        bring(place, names=["nodes"])
    bring(place)
    assert {name for (name,) in rows(place, "representation")} == {"whole"}
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    bring(place, names=["nodes"])
    assert len(rows(place)) == 38


def test_an_older_revision_and_a_branch(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed()
    first = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    landed("toy-picky")
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
        bring(place, "toy-picky", first)
    with pytest.raises(
        ShareError, match=f"datasets/{REPO} has no revision dev: it was moved or removed"
    ):
        read_offer(REPO, "dev")


def test_a_dataset_that_differs(
    hub: Hub,
    layout: Layout,
    landed: Any,
    dataset: Callable[..., MaterializedDataset],
    other: Callable[[], Layout],
) -> None:
    """Two vectors are compared only where their systems agree: what does not, stays out."""
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    dataset(15, moved=5, shift=0.5)
    place = other()
    said = bring(place)
    assert "5 systems are not in the tiny on this machine" in said[1]
    assert "5 systems are with other content in the tiny on this machine" in said[2]
    assert [name for (name,) in rows(place, "system_id")] == [f"tiny/s{i:04}" for i in range(5, 15)]
    shutil.rmtree(place.store.parent)
    dataset(15, moved=15, shift=0.5)
    with pytest.raises(
        ShareError,
        match="refused: none of its systems is in the tiny on this machine with the same con",
    ):
        bring(other())


def test_a_download_that_breaks_is_gone_on_with(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed(n=2000)
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    hub.faults = [Fault("/storage/", cut=20_000)]
    assert "the connection" in bring(place)[0]
    assert len(rows(place)) == 1999
    assert hub.asked("/storage/")[-1].headers["Range"] == "bytes=20000-"


def test_brought_vectors_and_a_model_that_the_zoo_has_not(
    hub: Hub,
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    other: Callable[[], Layout],
    tmp_path: Path,
) -> None:
    """Their card travels with them. What was brought before goes."""

    def brought(
        place: Layout, n: int, license: str | None = "CC-BY-4.0", value: float = 1.0
    ) -> None:
        file = tmp_path / "mine.csv"
        file.write_text("system_id,a,b\n" + "".join(f"s{i:04},{value},{i + 1}\n" for i in range(n)))
        import_vectors(place, ImportedVectors("mine", file, "Mine", license), dataset(20))

    brought(layout, 20)
    publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    brought(layout, 9)
    publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    assert len(records(hub)) == len([path for path in files(hub) if path.endswith(".parquet")]) == 1
    place = other()
    bring(place, "mine")
    columns = "model_id, family, title, license_weights, card_hash"
    assert rows(place, columns, "models") == rows(layout, columns, "models")
    assert (
        rows(place, "system_id, vector") == rows(layout, "system_id, vector")
        and len(rows(place)) == 9
    )
    remove_models(place, ["mine"], None, lambda lines, runs: None)
    brought(place, 20, value=7.0)
    with pytest.raises(
        ShareError, match="a model named mine that came from this machine, .*matterzoo clean mine"
    ):
        bring(place, "mine")
    assert len(rows(place)) == 20


# What is published


def test_a_second_model_leaves_the_first_and_twice_is_once(
    hub: Hub, layout: Layout, landed: Any
) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    first = files(hub)
    landed("toy-picky")
    commit = publish_vectors(layout, "toy-picky", "tiny", REPO, None, quiet)
    second = files(hub)
    changed = {path for path in second if first.get(path) != second[path]}
    assert {path.split("/")[2] for path in changed if "/" in path} == {"toy-picky"}
    assert {path for path in changed if "/" not in path} == {INDEX, "README.md"}
    assert [record["model_id"] for record in records(hub)] == ["toy-picky", "toy"]
    said: list[str] = []
    assert (
        publish_vectors(layout, "toy", "tiny", REPO, None, said.append)
        == commit
        == repository(hub).branches["main"]
    )
    assert said == [f"{REPO} has these vectors already; nothing to do"]
    assert len(repository(hub).commits) == 3  # with the one that created it


def test_the_data_card_and_the_index_say_what_it_is(hub: Hub, layout: Layout, landed: Any) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    (record,) = records(hub)
    card = files(hub)["README.md"].decode()
    made = read_materialized(layout.dataset("tiny"))
    assert made is not None
    for fact in (
        record["sha256"],
        record["card_hash"],
        record["encoder_hash"],
        record["lock_hash"],
        made.dataset_hash,
    ):
        assert fact in card
    for fact in (
        "CC0-1.0",
        "sent 20, ok 19, failed 1, not_applicable 0",
        "cpu (made up), float32",
        "(venv)",
        "none (",
    ):
        assert fact in card
    assert "config_name: tiny.toy.nodes\n  data_files: data/tiny/toy/nodes/*.parquet" in card
    assert (record["versions"], record["dataset"]["systems"]) == ({"numpy": "2"}, 20)
    assert str(layout.data) not in card + json.dumps(record)


def test_another_version_of_a_card_takes_the_place(
    hub: Hub,
    layout: Layout,
    landed: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    old = next(path for path in files(hub) if path.endswith(".parquet"))
    revision = repository(hub).branches["main"]
    changed = tmp_path / "zoo" / "toy"
    shutil.copytree(toy_folder / "zoo" / "toy", changed)
    text = (changed / "models.toml").read_text().replace('elements = "H-Xe"', "", 1)
    (changed / "models.toml").write_text(text.replace('id = "toy"', 'id = "toy"\nmax_atoms = 9', 1))
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(changed.parent))
    with pytest.raises(
        ShareError,
        match="vectors of toy were made by another version of its card .*; `matterzoo ingest toy",
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    with pytest.raises(
        ShareError,
        match=f"vectors of toy in {REPO}@{revision} were made by another version of its card",
    ):
        bring(layout)
    landed(seed=1)
    said: list[str] = []
    publish_vectors(layout, "toy", "tiny", REPO, None, said.append)
    assert f"  {old} goes: newer vectors of toy take its place" in said
    assert old not in files(hub) and len(records(hub)) == 1


# What is refused before it leaves


def set_license(
    toy_folder: Path, folder: Path, license: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give the model toy weights of a package, under that license."""
    shutil.copytree(toy_folder / "zoo" / "toy", folder / "toy")
    text = (folder / "toy" / "models.toml").read_text()
    file = f'{{ path = "toy.pt", sha256 = "{"0" * 64}", size = 1, twin = false }}'
    weights = (
        f'weights = {{ source = "package", package = "toy", format = "pickle", files = [{file}] }}'
    )
    text = text.replace('weights = { source = "none" }', weights, 1)
    begin = text.index("license_weights")
    text = text[:begin] + f"license_weights = {{ {license} }}" + text[text.index("\n", begin) :]
    (folder / "toy" / "models.toml").write_text(text)
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(folder))


URL = 'name = "Own", url = "https://example.org/own"'
REFUSED = {
    f"{URL}, commercial = false": r"Own \(https://example.org/own\), is non-commercial. If you have read .*: share = true",
    f"{URL}, commercial = true, gated = true": "is gated. If you have read there",
    f"{URL}, commercial = false, gated = true": "is gated and non-commercial. If you",
    f"{URL}, commercial = true, share = false": "does not allow sharing what the model computes",
}


@pytest.mark.parametrize("license", REFUSED)
def test_licenses_that_forbid_it(
    license: str,
    hub: Hub,
    layout: Layout,
    landed: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    set_license(toy_folder, tmp_path / "zoo", license, monkeypatch)
    landed()
    with pytest.raises(ShareError, match=f"vectors of toy are not published: .*{REFUSED[license]}"):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.log == []
    landed("toy@untrained")
    publish_vectors(layout, "toy@untrained", "tiny", REPO, None, quiet)
    assert [path.split("/")[2] for path in files(hub) if path.endswith(".parquet")] == [
        "toy_untrained"
    ]


def test_a_license_that_lets_vectors_be_shared(
    hub: Hub,
    layout: Layout,
    landed: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_license(
        toy_folder, tmp_path / "zoo", f"{URL}, commercial = false, share = true", monkeypatch
    )
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert "[Own](https://example.org/own), non-commercial" in files(hub)["README.md"].decode()


def test_vectors_without_a_license_and_datasets_that_may_not_be_derived_from(
    hub: Hub,
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    landed: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.csv").write_text("system_id,a\ns0001,1\n")
    import_vectors(layout, ImportedVectors("mine", tmp_path / "mine.csv"), dataset(20))
    with pytest.raises(
        ShareError,
        match="nobody has stated a license for the vectors of mine, .*--license CC-BY-4.0",
    ):
        publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    landed()
    about = layout.dataset("tiny") / "dataset.json"
    write_json(about, read_json(about) | {"license": "CC-BY-NC-ND-4.0"})
    with pytest.raises(
        ShareError, match="the license of tiny, CC-BY-NC-ND-4.0, forbids sharing what is derived"
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.log == []


def test_what_is_not_there_or_not_whole_is_not_published(
    hub: Hub, layout: Layout, landed: Any
) -> None:
    landed()
    with pytest.raises(
        ShareError,
        match="holds no such vectors of toy-picky on tiny; first: matterzoo ingest toy-picky",
    ):
        publish_vectors(layout, "toy-picky", "tiny", REPO, None, quiet)
    with pytest.raises(
        ShareError, match="'vectors' is not a repository of a hub; expected owner/name"
    ):
        publish_vectors(layout, "toy", "tiny", "vectors", None, quiet)
    (run,) = list_runs(layout)
    run.shards[1].unlink()
    assert main(["publish", "toy", "tiny.csv", REPO]) == 2  # no such file
    with pytest.raises(Exception, match="was sent and is not there"):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.asked("/commit/", "POST") == []


def test_a_repository_about_something_else_is_left_alone(
    hub: Hub, layout: Layout, landed: Any
) -> None:
    landed()
    hub.repository(REPO, "datasets").commit({"README.md": b"# My thesis"})
    with pytest.raises(
        ShareError,
        match=f"{REPO} is about something else already, as its README.md says; give a rep",
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert files(hub) == {"README.md": b"# My thesis"}


def test_every_model_of_the_zoo_can_be_described() -> None:
    """No text of a card is too long, or of a kind that is refused where it lands."""
    for selection in load_models().values():
        rows = model_rows(selection)
        row = ModelRow(**{name: rows["model"][name] for name in ModelRow.model_fields})
        assert ModelRow.model_validate_json(row.model_dump_json()) == row
        assert [ScoreRow(**score).model_dump() for score in rows["scores"]] == rows["scores"]
        assert license_of(row.card) == selection.model.license_weights


def test_a_hub_that_says_no(
    hub: Hub, layout: Layout, landed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed()
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(
        ShareError, match=f"datasets/{REPO}: the hub answers .* to this account: .*HF_TOKEN"
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ShareError, match="HF_TOKEN=hf_…, or `hf auth login`"):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.faults = [Fault("/commit/", status=412, method="POST")]
    with pytest.raises(
        ShareError, match=f"datasets/{REPO} was changed by somebody else meanwhile: run this again"
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    hub.faults = [Fault("/storage/", status=400, method="PUT")]
    with pytest.raises(
        ShareError,
        match=f"nothing was published in {REPO}: Error while uploading 'data/tiny/toy/nodes",
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert len(repository(hub).commits) == 1
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for act in (
        lambda: publish_vectors(layout, "toy", "tiny", REPO, None, quiet),
        lambda: read_offer(REPO, None),
    ):
        with pytest.raises(ShareError, match="HF_HUB_OFFLINE forbids asking the hub"):
            act()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert len(records(hub)) == 1


ENERGIES = "system_id, property, value, unit, source"


def test_energies_come_along(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed("toy-potential", names=("nodes", "whole"))
    publish_vectors(layout, "toy-potential", "tiny", REPO, None, quiet)
    place = other()
    bring(place, "toy-potential")
    assert (
        rows(place, ENERGIES, "labels") == rows(layout, ENERGIES, "labels")
        and len(rows(place, ENERGIES, "labels")) == 39
    )


def test_a_model_that_nobody_here_knows_keeps_its_energies(
    hub: Hub,
    layout: Layout,
    landed: Any,
    other: Callable[[], Layout],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    landed("toy-potential")
    publish_vectors(layout, "toy-potential", "tiny", REPO, None, quiet)
    place = other()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "empty"))
    bring(place, "toy-potential")
    assert rows(place, ENERGIES, "labels") == rows(layout, ENERGIES, "labels")


def test_files_of_before_there_were_energies_are_as_good_as_ever(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    with_table(lambda table: table.drop_columns(["energy"]))(hub)
    place = other()
    bring(place)
    assert len(rows(place)) == 19


# What is refused before it lands


def changed(**facts: Any) -> Callable[[Hub], None]:
    """Change the record of what is published; {'counts.ok': 3} reaches inside."""

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
    """Change the vectors, and the record so that it fits them, as one who means harm would."""

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


def altered(hub: Hub) -> None:
    """Other bytes, and a record of those that were."""
    (record,) = records(hub)
    repository(hub).commit({record["file"]: files(hub)[record["file"]][::-1]})


def nameless(hub: Hub) -> None:
    repository(hub).commit({INDEX: b"{]\n"})


def twice(hub: Hub) -> None:
    repository(hub).commit({INDEX: files(hub)[INDEX] * 2})


def of_run(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(
        {**table.schema.metadata, b"run_id": b"toy--tiny--000000000000"}
    )


def as_doubles(table: pa.Table) -> pa.Table:
    wide = table["vector"].cast(pa.list_(pa.float64()))
    return table.set_column(table.schema.get_field_index("vector"), "vector", wide)


HARM: dict[str, tuple[Callable[[Hub], None], str]] = {
    "altered": (altered, "is refused: the hub has one with sha256 [0-9a-f]{64}, expected"),
    "truncated": (changed(size=17), r"is refused: the hub has [\d,]+ bytes, expected 17"),
    "no index": (
        nameless,
        f"{REPO}/{INDEX} is not an index of this version of matterzoo: line 1, ",
    ),
    "named twice": (twice, f"{REPO}/{INDEX} names data/tiny/toy/nodes/.* 2 times, expected once"),
    "unknown field": (changed(more=1), "line 1, more: Extra inputs are not permitted"),
    "later format": (changed(format=2), "line 1, format: Input should be 1"),
    "another place": (
        changed(file="../../etc/passwd"),
        "its file is '../../etc/passwd', expected 'data/tiny/toy/",
    ),
    "another folder": (changed(run_id="../../../x"), "line 1, run_id: String should match"),
    "a terminal's order": (
        changed(model__title="\x1b[2J"),
        "line 1, model.title: String should match",
    ),
    "not Parquet": (
        with_bytes(b"PAR1 and no more"),
        r"nodes/.*is refused: .*Nothing of it is stored",
    ),
    "another schema": (
        with_table(as_doubles),
        r"is refused: its columns are .*vector list<.*double>, .*expected",
    ),
    "a column less": (
        with_table(lambda t: t.drop_columns(["reason"])),
        "is refused: its columns are",
    ),
    "an energy": (
        as_rows(lambda r: r[3].update(energy=1.0)),
        "s0003 has an energy, and its model's card promises none",
    ),
    "another run's": (
        with_table(of_run),
        "written with run_id 'toy--tiny--000000000000', expected",
    ),
    "not a number": (
        as_rows(lambda r: r[3].update(vector=[1, np.nan, 2])),
        "s0003 has a vector that is not finite",
    ),
    "infinite": (
        as_rows(lambda r: r[3].update(vector=[1, np.inf, 2])),
        "s0003 has a vector that is not finite",
    ),
    "longer": (
        as_rows(lambda r: r[3].update(vector=[1.0] * 4)),
        "s0003 has a vector of another length than",
    ),
    "a number missing": (
        as_rows(lambda r: r[3].update(vector=[1.0, None, 2.0])),
        "s0003 has a vector that",
    ),
    "twice a row": (as_rows(lambda r: r.append(r[3])), "s0003 is there more than once"),
    "fewer rows": (with_table(lambda t: t.slice(0, 9)), "its shards hold .*but its run.json says"),
    "another dataset's": (
        as_rows(lambda r: r[3].update(system_id="g2/x")),
        "g2/x was not sent, or not with this",
    ),
    "another representation": (
        as_rows(lambda r: r[3].update(representation="whole")),
        "s0003 was not sent|s0003 has",
    ),
    "no reason": (
        as_rows(lambda r: r[19].update(reason="")),
        "s0019 is not ok and gives no reason",
    ),
    "another status": (
        as_rows(lambda r: r[19].update(status="gone")),
        "s0019 has a status other than",
    ),
    "other counts": (
        changed(counts__ok=20, counts__failed=0),
        "its shards hold .*, but its run.json says",
    ),
    "another card": (
        changed(card_hash="0" * 64),
        "made by another version of its card .0{12}…, expected",
    ),
    "another length": (
        changed(dimension=4),
        "is refused: it says dimension 4, and the card of toy says 3",
    ),
    "other weights": (
        changed(weights={"a": "0" * 64}),
        "is refused: it says weights .*, and the card of toy says {}",
    ),
    "a seed": (
        changed(untrained_seed=5),
        "says seed of the untrained weights 5, and the card of toy says None",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_may_not_land(
    harm: str, hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout], contents: Tables
) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    act, message = HARM[harm]
    act(hub)
    place = other()
    with pytest.raises(ShareError, match=message):
        bring(place)
    assert not place.store.exists() and list_runs(place) == []
    assert not [path for path in (place.data / "fetched").rglob("shard-*.parquet")]


def test_two_files_of_one_run(
    hub: Hub, layout: Layout, landed: Any, other: Callable[[], Layout]
) -> None:
    landed()
    first = publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    place = other()
    bring(place)
    before = rows(place)
    as_rows(lambda found: found[3].update(vector=[1.0, 2.0, 3.0]))(hub)
    with pytest.raises(
        ShareError,
        match=f"is here already, from {REPO}@{first}, and .* has another file of that name",
    ):
        bring(place)
    assert rows(place) == before


def test_a_file_that_is_gone_is_not_offered(hub: Hub, layout: Layout, landed: Any) -> None:
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    (record,) = records(hub)
    repository(hub).commit({record["file"]: None})
    with pytest.raises(
        ShareError, match="has no vectors of toy on tiny; there is nothing of matterzoo's in it"
    ):
        read_offer(REPO, None).choose("toy", "tiny", None)
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert read_offer(REPO, None).models("tiny") == ["toy"] and record["file"] in files(hub)


# Read without our code, by the data card's own lines

DATASETS = "import datasets\nvectors = {line}\nrows = [(r['system_id'], r['status'], r['vector']) for r in vectors]"
POLARS = "import polars\nrows = {line}.select('system_id', 'status', 'vector').collect().rows()"
DUCKDB = """
import os, pathlib, duckdb, duckdb_extension_httpfs
folder = pathlib.Path(duckdb_extension_httpfs.__file__).parent / "extensions" / ("v" + duckdb.__version__)
connection = duckdb.connect()
connection.execute("LOAD '" + str(folder / "httpfs.duckdb_extension") + "'")
connection.execute("SET http_proxy = '" + os.environ["https_proxy"] + "'")
connection.execute("SET ca_cert_file = '" + os.environ["SSL_CERT_FILE"] + "'")
rows = connection.execute("SELECT system_id, status, vector {line}").fetchall()
"""


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """Of an authority, and, with its key, one for huggingface.co that this authority has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, which makes the hub's certificate: apt-get install openssl")
    ca, host = tmp_path / "ca.pem", tmp_path / "hub.pem"
    new = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = "subjectAltName=DNS:huggingface.co,DNS:localhost,IP:127.0.0.1"
    signed = [
        "-addext",
        names,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        ca,
        "-CAkey",
        tmp_path / "key",
    ]
    for command in (
        [*new, "-subj", "/CN=tests", "-keyout", tmp_path / "key", "-out", ca],
        [*new, "-subj", "/CN=hub", *signed, "-keyout", host, "-out", tmp_path / "leaf"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    host.write_bytes(host.read_bytes() + (tmp_path / "leaf").read_bytes())
    return ca, host


def read(code: str, line: str, **environment: str) -> list[list[Any]]:
    """Run a reader in a process of its own, which knows nothing of this repository."""
    program = code.replace("{line}", line) + "\nimport json\nprint(json.dumps(sorted(rows)))"
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    command = [sys.executable, "-I", "-W", "ignore", "-c", program]
    done = subprocess.run(
        command, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def lines_of(hub: Hub) -> dict[str, str]:
    """The lines of the data card that read the vectors."""
    card = files(hub)["README.md"].decode()
    starts = {
        "datasets": "datasets.load_dataset",
        "polars": "polars.scan_parquet",
        "duckdb": "FROM 'hf://",
    }
    return {
        name: next(x for x in card.splitlines() if x.startswith(start))
        for name, start in starts.items()
    }


@pytest.fixture
def shared(hub: Hub, layout: Layout, landed: Any) -> list[list[Any]]:
    """Publish a run; its rows."""
    landed()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    there = [[system_id, "ok", vector] for system_id, vector in rows(layout, "system_id, vector")]
    return [*there, ["tiny/s0019", "failed", None]]


def test_datasets_reads_it(hub: Hub, shared: list[list[Any]], tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs datasets: pip install datasets")
    found = read(
        DATASETS, lines_of(hub)["datasets"], HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home")
    )
    assert found == shared


@pytest.mark.parametrize("name", ["polars", "duckdb"])
def test_polars_and_duckdb_read_its_hf_address(
    name: str, hub: Hub, shared: list[list[Any]], certificates: tuple[Path, Path]
) -> None:
    """Both know huggingface.co only, so a proxy leads them to a hub that has its name."""
    module = "polars" if name == "polars" else "duckdb_extension_httpfs"
    found = pytest.importorskip(
        module, reason=f"needs {module}: pip install {module.replace('_', '-')}"
    )
    if (
        name == "duckdb"
        and not (Path(found.__file__).parent / "extensions" / f"v{duckdb.__version__}").exists()
    ):
        pytest.skip(
            f"needs the extension of this DuckDB: pip install {module}=={duckdb.__version__}"
        )
    ca, host = certificates
    with serving(host) as site, tunnel(site) as proxy:
        site.repositories = hub.repositories
        code = {"polars": POLARS, "duckdb": DUCKDB}[name]
        assert (
            read(code, lines_of(hub)[name].rstrip(";"), https_proxy=proxy, SSL_CERT_FILE=str(ca))
            == shared
        )
        assert site.asked("/storage/")
