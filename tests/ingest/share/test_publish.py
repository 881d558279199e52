"""What is published, and what the repository says about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from ingest.layout import Layout
from ingest.runs.folder import list_runs
from ingest.runs.job_folder import model_rows
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import INDEX, ModelRow, ScoreRow, ShareError, license_of
from ingest.systems.materialized import read_materialized
from matterzoo import main
from tests.hub import TOKEN, Fault, Hub
from tests.ingest.share.repositories import (
    REPO,
    fetch_all,
    files,
    quiet,
    records,
    repository,
)
from tests.ingest.stores import vector_files
from zoo.cards.discovery import load_models

# The hub's client uploads in a way that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def test_a_second_model_leaves_the_first_and_twice_is_once(
    hub: Hub, layout: Layout, loaded: Any
) -> None:
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    first = files(hub)
    loaded("toy-picky")
    commit = publish_vectors(layout, "toy-picky", "tiny", REPO, None, quiet)
    second = files(hub)
    changed = {path for path in second if first.get(path) != second[path]}
    assert {path.split("/")[2] for path in changed if "/" in path} == {"toy-picky"}
    assert {path for path in changed if "/" not in path} == {INDEX, "README.md"}
    assert [record["model_id"] for record in records(hub)] == ["toy-picky", "toy"]
    logged: list[str] = []
    assert (
        publish_vectors(layout, "toy", "tiny", REPO, None, logged.append)
        == commit
        == repository(hub).branches["main"]
    )
    assert logged == [f"{REPO} has these vectors already; nothing to do"]
    assert len(repository(hub).commits) == 3  # with the one that created it


def test_the_data_card_and_the_index_say_what_it_is(hub: Hub, layout: Layout, loaded: Any) -> None:
    loaded()
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
    loaded: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded()
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
        fetch_all(layout)
    loaded(seed=1)
    logged: list[str] = []
    publish_vectors(layout, "toy", "tiny", REPO, None, logged.append)
    assert f"  {old} goes: newer vectors of toy take its place" in logged
    assert old not in files(hub) and len(records(hub)) == 1


def test_what_is_not_there_or_not_whole_is_not_published(
    hub: Hub, layout: Layout, loaded: Any
) -> None:
    loaded()
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
    vector_files(layout, run)[0].unlink()
    assert main(["publish", "toy", "tiny.csv", REPO]) == 2  # no such file
    with pytest.raises(Exception, match="-00000.parquet is missing"):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.asked("/commit/", "POST") == []


def test_a_repository_about_something_else_is_left_alone(
    hub: Hub, layout: Layout, loaded: Any
) -> None:
    loaded()
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
    hub: Hub, layout: Layout, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded()
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
