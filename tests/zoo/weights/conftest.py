"""What the tests of weights share: a hub on loopback, its client, and a family."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Blob, Hub, Repository, serving, set_client
from tests.zoo.weights.cases import (
    FILES,
    FREE,
    HUB,
    NET,
    Card,
    again,
    sha256,
)
from zoo.cards.discovery import find_model
from zoo.cards.family import Selection
from zoo.cards.scaffold import MODELS, write_family
from zoo.weights.addresses import opener


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def net(hub: Hub) -> Repository:
    """owner/net, whose main branch has moved on since its first commit."""
    repo = hub.repository("owner/net")
    repo.commit(FILES)
    return repo


@pytest.fixture
def client(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_client(monkeypatch, hub.url, tmp_path / "hf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MATTERZOO_WEIGHTS", raising=False)
    monkeypatch.setattr("zoo.weights.hub_client.WAITS", (0.0, 0.0))


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """Write the only family, with models toy-a, toy-b, … of these weights; return the first."""
    monkeypatch.setattr("zoo.cards.discovery.FAMILIES", tmp_path / "zoo")
    folder = write_family("toy", tmp_path / "zoo")

    def write(*weights: str, license: str = FREE) -> Selection:
        models = []
        for letter, each in zip("abc", weights, strict=False):
            text = MODELS.format(name="toy").replace("toy-composition", f"toy-{letter}")
            text = re.sub(r"(?m)^license_weights = .*$", f"license_weights = {{ {license} }}", text)
            models.append(re.sub(r"(?m)^weights = .*\n", "", text) + each)
        (folder / "models.toml").write_text("\n".join(models))
        return find_model("toy-a")

    return write


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    """The same settings for a process of its own."""
    return os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "MATTERZOO_FAMILIES": str(tmp_path / "zoo"),
    }


@pytest.fixture
def pinned(card: Card, net: Repository) -> Selection:
    """A model of owner/net at its first commit, of which nothing is downloaded."""
    revision = net.branches["main"]
    files = {path: {"sha256": sha256(data), "size": len(data)} for path, data in FILES.items()}
    selection = card(HUB)
    selection.family.pins.write_text(
        json.dumps({"owner/net": {"revision": revision, "files": files}})
    )
    net.commit({"nets/model.safetensors": NET[::-1]})
    return again(selection)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Plain files behind https, on a host that this machine trusts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, which makes the host's certificate: apt-get install openssl")
    certificate = tmp_path / "certificate.pem"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run(
        [*command, "-keyout", certificate, "-out", certificate], check=True, capture_output=True
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    opener.cache_clear()
    with serving(certificate) as site:
        site.files["v1/net.pt"] = Blob(NET)
        yield site
    opener.cache_clear()
