"""Making a store again never loses a run, nor what another program has written."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pytest

from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.disk import measure_usage
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreBroken, StoreError, StoreLocked, explain_error
from schemas.store import connect
from tests.ingest.stores import damage_store, first_number, forget, quiet, vector_files

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]


def test_a_store_cut_off_anywhere_is_known_and_made_again(
    layout: Layout, import_mine: Callable[..., Run], contents: Contents
) -> None:
    import_mine("mine")
    before, whole = contents(layout.store), layout.store.read_bytes()
    for length in (len(whole) - 1, len(whole) * 3 // 4, len(whole) // 2, 12_288, 4096, 1, 0):
        layout.store.write_bytes(whole[:length])
        with pytest.raises(
            StoreBroken, match="`matterzoo rebuild` makes it again from .*matter.data"
        ):
            read_all(layout, contents, before)
    rebuild(layout, quiet)
    assert contents(layout.store) == before
    assert layout.store.with_name("matter.duckdb.broken").read_bytes() == b""


def read_all(layout: Layout, contents: Contents, before: dict[str, list[str]]) -> None:
    """Read all of a store: it is what was there before, or StoreBroken is raised."""
    try:
        assert contents(layout.store) == before
        raise StoreBroken(
            "`matterzoo rebuild` makes it again from matter.data"
        )  # nothing is where it was cut off
    except duckdb.Error as error:
        raise explain_error(layout.store, error) from error


def test_a_wal_goes_with_its_store(
    layout: Layout, import_mine: Callable[..., Run], contents: Contents
) -> None:
    import_mine("mine")
    before = contents(layout.store)
    for number, wal in enumerate((b"no WAL at all" * 100, b"")):
        layout.store.with_name("matter.duckdb.wal").write_bytes(wal)
        layout.store.write_bytes(b"torn" * 5000)
        rebuild(layout, quiet)
        assert contents(layout.store) == before
        kept = layout.store.with_name("matter.duckdb.broken" + (f".{number + 1}" if number else ""))
        assert kept.read_bytes() == b"torn" * 5000
        assert kept.with_name(f"{kept.name}.wal").read_bytes() == wal


def test_a_wal_without_its_store_is_not_put_into_the_next(layout: Layout) -> None:
    wal = layout.store.with_name("matter.duckdb.wal")
    wal.write_bytes(b"of a store that was removed")
    connect(layout.store).close()
    assert wal.with_name("matter.duckdb.wal.broken").read_bytes() == b"of a store that was removed"


def test_what_is_loaded_while_a_store_is_made_again_is_refused_or_waits(
    layout: Layout, import_mine: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_mine("mine")
    late = import_mine("late")
    forget(layout, "late")
    begun, go_on = threading.Event(), threading.Event()

    def hold(text: str) -> None:
        begun.set()
        assert go_on.wait(60)

    (late.folder / "landed.json").unlink()
    late.folder.rename(layout.data / "late")
    thread = threading.Thread(target=rebuild, args=(layout, hold))
    thread.start()
    assert begun.wait(60)
    (layout.data / "late").rename(late.folder)
    with pytest.raises(StoreLocked, match=rf"is being written by process {os.getpid()} \("):
        load(layout, late, log=quiet)
    go_on.set()
    load(layout, late, patience=60, log=quiet)
    thread.join()
    assert first_number(layout, "late") == {1.0}


def test_another_program_s_writing_is_not_lost(
    layout: Layout, import_mine: Callable[..., Run]
) -> None:
    import_mine("mine")

    def write(text: str) -> None:
        with duckdb.connect(str(layout.store)) as connection:
            connection.execute("CREATE TABLE notes (text VARCHAR)")

    with pytest.raises(
        StoreError, match="was written by another program while it was made again; it stays"
    ):
        rebuild(layout, write)
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["out/run.json", "job/job.json"])
def test_a_run_that_lost_its_json_is_reported(
    name: str, layout: Layout, import_mine: Callable[..., Run]
) -> None:
    import_mine("mine")
    run = import_mine("other", 2.0)
    (run.folder / name).unlink()
    with pytest.raises(
        StoreError, match=rf"would lose 1 of its 2 runs:\n  {run.run_id}: .*/{name} is missing"
    ):
        rebuild(layout, quiet)


def test_a_run_whose_folder_is_gone_is_reported(
    layout: Layout, import_mine: Callable[..., Run]
) -> None:
    import_mine("mine")
    run = import_mine("other", 2.0)
    run.folder.rename(layout.data / "elsewhere")
    with pytest.raises(
        StoreError,
        match=rf"lose 1 of its 2 runs:\n  {run.run_id}: the store holds it, "
        r"and .* is not there any more",
    ):
        rebuild(layout, quiet)
    (layout.data / "elsewhere").rename(run.folder)
    assert rebuild(layout, quiet) == 2


NOTES = ("out/run.json", "job/job.json", "model.json", "runtime.json", "landed.json")

DAMAGES = (b"", b'{"run_id": "x', bytes(40), b"[]", b"{}")


def test_damaged_json_is_confined_to_its_run(
    layout: Layout,
    import_mine: Callable[..., Run],
    contents: Contents,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    import_mine("mine")
    run = import_mine("other", 2.0)
    run.write("runtime.json", {"runtime": "given", "image": None})
    both, whole = contents(layout.store), tmp_path / "whole"
    shutil.copytree(layout.data, whole)
    shutil.copy2(layout.store, whole)
    for number, name in enumerate(NOTES):  # every damage in two of the files
        damages = [DAMAGES[(number + step) % len(DAMAGES)] for step in (0, 1)]
        with subtests.test(name):
            damage_json(layout, run, name, damages, both, contents)
        shutil.rmtree(layout.data)
        shutil.copytree(whole, layout.data)
        (layout.data / layout.store.name).replace(layout.store)
        layout.store.with_name("matter.duckdb.broken").unlink(missing_ok=True)


def damage_json(
    layout: Layout,
    run: Run,
    name: str,
    damages: Sequence[bytes],
    both: dict[str, list[str]],
    contents: Contents,
) -> None:
    """Damage a JSON file of a run in these ways: nothing is lost, and the other run is there."""
    for damage in damages:
        (run.folder / name).write_bytes(damage)
        assert ("vectors", "mine") in [(row.kind, row.name) for row in measure_usage(layout)]
        with pytest.raises(
            StoreError, match=rf"would lose 1 of its 2 runs:\n  {run.run_id}: .*"
        ) as error:
            rebuild(layout, quiet)
        assert Path(name).name in str(
            error.value
        ) or "JSON files do not hold what they should" in str(error.value)
        assert "remove" not in str(error.value)
        assert contents(layout.store) == both
    layout.store.write_bytes(b"torn" * 5000)
    with pytest.raises(
        StoreError, match=rf"made again from 1 of 2 runs; left out:\n  {run.run_id}: .*"
    ):
        rebuild(layout, quiet)
    assert (first_number(layout, "mine"), first_number(layout, "other")) == ({1.0}, set())
    assert layout.store.with_name("matter.duckdb.broken").read_bytes() == b"torn" * 5000
    removed = remove_models(layout, ["mine"], None, lambda lines, runs: None)
    assert any("rows of embeddings" in line for line in removed) and run.folder.exists()


def test_a_damaged_block_is_no_sound_store(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, import_mine: Callable[..., Run]
) -> None:
    made = dataset(20)
    run = finish(planned(made).run)
    load(layout, run, log=quiet)
    import_mine("mine")
    vector_files(layout, run)[0].unlink()
    damage_store(layout)
    with pytest.raises(
        StoreError,
        match=rf"made again from 1 of 2 runs; left out:\n  {run.run_id}: .*parquet is missing",
    ):
        rebuild(layout, quiet)
    assert layout.store.with_name("matter.duckdb.broken").exists() and first_number(
        layout, "mine"
    ) == {1.0}


def test_what_a_rebuild_kept_is_counted(layout: Layout) -> None:
    connect(layout.store).close()
    names = [".broken", ".broken.2", ".before", ".before.wal", ".wal.broken"]
    for name in (*names, ".mine"):
        layout.store.with_name(f"matter.duckdb{name}").write_bytes(bytes(10**6))
    ((said, size),) = [(row.name, row.size) for row in measure_usage(layout) if row.kind == "kept"]
    assert size >= 5 * 10**6
    assert set(said.split("to remove: rm ")[1].split()) == {
        f"{layout.store}{name}" for name in names
    }
