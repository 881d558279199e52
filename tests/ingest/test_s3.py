"""Vectors in an object store: a real S3 server on loopback, rclone, whose path is in S3_SERVER.

`.ci/clients` makes an environment with it and runs these tests.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import query
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.share.export import export
from ingest.share.import_exported import import_store
from matterzoo import main
from schemas.errors import StoreError
from schemas.object_stores import load_httpfs
from schemas.store import connect
from tests.ingest.stores import first_number, quiet

SERVER = os.environ.get("S3_SERVER")
KEY, SECRET = "an-access-key", "a-secret-key"
SECRET_OF_USER = """
CREATE PERSISTENT SECRET of_the_tests (
    TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '127.0.0.1:{port}', URL_STYLE 'path',
    USE_SSL false, REGION 'us-east-1'
)
"""
Import = Callable[..., Run]
Contents = Callable[[Path], dict[str, list[str]]]

pytestmark = pytest.mark.skipif(
    SERVER is None, reason="S3 is tested by .ci/clients, which installs a server"
)


@dataclass
class Server:
    """An S3 server with the bucket `zoo`, whose objects are the files of a folder."""

    port: int
    folder: Path

    def objects(self) -> list[str]:
        found = (self.folder / "zoo").rglob("*")
        return sorted(f.relative_to(self.folder / "zoo").as_posix() for f in found if f.is_file())


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve S3, with a user who has a secret for it, and have new vectors go there."""
    (tmp_path / "s3" / "zoo").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [str(SERVER), "serve", "s3", "--addr", address, "--auth-key", f"{KEY},{SECRET}"]
    with subprocess.Popen([*command, str(tmp_path / "s3")], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            home = tmp_path / "home"
            home.mkdir()
            monkeypatch.setenv("HOME", str(home))
            with duckdb.connect() as connection:
                load_httpfs(connection)
                secret = SECRET_OF_USER.format(key=KEY, secret=SECRET, port=port)
                connection.execute(secret)
            monkeypatch.setenv("MATTERZOO_VECTORS", "s3://zoo/some where/")
            yield Server(port, tmp_path / "s3")
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)


