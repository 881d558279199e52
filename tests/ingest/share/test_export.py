"""A store goes to one file, and comes back from it as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run, list_runs
from ingest.runs.load import load, load_failure
from ingest.runs.plan import Plan
from ingest.share.export import export
from ingest.share.exported import ExportError
from ingest.share.import_exported import import_store
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect
from tests.ingest.stores import copy_store, quiet
from zoo.errors import MatterzooError

Contents = Callable[[Path], dict[str, list[str]]]
Planned = Callable[..., Plan]


@pytest.fixture(scope="module")
def first_full(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A place for a copy of the store that the first test fills for all."""
    return Layout(tmp_path_factory.mktemp("full") / "matter.duckdb")


@pytest.fixture
def full(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Planned,
    finish: Callable[..., Run],
    import_mine: Callable[..., Run],
    first_full: Layout,
) -> Layout:
    """A store with all that a store may hold.

    That is energies, vectors that another run has replaced, vectors of systems that have changed,
    imported vectors, a run that failed, and rows that somebody wrote into the tables.
    """
    if first_full.store.exists():
        copy_store(first_full, layout)
        return layout
    load(layout, finish(planned(dataset(20), "toy-potential", ("nodes", "whole")).run))
    load(layout, finish(planned(dataset(20)).run))
    load(layout, finish(planned(dataset(20, moved=3, shift=0.1)).run, seed=1))
    import_mine("mine")
    broken = planned(dataset(20, moved=3, shift=0.1), "toy-broken").run
    assert broken is not None
    load_failure(layout, broken, "broken on purpose", datetime.now(UTC))
    with connect(layout.store) as connection:
        connection.execute("INSERT INTO labels VALUES ('tiny/s0001', 'gap', 1.5, 'eV', 'a paper')")
        connection.execute("INSERT INTO scores VALUES ('toy', 'mae', 0.5, 'eV', 'a set', 'me')")
    copy_store(layout, first_full)
    return layout


@pytest.fixture
def elsewhere(tmp_path: Path) -> Layout:
    (tmp_path / "elsewhere").mkdir()
    return Layout(tmp_path / "elsewhere" / "other.duckdb")


