"""No kill, disk or folder's name loses a row of the store, or changes one silently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.integrity import Damaged, read_json, write_json
from ingest.layout import Layout
from ingest.maintenance.clean import remove_models
from ingest.maintenance.disk import measure_usage
from ingest.maintenance.rebuild import rebuild
from ingest.runs import load as loading
from ingest.runs.check import Counts
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.runs.load import finish_interrupted_loads, load
from ingest.runs.plan import Plan
from ingest.runs.store.access import lock_store, open_store
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from matterzoo import main
from schemas.errors import StoreBroken, StoreError, StoreLocked, explain_error
from schemas.store import connect
from zoo.places import ROOT, environments
from zoo.worker.sealed import stamp

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]
Fill = Callable[[Path, int], Path]
Said = pytest.CaptureFixture[str]
IDS = [f"s{i:04}" for i in range(20)]


def quiet(text: str) -> None:
    """Ignore what is logged."""


def run_module(*arguments: str) -> str:
    """Return what a program of the tests prints, once it has ended well."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def bring(layout: Layout, dataset: Make) -> Callable[..., Run]:
    """Load a user's vectors, which are all `value` in their first number."""

    def write(model_id: str, value: float = 1.0) -> Run:
        made = read_materialized(layout.dataset("tiny")) or dataset(20)
        file = layout.store.with_name(f"{model_id}-{value}.npz")
        vectors = np.random.default_rng(0).normal(size=(len(IDS), 3))
        vectors[:, 0] = value
        np.savez(file, system_id=np.array(IDS), vector=vectors)
        loaded = import_vectors(layout, ImportedVectors(model_id, file), made)
        assert loaded is not None
        return loaded[0]

    return write


def first_number(layout: Layout, model_id: str) -> set[float]:
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(
            "SELECT vector[1] FROM embeddings WHERE model_id = ?", [model_id]
        ).fetchall()
    return {number for (number,) in rows}


def test_forty_kills_leave_every_row() -> None:
    assert run_module("tests.ingest.soak", "--kills", "40").splitlines()[-1] == "40 kills, 0 faults"


def test_no_flipped_bit_is_silent() -> None:
    said = run_module("tests.ingest.flips", "--flips", "24")
    found = dict(line.split(": ", 1) for line in said.splitlines())
    assert (
        set(found) == {"shard", "systems", "json", "store", "wal", "note"}
        and "found" in found["shard"]
    )


def test_a_store_cut_off_anywhere_is_known_and_made_again(
    layout: Layout, bring: Callable[..., Run], contents: Contents
) -> None:
    bring("mine")
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
    layout: Layout, bring: Callable[..., Run], contents: Contents
) -> None:
    bring("mine")
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
    layout: Layout, bring: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring("mine")
    late = bring("late")
    clean_rows(layout, "late")
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


def clean_rows(layout: Layout, model_id: str) -> None:
    with open_store(layout) as connection:
        for table in ("embeddings", "runs"):
            connection.execute(f"DELETE FROM {table} WHERE model_id = ?", [model_id])


def test_another_program_s_writing_is_not_lost(layout: Layout, bring: Callable[..., Run]) -> None:
    bring("mine")

    def write(text: str) -> None:
        with duckdb.connect(str(layout.store)) as connection:
            connection.execute("CREATE TABLE notes (text VARCHAR)")

    with pytest.raises(
        StoreError, match="was written by another program while it was made again; it stays"
    ):
        rebuild(layout, write)
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchall() == [(0,)]


NOTES = ("out/run.json", "job/job.json", "model.json", "runtime.json", "landed.json")
DAMAGES = (b"", b'{"run_id": "x', bytes(40), b"[]", b"{}")


@pytest.mark.parametrize("name", NOTES)
def test_damaged_json_is_confined_to_its_run(
    name: str, layout: Layout, bring: Callable[..., Run], contents: Contents
) -> None:
    bring("mine")
    run = bring("other", 2.0)
    run.write("runtime.json", {"runtime": "given", "image": None})
    both = contents(layout.store)
    for damage in DAMAGES:
        (run.folder / name).write_bytes(damage)
        assert ("shards", "mine") in [(row.kind, row.name) for row in measure_usage(layout)]
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


