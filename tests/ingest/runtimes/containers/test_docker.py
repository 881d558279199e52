"""The docker runtime computes what venv does, and keeps the worker from everything else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import docker
import numpy as np
import pytest

from ingest.images.containers import list_containers
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runtimes import choose_runtime
from matterzoo import main
from matterzoo import main as zoo
from schemas.store import connect
from tests.hub import serving, set_client
from zoo.cards.discovery import find_family
from zoo.cards.family import Family

pytestmark = pytest.mark.container
Ingest = Callable[..., tuple[int, str, str]]


def vectors(layout: Layout) -> dict[str, np.ndarray]:
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute("SELECT system_id, vector FROM embeddings").fetchall()
    return {system_id: np.array(vector, dtype=np.float64) for system_id, vector in rows}


def nodes(layout: Layout) -> list[tuple[object, ...]]:
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT system_id, node, vector FROM node_embeddings ORDER BY ALL"
        return connection.execute(query).fetchall()


def test_gives_what_the_local_environment_gives(layout: Layout, ingest: Ingest) -> None:
    code, out, err = ingest("plain", "--nodes")
    assert code == 0, err
    assert out.splitlines()[0] == "runtime docker: asked for"
    first, atoms = vectors(layout), nodes(layout)
    with connect(layout.store, read_only=True) as connection:
        ((runtime, image),) = connection.execute("SELECT runtime, image FROM runs").fetchall()
    assert runtime == "docker" and image.startswith("sha256:")
    layout.store.rename(layout.store.with_name("docker.duckdb"))
    layout.data.rename(layout.data.with_name("docker.data"))
    assert ingest("plain", "--nodes", runtime="venv")[0] == 0
    second = vectors(layout)
    assert len(atoms) > 40 and nodes(layout) == atoms
    assert len(first) == 40 and first.keys() == second.keys()
    for system_id, vector in first.items():
        assert np.linalg.norm(vector - second[system_id]) <= 1e-6 * np.linalg.norm(vector)


def test_a_container_has_no_network_no_privilege_and_nothing_to_write_but_its_output(
    ingest: Ingest, only_run: Callable[[], Run], client: docker.DockerClient
) -> None:
    assert ingest("probe")[0] == 0
    line = next(line for line in only_run().log.read_text().splitlines() if line.startswith("{"))
    found = json.loads(line)
    assert (found["uid"], found["gid"]) == (os.getuid(), os.getgid())
    assert found["pid"] != 1  # that is a small init, which passes signals on
    assert found["interfaces"] == ["lo"]
    assert (int(found["capabilities"], 16), int(found["bounding"], 16)) == (0, 0)
    assert found["no_new_privileges"] == "1"
    assert "Read-only file system" in found["root"] and "Read-only file system" in found["job"]
    assert found["scratch"] == "1"
    assert not {name for name in found["environment"] if "TOKEN" in name or "KEY" in name}
    assert list_containers(client) == []
    for file in only_run().out.iterdir():
        assert file.stat().st_uid == os.getuid()


def test_weights_are_mounted_for_reading(
    layout: Layout,
    ingest: Ingest,
    only_run: Callable[[], Run],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The weights are from a hub, whose cache has links that lead out of their folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as hub:
        hub.repository("owner/scale").commit({"deep/scale.txt": b"3"})
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        assert zoo(["pin", "boxed-weighed"]) == 0
        assert ingest("weighed")[0] == 0
    assert "Read-only file system" in only_run().log.read_text()
    assert ingest("plain")[0] == 0
    with connect(layout.store, read_only=True) as connection:
        query = (
            "SELECT w.vector, p.vector FROM embeddings w JOIN embeddings p USING (system_id) "
            "WHERE w.model_id = $w"
        )
        pairs = connection.execute(
            query + " AND p.model_id = $p", {"w": "boxed-weighed", "p": "boxed-plain"}
        ).fetchall()
    assert len(pairs) == 40
    assert all(np.allclose(w, 3 * np.array(p)) for w, p in pairs)


def test_the_models_of_a_family_share_a_container(
    layout: Layout, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    create = docker.models.containers.ContainerCollection.create

    def watched(self: object, *arguments: object, **options: object) -> object:
        made.append(create(self, *arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(docker.models.containers.ContainerCollection, "create", watched)
    assert ingest("plain,boxed-probe,boxed-hungry", dataset="elements,g2")[0] == 0
    assert len(made) == 1
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT model_id, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
        found = connection.execute(query).fetchall()
    assert found == [("boxed-hungry", 80), ("boxed-plain", 80), ("boxed-probe", 80)]


def test_limits_are_those_asked_for(
    ingest: Ingest, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, object]] = []
    create = docker.models.containers.ContainerCollection.create

    def watched(self: object, *arguments: object, **options: object) -> object:
        container = create(self, *arguments, **options)  # type: ignore[arg-type]
        made.append(client.api.inspect_container(container.id)["HostConfig"])
        return container

    monkeypatch.setattr(docker.models.containers.ContainerCollection, "create", watched)
    assert ingest("plain", "--memory", "300m", "--cpus", "1")[0] == 0
    (options,) = made
    assert (options["Memory"], options["MemorySwap"], options["NanoCpus"]) == (
        300 * 2**20,
        300 * 2**20,
        10**9,
    )
    assert options["PidsLimit"] and options["NetworkMode"] == "none" and options["ReadonlyRootfs"]
    cpus = client.info()["NCPU"]
    code, _, err = ingest("slow", "--cpus", str(cpus + 1))
    assert code == 1 and f"--cpus {cpus + 1} is more than the {cpus} that" in err


def test_is_the_default_where_the_image_is_here(layout: Layout, boxed: Family) -> None:
    runtime, why = choose_runtime(None, [boxed])
    assert (runtime.name, why) == ("docker", "the first choice, and this machine can use it")


def test_is_passed_over_where_a_family_has_no_image(
    boxed: Family, layout: Layout, boxed_folder: object
) -> None:
    other = boxed.model_copy(update={"name": "unbuilt"})
    runtime, why = choose_runtime(None, [boxed, other])
    assert runtime.name == "venv"
    assert why.startswith("docker answers, but no image of unbuilt has been published")
    assert "`matterzoo build unbuilt` builds one here" in why


def test_an_image_that_is_not_there_is_named(
    layout: Layout, capfd: pytest.CaptureFixture[str]
) -> None:
    stale = find_family("boxed").path / "encoder.py"
    before = stale.read_text()
    stale.write_text(before + "ANOTHER = 1\n")
    try:
        assert main(["ingest", "boxed-plain", "elements", "--runtime", "docker"]) == 1
    finally:
        stale.write_text(before)
    err = capfd.readouterr().err
    assert (
        "no image of boxed has been published" in err
        and "`matterzoo build boxed` builds one here" in err
    )
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(0,)]


def test_a_gpu_that_is_not_there_is_an_error_and_never_a_cpu(
    ingest: Ingest, client: docker.DockerClient, layout: Layout
) -> None:
    if "nvidia" in client.info()["Runtimes"]:
        pytest.skip("this engine has GPUs; the tests of `make test-gpu` use them")
    code, _, err = ingest("plain", "--device", "cuda")
    assert code == 1
    assert "container toolkit" in err or "passes no GPU to a container" in err
    assert list_containers(client) == [] and not layout.store.exists() or vectors(layout) == {}
