"""A file beside the store that is not as it was written is found and named."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest.integrity import Damaged, read_json, write_json
from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, list_runs
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.errors import StoreBroken, StoreError
from tests.ingest.stores import damage_store, quiet, vector_files, whole
from zoo.places import ROOT, environments
from zoo.worker.sealed import stamp

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]


def test_one_changed_word_of_json_is_found(layout: Layout, import_mine: Callable[..., Run]) -> None:
    run = import_mine("mine")
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


@pytest.mark.parametrize("change", ["flipped", "cut off", "gone"])
def test_vector_files_are_those_that_were_written(
    change: str, layout: Layout, import_mine: Callable[..., Run]
) -> None:
    run = import_mine("mine")
    (file,) = vector_files(layout, run)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(content if change == "flipped" else content[:-1])
    messages = {
        "flipped": "00000.parquet is damaged: expected .* bytes with SHA-256",
        "cut off": "00000.parquet is damaged: expected .* bytes with SHA-256",
        "gone": "00000.parquet is missing",
    }
    said = rf"was not loaded into the store: .*{messages[change]}.*remove .* and repeat the command"
    with pytest.raises(ShardError, match=said):
        load(layout, run, log=quiet)


def test_pages_carry_checksums(layout: Layout, import_mine: Callable[..., Run]) -> None:
    run = import_mine("mine")
    for file in (*vector_files(layout, run), run.outcomes, whole(layout).systems, run.systems):
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
    layout: Layout, dataset: Make, import_mine: Callable[..., Run]
) -> None:
    run = import_mine("mine")
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
    damage_store(layout)
    with pytest.raises(
        StoreBroken, match="The file is damaged: `matterzoo rebuild` makes it again"
    ):
        planned(made)
    rebuild(layout, quiet)
    assert contents(layout.store) == before


@pytest.mark.parametrize("change", ["cut off", "gone"])
def test_vectors_of_a_damaged_file_are_computed_again(
    change: str, layout: Layout, contents: Contents, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["ingest", "toy", "elements", "--limit", "9", "--runtime", "venv"]
    assert main(command) == 0
    before = contents(layout.store)["embeddings"]
    (run,) = list_runs(layout)
    (file,) = vector_files(layout, run)
    if change == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    assert main(command) == 0
    assert "computed again, since a file of its vectors is damaged" in capfd.readouterr().out
    assert contents(layout.store)["embeddings"] == before and len(before) >= 8
    assert rebuild(layout, quiet) == 1