@pytest.mark.parametrize("name", ["out/run.json", "job/job.json"])
def test_a_run_that_lost_its_json_is_reported(
    name: str, layout: Layout, bring: Callable[..., Run]
) -> None:
    bring("mine")
    run = bring("other", 2.0)
    (run.folder / name).unlink()
    with pytest.raises(
        StoreError, match=rf"would lose 1 of its 2 runs:\n  {run.run_id}: .*/{name} is missing"
    ):
        rebuild(layout, quiet)


def test_a_run_whose_folder_is_gone_is_reported(layout: Layout, bring: Callable[..., Run]) -> None:
    bring("mine")
    run = bring("other", 2.0)
    run.folder.rename(layout.data / "elsewhere")
    with pytest.raises(
        StoreError,
        match=rf"lose 1 of its 2 runs:\n  {run.run_id}: the store holds it, "
        r"and .* is not there any more",
    ):
        rebuild(layout, quiet)
    (layout.data / "elsewhere").rename(run.folder)
    assert rebuild(layout, quiet) == 2


def test_one_changed_word_of_json_is_found(layout: Layout, bring: Callable[..., Run]) -> None:
    run = bring("mine")
    for name in ("model.json", "job/job.json", "out/run.json", "landed.json"):
        text = (run.folder / name).read_text()
        for old, new in (
            ('"sealed"', '"sea\\u006ced"'),
            (run.model_id, "mime"),
            ('"sha256"', '"sha257"'),
            ("1", "0"),
        ):
            if old not in text:
                continue
            (run.folder / name).write_text(text.replace(old, new))
            if old == '"sealed"':  # the same JSON by another spelling
                assert run.read(name)
            else:
                with pytest.raises(
                    Damaged,
                    match=rf"{Path(name).name} is damaged: its content does not have the SHA",
                ):
                    run.read(name)
        (run.folder / name).write_text(text)


