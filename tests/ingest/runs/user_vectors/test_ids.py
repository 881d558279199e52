"""Vectors without ids get them from another file or by the dataset's order, or are refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.layout import Layout
from ingest.runs.errors import VectorsError
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.store import connect

Make = Callable[..., MaterializedDataset]
Said = pytest.CaptureFixture[str]
IDS = [f"s{i:04}" for i in range(20)]
X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)


def npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array))
    return buffer.getvalue()


def stored(layout: Layout, model: str = "mine") -> dict[str, list[float]]:
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT system_id, vector FROM embeddings WHERE model_id = ?"
        return dict(connection.execute(query, [model]).fetchall())


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Vectors of 20 systems, in the reverse of the dataset's order."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(npy(X[::-1]))
    return path


LISTS: dict[str, Callable[[], bytes]] = {
    "ids.txt": lambda: "".join(f"{name}\n" for name in IDS[::-1]).encode(),
    "crlf.txt": lambda: "\r\n".join(IDS[::-1]).encode(),
    "ids.csv": lambda: "".join(["smiles,Id\n", *(f"C,{name}\n" for name in IDS[::-1])]).encode(),
    "ids.tsv": lambda: "".join(["name\tx\n", *(f"{name}\t1\n" for name in IDS[::-1])]).encode(),
    "index.csv": lambda: "".join([",x\n", *(f"{name},1\n" for name in IDS[::-1])]).encode(),
    "ids.json": lambda: json.dumps([f"tiny/{name}" for name in IDS[::-1]]).encode(),
    "ids.npy": lambda: npy(IDS[::-1]),
    "bytes.npy": lambda: npy([name.encode() for name in IDS[::-1]]),
}


@pytest.mark.parametrize("name", LISTS)
def test_ids_may_lie_in_another_file(
    name: str, layout: Layout, dataset: Make, vectors: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(LISTS[name]())
    imported = ImportedVectors("mine", vectors, ids=tmp_path / name)
    made = dataset(20)
    import_vectors(layout, imported, made)
    found = stored(layout)
    assert len(found) == 20
    assert found["tiny/s0003"] == X[3].tolist()
    assert import_vectors(layout, imported, made) is None, "the same files are stored already"


WRONG: dict[str, tuple[bytes, str]] = {
    "few.txt": (b"s0001\n", r"few\.txt has 1 ids, and .*vectors\.npy has 20 vectors"),
    "many.txt": (b"x\n" * 2000, r"has more than 1040 ids, and .* has 20 vectors"),
    "other.txt": (b"".join(b"t%d\n" % i for i in range(20)), "20 ids are not of dataset tiny: t0"),
    "same.txt": (b"s0001\n" * 20, "1 ids appear more than once: tiny/s0001"),
    "latin.txt": (b"caf\xe9\n" * 20, "20 ids are not of dataset tiny: caf\ufffd"),
    "ids.csv": (b"a,b\n1,2\n", "has no ids: expected system_id, id, .*it has a, b"),
    "quote.csv": (b'id\n"x\n', r"quote\.csv cannot be read: unexpected end of data"),
    "ids.json": (b'{"a": 1}', "expected a JSON list of ids"),
    "cut.json": (b'["a', "cut.json cannot be read: Unterminated string"),
    "deep.npy": (npy(np.zeros((3, 2))), r"expected ids of shape \(n,\), found \(3, 2\)"),
    "true.npy": (npy([True] * 20), "is an array of bool; save it as text"),
    "cut.npy": (npy(IDS)[:-9], r"is damaged: the array has 3\d\d bytes"),
    "nothing.npy": (b"", "nothing.npy cannot be read: .*"),
    "ids.xlsx": (b"x", r"is of no format of ids; expected \.txt, \.csv"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_ids_that_does_not_fit_is_refused(
    name: str, layout: Layout, dataset: Make, vectors: Path, tmp_path: Path
) -> None:
    content, message = WRONG[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VectorsError, match=message) as caught:
        import_vectors(layout, ImportedVectors("mine", vectors, ids=tmp_path / name), dataset(20))
    assert "\n" not in str(caught.value)
    assert not layout.store.exists() or stored(layout) == {}


def test_ids_are_not_given_twice(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    file, ids = tmp_path / "v.csv", tmp_path / "ids.txt"
    file.write_text("id,a\ns0001,1\n")
    ids.write_text("s0002\n")
    with pytest.raises(VectorsError, match=r"v\.csv has ids of its own: leave out --ids"):
        import_vectors(layout, ImportedVectors("mine", file, ids=ids), dataset(20))
    with pytest.raises(VectorsError, match=r"there is no file .*none\.txt"):
        import_vectors(
            layout, ImportedVectors("mine", file, ids=tmp_path / "none.txt"), dataset(20)
        )


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v.csv"])
def test_rows_may_be_in_the_order_of_the_dataset(
    name: str, layout: Layout, dataset: Make, tmp_path: Path
) -> None:
    file = tmp_path / name
    if name == "v.npy":
        np.save(file, X)
    elif name == "v.npz":
        np.savez(file, embeddings=X)
    else:
        lines = [",".join(map(repr, row)) for row in X.tolist()]
        file.write_text("\n".join(["0,1,2", *lines]))
    import_vectors(layout, ImportedVectors("mine", file, numbered=True), dataset(20))
    assert stored(layout) == {
        f"tiny/{name}": row for name, row in zip(IDS, X.tolist(), strict=True)
    }


def test_as_many_rows_as_systems_are_needed(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", X[:-1])
    with pytest.raises(
        VectorsError,
        match=r"has 19 rows without ids, and tiny has 20 systems, and 1 entries that cannot be",
    ):
        import_vectors(
            layout, ImportedVectors("mine", tmp_path / "v.npy", numbered=True), dataset(20)
        )


def test_a_table_without_ids_is_numbered_if_asked(
    layout: Layout, tmp_path: Path, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mols.csv").write_text("smiles,y\nCCO,1\nC,2\nCC,3\n")
    np.save("v.npy", X[:3])
    assert main(["ingest", "mine", "mols.csv", "--vectors", "v.npy"]) == 2
    assert "; --numbered makes ids of the rows' numbers" in capfd.readouterr().err
    assert main(["ingest", "mine", "mols.csv", "--numbered", "--vectors", "v.npy"]) == 0
    assert stored(layout) == {f"mols/{i}": X[i].tolist() for i in range(3)}
    Path("w.csv").write_text("id,a\n0,1\n1,2\n2,3\n")
    assert main(["ingest", "other", "mols", "--vectors", "w.csv"]) == 0, "the name remembers it"
    assert stored(layout, "other")["mols/2"] == [3.0]


def test_options_that_would_be_ignored_are_refused(
    tmp_path: Path, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mols.csv").write_text("smiles\nCCO\nC\nCC\n")
    Path("md.xyz").write_text("1\n\nH 0 0 0\n")
    np.save("v.npy", X[:1])
    Path("ids.txt").write_text("0\n")
    words = ["ingest", "mine", "md.xyz", "--vectors", "v.npy", "--ids", "ids.txt"]
    for more in (["--on", "slurm"], ["--on", "typo"], ["--partition", "p", "--time", "4h"]):
        assert main([*words, *more]) == 2
        options = ", ".join(word for word in more if word.startswith("--"))
        assert f"nothing is computed: leave out {options}\n" in capfd.readouterr().err
    assert main([*words, "--numbered"]) == 2
    assert "--ids ids.txt and --numbered both say whose" in capfd.readouterr().err
    words[2] = "mols.csv"
    assert main([*words, "--numbered"]) == 0, "which numbers the dataset's rows"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("csv", None), ("tsv", "index"), ("parquet", None), ("parquet", "index")],
)
def test_an_index_that_counts_the_rows_is_no_id(
    kind: str,
    name: str | None,
    layout: Layout,
    tmp_path: Path,
    capfd: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("md.xyz").write_text("".join(f"1\n\nH 0 0 {i}\n" for i in range(6)))  # ids 0 to 5
    file = f"v.{kind}"

    def write(index: list[int]) -> None:
        table = pd.DataFrame(X[: len(index)], columns=["a", "b", "c"], index=index)
        table.index.name = name
        if kind == "parquet":
            table.to_parquet(file)
        else:
            table.to_csv(file, sep="\t" if kind == "tsv" else ",")

    words = ["ingest", "mine", "md.xyz", "--vectors", file]
    write([0, 1, 2])  # vectors of any three frames
    assert main(words) == 2
    assert "only counts the rows from 0. --ids FILE gives them" in capfd.readouterr().err
    assert main([*words, "--numbered"]) == 2
    said = capfd.readouterr()
    assert "only counts the rows, and is not taken for ids" in said.out
    assert "has 3 rows without ids, and md has 6 systems" in said.err
    Path("ids.csv").write_text(",x\n0,1\n1,1\n2,1\n")
    assert main([*words, "--ids", "ids.csv"]) == 2
    assert "ids.csv has no ids: its column '' only counts" in capfd.readouterr().err
    Path("ids.txt").write_text("5\n2\n3\n")
    assert main([*words, "--ids", "ids.txt"]) == 0
    assert stored(layout) == {f"md/{i}": X[row].tolist() for row, i in enumerate([5, 2, 3])}
    write([5, 2, 3])
    assert main(["ingest", "other", *words[2:]]) == 0, "these are frames"
    assert stored(layout, "other") == stored(layout)


def test_which_columns_are_taken_is_said(layout: Layout, dataset: Make, tmp_path: Path) -> None:
    said = list[str]()
    for name, header in (("ours", "system_id,vector"), ("theirs", "name,embedding")):
        file = tmp_path / f"{name}.csv"
        file.write_text(f'{header}\ns0001,"[1, 2]"\n')
        import_vectors(layout, ImportedVectors(name, file), dataset(20), log=said.append)
    assert said == ["  ids are column 'name', vectors column 'embedding'"]
