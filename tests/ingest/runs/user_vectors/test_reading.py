"""Files of vectors are read as they are, or refused with the reason, whatever they hold."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.runs.errors import VectorsError
from ingest.runs.import_vectors import LONGEST
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.user_vectors.reading import read_vectors

IDS = ["a/b c", "é", "007", 'say "x", y']
X = np.array([[1.0, -2.5], [0.1, 3e-5], [4.0, 5.0], [6.0, 7.5]])


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"memory_limit": memory_limit(len(IDS), LONGEST)}) as connection:
        yield connection


def read(connection: duckdb.DuckDBPyConnection, file: Path) -> list[tuple[str, list[float]]]:
    connection.execute("DROP TABLE IF EXISTS imported")
    read_vectors(connection, file, systems=len(IDS))
    return connection.execute("SELECT system_id, vector FROM imported ORDER BY row").fetchall()


def npz(vector: Any = X, system_id: Any = None, **more: Any) -> bytes:
    buffer = io.BytesIO()
    ids = np.array(IDS) if system_id is None else system_id
    np.savez(buffer, system_id=ids, vector=vector, **more)
    return buffer.getvalue()


def parquet(vector: Any = None, system_id: Any = None) -> bytes:
    buffer = io.BytesIO()
    vectors = pa.array(X.tolist()) if vector is None else vector
    pq.write_table(
        pa.table(
            {"system_id": pa.array(IDS) if system_id is None else system_id, "vector": vectors}
        ),
        buffer,
    )
    return buffer.getvalue()


def csv(rows: str = 'a/b c,1.0,-2.5\né,0.1,3e-5\n007,4,5\n"say ""x"", y",6,7.5\n') -> bytes:
    return ("system_id,f0,f1\n" + rows).encode()


FLAT = pa.array(X.ravel())
READ: dict[str, Callable[[], bytes]] = {
    "plain.npz": npz,
    "fortran.npz": lambda: npz(np.asfortranarray(X)),
    "big endian.npz": lambda: npz(X.astype(">f8")),
    "long double.npz": lambda: npz(X.astype(np.longdouble)),
    "masked.npz": lambda: npz(np.ma.masked_array(X)),
    "bytes.npz": lambda: npz(system_id=np.array([name.encode() for name in IDS])),
    "other arrays.npz": lambda: npz(names=np.array(["a"], dtype=object)),
    "plain.parquet": parquet,
    "fixed.parquet": lambda: parquet(pa.FixedSizeListArray.from_arrays(FLAT, 2)),
    "large.parquet": lambda: parquet(pa.array(X.tolist(), pa.large_list(pa.float64()))),
    "bytes.parquet": lambda: parquet(system_id=pa.array([name.encode() for name in IDS])),
    "dictionary.parquet": lambda: parquet(system_id=pa.array(IDS).dictionary_encode()),
    "text.parquet": lambda: parquet(pa.array([str(row) for row in X.tolist()])),
    "texts.parquet": lambda: parquet(pa.array([list(map(str, row)) for row in X.tolist()])),
    "glob[1]*.parquet": parquet,
    "plain.csv": csv,
    "mark.csv": lambda: b"\xef\xbb\xbf" + csv(),
    "utf-16.csv": lambda: csv().decode().encode("utf-16"),
    "crlf.csv": lambda: csv().replace(b"\n", b"\r\n"),
    "blank lines.csv": lambda: csv().replace(b"\n", b"\n\n"),
    "same columns.csv": lambda: csv().replace(b"f1", b"f0"),
    "no last line end.csv": lambda: csv()[:-1],
    "tabs.tsv": lambda: (
        csv("a/b c,1.0,-2.5\né,0.1,3e-5\n007,4,5\n").replace(b",", b"\t")
        + b'"say ""x"", y"\t6\t7.5\n'
    ),
    "packed.csv.gz": lambda: gzip.compress(csv()),
    "ids.csv": lambda: csv().replace(b"system_id", b"ids"),
    "last.csv": lambda: (
        b'f0,f1,Compound ID\n1.0,-2.5,a/b c\n0.1,3e-5,\xc3\xa9\n4,5,007\n6,7.5,"say ""x"", y"\n'
    ),
    "pandas.csv": lambda: frame().to_csv().encode(),
    "pandas and ids.csv": lambda: frame().reset_index(names="name").to_csv().encode(),
    "lists.csv": lambda: listed(X.tolist()).to_csv(index=False).encode(),
    "arrays.csv": lambda: listed(list(X)).to_csv(index=False).encode(),
    "x and y.csv": lambda: csv().replace(b"f0,f1", b"x,y"),
    "names.npz": lambda: saved(ids=np.array(IDS), embeddings=X),
    "name.npz": lambda: saved(name=np.array(IDS), X=X, other=np.zeros(3)),
    "pandas.parquet": lambda: frame().rename(columns=str).to_parquet(),
    "ids.parquet": lambda: listed(X.tolist()).assign(x=1.0, note="y").to_parquet(),
    "components.parquet": lambda: frame().rename(columns=str).reset_index(names="Id").to_parquet(),
}


def frame() -> pd.DataFrame:
    """Return ids as the index, and a column per component."""
    return pd.DataFrame(X, index=IDS)


def listed(vectors: list[Any]) -> pd.DataFrame:
    """Return a column of ids and one of vectors."""
    return pd.DataFrame({"id": IDS, "embedding": vectors})


def saved(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(READ[name]())
    assert read(con, tmp_path / name) == list(zip(IDS, X.tolist(), strict=True))


def test_numbers_of_every_width(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for dtype in ("f2", "f4", "f8", "i1", "i8", "u2"):
        (tmp_path / "a.npz").write_bytes(npz(np.arange(8).reshape(4, 2).astype(dtype)))
        assert read(con, tmp_path / "a.npz")[3] == (IDS[3], [6.0, 7.0])
    for kind in (pa.float16(), pa.float32(), pa.int8(), pa.decimal128(9, 2)):
        flat = (
            pa.array(np.arange(8.0)).cast(kind)
            if kind != pa.float16()
            else pa.array(np.arange(8, dtype=np.float16))
        )
        (tmp_path / "a.parquet").write_bytes(parquet(pa.FixedSizeListArray.from_arrays(flat, 2)))
        assert read(con, tmp_path / "a.parquet")[3] == (IDS[3], [6.0, 7.0])


def header_of(shape: str, dtype: str = "<f8") -> bytes:
    """Return a .npz of a few bytes with vectors that claim any shape."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, said in (("system_id", "(3,)"), ("vector", shape)):
            header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {said}, }}\n".encode()
            content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
            archive.writestr(f"{name}.npy", content + (b"\0" * 24 if name == "system_id" else b""))
    return buffer.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes] | bytes, str]] = {
    "objects.npz": (
        lambda: npz(X.astype(object)),
        "vector is an array of Python objects, expected real numbers",
    ),
    "object ids.npz": (
        lambda: npz(system_id=np.array(IDS, object)),
        r"system_id is .* objects; save it as text",
    ),
    "latin bytes.npz": (
        lambda: npz(system_id=np.array([b"\xe9"] * 4)),
        r"the id b'\\xe9' is not UTF-8; save ids",
    ),
    "complex.npz": (lambda: npz(X + 1j), "vector is an array of complex128, expected real numbers"),
    "bool.npz": (lambda: npz(X > 0), "vector is an array of bool, expected real numbers"),
    "empty.npz": (lambda: npz(X[:, :0]), "vectors are 0 numbers long, expected 1 to"),
    "deep.npz": (
        lambda: npz(X[None]),
        r"expected ids of shape \(n,\).*found vector of shape \(1, 4, 2\)",
    ),
    "fewer.npz": (lambda: npz(X[:3]), r"found \(4,\) and \(3, 2\)"),
    "names.npz": (
        lambda: npz().replace(b"vector", b"vektor"),
        "has no vectors: expected vector, vectors, .*it has system_id, vektor",
    ),
    "cut.npz": (
        lambda: npz()[:-30],
        "is no .npz file, which numpy.savez makes of arrays; or it is cut off",
    ),
    "garbage.npz": (b"no archive at all", "is no .npz file"),
    "nothing.npz": (b"", "is no .npz file"),
    "renamed.npz": (b"\x93NUMPY\x01\x00", "is no .npz file"),
    "claims.npz": (
        lambda: header_of("(3, 10000000000)"),
        r"is damaged: vector has 0 bytes, which is no array \(3, 1",
    ),
    "negative.npz": (lambda: header_of("(-3, 2)"), "is damaged: vector has 0 bytes"),
    "many.npz": (
        lambda: npz(np.zeros((9999, 2)), np.zeros(9999, "U1")),
        "has 9999 rows, but the dataset has 4",
    ),
    "nested.parquet": (
        lambda: parquet(pa.array([[row] for row in X.tolist()])),
        "vector is list<.*list<.*double",
    ),
    "struct.parquet": (
        lambda: parquet(pa.array([{"a": 1.0}] * 4)),
        "column vector is struct<a: double>, expected a",
    ),
    "numbers.parquet": (
        lambda: parquet(pa.array(X[:, 0])),
        "column vector is double, expected a list of numbers",
    ),
    "words.parquet": (
        lambda: parquet(pa.array([["a", "b"]] * 4)),
        "cannot be read: .*Could not convert string 'a' to",
    ),
    "latin.parquet": (
        lambda: parquet(system_id=pa.array([b"\xe9"] * 4)),
        "cannot be read: .*decode",
    ),
    "cut.parquet": (lambda: parquet()[:-9], "cannot be read: .*[Pp]arquet"),
    "nothing.parquet": (b"", "cannot be read: .*Parquet file size is 0 bytes"),
    "names.csv": (
        b"mol,a,b\nx,1,2\n",
        "has no ids: expected system_id, id, .*it has mol, a, b. --ids FILE gives them, or",
    ),
    "names.parquet": (
        lambda: frame().rename(columns=str).reset_index(names="mol").to_parquet(),
        "has no ids: .*it has mol, 0, 1. --ids FILE gives",
    ),
    "text.parquet": (
        lambda: frame().rename(columns=str).assign(id=IDS, note="x").to_parquet(index=False),
        "no column such as vector or embedding, and its column 'note' is .*, which is no component",
    ),
    "no ids.npz": (lambda: saved(embeddings=X), "has no ids: .* it has embeddings. --ids FILE"),
    "only ids.csv": (b"id\nx\n", "has no vectors: expected vector, vectors, .* it has id"),
    "words.csv": (b"id,vector\nx,[1 two]\n", r"line 2 has no vector such as .*: '\[1 two\]'"),
    "shortened.csv": (b"id,vector\nx,[1 ... 2]\n", "NumPy has shortened it"),
    "scalar.csv": (b"id,vector,y\nx,0.5,1\n", "line 2 has no vector such as .*: '0.5'"),
    "empty vector.csv": (b"id,vector\nx,[]\n", "line 2 has no vector such as"),
    "semicolons.csv": (
        csv().replace(b",", b";"),
        r"separated by commas \(in a .tsv by tabs\); found 'system_id;f0;f1'",
    ),
    "headless.csv": (csv().split(b"\n", 1)[1], "found 'a/b c', '1.0', '-2.5'"),
    "nothing.csv": (b"", "expected a header line such as system_id, .*found nothing"),
    "short.csv": (csv("x,1,2\ny,1\n"), "line 3 has 2 fields, expected 3 as in the header line"),
    "long.csv": (csv("x,1,2,3\n"), "line 2 has 4 fields, expected 3 as in the header line"),
    "word.csv": (
        csv("x,1,2\ny,1,one\n"),
        "line 3, column f1: 'one' is no number, such as 0.25 or 1e-3",
    ),
    "comma.csv": (csv('x,"0,5",1\n'), "line 2, column f0: '0,5' is no number"),
    "latin.csv": (
        csv().decode().encode("latin-1"),
        r"not UTF-8 \(byte 0xE9 at offset 0 of line 3\); save the file as",
    ),
    "quote.csv": (csv('x,1,2\n"y,1,2\nz,1,2\n'), "line 4 is no CSV: unexpected end of data"),
    "vectors.npy": (b"", "has no ids: .*it has one array. --ids FILE gives them, or --numbered if"),
    "vectors.pt": (b"", "is of no format known here; expected .parquet, .npz, .npy, .csv, .tsv"),
    "packed.npz.gz": (b"", "is of no format known here"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content, message = REFUSED[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(VectorsError, match=message) as caught:
        read(con, tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_the_longest_vectors_fit_in_the_memory_that_is_planned(
    kind: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    wide = np.random.default_rng(0).normal(size=(12, LONGEST))
    ids = [f"s{i}" for i in range(12)]
    if kind == "csv":
        lines = (
            ",".join([name, *map(repr, row)]) for name, row in zip(ids, wide.tolist(), strict=True)
        )
        content = "\n".join([",".join(["system_id", *map(str, range(LONGEST))]), *lines]).encode()
    else:
        content = (
            npz(wide, np.array(ids))
            if kind == "npz"
            else parquet(pa.array(wide.tolist()), pa.array(ids))
        )
    (tmp_path / f"wide.{kind}").write_bytes(content)
    read_vectors(con, tmp_path / f"wide.{kind}", systems=12)
    assert con.execute("SELECT count(*), sum(len(vector)) FROM imported").fetchall() == [
        (12, 12 * LONGEST)
    ]
    assert con.execute("SELECT vector FROM imported WHERE row = 12").fetchall() == [
        (wide[11].tolist(),)
    ]


def mutate(rng: np.random.Generator, content: bytes) -> bytes:
    """Return content with some bytes changed, removed, doubled or inserted."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 9))
        match rng.integers(5):
            case 0 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at : at + length * 5]
            case 2:
                data[at:at] = data[at : at + length * 20]
            case 3:
                data[at:at] = bytes(rng.integers(256, size=length, dtype=np.uint8))
            case _:
                data = data[: max(at, 1)] if rng.random() < 0.2 else data
    return bytes(data)


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_no_mutation_of_a_file_is_a_traceback(
    kind: str, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rng = np.random.default_rng(["csv", "npz", "parquet"].index(kind))
    whole = {"csv": csv(), "npz": npz(), "parquet": parquet()}[kind]
    taken = refused = 0
    for number in range(150):
        file = tmp_path / f"{number}.{kind}"
        file.write_bytes(mutate(rng, whole))
        try:
            read(con, file)
            taken += 1
        except VectorsError as error:
            assert file.name in str(error)
            assert "\n" not in str(error)
            refused += 1
    assert min(taken, refused) > 5