def test_the_clock_does_not_decide_the_order(
    layout: Layout, bring: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bring("mine", 1.0), bring("mine", 2.0)
    for run, time in ((first, "2026-01-02"), (second, "2026-01-01")):
        run.write("landed.json", run.read("landed.json") | {"landed": time})
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {2.0}
    assert (
        import_vectors(
            layout, ImportedVectors("mine", layout.store.with_name("mine-1.0.npz")), whole(layout)
        )
        is not None
    )
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {1.0}


def test_runs_of_before_there_were_numbers_go_by_the_clock(
    layout: Layout, bring: Callable[..., Run]
) -> None:
    first, second = bring("mine", 1.0), bring("mine", 2.0)
    for run, time in ((first, "2026-01-02"), (second, "2026-01-01")):
        (run.folder / "landed.json").write_text(json.dumps({"landed": time}))
    rebuild(layout, quiet)
    assert first_number(layout, "mine") == {1.0}


def whole(layout: Layout) -> MaterializedDataset:
    made = read_materialized(layout.dataset("tiny"))
    assert made is not None
    return made


def test_a_load_cut_off_after_its_commit_is_completed(
    layout: Layout, bring: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring("mine")
    with monkeypatch.context() as patch:
        patch.setattr(
            loading, "note_loaded", lambda run: (_ for _ in ()).throw(KeyboardInterrupt("now"))
        )
        with pytest.raises(KeyboardInterrupt, match="now"):
            bring("mine", 2.0)
    (run,) = [run for run in list_runs(layout) if not run.loaded]
    said: list[str] = []
    with lock_store(layout):
        finish_interrupted_loads(layout, said.append)
    assert said == [] and not run.loaded  # somebody is at work
    finish_interrupted_loads(layout, said.append)
    assert said == [f"loading {run.run_id}, which was cut off"]
    assert run.read("landed.json")["sequence"] == 2 and not (run.folder / "landing.json").exists()
    assert first_number(layout, "mine") == {2.0}
    finish_interrupted_loads(layout, said.append)
    assert len(said) == 1


@pytest.mark.parametrize("change", ["flipped", "extra", "gone"])
def test_shards_are_those_that_were_written(
    change: str, layout: Layout, bring: Callable[..., Run]
) -> None:
    run = bring("mine")
    (shard,) = run.shards
    if change == "flipped":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    elif change == "extra":
        (run.out / "shard-00001.parquet").write_bytes(shard.read_bytes())
    else:
        shard.unlink()
    messages = {
        "flipped": "00000.parquet is damaged: expected .* bytes with SHA-256",
        "gone": "00000.parquet is missing",
    }
    messages["extra"] = "shard-00001.parquet is there, and its run.json does not name it"
    said = rf"was not loaded into the store: .*{messages[change]}.*remove .* and repeat the command"
    with pytest.raises(ShardError, match=said):
        load(layout, run, log=quiet)


def test_pages_carry_checksums(layout: Layout, bring: Callable[..., Run]) -> None:
    run = bring("mine")
    for file in (*run.shards, whole(layout).systems, run.systems):
        content = bytearray(file.read_bytes())
        place = pq.ParquetFile(file).metadata.row_group(0).column(0)
        content[
            (place.dictionary_page_offset or place.data_page_offset)
            + place.total_compressed_size
            - 1
        ] ^= 1
        copy = file.with_name("copy.parquet")
        copy.write_bytes(content)
        with pytest.raises(
            OSError, match="CRC checksum verification failed|could not verify page integrity"
        ):
            pq.read_table(copy, page_checksum_verification=True)
        copy.unlink()


def test_a_damaged_dataset_is_named_and_made_again(
    layout: Layout, dataset: Make, bring: Callable[..., Run]
) -> None:
    run = bring("mine")
    made = whole(layout)
    for file in (made.systems, made.labels, made.unreadable):
        before = stamp(file)
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 4
        file.write_bytes(content)
        with pytest.raises(
            ShardError,
            match=rf"{file.name} is damaged: .*Any `matterzoo ingest` over tiny makes it again",
        ):
            load(layout, run, log=quiet)
        dataset(20)
        assert stamp(file) == before
    load(layout, run, log=quiet)


def flip(file: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "stamped"),
    [("systems.parquet", True), ("labels.parquet", True), ("labels.parquet", False)],
)
def test_a_damaged_dataset_costs_no_run(
    name: str,
    stamped: bool,
    layout: Layout,
    dataset: Make,
    planned: Planned,
    finish: Finish,
    contents: Contents,
) -> None:
    made = dataset(20)
    runs = [finish(planned(made, model).run) for model in ("toy", "toy-picky")]
    if not stamped:  # as datasets of before there were stamps
        about = made.folder / "dataset.json"
        write_json(about, {key: value for key, value in read_json(about).items() if key != "files"})
    for run in runs:
        load(layout, run, log=quiet)
    before, file = contents(layout.store), layout.store.read_bytes()
    flip(made.folder / name)
    with pytest.raises(
        StoreError, match=r"is sound and stays as it was: .* it would lose 2 of its 2 runs"
    ) as error:
        rebuild(layout, quiet)
    said = str(error.value)
    assert (
        said.count(name) == 1
        and "\n  2 runs: " in said
        and "Any `matterzoo ingest` over tiny makes it again" in said
    )
    assert str(layout.data / "runs") not in said and layout.store.read_bytes() == file
    dataset(20)
    assert rebuild(layout, quiet) == 2
    assert contents(layout.store)["embeddings"] == before["embeddings"]


def test_a_damaged_block_is_no_sound_store(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, bring: Callable[..., Run]
) -> None:
    made = dataset(20)
    run = finish(planned(made).run)
    load(layout, run, log=quiet)
    bring("mine")
    run.shards[0].unlink()
    damage_embeddings(layout)
    with pytest.raises(
        StoreError,
        match=rf"is made again from 1 of 2 runs; left out:\n  {run.run_id}: .*is not there",
    ):
        rebuild(layout, quiet)
    assert layout.store.with_name("matter.duckdb.broken").exists() and first_number(
        layout, "mine"
    ) == {1.0}


def damage_embeddings(layout: Layout) -> None:
    """Flip a bit in blocks of the store that hold ids of vectors."""
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT block_id FROM pragma_storage_info('embeddings') "
        query += "WHERE segment_type = 'VARCHAR' AND block_id >= 0"
        blocks = {block for (block,) in connection.execute(query).fetchall()}
    content = bytearray(layout.store.read_bytes())
    for block in blocks:
        content[12_288 + 262_144 * block + 1000] ^= 1
    layout.store.write_bytes(content)


def work_on(run: Run) -> str:
    """Return the last message of a worker that cannot do a run of the toy family."""
    worker = [
        str(environments() / "toy" / "bin" / "python"),
        "-m",
        "zoo.worker",
        str(run.job),
        str(run.out),
    ]
    worker += ["--family", str(Path(os.environ["MATTERZOO_FAMILIES"]) / "toy")]
    done = subprocess.run(worker, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not run.finished
    return str(json.loads(done.stderr.strip().splitlines()[-1])["message"])


def test_systems_that_are_not_what_their_hash_says_are_not_embedded(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    run = planned(dataset(20)).run
    assert run is not None
    table = pq.read_table(run.systems)
    rows = table.to_pylist()
    rows[3]["positions"] = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.9]]
    run.systems.unlink()  # it is the dataset's own file by another name
    pq.write_table(type(table).from_pylist(rows, table.schema), run.systems)
    assert "systems.parquet is damaged: expected " in work_on(run)
    run.write("job/job.json", run.read("job/job.json") | {"sent": stamp(run.systems)})
    assert "systems.parquet is damaged: tiny/s0003 is not what its content_hash says" in work_on(
        run
    )
    assert planned(dataset(20)).run == run
    assert "tiny/s0003" in work_on(run)  # what was noted of the file holds


def test_a_job_s_damaged_systems_are_written_again(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    run = planned(dataset(20)).run
    assert run is not None
    before = run.systems.read_bytes()
    run.systems.write_bytes(before[:-1])
    assert planned(dataset(20)).run == run
    assert run.systems.read_bytes() == before


def test_a_damaged_block_met_while_planning_is_one_message(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, contents: Contents
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made).run), log=quiet)
    before = contents(layout.store)
    damage_embeddings(layout)
    with pytest.raises(
        StoreBroken, match="The file is damaged: `matterzoo rebuild` makes it again"
    ):
        planned(made)
    rebuild(layout, quiet)
    assert contents(layout.store) == before


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
    shards = Run.of(there, run.run_id).shards
    expected = {
        row["system_id"]: row["vector"]
        for shard in shards
        for row in pq.read_table(shard).to_pylist()
    }
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


