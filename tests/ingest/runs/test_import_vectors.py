"""Imported vectors are loaded like any other, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.errors import VectorsError
from ingest.runs.folder import list_runs
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.discovery import load_models

Make = Callable[..., MaterializedDataset]
Rows = list[tuple[str, list[float]]]
IDS = [f"tiny/s{i:04}" for i in range(20)]
ROWS: Rows = [(system_id, [i, 0.5, -1.25]) for i, system_id in enumerate(IDS)]


def as_parquet(path: Path, rows: Rows) -> Path:
    names, vectors = zip(*rows, strict=True)
    pq.write_table(
        pa.table({"system_id": list(names), "vector": pa.array(vectors, pa.list_(pa.float64()))}),
        path,
    )
    return path


def as_npz(path: Path, rows: Rows) -> Path:
    names, vectors = zip(*rows, strict=True)
    np.savez(path, system_id=np.array(names), vector=np.array(vectors, dtype=np.float32))
    return path


def as_csv(path: Path, rows: Rows) -> Path:
    width = len(rows[0][1])
    lines = [",".join(["system_id", *(f"v{i}" for i in range(width))])]
    lines += [",".join([name, *map(str, vector)]) for name, vector in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


WRITERS = {"parquet": as_parquet, "npz": as_npz, "csv": as_csv}


def stored(layout: Layout) -> Rows:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(
            "SELECT system_id, vector FROM embeddings ORDER BY system_id"
        ).fetchall()


@pytest.mark.parametrize("kind", WRITERS)
def test_each_format_is_imported(kind: str, layout: Layout, dataset: Make, tmp_path: Path) -> None:
    made = dataset(20)
    file = WRITERS[kind](tmp_path / f"mine.{kind}", ROWS[::-1])
    loaded = import_vectors(layout, ImportedVectors("mine", file), made)
    assert loaded is not None and loaded[1].ok == 20
    assert stored(layout) == ROWS
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT family, default_representation, license_code, license_weights FROM models"
        assert connection.execute(query).fetchall() == [
            ("given", "given", "not stated", "not stated")
        ]
    assert import_vectors(layout, ImportedVectors("mine", file), made) is None


def test_ids_may_leave_out_the_dataset_and_systems_may_be_missing(
    layout: Layout, dataset: Make, tmp_path: Path
) -> None:
    short = [(system_id.removeprefix("tiny/"), vector) for system_id, vector in ROWS[5:9]]
    imported = ImportedVectors(
        "mine", as_csv(tmp_path / "mine.csv", short), title="Mine", license="CC-BY-4.0"
    )
    loaded = import_vectors(layout, imported, dataset(20))
    assert loaded is not None and loaded[1].sent == 4
    assert stored(layout) == ROWS[5:9]
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT title, license_weights FROM models").fetchall() == [
            ("Mine", "CC-BY-4.0")
        ]


def test_a_fixed_size_list_is_a_vector_too(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    names, vectors = zip(*ROWS, strict=True)
    flat = pa.array(np.array(vectors, dtype=np.float32).ravel())
    table = pa.table(
        {"vector": pa.FixedSizeListArray.from_arrays(flat, 3), "system_id": list(names)}
    )
    pq.write_table(table, tmp_path / "mine.parquet")
    import_vectors(layout, ImportedVectors("mine", tmp_path / "mine.parquet"), dataset(20))
    assert stored(layout) == ROWS


def test_a_new_file_takes_the_place_of_the_old_one_also_when_rebuilt(
    layout: Layout, dataset: Make, tmp_path: Path, contents: Callable[[Path], object]
) -> None:
    made = dataset(20)
    import_vectors(layout, ImportedVectors("mine", as_csv(tmp_path / "mine.csv", ROWS)), made)
    newer = [(system_id, [*vector, 7.0]) for system_id, vector in ROWS[:6]]
    import_vectors(layout, ImportedVectors("mine", as_csv(tmp_path / "mine.csv", newer)), made)
    assert stored(layout) == newer
    before = contents(layout.store)
    rebuild(layout, lambda text: None)
    assert contents(layout.store) == before


FAULTY = {
    "unknown": (
        [*ROWS, ("tiny/x", [1.0, 2, 3]), ("y", [1.0, 2, 3])],
        "2 ids are not of dataset tiny: tiny/x, y",
    ),
    "twice": ([*ROWS, ROWS[3]], "1 ids appear more than once: tiny/s0003"),
    "twice, short": ([*ROWS, ("s0003", [1.0, 1, 1])], "1 ids appear more than once: tiny/s0003"),
    "nan": (
        [*ROWS[1:], ("s0000", [1.0, np.nan, 1])],
        "1 vectors hold a number that is missing or not finite: s0000",
    ),
    "infinite": (
        [*ROWS[1:], ("s0000", [1.0, np.inf, 1])],
        "1 vectors hold a number that is missing or not finite",
    ),
    "large": (
        [*ROWS[1:], ("s0000", [1.0, 1e300, 1])],
        "1 vectors hold a number too large for float32: s0000",
    ),
    "largest": (
        [*ROWS[1:], ("s0000", [1.0, -3.5e38, 1])],
        "1 vectors hold a number too large for float32: s0000",
    ),
    "beyond sums": (
        [*ROWS[1:], ("s0000", [1.5e308, 1.5e308, 1])],
        "1 vectors hold a number too large for float32",
    ),
    "tiny": (
        [*ROWS[1:], ("s0000", [0.0, 1e-46, 0])],
        "1 vectors are all zeros in float32, .* below 1e-45: s0000",
    ),
    "zero": ([*ROWS[1:], ("s0000", [0.0, 0, 0])], "1 vectors are all zeros: s0000"),
    "nameless": ([*ROWS, ("", [1.0, 2, 3])], "1 rows have no system_id: 21"),
}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("fault", FAULTY)
def test_vectors_that_are_refused(
    fault: str, kind: str, layout: Layout, dataset: Make, tmp_path: Path
) -> None:
    rows, message = FAULTY[fault]
    file = WRITERS[kind](tmp_path / f"mine.{kind}", rows)
    with pytest.raises(VectorsError, match=f"mine.{kind}: {message}.*Nothing was stored"):
        import_vectors(layout, ImportedVectors("mine", file), dataset(20))
    assert not layout.store.exists()
    assert list_runs(layout) == []


def test_lengths_that_differ(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    file = as_parquet(
        tmp_path / "mine.parquet", [*ROWS[:9], ("tiny/s0010", [1.0, 2.0]), ("tiny/s0011", [])]
    )
    with pytest.raises(VectorsError, match="1 systems have no vector: tiny/s0011"):
        import_vectors(layout, ImportedVectors("mine", file), dataset(20))
    as_parquet(file, [*ROWS[:9], ("tiny/s0010", [1.0, 2.0])])
    with pytest.raises(
        VectorsError, match="1 vectors are not 3 numbers long, as the first is: tiny/s0010"
    ):
        import_vectors(layout, ImportedVectors("mine", file), dataset(20))


def test_ids_of_models_that_cannot_be_taken(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    file = as_csv(tmp_path / "mine.csv", ROWS)
    taken = next(iter(load_models()))
    with pytest.raises(
        VectorsError, match=f"{taken} is a model of the zoo; give your vectors another id"
    ):
        import_vectors(layout, ImportedVectors(taken, file), dataset(20))
    with pytest.raises(VectorsError, match="'My Model' cannot be a model's id"):
        import_vectors(layout, ImportedVectors("My Model", file), dataset(20))
    with pytest.raises(
        VectorsError, match="a model's id of 300 letters is too long; expected at most 100"
    ):
        import_vectors(layout, ImportedVectors("m" * 300, file), dataset(20))


def test_an_id_may_begin_with_the_datasets_own_name(layout: Layout, tmp_path: Path) -> None:
    def entries() -> Iterator[Entry]:
        for name in ("tiny/a", "b"):
            yield Entry(name, numbers=np.array([1]), positions=np.zeros((1, 3)))

    recipe = tmp_path / "recipe"
    recipe.write_text("two")
    tiny = Dataset("tiny", "Tiny", "made up", "CC0-1.0", ("numpy",), entries, (str(recipe),))
    layout.dataset("tiny").parent.mkdir(parents=True)
    made = materialize(tiny, layout.dataset("tiny"))
    rows: Rows = [("tiny/a", [1.0, 2.0]), ("b", [3.0, 4.0])]
    import_vectors(layout, ImportedVectors("mine", as_csv(tmp_path / "mine.csv", rows)), made)
    assert stored(layout) == [("tiny/b", [3.0, 4.0]), ("tiny/tiny/a", [1.0, 2.0])]


def test_what_float32_cannot_hold_is_said_or_refused(
    layout: Layout, dataset: Make, tmp_path: Path
) -> None:
    made = dataset(20)
    about_zero = np.random.default_rng(0).normal(size=(20, 3))

    def land(model: str, shift: float) -> list[str]:
        said: list[str] = []
        file = as_parquet(
            tmp_path / "mine.parquet", list(zip(IDS, (about_zero + shift).tolist(), strict=True))
        )
        import_vectors(layout, ImportedVectors(model, file), made, log=said.append)
        return said

    assert land("near", 0.0) == []
    assert land("farther", 3000.0) == [
        "  warning: of how these vectors differ, float32 keeps about 4 digits"
    ]
    with pytest.raises(
        VectorsError, match=r"would move these by [\d.]+ % of how far they lie apart.*Nothing was"
    ):
        land("far", 1e7)
    with connect(layout.store, read_only=True) as connection:
        sql = "SELECT model_id, (card->>'float32_rounding')::DOUBLE FROM models ORDER BY 1"
        (farther, lost), (near, little) = connection.execute(sql).fetchall()
    assert (farther, near) == ("farther", "near")
    assert 1e-5 < lost < 1e-3
    assert 0 < little < 1e-7


def test_components_that_float32_does_not_hold_are_counted(
    layout: Layout, dataset: Make, tmp_path: Path
) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 3)) * [1.0, 1e-9, 1.0] + [0.0, 1.0, 0.0]
    file = as_parquet(tmp_path / "mine.parquet", list(zip(IDS, vectors.tolist(), strict=True)))
    said: list[str] = []
    import_vectors(layout, ImportedVectors("mine", file), dataset(20), log=said.append)
    assert [text.split(";")[0] for text in said] == [
        "  warning: float32 does not keep how 1 of 3 components differ"
    ]
