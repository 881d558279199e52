"""Programs that know nothing of matterzoo read the files by the data card's own lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.layout import Layout
from ingest.share.publish import publish_vectors
from tests.hub import Hub, serving, tunnel
from tests.ingest.share.repositories import REPO, files, quiet, rows

# The hub's client uploads in a way that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


DATASETS = """
import datasets
vectors = {line}
rows = [(r['system_id'], r['status'], r['vector']) for r in vectors]
"""
POLARS = "import polars\nrows = {line}.select('system_id', 'status', 'vector').collect().rows()"
DUCKDB = """
import os, pathlib, duckdb, duckdb_extension_httpfs
package = pathlib.Path(duckdb_extension_httpfs.__file__).parent
folder = package / "extensions" / ("v" + duckdb.__version__)
connection = duckdb.connect()
connection.execute("LOAD '" + str(folder / "httpfs.duckdb_extension") + "'")
connection.execute("SET http_proxy = '" + os.environ["https_proxy"] + "'")
connection.execute("SET ca_cert_file = '" + os.environ["SSL_CERT_FILE"] + "'")
rows = connection.execute("SELECT system_id, status, vector {line}").fetchall()
"""


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """Make certificates of an authority, and of a huggingface.co that it signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, which makes the hub's certificate: apt-get install openssl")
    ca, host = tmp_path / "ca.pem", tmp_path / "hub.pem"
    new = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = "subjectAltName=DNS:huggingface.co,DNS:localhost,IP:127.0.0.1"
    signed = [
        "-addext",
        names,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        ca,
        "-CAkey",
        tmp_path / "key",
    ]
    for command in (
        [*new, "-subj", "/CN=tests", "-keyout", tmp_path / "key", "-out", ca],
        [*new, "-subj", "/CN=hub", *signed, "-keyout", host, "-out", tmp_path / "leaf"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    host.write_bytes(host.read_bytes() + (tmp_path / "leaf").read_bytes())
    return ca, host


def read(code: str, line: str, **environment: str) -> list[list[Any]]:
    """Run a program in a process of its own that knows nothing of this repository."""
    program = code.replace("{line}", line) + "\nimport json\nprint(json.dumps(sorted(rows)))"
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    command = [sys.executable, "-I", "-W", "ignore", "-c", program]
    done = subprocess.run(
        command, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def lines_of(hub: Hub) -> dict[str, str]:
    """Return the lines of the data card that read the vectors."""
    card = files(hub)["README.md"].decode()
    starts = {
        "datasets": "datasets.load_dataset",
        "polars": "polars.scan_parquet",
        "duckdb": "FROM 'hf://",
    }
    return {
        name: next(x for x in card.splitlines() if x.startswith(start))
        for name, start in starts.items()
    }


@pytest.fixture
def shared(hub: Hub, layout: Layout, loaded: Any) -> list[list[Any]]:
    """Publish a run, and return its rows."""
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    there = [[system_id, "ok", vector] for system_id, vector in rows(layout, "system_id, vector")]
    return [*there, ["tiny/s0019", "failed", None]]


def test_datasets_reads_it(hub: Hub, shared: list[list[Any]], tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs datasets: pip install datasets")
    found = read(
        DATASETS, lines_of(hub)["datasets"], HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home")
    )
    assert found == shared


@pytest.mark.parametrize("name", ["polars", "duckdb"])
def test_polars_and_duckdb_read_its_hf_address(
    name: str, hub: Hub, shared: list[list[Any]], certificates: tuple[Path, Path]
) -> None:
    """Both know huggingface.co only, so a proxy leads them to a hub with that name."""
    module = "polars" if name == "polars" else "duckdb_extension_httpfs"
    found = pytest.importorskip(
        module, reason=f"needs {module}: pip install {module.replace('_', '-')}"
    )
    if (
        name == "duckdb"
        and not (Path(found.__file__).parent / "extensions" / f"v{duckdb.__version__}").exists()
    ):
        pytest.skip(
            f"needs the extension of this DuckDB: pip install {module}=={duckdb.__version__}"
        )
    ca, host = certificates
    with serving(host) as site, tunnel(site) as proxy:
        site.repositories = hub.repositories
        code = {"polars": POLARS, "duckdb": DUCKDB}[name]
        assert (
            read(code, lines_of(hub)[name].rstrip(";"), https_proxy=proxy, SSL_CERT_FILE=str(ca))
            == shared
        )
        assert site.asked("/storage/")