def test_what_a_kill_left_half_written_is_removed(
    layout: Layout, bring: Callable[..., Run]
) -> None:
    run = bring("mine")
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    gone, lives = int(done.stdout), os.getpid()
    for pid in (gone, lives):
        (run.job / f".job.json.{pid}.tmp").write_text("{")
        (run.folder / f".model.json.{pid}.tmp").write_text("{")
    with lock_run(run):
        left = sorted(file.name for file in run.folder.rglob(".*.tmp"))
    assert left == [f".job.json.{lives}.tmp", f".model.json.{lives}.tmp"]


@pytest.mark.parametrize("command", [["ingest", "toy", "g2", "--runtime", "venv"], ["rebuild"]])
def test_a_file_system_that_is_read_only(
    command: list[str],
    layout: Layout,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    (small_disk / "matter.data").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(command) == 1
    said = capfd.readouterr().err
    assert (
        said.count("\n") == 1
        and f"Read-only file system. The store {small_disk}/matter.duckdb" in said
    )


def test_a_disk_that_is_full_once_a_run_is_committed(
    layout: Layout,
    small_disk: Path,
    fill: Fill,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Said,
    contents: Contents,
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    Path("v.csv").write_text("system_id,a,b\nFe,1,2\nCu,3,4\n")
    give = ["ingest", "mine", "elements", "--vectors", "v.csv"]
    put = loading.put_finished_run

    def put_and_fill(connection: duckdb.DuckDBPyConnection, place: Layout, run: Run) -> Counts:
        counts = put(connection, place, run)
        fill(small_disk, 0)
        return counts

    with monkeypatch.context() as patch:
        patch.setattr(loading, "put_finished_run", put_and_fill)
        assert main(give) == 2
    said = capfd.readouterr().err
    assert (
        f"the change of {small_disk}/matter.duckdb is committed and safe in matter.duckdb.wal"
        in said
    )
    assert "No space left" in said and "as it was" not in said and said.count("\n") == 1
    make_room(small_disk)
    rows = contents(small_disk / "matter.duckdb")
    assert len(rows["embeddings"]) == 2
    assert main(give) == 0
    said = capfd.readouterr().out
    assert "which was cut off" in said and "stored already" in said
    assert contents(small_disk / "matter.duckdb") == rows


def test_a_list_goes_on_where_a_disk_is_full(
    layout: Layout, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said
) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(small_disk / "matter.duckdb"))
    monkeypatch.setenv("TOY_FILL", str(small_disk))
    command = [
        "ingest",
        "toy,toy-picky,toy-potential",
        "elements",
        "--limit",
        "9",
        "--runtime",
        "venv",
    ]
    assert main(command) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and said.count("o space left") >= 3
    assert (
        "3 of 3 models failed: toy, toy-picky, toy-potential. "
        "`matterzoo ingest toy,toy-picky,toy-potential" in said
    )
    monkeypatch.delenv("TOY_FILL")
    make_room(small_disk)
    assert main(command) == 0


def test_a_store_is_written_though_the_disk_of_its_data_folder_is_full(
    layout: Layout, small_disk: Path, fill: Fill
) -> None:
    """A run that ended on a full disk is recorded in the store, which may be on another disk."""
    layout.data.symlink_to(small_disk)
    fill(small_disk, 0)
    with open_store(layout) as connection:
        connection.execute("INSERT INTO scores VALUES ('m', 'mae', 1, 'eV', 'here', 'a paper')")
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM scores").fetchall() == [(1,)]


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def test_a_disk_that_fills_up_while_a_dataset_is_made(small_disk: Path, fill: Fill) -> None:
    filler = fill(small_disk, 40_000)
    made = molecules(2000)
    with pytest.raises(OSError, match="No space left on device"):
        materialize(made, small_disk / "many")
    assert [file for file in small_disk.iterdir() if file != filler] == []
    filler.unlink()
    assert materialize(made, small_disk / "many").n_systems == 2000


def molecules(n: int) -> Dataset:
    def entries() -> Iterator[Entry]:
        draw = np.random.default_rng(0)
        for i in range(n):
            yield Entry(f"m{i}", numbers=np.array([1, 9]), positions=draw.normal(size=(2, 3)) * 5)

    return Dataset("many", "Many", "made up", "CC0-1.0", ("numpy",), entries, (__file__,))


def test_what_a_kill_left_of_a_dataset_is_removed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from zoo.files import write_folder_atomically\n"
        "with write_folder_atomically(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'systems.parquet').write_bytes(b'half')\n"
        "    print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "many")]
    start = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen(command, **start) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"there\n"
        (left,) = tmp_path.glob(".many.*.tmp")
        materialize(molecules(3), tmp_path / "many")
        assert left.exists()  # its process lives
        process.kill()
    materialize(molecules(3), tmp_path / "other")
    assert left.exists()  # of another dataset
    (tmp_path / "many" / "dataset.json").unlink()
    materialize(molecules(3), tmp_path / "many")
    assert not left.exists()


def test_zero_has_one_sign(layout: Layout, dataset: Make) -> None:
    made = dataset(20)
    file = layout.store.with_name("zeros.npz")
    vectors = np.array([[-0.0, 1.0], [0.0, 1.0]] * 10)
    np.savez(file, system_id=np.array(IDS), vector=vectors)
    import_vectors(layout, ImportedVectors("zeros", file), made)
    with connect(layout.store, read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT vector[1]::VARCHAR FROM embeddings").fetchall()
        assert found == [("0.0",)]
        places = connection.execute("SELECT positions FROM systems").fetchnumpy()["positions"]
    assert not any(np.signbit(np.array(place.tolist())).any() for place in places)
