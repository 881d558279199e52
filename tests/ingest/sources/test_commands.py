"""Commands over a downloaded dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ingest.layout import Layout
from ingest.sources.shared.discovery import load_datasets
from ingest.sources.shared.downloaded import DownloadedDataset, downloaded
from ingest.systems import sample
from matterzoo import main
from tests.hub import Hub
from tests.ingest.downloaded import served
from tests.ingest.sources.numbered_lines import ids, lines, read


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

    logged = listed(numbers)
    assert logged.index("g2 ") < logged.index("numbers ")
    assert "40 systems  Numbers (CC-BY-NC-4.0, not for commercial use)\n" in logged
    assert "  1 file, 0 MB: to download\n" in logged
    assert (
        "--limit N takes N systems of one that is downloaded (50,000 by default); "
        "a larger N contains the systems of a smaller one" in logged
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
    monkeypatch.setattr(
        "ingest.sources.shared.discovery.load_datasets", lambda: {"numbers": dataset}
    )
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
    """What was embedded of a smaller sample stays, and an even smaller limit finds all of it."""
    order = sample.first_ids((f"n{i}" for i in range(40)), 40)
    torn = served(numbers, hub, {"numbers.txt": lines(40, order[2])})
    monkeypatch.setattr("ingest.sources.shared.discovery.load_datasets", lambda: {"numbers": torn})

    def run(*more: str) -> str:
        assert main(["ingest", "toy", "numbers", "--runtime", "venv", *more]) == 0
        return capfd.readouterr().out

    assert "license of numbers: CC-BY-NC-4.0, not for commercial use" in (
        first := run("--limit", "5")
    )
    assert (
        "5 systems; entries that cannot be read: 1" in first
        and "toy on numbers: 5 systems on cpu" in first
    )
    assert "toy on numbers: 7 systems on cpu (5 more already stored)" in run("--limit", "12")
    assert "toy on numbers: 5 of 5 systems already stored; nothing to do" in run("--limit", "5")
    assert stored(layout, "SELECT count(*) FROM embeddings") == [(12,)]
    assert stored(layout, "SELECT reason FROM failures WHERE status = 'unreadable'") == [("torn",)]
    again = replace(
        torn, packages=("numpy",)
    )  # as after a change of the loader: read again, as much as before
    monkeypatch.setattr("ingest.sources.shared.discovery.load_datasets", lambda: {"numbers": again})
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
    monkeypatch.setattr(
        "ingest.sources.shared.discovery.load_datasets", lambda: {"numbers": numbers}
    )
    assert main(["plan", "toy", "numbers", "--runtime", "venv"]) == 0
    logged = capfd.readouterr().out
    assert f"download: 1 file, 0 MB, to {numbers.loader.source.folder}" in logged
    assert "license: CC-BY-NC-4.0, not for commercial use, https://example.org/terms" in logged
    assert main(["ingest", "toy", "numbers", "--runtime", "venv", "--limit", "3"]) == 0
    capfd.readouterr()
    assert main(["plan", "toy", "numbers", "--runtime", "venv", "--limit", "3"]) == 0
    assert "dataset numbers: 3 systems, here" in capfd.readouterr().out
    assert main(["plan", "toy", "numbers", "--runtime", "venv", "--limit", "9"]) == 0
    assert "dataset numbers: 9 systems, to be made first" in capfd.readouterr().out
