"""A real registry on loopback, for as long as a test takes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = """
version: 0.1
log: {{ level: error }}
storage: {{ filesystem: {{ rootdirectory: {folder} }}, delete: {{ enabled: true }} }}
http: {{ addr: "127.0.0.1:{port}" }}
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a registry that keeps its images in the folder, unless MATTERZOO_REGISTRY names one.

    The registry is Debian's docker-registry.
    """
    named = os.environ.get("MATTERZOO_REGISTRY")
    if named:
        yield named
        return
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip(
            "needs a registry: MATTERZOO_REGISTRY=127.0.0.1:5000, or "
            "`apt-get install docker-registry`"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder / "registry", port=port))
    command = [program, "serve", str(folder / "config.yml")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait(address: str) -> None:
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no registry answers at {address}")
