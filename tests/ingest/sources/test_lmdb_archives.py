"""OMat24, sAlex and OMol25, from small archives of the published format behind a real server."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms

from ingest.sources.shared.discovery import load_datasets
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.sources.shared.source import describe_files
from ingest.systems.entry import DatasetError, Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from tests.hub import Blob, Hub, serving
from tests.ingest.aselmdb import (
    Write,
    archive,
    backend,
    crystals,
    edited,
    molecules,
    packed,
    padded,
    plain,
)
from tests.ingest.downloaded import served

AMOUNTS = {
    "omat24": "11 files, about 1,976 MB",
    "salex": "1 file, about 408 MB",
    "omol25": "1 file, about 20,000 MB",
}
Publish = Callable[[str, Mapping[str, Path]], DownloadedDataset]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def publish(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Return a dataset with these files instead of its own, and serve them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MATTERZOO_DATASETS", raising=False)
    return lambda name, files: served(
        find_downloaded(name), hub, {path: file.read_bytes() for path, file in files.items()}
    )


def find_downloaded(name: str) -> DownloadedDataset:
    dataset = load_datasets()[name]
    assert isinstance(dataset, DownloadedDataset)
    return dataset


def materialize_sample(
    dataset: DownloadedDataset, tmp_path: Path, limit: int | None = None
) -> MaterializedDataset:
    return materialize(dataset.sampled(limit, lambda text: None), tmp_path / "out" / dataset.name)


def column(path: Path, name: str) -> list[object]:
    return pq.read_table(path)[name].to_pylist()


def kept(tmp_path: Path, name: str) -> list[str]:
    """List the files in a dataset's folder, without locks of downloads."""
    folder = tmp_path / "cache" / "matterzoo" / "datasets" / name
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def two_parts(tmp_path: Path, write: Write = plain) -> tuple[dict[str, Path], dict[str, Atoms]]:
    """Make two archives like OMat24's, one with two databases, and the systems by id."""
    made = {
        "rattled-300/val": write(tmp_path / "val.aselmdb", crystals(7, seed=1)),
        "aimd-from-PBE-1000-npt/data.0000": write(
            tmp_path / "data.0000.aselmdb", crystals(5, seed=2)
        ),
        "aimd-from-PBE-1000-npt/data.0001": write(
            tmp_path / "data.0001.aselmdb", crystals(4, seed=3)
        ),
    }
    beside = {
        "aselmdb-lock": bytes(8192),
        "metadata.npz": b"natoms",
        "._val.aselmdb": b"of macOS",
        "note.txt": b"x",
    }
    files = {}
    for part in ("rattled-300", "aimd-from-PBE-1000-npt"):
        members = {f"{part}/{name}": data for name, data in beside.items()}
        databases = {
            f"./{name}.aselmdb": path for name, path in made.items() if name.startswith(part)
        }
        files[f"{part}.tar.gz"] = archive(tmp_path / f"{part}.tar.gz", members | databases)
    sizes = {"rattled-300/val": (7, 1), "aimd-from-PBE-1000-npt/data.0000": (5, 2)}
    sizes["aimd-from-PBE-1000-npt/data.0001"] = (4, 3)
    systems = {
        f"{name}:{number}": atoms
        for name, (count, seed) in sizes.items()
        for number, atoms in enumerate(crystals(count, seed), start=1)
    }
    return files, systems


@pytest.mark.parametrize("write", [plain, backend])
def test_every_row_of_every_archive_is_a_system(
    publish: Publish, write: Write, tmp_path: Path
) -> None:
    files, systems = two_parts(tmp_path, write)
    found = materialize_sample(publish("omat24", files), tmp_path)
    table = pq.read_table(found.systems).to_pylist()
    assert {row["system_id"] for row in table} == {f"omat24/{name}" for name in systems}
    for row in table:
        atoms = systems[row["system_id"].removeprefix("omat24/")]
        assert row["numbers"] == atoms.numbers.tolist() and row["pbc"] == [True] * 3
        np.testing.assert_array_equal(row["positions"], atoms.positions)
        np.testing.assert_array_equal(row["cell"], atoms.cell.array)
        assert row["charge"] is None and row["spin"] is None
    labels = pq.read_table(found.labels).to_pylist()
    assert {row["system_id"]: row["value"] for row in labels} == {
        f"omat24/{name}": atoms.get_potential_energy() for name, atoms in systems.items()
    }
    kinds = {(row["property"], row["unit"], row["source"]) for row in labels}
    assert kinds == {("energy", "eV", "OMat24, PBE or PBE+U (VASP)")}
    assert kept(tmp_path, "omat24") == sorted(files)


