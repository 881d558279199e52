"""A model with weights on a hub, from its card to the store: pinned, downloaded, verified, run."""

from __future__ import annotations

import io
import os
import pty
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from ingest.layout import Layout
from matterzoo import main
from schemas.store import connect
from tests.hub import Fault, Hub, serving, set_client

Vectors = Callable[[str], list[list[float]]]
ENCODER = '''
import numpy as np

from zoo.encoder import Encoder


class FamilyEncoder(Encoder):
    """Atomic numbers times a learned scale."""

    def __init__(self, model, **rest):
        super().__init__(model, **rest)
        width = int((self.weights / "config.txt").read_text())
        draw = np.random.default_rng(self.untrained_seed)
        trained = self.untrained_seed is None
        net = self.weights / "net.npz"
        self.scale = np.load(net)["scale"] if trained else draw.normal(size=width)

    def prepare(self, system):
        return system.numbers

    def encode(self, items, representations):
        return {name: [item.mean() * self.scale for item in items] for name in representations}
'''
MODEL = """
[[model]]
id = "net"
title = "Net"
input = "structure"
default_representation = "whole"
license_weights = { name = "Own", url = "https://example.org/own", commercial = false }
compute = { parameters = 3, scales_with = "systems", batch = 8 }
provenance = { architecture = "a product", training_sets = [], citation = "none" }
tolerance = { batch = 1e-6 }

[model.weights]
source = "hub"
repo = "owner/net"
format = "zip"
files = [{ path = "config.txt" }, { path = "net.npz", twin = false }]

[[model.representation]]
name = "whole"
layer = "the mean"
level = "system"
pooling = "none"
channels = "invariant"
dimension = 3
"""


def saved(scale: list[float]) -> bytes:
    file = io.BytesIO()
    np.savez(file, scale=np.array(scale))
    return file.getvalue()


@pytest.fixture
def hub(
    layout: Layout, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """Serve the weights of the only model of the toy family, whose environment is ready."""
    family = tmp_path / "zoo" / "toy"
    shutil.copytree(toy_folder / "zoo" / "toy", family)
    (family / "models.toml").write_text(MODEL)
    (family / "encoder.py").write_text(ENCODER)
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "zoo"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as hub:
        hub.repository("owner/net").commit({"config.txt": b"3", "net.npz": saved([1.0, 2.0, 3.0])})
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        yield hub


@pytest.fixture
def vectors(layout: Layout) -> Vectors:
    def read(model_id: str) -> list[list[float]]:
        with connect(layout.store, read_only=True) as connection:
            query = "SELECT vector FROM embeddings WHERE model_id = ? ORDER BY system_id"
            return [list(vector) for (vector,) in connection.execute(query, [model_id]).fetchall()]

    return read


def test_from_a_card_to_the_store(
    hub: Hub,
    tmp_path: Path,
    vectors: Vectors,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "net", "elements"]) == 0
    warning = "WARNING: nobody has recorded the hashes of the weights of net: `matterzoo weights ne"
    assert warning in (planned := capfd.readouterr().out)
    assert "weights: 2 files to download, 0.0 MB" in planned
    assert main(["ingest", "net", "elements", "--limit", "5"]) == 2
    assert "`matterzoo weights net` downloads and records them, and so does --yes here" in (
        capfd.readouterr().err
    )
    assert not (tmp_path / "matter.data").exists() and hub.asked("/storage/") == []
    assert main(["weights", "net,net@untrained"]) == 0
    assert len(hub.asked("/storage/")) == 1
    [file] = Path(constants.HF_HUB_CACHE).glob("models--owner--net/snapshots/*/net.npz")
    file.unlink()
    assert main(["plan", "net", "elements"]) == 0
    assert "weights: 1 file to download, 0.0 MB" in capfd.readouterr().out
    shutil.rmtree(tmp_path / "hf")
    hub.repositories["models", "owner/net"].commit(
        {"net.npz": saved([0.0, 0.0, 0.0])}
    )  # which is not what is pinned
    assert main(["ingest", "net@untrained", "elements", "--limit", "5"]) == 0
    assert len(vectors("net@untrained")) == 5 and len(hub.asked("/storage/")) == 1
    assert main(["ingest", "net", "elements", "--limit", "5"]) == 0
    out = capfd.readouterr().out
    assert (
        "license of the weights: Own, for non-commercial use only; https://example.org/own" in out
    )
    found = np.array(vectors("net"))
    assert np.allclose(found / found[:, :1], [[1.0, 2.0, 3.0]] * 5)