def test_vectors_are_written_to_s3_and_read_from_there(
    layout: Layout, s3: Server, import_mine: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    run = import_mine("mine", 2.0)
    [name] = s3.objects()
    assert name.startswith(f"some where/dataset=tiny/model=mine/{run.run_id}-00000-")
    assert not list(layout.data.rglob("vectors-*.parquet"))
    assert not layout.vectors.exists()
    assert first_number(layout, "mine") == {2.0}
    assert main(["query", "SELECT count(*) AS n FROM embeddings", "--format", "csv"]) == 0
    assert capsys.readouterr().out.endswith("n\n20\n")


def test_table_functions_read_vectors_from_s3(
    layout: Layout, s3: Server, import_mine: Import
) -> None:
    import_mine("mine")
    import_mine("mine-too")
    with query.connect(layout.store) as connection:
        sql = "SELECT value, n FROM alignment('mine', 'mine-too', dataset := 'tiny', k := 3)"
        assert connection.execute(sql).fetchall() == [(pytest.approx(1.0), 20)]


def test_the_store_keeps_where_its_vectors_are(
    layout: Layout, s3: Server, import_mine: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_mine("mine")
    monkeypatch.delenv("MATTERZOO_VECTORS")
    import_mine("second")
    assert len(s3.objects()) == 2
    monkeypatch.setenv("MATTERZOO_VECTORS", "local")
    import_mine("third")
    monkeypatch.delenv("MATTERZOO_VECTORS")
    import_mine("fourth")
    assert len(s3.objects()) == 2
    assert len(list(layout.vectors.rglob("*.parquet"))) == 2
    with connect(layout.store, read_only=True) as connection:
        found = connection.execute("SELECT model_id, count(*) FROM embeddings GROUP BY ALL")
        assert sorted(found.fetchall()) == [
            ("fourth", 20),
            ("mine", 20),
            ("second", 20),
            ("third", 20),
        ]


def test_a_plain_client_needs_the_secret_alone(
    layout: Layout, s3: Server, import_mine: Import
) -> None:
    import_mine("mine")
    client = (
        "import duckdb, pathlib, sys, duckdb_extension_httpfs as package\n"
        "folder = pathlib.Path(package.__file__).parent\n"
        "extension = next(folder.rglob('httpfs.duckdb_extension'))\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "connection.execute(f\"LOAD '{extension}'\")\n"
        "print(connection.execute('SELECT count(*), min(vector[1]) FROM embeddings').fetchall())\n"
    )
    command = [sys.executable, "-I", "-c", client, str(layout.store)]
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout == "[(20, 1.0)]\n"


def test_a_store_is_made_again_from_s3(
    layout: Layout, s3: Server, import_mine: Import, contents: Contents
) -> None:
    import_mine("mine")
    import_mine("mine", 2.0)
    before = contents(layout.store)
    layout.store.unlink()
    rebuild(layout, quiet)
    assert contents(layout.store) == before


def test_a_load_that_was_cut_off_after_the_upload_is_finished(
    layout: Layout, s3: Server, import_mine: Import, contents: Contents
) -> None:
    run = import_mine("mine")
    before = contents(layout.store)
    (run.folder / "landed.json").rename(run.folder / "landing.json")
    layout.store.unlink()
    load(layout, run, log=quiet)
    assert contents(layout.store) == before
    assert len(s3.objects()) == 1


def test_two_stores_may_use_one_place(
    layout: Layout,
    s3: Server,
    import_mine: Import,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = import_mine("mine", 1.0)
    [first] = s3.objects()
    other = Layout(tmp_path / "other.duckdb")
    export(layout, tmp_path / "all.duckdb", quiet)
    import_store(other, tmp_path / "all.duckdb", quiet)
    assert first_number(other, "mine") == first_number(layout, "mine") == {1.0}
    assert s3.objects() == [first]
    content = (s3.folder / "zoo" / first).read_bytes()
    shutil.rmtree(other.data)
    assert main(["clean", "mine", "--yes"]) == 0
    assert "objects in s3://zoo/some where stay there" in capsys.readouterr().out
    assert (s3.folder / "zoo" / first).read_bytes() == content
    assert not run.folder.exists()


def test_a_damaged_or_missing_object_is_named(
    layout: Layout, s3: Server, import_mine: Import, tmp_path: Path
) -> None:
    import_mine("mine")
    [name] = s3.objects()
    file = s3.folder / "zoo" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(Damaged, match=rf"s3://zoo/{name} is damaged: expected .* bytes"):
        export(layout, tmp_path / "all.duckdb", quiet)
    layout.store.unlink()
    with pytest.raises(StoreError, match=rf"s3://zoo/{name} is damaged"):
        rebuild(layout, quiet)
    file.unlink()
    with pytest.raises(StoreError, match=rf"s3://zoo/{name} cannot be read: HTTP Error"):
        rebuild(layout, quiet)


def test_without_the_server_nothing_is_stored_or_lost(
    layout: Layout, s3: Server, import_mine: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_VECTORS", "s3://no-such-bucket/x")
    with pytest.raises(StoreError, match="cannot be written to s3://no-such-bucket/x/dataset=tiny"):
        import_mine("mine")
    [run] = layout.runs.iterdir()
    assert (run / "out" / "vectors-00000.parquet").exists()
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(0,)]


def test_an_address_that_is_none_is_refused(
    layout: Layout, s3: Server, import_mine: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("s3://", "/a/folder", "https://example.org/x", "s3://zoo/a*"):
        monkeypatch.setenv("MATTERZOO_VECTORS", wrong)
        with pytest.raises(RequestError, match="expected an address such as s3://bucket/prefix"):
            import_mine("mine")
