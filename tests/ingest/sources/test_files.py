"""Downloaded datasets: facts, files and samples, over a small source that the tests serve."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.sources.discovery import load_datasets
from ingest.sources.shared.downloaded import DEFAULT_SAMPLE, DownloadedDataset, downloaded
from ingest.sources.shared.source import Source, SourceFile
from ingest.systems import sample
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from tests.hub import Blob, Fault, Hub
from tests.ingest.downloaded import changed, served

FACTS = """
name = "numbers"
title = "Numbers"
description = "Lines of text."
homepage = "https://example.org/numbers"
citation = "nobody"
systems = 40
license = { name = "CC-BY-NC-4.0", url = "https://example.org/terms", commercial = false }
"""
FILE = '[[file]]\npath = "numbers.txt"\nurl = "%s"\n'


def ids(source: Source) -> Iterator[str]:
    with source.path("numbers.txt").open() as file:
        for line in file:
            yield line.split()[0]


def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    wanted = set(chosen)
    with source.path("numbers.txt").open() as file:
        for line in file:
            name, *rest = line.split()
            if name in wanted and rest == ["torn"]:
                yield Unreadable(name, "torn")
            elif name in wanted:
                yield Entry(name, np.array([1]), np.array([[float(rest[0]), 0, 0]]))


def lines(n: int, *torn: str) -> bytes:
    return "".join(f"n{i} {'torn' if f'n{i}' in torn else i}\n" for i in range(n)).encode()


@pytest.fixture
def toml(hub: Hub, tmp_path: Path) -> Path:
    """numbers.toml, whose file has no checksum."""
    path = tmp_path / "numbers.toml"
    path.write_text(FACTS + FILE % f"{hub.url}/files/numbers.txt")
    hub.files["numbers.txt"] = Blob(lines(40))
    return path


@pytest.fixture
def numbers(hub: Hub, toml: Path) -> DownloadedDataset:
    """The dataset of forty lines, whose checksum is known."""
    dataset = downloaded(str(toml.with_suffix(".py")), ids, read)
    return replace(served(dataset, hub, {"numbers.txt": lines(40)}), made_from=(str(toml),))


def drawn(
    dataset: DownloadedDataset, folder: Path, limit: int | None = None
) -> MaterializedDataset:
    return materialize(dataset.sampled(limit, lambda text: None), folder)


def systems(made: MaterializedDataset) -> set[str]:
    return set(pq.read_table(made.systems)["system_id"].to_pylist())


# Which systems a limit means


def test_the_order_of_a_sample_is_pinned() -> None:
    """For ever: every number that was ever made from a sample depends on it."""
    assert sample.first_ids((f"gdb_{i}" for i in range(1, 133_886)), 3) == [
        "gdb_132568",
        "gdb_64545",
        "gdb_21952",
    ]


def test_the_order_is_the_same_in_sql() -> None:
    names = [f"{i % 7}/é {i}" for i in range(500)]
    rows = [(f"set/{name}",) for name in names]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (system_id VARCHAR)")
        connection.executemany("INSERT INTO t VALUES (?)", rows)
        ordered = connection.execute(f"FROM t ORDER BY {sample.ORDER_IN_SQL}").fetchall()
    assert [name for (name,) in ordered] == [f"set/{name}" for name in sample.first_ids(names, 500)]


def test_a_larger_sample_contains_a_smaller_one_in_any_order_of_the_source() -> None:
    names = [f"n{i}" for i in range(1000)]
    large = sample.first_ids(names, 300)
    assert sample.first_ids(reversed(names), 100) == large[:100]
    assert sample.first_ids(names, 200, after=sample.rank(large[99])) == large[100:300]


def test_a_sample_holds_only_what_it_asks_for() -> None:
    """A source of a million ids, twice as large as the first, takes no more memory."""

    def peak(n: int) -> int:
        tracemalloc.start()
        assert len(sample.first_ids((f"id-{i:09}" for i in range(n)), 500)) == 500
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(20_000), peak(40_000)
    assert large < 1.1 * small
    assert large < 1_000_000


# The sample on disk


def test_a_small_source_is_taken_whole(numbers: DownloadedDataset, tmp_path: Path) -> None:
    made = drawn(numbers, tmp_path / "made")
    assert made.n_systems == 40
    assert made.sample == DEFAULT_SAMPLE == 50_000
    assert made.covers(1_000_000)


def test_a_limit_decides_how_much_is_read_and_a_larger_one_extends_it(
    numbers: DownloadedDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    few = systems(drawn(numbers, folder, 7))
    assert few == {f"numbers/{name}" for name in sample.first_ids((f"n{i}" for i in range(40)), 7)}
    more = drawn(numbers, folder, 20)
    assert few < systems(more) and more.n_systems == 20
    assert drawn(numbers, folder, 5) == more  # reused; the plan takes the first five of it
    assert drawn(numbers, folder, 20) == more


def test_what_cannot_be_read_is_counted_and_replaced_by_the_next(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[1], order[8], order[30])})
    made = drawn(torn, tmp_path / "made", 8)
    assert systems(made) == {f"numbers/{name}" for name in [order[0], *order[2:8], order[9]]}
    assert made.n_unreadable == 2
    everything = drawn(torn, tmp_path / "made", 39)
    assert (everything.n_systems, everything.n_unreadable) == (37, 3)
    assert everything.covers(1000)


def test_a_limit_of_a_large_folder_is_a_small_folder(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    """What `plan` takes of forty is what is read where only so many are asked for."""
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[1], order[8])})
    large, small = drawn(torn, tmp_path / "large"), drawn(torn, tmp_path / "small", 9)
    with duckdb.connect() as connection:
        query = f"SELECT system_id FROM read_parquet(?) ORDER BY {sample.ORDER_IN_SQL} LIMIT 9"
        limited = connection.execute(query, [str(large.systems)]).fetchall()
    assert {name for (name,) in limited} == systems(small)


def test_an_id_that_the_source_lists_and_does_not_hold_is_an_error(
    numbers: DownloadedDataset, tmp_path: Path
) -> None:
    listed = replace(
        numbers, loader=replace(numbers.loader, ids=lambda source: iter(["n1", "n99"]))
    )
    with pytest.raises(
        DatasetError, match="numbers: 'n99' and 0 more entries that the source lists are not there"
    ):
        drawn(listed, tmp_path / "made")
    assert not (tmp_path / "made").exists()


# The files


def test_files_are_fetched_once_and_license_and_size_are_said(
    numbers: DownloadedDataset, hub: Hub
) -> None:
    said: list[str] = []
    for _ in range(2):
        folder = numbers.loader.source.fetch(said.append)
    assert (folder / "numbers.txt").read_bytes() == lines(40)
    assert len(hub.asked("numbers.txt")) == 1
    assert said == [
        f"  downloading 1 file, 0 MB, to {folder}",
        "  license of numbers: CC-BY-NC-4.0, not for commercial use, https://example.org/terms",
    ]


def test_a_user_s_own_copy_is_taken_if_it_is_the_one_published(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    files = numbers.loader.source
    files.folder.mkdir(parents=True)
    (files.folder / "numbers.txt").write_bytes(lines(40))
    assert drawn(numbers, tmp_path / "made").n_systems == 40
    assert hub.log == []
    (files.folder / "numbers.txt").write_bytes(lines(40, "n3"))
    with pytest.raises(
        DatasetError,
        match=r"numbers.txt is not the file of .*: it has .* bytes, expected .*; remove it",
    ):
        drawn(numbers, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("data", [lines(39), lines(41), lines(40).replace(b"n7 7", b"n7 8")])
def test_another_file_than_the_published_is_refused(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path, data: bytes
) -> None:
    hub.files["numbers.txt"] = Blob(data)
    with pytest.raises(
        DatasetError, match="dataset numbers: .*numbers.txt is not the file expected: it"
    ):
        drawn(numbers, tmp_path / "made")
    assert not (numbers.loader.source.folder / "numbers.txt").exists()
    assert not (tmp_path / "made").exists()


def test_a_md5_is_a_checksum_too(numbers: DownloadedDataset, hub: Hub, tmp_path: Path) -> None:
    def with_md5(md5: str) -> DownloadedDataset:
        url = f"{hub.url}/files/numbers.txt"
        return changed(numbers, file=(SourceFile(path="numbers.txt", url=url, md5=md5),))

    with pytest.raises(DatasetError, match="its md5 is .*, expected 0000"):
        drawn(with_md5("0" * 32), tmp_path / "made")
    assert drawn(with_md5(hashlib.md5(lines(40)).hexdigest()), tmp_path / "made").n_systems == 40


def test_a_broken_download_goes_on_where_it_broke(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    hub.faults = [Fault("numbers.txt", cut=100)]
    assert drawn(numbers, tmp_path / "made").n_systems == 40
    assert [request.headers.get("Range") for request in hub.asked("numbers.txt")] == [
        None,
        "bytes=100-",
    ]


def test_a_file_without_a_checksum_is_pinned_first(toml: Path, hub: Hub, tmp_path: Path) -> None:
    def load() -> DownloadedDataset:
        return downloaded(str(toml.with_suffix(".py")), ids, read)

    (tmp_path / "numbers.py").write_text("")
    with pytest.raises(
        DatasetError,
        match=r"no checksum of numbers.txt .*; `matterzoo pin --dataset numbers` downloads it",
    ):
        drawn(load(), tmp_path / "made")
    assert hub.log == []
    said: list[str] = []
    load().loader.source.pin(said.append)
    assert (
        "  license of numbers: CC-BY-NC-4.0, not for commercial use, https://example.org/terms"
        in said
    )
    digest = hashlib.sha256(lines(40)).hexdigest()
    size = len(lines(40))
    assert json.loads(toml.with_suffix(".lock").read_text()) == {
        "numbers.txt": {"sha256": digest, "size": size}
    }
    assert f"numbers.txt: {digest}, {size:,} bytes" in said
    assert drawn(load(), tmp_path / "made").n_systems == 40
    (load().loader.source.folder / "numbers.txt").unlink()
    hub.files["numbers.txt"] = Blob(lines(40, "n3"))
    with pytest.raises(DatasetError, match="is not the file expected"):
        load().loader.source.fetch(print)


def test_pinning_again_changes_nothing(toml: Path, hub: Hub) -> None:
    Source.load(toml).pin(print)
    before = toml.with_suffix(".lock").read_bytes()
    hub.files["numbers.txt"] = Blob(lines(50))
    Source.load(toml).pin(print)
    assert toml.with_suffix(".lock").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('title = "Numbers"', "", "title: Field required"),
        (
            'url = "https://example.org/terms", ',
            "",
            "license: Value error, give either url or no_url_because",
        ),
        (
            'path = "numbers.txt"',
            'path = "../numbers.txt"',
            "file.0.path: Value error, a path may not leave its folder",
        ),
        (
            'url = "http://127',
            'url = "http://127.example.org',
            "file.0.url: String should match pattern",
        ),
        ("systems = 40", "systems = 40\nsize = 1", "size: Extra inputs are not permitted"),
    ],
)
def test_every_fault_of_the_facts_is_named(toml: Path, old: str, new: str, fault: str) -> None:
    text = toml.read_text()
    assert old in text
    toml.write_text(text.replace(old, new))
    with pytest.raises(DatasetError, match="is wrong:\n.*") as error:
        Source.load(toml)
    assert fault in str(error.value)


def test_a_lock_that_is_torn_is_told(toml: Path) -> None:
    toml.with_suffix(".lock").write_text('{"numbers.txt": {')
    with pytest.raises(
        DatasetError,
        match=r"numbers.toml or numbers.lock cannot be read: .*; correct it, or remove the lock",
    ):
        Source.load(toml)


def test_a_file_that_the_facts_do_not_name(numbers: DownloadedDataset) -> None:
    with pytest.raises(DatasetError, match="numbers.toml names no file 'other.txt'"):
        numbers.loader.source.path("other.txt")


# Commands


def test_datasets_are_listed_with_downloads_and_licenses(
    numbers: DownloadedDataset,
    toml: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def listed(dataset: DownloadedDataset) -> str:
        monkeypatch.setattr(
            "ingest.maintenance.dataset_list.load_datasets",
            lambda: {"g2": load_datasets()["g2"], "numbers": dataset},
        )
        assert main(["datasets"]) == 0
        return capfd.readouterr().out

    said = listed(numbers)
    assert said.index("g2 ") < said.index("numbers ")
    assert "40 systems  Numbers (CC-BY-NC-4.0, not for commercial use)\n" in said
    assert "  1 file, 0 MB: to download\n" in said
    assert (
        "--limit N takes N systems of one that is downloaded (50,000 by default); "
        "a larger N contains the systems of a smaller one" in said
    )
    numbers.loader.source.fetch(lambda text: None)
    assert f"1 file, 0 MB: here, in {numbers.loader.source.folder}" in listed(numbers)
    unpinned = downloaded(str(toml.with_suffix(".py")), ids, read)
    assert (
        "1 file of unknown size: first `matterzoo pin --dataset numbers`, which downloads them"
        in listed(unpinned)
    )


def test_the_command_pins(
    toml: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = downloaded(str(toml.with_suffix(".py")), ids, read)
    monkeypatch.setattr("ingest.sources.discovery.load_datasets", lambda: {"numbers": dataset})
    assert main(["pin", "--dataset", "numbers"]) == 0
    assert f"{toml.with_suffix('.lock')} is written; commit it" in capfd.readouterr().out
    assert toml.with_suffix(".lock").exists()


def test_what_is_not_downloaded_needs_no_pin(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "--dataset", "g2"]) == 2
    assert "g2 needs no checksum: none of its files is downloaded" in capfd.readouterr().err


def stored(layout: Layout, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(layout.store), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_model_over_a_growing_sample(
    layout: Layout,
    numbers: DownloadedDataset,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What was embedded of a smaller sample stays; a limit that is smaller again finds all of it there."""
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[2])})
    monkeypatch.setattr("ingest.sources.discovery.load_datasets", lambda: {"numbers": torn})

    def run(*more: str) -> str:
        assert main(["ingest", "toy", "numbers", "--runtime", "venv", *more]) == 0
        return capfd.readouterr().out

    assert "license of numbers: CC-BY-NC-4.0, not for commercial use" in (
        first := run("--limit", "5")
    )
    assert (
        "5 systems; 1 entries cannot be read" in first
        and "toy on numbers: 5 systems on cpu" in first
    )
    assert "toy on numbers: 7 systems on cpu (5 more already stored)" in run("--limit", "12")
    assert "toy on numbers: 5 of 5 systems already stored; nothing to do" in run("--limit", "5")
    assert stored(layout, "SELECT count(*) FROM embeddings") == [(12,)]
    assert stored(layout, "SELECT reason FROM failures WHERE status = 'unreadable'") == [("torn",)]
    again = replace(
        torn, packages=("numpy",)
    )  # as after a change of the loader: read again, as much as before
    monkeypatch.setattr("ingest.sources.discovery.load_datasets", lambda: {"numbers": again})
    assert "5 of 5 systems already stored" in run("--limit", "5")
    assert stored(layout, "SELECT count(*) FROM embeddings") == [(12,)]
    assert "27 systems on cpu (12 more already stored)" in run()
    assert stored(layout, "SELECT n_systems, n_unreadable FROM datasets") == [(39, 1)]


