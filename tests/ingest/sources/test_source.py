"""Facts of downloaded datasets, and their files: downloaded, verified and pinned."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.sources.shared.discovery import load_datasets
from ingest.sources.shared.downloaded import DownloadedDataset, downloaded
from ingest.sources.shared.source import Source, SourceFile
from ingest.systems.entry import DatasetError
from tests.hub import Blob, Fault, Hub
from tests.ingest.downloaded import changed
from tests.ingest.sources.numbered_lines import ids, lines, materialize_sample, read


def test_files_are_fetched_once_and_license_and_size_are_said(
    numbers: DownloadedDataset, hub: Hub
) -> None:
    logged: list[str] = []
    for _ in range(2):
        folder = numbers.loader.source.fetch(logged.append)
    assert (folder / "numbers.txt").read_bytes() == lines(40)
    assert len(hub.asked("numbers.txt")) == 1
    assert logged == [
        f"  downloading 1 file, 0 MB, to {folder}",
        "  license of numbers: CC-BY-NC-4.0, not for commercial use, https://example.org/terms",
    ]


def test_a_user_s_own_copy_is_taken_if_it_is_the_one_published(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    files = numbers.loader.source
    files.folder.mkdir(parents=True)
    (files.folder / "numbers.txt").write_bytes(lines(40))
    assert materialize_sample(numbers, tmp_path / "made").n_systems == 40
    assert hub.log == []
    (files.folder / "numbers.txt").write_bytes(lines(40, "n3"))
    with pytest.raises(
        DatasetError,
        match=r"numbers.txt is not the file of .*: it has .* bytes, expected .*; remove it",
    ):
        materialize_sample(numbers, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("data", [lines(39), lines(41), lines(40).replace(b"n7 7", b"n7 8")])
def test_another_file_than_the_published_is_refused(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path, data: bytes
) -> None:
    hub.files["numbers.txt"] = Blob(data)
    with pytest.raises(
        DatasetError, match="dataset numbers: .*numbers.txt is not the file expected: it"
    ):
        materialize_sample(numbers, tmp_path / "made")
    assert not (numbers.loader.source.folder / "numbers.txt").exists()
    assert not (tmp_path / "made").exists()


def test_a_md5_is_a_checksum_too(numbers: DownloadedDataset, hub: Hub, tmp_path: Path) -> None:
    def with_md5(md5: str) -> DownloadedDataset:
        url = f"{hub.url}/files/numbers.txt"
        return changed(numbers, file=(SourceFile(path="numbers.txt", url=url, md5=md5),))

    with pytest.raises(DatasetError, match="its md5 is .*, expected 0000"):
        materialize_sample(with_md5("0" * 32), tmp_path / "made")
    assert (
        materialize_sample(
            with_md5(hashlib.md5(lines(40)).hexdigest()), tmp_path / "made"
        ).n_systems
        == 40
    )


def test_a_broken_download_goes_on_where_it_broke(
    numbers: DownloadedDataset, hub: Hub, tmp_path: Path
) -> None:
    hub.faults = [Fault("numbers.txt", cut=100)]
    assert materialize_sample(numbers, tmp_path / "made").n_systems == 40
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
        materialize_sample(load(), tmp_path / "made")
    assert hub.log == []
    logged: list[str] = []
    load().loader.source.pin(logged.append)
    assert (
        "  license of numbers: CC-BY-NC-4.0, not for commercial use, https://example.org/terms"
        in logged
    )
    digest = hashlib.sha256(lines(40)).hexdigest()
    size = len(lines(40))
    assert json.loads(toml.with_suffix(".lock").read_text()) == {
        "numbers.txt": {"sha256": digest, "size": size}
    }
    assert f"numbers.txt: {digest}, {size:,} bytes" in logged
    assert materialize_sample(load(), tmp_path / "made").n_systems == 40
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