def test_omol25_has_charge_spin_and_the_orbital_energy_of_restricted_calculations(
    publish: Publish, tmp_path: Path
) -> None:
    systems = molecules(6)
    database = backend(tmp_path / "data0000.aselmdb", systems)
    found = materialize_sample(
        publish(
            "omol25", {"val.tar.gz": archive(tmp_path / "val.tar.gz", {"val/a.aselmdb": database})}
        ),
        tmp_path,
    )
    rows = {row["system_id"]: row for row in pq.read_table(found.systems).to_pylist()}
    labels = {
        (row["system_id"], row["property"]): row["value"]
        for row in pq.read_table(found.labels).to_pylist()
    }
    for number, atoms in enumerate(systems, start=1):
        name = f"omol25/val/a:{number}"
        assert (rows[name]["charge"], rows[name]["spin"]) == (
            atoms.info["charge"],
            atoms.info["spin"],
        )
        assert rows[name]["cell"] is None and rows[name]["pbc"] is None
        assert labels[name, "energy"] == atoms.get_potential_energy()
        assert labels.get((name, "homo_energy")) == (None if atoms.info["unrestricted"] else -8.5)
    assert set(column(found.labels, "unit")) == {"eV"}
    assert set(column(found.labels, "source")) == {"OMol25, ωB97M-V/def2-TZVPD (ORCA 6)"}


def test_a_value_that_is_no_number_is_no_label(publish: Publish, tmp_path: Path) -> None:
    values = [None, float("nan"), float("inf"), [], [1.0, 2.0], -1.5]
    base = {"numbers": [1], "positions": [[0, 0, 0]], "cell": np.eye(3).tolist(), "pbc": [True] * 3}
    rows = {
        n: (lambda raw, v=v: packed(base | {"energy": v})) for n, v in enumerate(values, start=1)
    }
    database = edited(backend(tmp_path / "a.aselmdb", crystals(len(values))), rows)
    found = materialize_sample(
        publish("salex", {"val.tar.gz": archive(tmp_path / "val.tar.gz", {"a.aselmdb": database})}),
        tmp_path,
    )
    assert found.n_systems == len(values)
    assert (column(found.labels, "system_id"), column(found.labels, "value")) == (
        ["salex/val/a:6"],
        [-1.5],
    )


def test_a_sample_is_the_ids_of_the_smallest_hashes_and_a_larger_one_contains_it(
    publish: Publish, tmp_path: Path
) -> None:
    files, systems = two_parts(tmp_path)
    dataset = publish("omat24", files)
    order = [
        f"omat24/{name}"
        for name in sorted(systems, key=lambda name: sha256(name.encode()).hexdigest())
    ]
    for limit in (1, 4, 11):
        found = materialize_sample(dataset, tmp_path, limit)
        assert set(column(found.systems, "system_id")) == set(order[:limit])


def test_only_what_is_needed_is_unpacked(publish: Publish, tmp_path: Path) -> None:
    """An archive without a row in the sample may as well be gone."""
    files, systems = two_parts(tmp_path)
    dataset = publish("omat24", files)
    dataset.loader.source.fetch(lambda text: None)
    (dataset.loader.source.folder / "rattled-300.tar.gz").write_bytes(b"gone")
    wanted = [name for name in systems if name.startswith("aimd")][:2]
    assert [
        entry.source_id for entry in dataset.loader.read(dataset.loader.source, wanted)
    ] == wanted
    with pytest.raises(
        DatasetError,
        match=r"rattled-300.tar.gz is not a whole .tar.gz: not a gzip file; remove it, and",
    ):
        list(dataset.loader.ids(dataset.loader.source))