def test_an_ingest_offers_what_is_missing_before_anything_starts(
    hub: Hub, layout: Layout, vectors: Vectors, capfd: pytest.CaptureFixture[str]
) -> None:
    repo = hub.repositories["models", "owner/net"]
    repo.gated = True
    assert main(["ingest", "net", "elemnts", "--yes"]) == 2
    assert "elements" in capfd.readouterr().err and hub.log == [], "datasets are found first"
    assert main(["plan", "net", "elements"]) == 0
    assert "  WARNING: owner/net is gated, and no token is set here: " in capfd.readouterr().out
    assert main(["plan", "net", "elements", "--on", "slurm", "--runtime", "venv"]) == 0
    assert "\nWARNING: owner/net is gated, and no token is set here: " in capfd.readouterr().out
    assert main(["ingest", "net", "elements", "--yes"]) == 2
    assert "gated, and no token is set here" in capfd.readouterr().err
    assert not layout.store.exists(), "nothing is begun if no model can be run"
    repo.gated = False
    assert main(["ingest", "net", "elements", "--limit", "5", "--yes"]) == 0
    out = capfd.readouterr().out
    assert "net: recorded in " in out and "net.npz, 0.0 MB, sha256 " in out
    assert len(vectors("net")) == 5


def test_weights_are_asked_for_only_where_they_are_needed_and_may_be_had(
    hub: Hub,
    tmp_path: Path,
    vectors: Vectors,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    card = tmp_path / "zoo" / "toy" / "models.toml"
    card.write_text(MODEL.replace("commercial = false", "commercial = false, gated = true"))
    repo = hub.repositories["models", "owner/net"]
    repo.gated, repo.members = True, {"hf_member"}
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert main(["weights", "net,net@untrained"]) == 0
    shutil.rmtree(tmp_path / "hf")
    command = ["ingest", "net,net@untrained", "elements", "--limit", "5"]
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        os.write(ours, b"n\ny\n")
        assert main(command) == 1
    os.close(ours)
    said = capfd.readouterr().err
    assert "net is left out, and the other models are run: net was not downloaded, since" in said
    assert "1 of 2 models failed: net. `matterzoo ingest net elements --limit 5` continues" in said
    assert len(vectors("net@untrained")) == 5 and not vectors("net")
    assert len(hub.asked("/storage/")) == 1, "who does not accept a license does not download"
    shutil.rmtree(tmp_path / "hf")
    hub.log.clear()
    command[1] = "net@untrained"
    assert main(["plan", *command[1:]]) == 0
    assert "net@untrained: 0 systems to embed, of 5\ndisk: " in capfd.readouterr().out
    assert main(command) == 0 and hub.log == [], "nothing is asked where all is stored"


def test_altered_weights_are_never_loaded(
    hub: Hub, layout: Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "net"]) == 0
    [file] = Path(constants.HF_HUB_CACHE).glob("models--owner--net/snapshots/*/net.npz")
    file.resolve().write_bytes(file.read_bytes()[:-1] + b"x")
    hub.faults = [Fault("/resolve/", status=404, method="HEAD", times=99)]
    assert main(["ingest", "net", "elements", "--limit", "5"]) == 1
    out, error = capfd.readouterr()
    assert "net.npz is not the file expected: its sha256 is" in out and "answered 404" in error
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(0,)]
