"""What keeps one model of a list from the store does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ingest.executors import embed, local
from ingest.layout import Layout
from ingest.runs import pending
from ingest.runs.folder import lock_run
from ingest.runs.plan import Plan
from ingest.runs.request import Settings
from ingest.runs.store import waiting as patience
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.errors import StoreLocked
from schemas.store import connect
from tests.ingest.stores import open_elsewhere
from zoo.cards.family import Selection

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Said = pytest.CaptureFixture[str]
XYZ = '2\nname="m{i}" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'


@pytest.fixture
def molecules(layout: Layout) -> str:
    """Write a file of three molecules; return its path."""
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(i=i, length=i + 7) for i in range(3)))
    return str(file)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every wait for a store short."""
    for module in (patience, pending, local):
        monkeypatch.setattr(module, "PATIENCE", 0.3)
        monkeypatch.setattr(module, "SHORT_PATIENCE", 0.1, raising=False)


def stored(layout: Layout) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(
            "SELECT model_id, status, ok FROM runs ORDER BY model_id"
        ).fetchall()


def test_all_are_computed_while_a_notebook_is_open_and_named_with_the_command_that_loads_them(
    layout: Layout, molecules: str, short: None, capfd: Said
) -> None:
    connect(layout.store).close()
    arguments = [
        "ingest",
        "toy,toy-broken,toy-picky",
        molecules,
        "--runtime",
        "venv",
        "--batch",
        "2",
    ]
    with open_elsewhere(layout.store) as reader:
        assert main(arguments) == 1
    said = capfd.readouterr()
    assert (
        f"computed; it is loaded at the end, since {layout.store} is in use by process {reader.pid}"
        in said.out
    )
    for model_id in ("toy", "toy-picky"):
        assert f"error: the vectors of {model_id} are computed, and not in the store: " in said.err
    command = f"matterzoo ingest toy-broken,toy,toy-picky {molecules} --batch 2 --runtime venv"
    failed = "error: 3 of 3 models failed: toy-broken, toy, toy-picky"
    assert f"{failed}. `{command}` continues" in said.err
    assert "the failure of run toy-broken--" in said.out
    assert stored(layout) == []
    assert main(arguments) == 1  # toy-broken stays broken
    said = capfd.readouterr()
    assert said.out.count("computed by an earlier start") == 2
    assert "error: 1 of 3 models failed: toy-broken. " in said.err
    assert stored(layout) == [("toy", "ok", 3), ("toy-broken", "failed", 0), ("toy-picky", "ok", 3)]


def test_what_is_computed_is_loaded_as_soon_as_the_notebook_is_closed(
    layout: Layout, molecules: str, short: None, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    connect(layout.store).close()
    with open_elsewhere(layout.store) as reader:
        real, kept = pending.load, []

        def close_after_the_first(*given: object, **options: object) -> object:
            try:
                return real(*given, **options)  # type: ignore[arg-type]
            except StoreLocked:
                kept.append(given)
                reader.communicate()
                raise

        monkeypatch.setattr(pending, "load", close_after_the_first)
        assert main(["ingest", "toy,toy-picky", molecules, "--runtime", "venv"]) == 0
    assert len(kept) == 1
    assert stored(layout) == [("toy", "ok", 3), ("toy-picky", "ok", 3)]
    said = capfd.readouterr().out
    assert said.index("toy-picky: 3 ok") < said.index("toy: 3 ok")


def test_a_run_that_another_process_works_on_is_tried_again_and_does_not_stop_the_others(
    layout: Layout, molecules: str, dataset: Make, planned: Planned, short: None, capfd: Said
) -> None:
    assert main(["ingest", "toy", molecules, "--runtime", "venv"]) == 0
    made = dataset(4)
    run = planned(made, names=("nodes",)).run
    assert run is not None
    with lock_run(run), pytest.MonkeyPatch.context() as patch:
        patch.setattr(embed, "prepare_dataset", lambda layout, found, **_: made)
        assert main(["ingest", "toy,toy-picky", "elements", "--runtime", "venv"]) == 1
    said = capfd.readouterr()
    assert (
        "toy on tiny: tried again after the others, since another process is working on run "
        + run.run_id
        in said.out
    )
    assert (
        "error: 1 of 2 models failed: toy. `matterzoo ingest toy elements --runtime venv` continues"
        in said.err
    )
    assert [row[0] for row in stored(layout)] == ["toy", "toy-picky"]


def test_a_model_that_is_left_out_has_failed_only_where_it_would_have_been_run(
    layout: Layout, molecules: str
) -> None:
    strings = layout.store.with_name("strings.csv")
    strings.write_text("id,smiles\na,CCO\n")

    def offer(layout: Layout, selections: Sequence[Selection], found: object) -> list[str]:
        return [selection.model_id for selection in selections]

    asked = "toy,toy-picky", f"{molecules},{strings}", Settings(runtime="venv")
    failed = embed.embed(*asked, offer=offer)
    assert failed == ["toy on molecules", "toy-picky on molecules"]
