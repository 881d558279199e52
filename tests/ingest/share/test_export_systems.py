"""Systems go out to a file, are embedded by another program, and their vectors come back."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.runs.prepare import prepare_dataset, resolve_dataset
from ingest.share.export_systems import export_systems
from ingest.share.exported import ExportError
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from ingest.systems.validation import validate
from matterzoo import main
from schemas.store import connect
from zoo.encoder import content_hash

Said = pytest.CaptureFixture[str]
Made = Callable[[list[Entry]], MaterializedDataset]
IDS = [
    "a/b c",
    "007",
    "T",
    "1e5",
    'x"y',
    "back\\slash",
    "a=b",
    "{1,2}",
    "Fe₂O₃ 铁",
    "_JSON 1",
    "'q'",
]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Materialize these entries."""

    def make(entries: list[Entry]) -> MaterializedDataset:
        recipe = tmp_path / "recipe"
        recipe.write_text(str(len(list(tmp_path.iterdir()))))
        dataset = Dataset(
            "mine", "Mine", "made up", "CC0-1.0", (), lambda: iter(entries), (str(recipe),)
        )
        return materialize(dataset, tmp_path / "datasets" / "mine")

    return make


def structures() -> Iterator[Entry]:
    """Yield structures whose positions have all the digits of float64."""
    draw = np.random.default_rng(0)
    periodic = [None, *np.array([[1, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=bool)]
    for number, name in enumerate(IDS):
        pbc = periodic[number % 4]
        cell = None if pbc is None else np.eye(3) * 9 + draw.normal(size=(3, 3))
        positions = draw.normal(scale=30, size=(3, 3))
        charge, spin = (number % 3 - 1, 1 + number % 2) if number % 2 else (None, None)
        yield Entry(name, np.array([1, 26, 118]), positions, cell, pbc, charge, spin)


def test_structures_read_back_are_the_same(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "out.extxyz"
    entries = list(structures())
    assert export_systems(made(entries), file) == len(IDS)
    again = [entry for entry in find_dataset(str(file)).entries() if isinstance(entry, Entry)]
    assert [entry.source_id for entry in again] == IDS
    assert [content_hash(e) for e in again] == [content_hash(e) for e in entries]
    for entry, before in zip(again, entries, strict=True):
        np.testing.assert_array_equal(entry.positions, before.positions)
    atoms = ase.io.read(file, ":")
    assert [frame.info["uid"] for frame in atoms] == IDS
    assert atoms[1].info["charge"] == entries[1].charge


def test_molecules_and_proteins_read_back_are_the_same(made: Made, tmp_path: Path) -> None:
    names = ["a,b", "007", '"x"', "NaN", "plain"]
    molecules = [Entry(name, charge=0, spin=1, smiles="CC(=O)O") for name in names]
    assert export_systems(made(molecules), tmp_path / "out.csv") == 5
    again = list(find_dataset(str(tmp_path / "out.csv")).entries())
    assert [(e.source_id, content_hash(e)) for e in again if isinstance(e, Entry)] == [
        (e.source_id, content_hash(e)) for e in molecules
    ]
    chains = [Entry(name, sequence="MKTAYIAKQR" * 20) for name in ("sp|P1|A_B", "铁", "7")]
    assert export_systems(made(chains), tmp_path / "out.fasta") == 3
    again = list(find_dataset(str(tmp_path / "out.fasta")).entries())
    assert [(e.source_id, e.sequence) for e in again if isinstance(e, Entry)] == [
        (e.source_id, e.sequence) for e in chains
    ]


def test_parquet_has_every_system_and_field_and_is_read_back(made: Made, tmp_path: Path) -> None:
    labels = (Label("gap", 1 / 3, "eV", "a table"), Label("toxic", 1.0, "1", "b"))
    chain = Entry("c", sequence="MK", backbone=np.arange(24.0).reshape(2, 4, 3), labels=labels)
    entries = [*structures(), chain, Entry("m", charge=0, spin=1, smiles="C", labels=labels[1:])]
    entries[1] = replace(entries[1], labels=labels[:1])
    assert export_systems(made(entries), tmp_path / "out.parquet") == len(IDS) + 2
    again = find_dataset(str(tmp_path / "out.parquet")).entries()
    read = [validate(e) for e in again if isinstance(e, Entry)]
    assert [(e.source_id, content_hash(e), e.labels) for e in read if isinstance(e, Entry)] == [
        (e.source_id, content_hash(e), e.labels) for e in entries
    ]
    few = made(entries)
    export_systems(few, tmp_path / "few.parquet", 4)
    kept = {e.source_id: e.labels for e in entries}
    for entry in find_dataset(str(tmp_path / "few.parquet")).entries():
        assert isinstance(entry, Entry) and entry.labels == kept[entry.source_id]
    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == [*IDS, "c", "m"]
    for row, entry in zip(rows, entries, strict=True):
        for name in ("positions", "cell", "backbone"):
            value = getattr(entry, name)
            assert row[name] == (None if value is None else value.tolist())
        assert (row["smiles"], row["sequence"]) == (entry.smiles, entry.sequence)


def test_systems_that_do_not_fit_are_left_out(made: Made, tmp_path: Path) -> None:
    mixed = made([Entry("m", smiles="C"), *structures(), Entry("c", sequence="MK")])
    assert export_systems(mixed, tmp_path / "out.csv") == 1
    assert (tmp_path / "out.csv").read_text() == "id,smiles\nm,C\n"
    assert export_systems(mixed, tmp_path / "out.fasta") == 1
    assert export_systems(mixed, tmp_path / "out.extxyz") == len(IDS)


def test_what_cannot_be_exported_is_refused(made: Made, tmp_path: Path) -> None:
    crystals = made(list(structures()))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(
        ExportError, match=r"no system of mine has smiles.*expected one of \.extxyz, \.parquet"
    ):
        export_systems(crystals, tmp_path / "out.csv")
    with pytest.raises(
        ExportError, match=r"out\.cif is of no format known here; expected \.extxyz"
    ):
        export_systems(crystals, tmp_path / "out.cif")
    with pytest.raises(ExportError, match=r"recipe\.csv exists, and is not replaced"):
        (tmp_path / "recipe.csv").touch()
        export_systems(crystals, tmp_path / "recipe.csv")
    with pytest.raises(ExportError, match="there is no folder"):
        export_systems(crystals, tmp_path / "none" / "out.extxyz")
    blank = made([Entry("a b", sequence="MK")])
    with pytest.raises(ExportError, match=r"at its first blank, so that 'a b' would be another"):
        export_systems(blank, tmp_path / "out.fasta")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "recipe.csv"])


def test_a_limit_is_the_same_sample_as_everywhere(made: Made, tmp_path: Path) -> None:
    few = made([Entry(f"s{i}", smiles="C") for i in range(50)])
    for limit in (5, 9):
        assert export_systems(few, tmp_path / f"{limit}.csv", limit) == limit
    with (tmp_path / "9.csv").open() as file:
        nine = [row["id"] for row in csv.DictReader(file)]
    five = [line.split(",")[0] for line in (tmp_path / "5.csv").read_text().splitlines()[1:]]
    assert set(five) < set(nine)
    assert nine == sorted(nine, key=lambda name: int(name[1:])), "in the dataset's order"


@pytest.mark.parametrize("way", ["ids", "numbered"])
def test_vectors_made_elsewhere_come_back(
    way: str, layout: Layout, tmp_path: Path, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export-systems", "elements", "out.extxyz"]) == 0
    said = capfd.readouterr().out
    assert "out.extxyz holds 71 systems of elements\n" in said
    assert "matterzoo ingest my-model elements --vectors FILE`, and --numbered if they are" in said
    atoms = ase.io.read("out.extxyz", ":")  # from here on another program
    vectors = np.array([[len(frame), frame.get_volume(), frame.numbers[0]] for frame in atoms])
    np.save("vectors.npy", vectors)
    Path("ids.txt").write_text("\n".join(frame.info["uid"] for frame in atoms))
    words = ["--ids", "ids.txt"] if way == "ids" else ["--numbered"]
    assert main(["ingest", "my-model", "elements", "--vectors", "vectors.npy", *words]) == 0
    with connect(layout.store, read_only=True) as connection:
        found = connection.execute(
            "SELECT system_id, numbers, vector FROM embeddings JOIN systems USING (system_id)"
        ).fetchall()
    assert len(found) == 71
    for _, numbers, vector in found:
        assert vector[0] == len(numbers) and vector[2] == numbers[0]
    assert main(["export-systems", "elements,g2", "two.csv"]) == 2
    assert "a file is of one dataset, not of 2" in capfd.readouterr().err


def test_what_is_said_of_a_sample_can_be_followed(
    tmp_path: Path, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong, message in (("out.cif", "of no format known here"), ("there.csv", "is not replac")):
        Path("there.csv").touch()
        assert main(["export-systems", "b3db", wrong, "--limit", "2"]) == 2
        assert message in capfd.readouterr().err
    assert not Path("matter.data").exists(), "the file is looked at before the dataset is made"
    assert main(["export-systems", "b3db", "out.csv", "--limit", "2", "--store", "my.duckdb"]) == 0
    found = re.search("`(.*)`, and --numbered", capfd.readouterr().out)
    assert found is not None
    words = shlex.split(found[1])
    assert words[4:] == ["--limit", "2", "--store", "my.duckdb", "--vectors", "FILE"]
    np.save("v.npy", np.eye(2))
    line = ["v.npy" if word == "FILE" else word for word in words[1:]]
    assert main([*line, "--numbered"]) == 0
    assert "my-model on b3db: 2 of 2 systems have a vector" in capfd.readouterr().out
    assert main(["ingest", "m", "s22", "--vectors", "v.npy", "--numbered", "--limit", "2"]) == 2
    assert "leave out --limit" in capfd.readouterr().err, "s22 is always made whole"


@pytest.mark.parametrize("suffix", [".extxyz", ".parquet"])
def test_an_exported_file_is_a_dataset_of_the_same_systems(
    layout: Layout, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"out{suffix}"
    before = prepare_dataset(layout, resolve_dataset(layout, "elements"))
    export_systems(before, file)
    after = prepare_dataset(layout, resolve_dataset(layout, str(file), "mine"))
    assert after.dataset_hash == before.dataset_hash