def test_a_plan_says_what_is_to_be_downloaded(
    layout: Layout,
    numbers: DownloadedDataset,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("ingest.sources.discovery.load_datasets", lambda: {"numbers": numbers})
    assert main(["plan", "toy", "numbers", "--runtime", "venv"]) == 0
    said = capfd.readouterr().out
    assert f"download: 1 file, 0 MB, to {numbers.loader.source.folder}" in said
    assert "license: CC-BY-NC-4.0, not for commercial use, https://example.org/terms" in said
    assert main(["ingest", "toy", "numbers", "--runtime", "venv", "--limit", "3"]) == 0
    capfd.readouterr()
    assert main(["plan", "toy", "numbers", "--runtime", "venv", "--limit", "3"]) == 0
    assert "dataset numbers: 3 systems, here" in capfd.readouterr().out
    assert main(["plan", "toy", "numbers", "--runtime", "venv", "--limit", "9"]) == 0
    assert "dataset numbers: 9 systems, to be made first" in capfd.readouterr().out


# What the repository has


def test_every_published_dataset_says_what_it_is() -> None:
    found = [
        dataset for dataset in load_datasets().values() if isinstance(dataset, DownloadedDataset)
    ]
    assert {"qm9"} <= {dataset.name for dataset in found}
    for dataset in found:
        about = dataset.loader.source.facts
        assert about.name == dataset.name
        assert about.license.url
        assert about.description.strip() and about.citation
        assert all(file.url.startswith("https://") for file in about.file)
        assert all(column.unit and column.source for column in about.label)


def test_reading_the_facts_imports_nothing_heavy() -> None:
    code = (
        "import sys; import ingest.sources.qm9;"
        "print(sorted({'rdkit', 'ase', 'torch', 'lmdb', 'huggingface_hub'} & set(sys.modules)))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert listed.stdout.strip() == "[]"