def without_places(contents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Everything but where the files of vectors are."""
    return {name: rows for name, rows in contents.items() if name != "vector_files"}


def test_a_plain_client_reads_an_exported_store(
    full: Layout, tmp_path: Path, contents: Contents
) -> None:
    file = tmp_path / "all.duckdb"
    assert export(full, file, quiet) == len(contents(full.store)["embeddings"])
    shutil.rmtree(full.data)
    stored = full.store.with_name("gone.duckdb")
    full.store.rename(stored)
    with duckdb.connect(str(file), read_only=True) as connection:
        count = "SELECT model_id, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
        assert connection.execute(count).fetchall() == [
            ("mine", 20),
            ("toy", 18),
            ("toy-potential", 32),
        ]
        kinds = "SELECT table_name, table_type FROM information_schema.tables ORDER BY ALL"
        tables = dict(connection.execute(kinds).fetchall())
        assert set(tables.values()) == {"BASE TABLE"}
        assert {"systems", "models", "runs", "failures", "labels", "embeddings"} < set(tables)
        silent = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL"
        ).fetchall()
        assert silent == []
        join = (
            "SELECT count(*) FROM embeddings JOIN systems USING (system_id, content_hash) "
            "WHERE len(vector) >= 2"
        )
        assert connection.execute(join).fetchall() == [(70,)]


def test_an_import_brings_everything_back(
    full: Layout, elsewhere: Layout, tmp_path: Path, contents: Contents
) -> None:
    before = without_places(contents(full.store))
    export(full, tmp_path / "all.duckdb", quiet)
    assert import_store(elsewhere, tmp_path / "all.duckdb", quiet) == 5
    assert without_places(contents(elsewhere.store)) == before
    assert {run.run_id for run in list_runs(elsewhere)} == {r.run_id for r in list_runs(full)}
    assert not (elsewhere.data / "imported").exists()
    sent = {}
    for run in list_runs(elsewhere):
        sent.setdefault(run.systems.read_bytes(), set()).add(run.systems.stat().st_ino)
    assert [len(files) for files in sent.values()] == [1] * len(sent)
    assert len(sent) < len(list_runs(elsewhere))


def test_an_imported_store_can_be_made_again_and_exported_again(
    full: Layout, elsewhere: Layout, tmp_path: Path, contents: Contents
) -> None:
    export(full, tmp_path / "all.duckdb", quiet)
    import_store(elsewhere, tmp_path / "all.duckdb", quiet)
    written = ("labels", "scores")  # what somebody wrote into the tables is in no folder
    before = {k: v for k, v in contents(elsewhere.store).items() if k not in written}
    rebuild(elsewhere, quiet)
    assert {k: v for k, v in contents(elsewhere.store).items() if k not in written} == before
    export(elsewhere, tmp_path / "again.duckdb", quiet)
    rows = []
    for name in ("all", "again"):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb"), read_only=True) as connection:
            found = [
                connection.execute(f"FROM {table} ORDER BY ALL").fetchall()
                for table in ("embeddings", "superseded_embeddings", "systems", "failures")
            ]
            rows.append(found)
    assert rows[0] == rows[1]
    assert [len(table) > 0 for table in rows[0]] == [True] * 4


def test_an_import_twice_is_an_import_once(
    full: Layout, elsewhere: Layout, tmp_path: Path, contents: Contents
) -> None:
    file = tmp_path / "all.duckdb"
    export(full, file, quiet)
    import_store(elsewhere, file, quiet)
    before = contents(elsewhere.store)
    lines: list[str] = []
    import_store(elsewhere, file, lines.append)
    assert contents(elsewhere.store) == before
    assert "4 of 5 runs are stored already" in lines
    export_into_itself = contents(full.store)
    import_store(full, file, quiet)
    assert contents(full.store) == export_into_itself


def test_an_import_that_was_cut_off_is_continued(
    full: Layout, elsewhere: Layout, tmp_path: Path, contents: Contents
) -> None:
    file = tmp_path / "all.duckdb"
    export(full, file, quiet)

    def stop(line: str) -> None:
        if line.startswith("3/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_store(elsewhere, file, stop)
    with connect(elsewhere.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(2,)]
    assert import_store(elsewhere, file, quiet) == 3
    assert without_places(contents(elsewhere.store)) == without_places(contents(full.store))


# Imports FILE into folders of ROOT: at first whole, then in processes that are killed before the
# n-th rename or removal of a file, for two n; prints n and how each ended. The processes are
# forks of one that has imported everything: else most of the time would be imports.
KILLED = """
import contextlib, itertools, os, sys
from pathlib import Path
from ingest.layout import Layout
from ingest.share.import_exported import import_store
with contextlib.suppress(ImportError):
    import pandas  # which DuckDB imports
root, file = map(Path, sys.argv[1:])
def run(folder, last):
    folder.mkdir()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    numbers = itertools.count()
    def kill(event, arguments):
        if event in ('os.rename', 'os.remove') and next(numbers) == last:
            os.kill(os.getpid(), 9)
    sys.addaudithook(kill)
    try:
        import_store(Layout(folder / 'b.duckdb'), file, str)
        (folder / 'count').write_text(str(next(numbers)))
    finally:
        os._exit(0)
run(root / 'whole', -1)
total = int((root / 'whole' / 'count').read_text())
for last in range(5, total, -(-total // 2)):
    print(last, run(root / str(last), last))
"""


def test_a_killed_import_loses_and_doubles_nothing(
    full: Layout, tmp_path: Path, contents: Contents
) -> None:
    file = tmp_path / "all.duckdb"
    export(full, file, quiet)
    expected = without_places(contents(full.store))
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ended = dict(line.split() for line in done.stdout.splitlines())
    assert list(ended.values()) == ["-9"] * 2
    for last in ended:
        place = Layout(tmp_path / last / "b.duckdb")
        import_store(place, file, quiet)
        assert without_places(contents(place.store)) == expected


def test_an_export_replaces_nothing(layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "all.duckdb"
    file.write_text("mine")
    with pytest.raises(ExportError, match=r"all\.duckdb exists, and is not replaced"):
        export(layout, file, quiet)
    assert file.read_text() == "mine"
    with pytest.raises(ExportError, match=r"no folder .*nowhere to hold all\.duckdb"):
        export(layout, tmp_path / "nowhere" / "all.duckdb", quiet)


def test_an_export_of_a_damaged_store_names_the_file_and_leaves_nothing(
    layout: Layout, import_mine: Callable[..., Run], tmp_path: Path
) -> None:
    import_mine("mine")
    [path] = layout.vectors.rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged, match=path.name):
        export(layout, tmp_path / "all.duckdb", quiet)
    assert not list(tmp_path.glob("*all.duckdb*"))


# {what is changed in the file: what is said}
CONTRADICTIONS = {
    "UPDATE models SET card_hash = 'other' WHERE model_id = 'toy'": (
        "has toy by another version of its card; `matterzoo clean toy` removes that"
    ),
    "UPDATE labels SET value = 2 WHERE property = 'gap'": "has another gap of tiny/s0001",
    "UPDATE scores SET value = 2": "has another mae of toy",
    "UPDATE datasets SET dataset_hash = 'other'": "the tiny of the store has other systems",
    "UPDATE runs SET run_id = 'other' WHERE model_id = 'mine'": (
        "has other vectors of mine on tiny, which were imported; `matterzoo clean mine tiny`"
    ),
    "UPDATE runs SET run_id = run_id || 'x' WHERE model_id = 'toy-potential'": (
        "has vectors of toy-potential of 32 of the same systems, which another run computed"
    ),
    "UPDATE embeddings SET vector = [1, 2, 3] WHERE system_id = 'tiny/s0007'": (
        "with other vectors; `matterzoo clean"
    ),
}
FAULTS = {
    "UPDATE exported SET format = 3": "in format 3, this one reads up to 2: update matterzoo",
    "DROP TABLE exported": "is no exported store: expected a file that `matterzoo export` wrote",
    "UPDATE files SET path = 'runs/' || split_part(path, '/', 2) || '/../../x' "
    "WHERE path LIKE '%model.json'": "lies elsewhere",
    "UPDATE contents SET content = 'no'::BLOB": "is damaged: its file datasets/tiny/",
    "DELETE FROM embeddings WHERE system_id = 'tiny/s0007'": "is refused: .* of it is stored",
}


def changed(file: Path, statement: str) -> Path:
    """Copy an exported store and change the copy."""
    copy = file.with_name("changed.duckdb")
    shutil.copyfile(file, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(statement)
    return copy


def test_what_contradicts_the_store_is_refused(
    full: Layout, tmp_path: Path, contents: Contents
) -> None:
    export(full, tmp_path / "all.duckdb", quiet)
    before = contents(full.store)
    for statement, message in CONTRADICTIONS.items():
        file = changed(tmp_path / "all.duckdb", statement)
        with pytest.raises(ExportError, match=message):
            import_store(full, file, quiet)
        assert contents(full.store) == before


def test_a_faulty_file_is_refused(full: Layout, tmp_path: Path) -> None:
    export(full, tmp_path / "all.duckdb", quiet)
    for number, (statement, message) in enumerate(FAULTS.items()):
        file = changed(tmp_path / "all.duckdb", statement)
        folder = tmp_path / str(number)
        folder.mkdir()
        place = Layout(folder / "other.duckdb")
        with pytest.raises(MatterzooError, match=message):
            import_store(place, file, quiet)
        assert not list_runs(place)
        assert not list(folder.rglob("x"))


def test_a_file_of_another_kind_is_refused(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in {"table.csv": "a,b\n1,2\n", "text.duckdb": "no database"}.items():
        (tmp_path / name).write_text(content)
        assert main(["import", str(tmp_path / name)]) != 0
        assert f"{name} is no exported store" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none.duckdb")]) != 0
    assert "there is no file" in capsys.readouterr().err


def test_commands(full: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "all.duckdb"]) == 0
    assert capsys.readouterr().out.endswith("all.duckdb holds matter.duckdb, with 70 vectors\n")
    other = tmp_path / "other.duckdb"
    assert main(["import", "all.duckdb", "--store", str(other)]) == 0
    assert capsys.readouterr().out.endswith(f"5 runs of all.duckdb -> {other}\n")
    assert main(["query", "FROM models", "--store", "all.duckdb"]) != 0
    message = "all.duckdb is an exported store; `matterzoo import all.duckdb` takes it"
    assert message in capsys.readouterr().err
