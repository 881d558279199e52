"""Plain DuckDB clients, which know nothing of this project, read a store's vectors.

Clients are processes that have DuckDB and nothing of ours. DuckDB 1.5.5 is the one of this
environment; `.ci/clients` makes an environment with 2.0 and names its Python in CLIENT_PYTHON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.share.export import export
from matterzoo import main
from tests.ingest.stores import IDS, quiet

CLIENT = """
import json, sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
rows = [connection.execute(statement).fetchall() for statement in sys.argv[2:]]
print(json.dumps([duckdb.__version__, rows], default=str))
"""
PYTHONS = {"1.5.5": sys.executable, "2.0": os.environ.get("CLIENT_PYTHON")}
VECTORS = "SELECT system_id, vector FROM embeddings ORDER BY system_id"
NAMES = ("date=2026/model=x", "a [b] *", 'it\'s "quoted"', "über", "100%20;--")

Client = Callable[..., Any]
Import = Callable[..., Run]


@pytest.fixture(params=PYTHONS)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a function that opens a store in a new process and returns its rows."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip("DuckDB 2.0 is tested by .ci/clients, which makes an environment with it")
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def ask(store: Path, *statements: str, code: int = 0) -> Any:
        command = [python, "-I", "-c", CLIENT, str(store), *statements]
        ended = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended.stderr
        if code:
            return ended.stderr
        version, rows = json.loads(ended.stdout)
        assert version.startswith(request.param)
        return rows

    return ask


def expected(value: float = 1.0) -> list[list[Any]]:
    """The rows of `import_mine`."""
    vectors = np.random.default_rng(0).normal(size=(len(IDS), 3))
    vectors[:, 0] = value
    rows = zip(IDS, vectors.astype(np.float32).tolist(), strict=True)
    return [[f"tiny/{name}", vector] for name, vector in rows]


def test_in_any_working_directory(layout: Layout, import_mine: Import, client: Client) -> None:
    import_mine("mine")
    found, types, comments = client(
        layout.store,
        VECTORS,
        "SELECT column_name, column_type FROM (DESCRIBE embeddings)",
        "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'embeddings' AND comment != ''",
    )
    assert found == expected()
    assert dict(types) == {
        "system_id": "VARCHAR",
        "model_id": "VARCHAR",
        "representation": "VARCHAR",
        "content_hash": "VARCHAR",
        "run_id": "VARCHAR",
        "vector": "FLOAT[]",
    }
    assert comments[0][0] >= 3


def test_a_vector_that_was_replaced_is_not_seen(
    layout: Layout, import_mine: Import, client: Client
) -> None:
    import_mine("mine", 1.0)
    import_mine("other", 3.0)
    import_mine("mine", 2.0)
    [rows] = client(layout.store, VECTORS.replace("ORDER", "WHERE model_id = 'mine' ORDER"))
    assert rows == expected(2.0)
    assert client(layout.store, "SELECT count(*) FROM embeddings") == [[[40]]]


@pytest.mark.parametrize("name", NAMES)
def test_below_folders_of_any_name(
    layout: Layout,
    import_mine: Import,
    client: Client,
    name: str,
    tmp_path: Path,
) -> None:
    import_mine("mine")
    folder = tmp_path / name
    folder.mkdir(parents=True)
    layout.store.rename(folder / "moved.duckdb")
    layout.data.rename(folder / "moved.data")
    store = folder / "moved.duckdb"
    assert main(["query", "FROM models", "--store", str(store)]) == 0
    assert client(store, VECTORS) == [expected()]


def test_after_a_move_one_command_suffices(
    layout: Layout, import_mine: Import, client: Client, tmp_path: Path
) -> None:
    import_mine("mine")
    place = tmp_path / "place"
    place.mkdir()
    store, data = layout.store.rename(place / "b.duckdb"), layout.data.rename(place / "b.data")
    assert str(tmp_path / "matter.data") in client(store, VECTORS, code=1)
    assert main(["query", "SELECT count(*) FROM embeddings", "--store", str(store)]) == 0
    assert client(store, VECTORS) == [expected()]
    # And a copy, while the original stays where it is.
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "c.duckdb"
    shutil.copyfile(store, copy)
    shutil.copytree(data, tmp_path / "copy" / "c.data")
    assert main(["du", "--store", str(copy)]) == 0
    shutil.rmtree(place)
    assert main(["query", "FROM models", "--store", str(copy)]) == 0
    assert client(copy, VECTORS) == [expected()]


def test_on_a_file_system_that_is_read_only(
    layout: Layout,
    import_mine: Import,
    client: Client,
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import_mine("mine")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    store = small_disk / "matter.duckdb"
    shutil.copyfile(layout.store, store)
    shutil.copytree(layout.data, small_disk / "matter.data")
    assert main(["query", "FROM models", "--store", str(store)]) == 0
    shutil.rmtree(layout.data)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert client(store, VECTORS) == [expected()]
    capsys.readouterr()
    counted = "SELECT count(*) AS n FROM embeddings"
    assert main(["query", counted, "--store", str(store), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "n\n20\n"


def test_an_exported_store(
    layout: Layout, import_mine: Import, client: Client, tmp_path: Path
) -> None:
    import_mine("mine")
    export(layout, tmp_path / "all.duckdb", quiet)
    shutil.rmtree(layout.data)
    assert client(tmp_path / "all.duckdb", VECTORS) == [expected()]