def test_rows_that_cannot_be_decoded_are_counted_and_others_take_their_place(
    publish: Publish, tmp_path: Path
) -> None:
    broken = {number: lambda raw: raw[:20] for number in (2, 3, 7, 11)}
    database = edited(plain(tmp_path / "a.aselmdb", crystals(20)), broken)
    dataset = publish(
        "salex", {"val.tar.gz": archive(tmp_path / "val.tar.gz", {"val/a.aselmdb": database})}
    )
    order = sorted(
        (f"val/a:{n}" for n in range(1, 21)), key=lambda name: sha256(name.encode()).hexdigest()
    )
    good = [f"salex/{name}" for name in order if int(name.rpartition(":")[2]) not in broken]
    found = materialize_sample(dataset, tmp_path, 12)
    assert set(column(found.systems, "system_id")) == set(good[:12])
    everything = materialize_sample(dataset, tmp_path, 50)
    assert (everything.n_systems, everything.n_unreadable) == (16, 4)
    reasons = dict(
        zip(
            column(everything.unreadable, "source_id"),
            column(everything.unreadable, "reason"),
            strict=True,
        )
    )
    assert set(reasons) == {f"val/a:{number}" for number in broken}
    assert all("its compressed data has no end" in str(reason) for reason in reasons.values())


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_cut_archive_is_one_clear_error(publish: Publish, share: float, tmp_path: Path) -> None:
    """Even an archive that was cut before its checksum was recorded."""
    files, _ = two_parts(tmp_path)
    path = files["aimd-from-PBE-1000-npt.tar.gz"]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        DatasetError,
        match=r"aimd-from-PBE-1000-npt.tar.gz is not a whole .tar.gz: .+; remove it, and run",
    ):
        materialize_sample(publish("omat24", files), tmp_path)
    assert kept(tmp_path, "omat24") == sorted(files) and not list((tmp_path / "out").iterdir())


def test_a_cut_database_in_a_whole_archive_is_one_clear_error(
    publish: Publish, tmp_path: Path
) -> None:
    database = backend(tmp_path / "a.aselmdb", crystals(60)).read_bytes()
    content = {"val/good.aselmdb": database, "val/cut.aselmdb": database[: len(database) // 2]}
    dataset = publish("salex", {"val.tar.gz": archive(tmp_path / "val.tar.gz", content)})
    with pytest.raises(DatasetError, match=r"cut.aselmdb is not a whole .aselmdb file: .+"):
        materialize_sample(dataset, tmp_path)
    assert kept(tmp_path, "salex") == ["val.tar.gz"]


def test_another_file_than_the_published_one_is_refused(
    publish: Publish, hub: Hub, tmp_path: Path
) -> None:
    files, _ = two_parts(tmp_path)
    dataset = publish("omat24", files)
    name = "rattled-300.tar.gz"
    hub.files[name] = Blob(hub.files[name].data[:-1] + b"?")
    with pytest.raises(
        DatasetError, match=rf"dataset omat24: .*{name} is not the file expected: its sha256 is"
    ):
        materialize_sample(dataset, tmp_path)
    assert name not in kept(tmp_path, "omat24")


def test_an_archive_without_databases_is_an_error(publish: Publish, tmp_path: Path) -> None:
    dataset = publish(
        "salex", {"val.tar.gz": archive(tmp_path / "val.tar.gz", {"val/readme.txt": b"moved"})}
    )
    with pytest.raises(DatasetError, match="nothing in .* can be read: it has no entries"):
        materialize_sample(dataset, tmp_path)


def test_memory_grows_with_the_sample_and_not_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare peaks of a pass over ids and one over rows, for 2 × 3 MB and 2 × 18 MB."""

    def peak(count: int) -> int:
        monkeypatch.setenv("MATTERZOO_DATASETS", str(tmp_path / str(count)))
        loader = find_downloaded("salex").loader
        loader.source.folder.mkdir(parents=True)
        database = padded(tmp_path / f"{count}.aselmdb", count)
        archive(
            loader.source.path("val.tar.gz"), {"val/a.aselmdb": database, "val/b.aselmdb": database}
        )
        chosen = [f"val/{name}:{number}" for name in "ab" for number in range(1, 11)]
        tracemalloc.start()
        assert sum(1 for _ in loader.ids(loader.source)) == 2 * count
        assert all(isinstance(entry, Entry) for entry in loader.read(loader.source, chosen))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(20)  # what is loaded once
    small, large = peak(150), peak(900)
    assert large < small + 500_000, (small, large)  # bytes


@pytest.mark.parametrize("name", AMOUNTS)
def test_the_facts_fit_together(name: str) -> None:
    about = find_downloaded(name).loader.source.facts
    counts = [
        re.findall(r"^([\d,]+) structures; no checksum is published$", file.note)
        for file in about.file
    ]
    assert sum(int(count.replace(",", "")) for (count,) in counts) == about.systems
    assert f"({about.systems:,})" in about.title
    assert all(file.url.startswith("https://dl.fbaipublicfiles.com/") for file in about.file)
    assert len({file.path for file in about.file}) == len(about.file)
    assert describe_files(about.file) == AMOUNTS[name]
    assert [label.property for label in about.label][0] == "energy"
    assert (about.license.name, about.license.commercial) == ("CC-BY-4.0", True)
