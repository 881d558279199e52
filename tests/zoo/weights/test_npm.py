"""Files of npm packages, from a real registry's shape on loopback."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.hub import Blob, Hub
from zoo.weights.errors import DownloadError
from zoo.weights.npm import read_npm_package

FILES = {
    "package.json": b"{}",
    "dist/a.js": b"export {}",
    "dist/b.js": b"1",
    "dist/c.wasm": b"\0asm",
}


def packed() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def test_a_package_is_downloaded_once_and_held_to_its_hash(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed()
    hub.files["@us/toy/-/toy-1.2.0.tgz"] = Blob(archive)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", f"{hub.url}/files/")
    package = ("@us/toy", "1.2.0", integrity(archive))
    assert read_npm_package(*package, ["dist/*.js"]) == {
        name: FILES[name] for name in ("dist/a.js", "dist/b.js")
    }
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    assert read_npm_package(*package, ["dist/c.wasm"]) == {"dist/c.wasm": b"\0asm"}
    with pytest.raises(DownloadError, match=r"toy-1\.2\.0\.tgz has no file src/\*"):
        read_npm_package(*package, ["src/*"])
    with pytest.raises(DownloadError, match=r"is not the file of .*its sha512 is .*, expected"):
        read_npm_package("@us/toy", "1.2.0", integrity(b"another"), ["dist/*"])
    with pytest.raises(DownloadError, match="'sha1-x' is no hash of a package"):
        read_npm_package("@us/toy", "1.2.0", "sha1-x", ["dist/*"])
    with pytest.raises(DownloadError, match="toy-2.0.0.tgz could not be downloaded"):
        read_npm_package("@us/toy", "2.0.0", integrity(archive), ["dist/*"], waits=())
