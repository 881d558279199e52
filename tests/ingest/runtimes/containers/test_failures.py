"""What may go wrong with a container, each time with one clear message and a true row of runs.

The next start goes on from what is done. Engine, processes, limits and the full disk are real; what
is cut is the connection to the engine.
"""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import docker
import pyarrow.parquet as pq
import pytest
from docker.models.containers import Container

from ingest.executors import embed
from ingest.images import local_images
from ingest.images.build import BuildOptions, build
from ingest.images.containers import list_containers, remove_container, this_process
from ingest.images.engine import Engine, connected
from ingest.images.recipe import FAMILY, HOST, RECIPE, RUN, recipe
from ingest.layout import Layout
from ingest.runs.folder import Run, list_runs
from ingest.runtimes import docker as docker_runtime
from schemas.store import connect
from tests.ingest.relay import Relay
from zoo.cards.family import Family

pytestmark = pytest.mark.container
Result = tuple[int, str, str]
Ingest = Callable[..., Result]
Meanwhile = Callable[[Callable[[], object]], None]
OnlyRun = Callable[[], Run]
DONE, ALL = 1024, 1100  # systems of the first shard, and of the whole dataset
# The SDK leaves its socket open where an engine refuses it.
lost_sockets = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_is_left(client: docker.DockerClient) -> Iterator[None]:
    yield
    assert list_containers(client) == []


@pytest.fixture
def mine(client: docker.DockerClient, only_run: OnlyRun) -> Callable[[], list[Container]]:
    """The containers of this test's run."""
    return lambda: [c for c in list_containers(client) if c.labels[RUN] == str(only_run().folder)]


@pytest.fixture
def podman(client: docker.DockerClient) -> bool:
    return Engine.ask(client).name == "Podman"


def assert_failed(
    layout: Layout, result: Result, reason: str, done: int = DONE, sent: int = ALL
) -> None:
    """Assert one message, one row of runs that says the same, and no vectors in the store.

    done: at least so many systems are in shards.
    """
    code, _, err = result
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(errors) == 1 and reason in errors[0], err
    assert "Traceback" not in err
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT status, runtime, sent, ok >= ?, contains(reason, ?) FROM runs"
        rows = connection.execute(query, [done, reason]).fetchall()
        assert rows == [("failed", "docker", sent, True, True)]
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(0,)]


def assert_loaded(layout: Layout, result: Result, n: int = ALL, atoms: int = 0) -> None:
    """Assert that all vectors are in the store, and that the row of runs says so.

    atoms: of how many atoms the store has vectors; they are a representation of their own.
    """
    assert result[0] == 0, result
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute("SELECT status, reason, runtime, sent, ok FROM runs").fetchall()
        sent = 2 * n if atoms else n
        assert rows == [("ok", None, "docker", sent, sent)]
        counts = "SELECT (SELECT count(*) FROM embeddings), (SELECT count(*) FROM node_embeddings)"
        assert connection.execute(counts).fetchall() == [(n, atoms)]


def assert_resumes(
    layout: Layout, ingest: Ingest, model: str, molecules: str, done: int = DONE
) -> None:
    """Assert that the same command goes on from the existing shards.

    done: at least so many systems are in shards.
    """
    (run,) = list_runs(layout)
    found = sum(pq.read_metadata(shard).num_rows for shard in run.shards)
    result = ingest(model, dataset=molecules, limit=ALL)
    assert_loaded(layout, result)
    assert done <= found < ALL
    assert (
        f"continuing from the {found} of {ALL} systems that an earlier start finished" in result[2]
    )
    assert run.finished and run.shards == []


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# --- the engine
def test_no_engine_is_there(
    layout: Layout, ingest: Ingest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")
        code, out, err = ingest("plain")
    message = (
        "runtime docker cannot be used here: no container engine answers at "
        f"unix://{folder}/none.sock"
    )
    assert (code, out) == (2, "") and err.startswith(f"error: {message}") and err.count("\n") == 1
    assert not layout.store.exists() and not layout.data.exists()
    assert_loaded(layout, ingest("plain"), 40)


@lost_sockets
def test_the_engine_stops_before_the_run(
    layout: Layout, ingest: Ingest, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = embed.prepare_dataset

    def prepare_and_cut(*arguments: object, **options: object) -> object:
        relay.cut()
        return prepare(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(embed, "prepare_dataset", prepare_and_cut)
        result = ingest("plain")
    assert_failed(
        layout,
        result,
        f"no container engine answers at unix://{relay.path}: connection refused",
        done=0,
        sent=40,
    )
    monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.engine}")
    assert_loaded(layout, ingest("plain"), 40)


@lost_sockets
def test_the_engine_stops_during_a_run(
    layout: Layout,
    ingest: Ingest,
    molecules: str,
    meanwhile: Meanwhile,
    relay: Relay,
    mine: Callable[[], list[Container]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meanwhile(relay.cut)
    result = ingest("late", dataset=molecules, limit=ALL)
    assert_failed(
        layout, result, f"the container engine at unix://{relay.path} stopped answering: "
    )
    (left,) = mine()
    wait_for(lambda: (left.reload(), left.status == "exited")[1], 5)  # its standard input has ended
    monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.engine}")
    assert_resumes(layout, ingest, "late", molecules)


@lost_sockets
def test_the_engine_hangs_during_a_run(
    layout: Layout,
    ingest: Ingest,
    molecules: str,
    meanwhile: Meanwhile,
    relay: Relay,
    mine: Callable[[], list[Container]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(docker_runtime, "connected", partial(connected, timeout=2))
        patch.setattr(docker_runtime, "GRACE", 1)
        meanwhile(relay.freeze)
        result = ingest("late", "--timeout", "5", dataset=molecules, limit=ALL)
    assert_failed(
        layout, result, f"the container engine at unix://{relay.path} stopped answering: "
    )
    relay.cut()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.engine}")
    assert_resumes(layout, ingest, "late", molecules)


# --- the image
@pytest.fixture
def forget(
    client: docker.DockerClient, boxed: Family, build_options: BuildOptions
) -> Iterator[Callable[[], None]]:
    """Remove the family's image, and what Podman kept of earlier builds, until the test ends.

    What it was made from stays, so that it is soon built again.
    """

    def remove() -> None:
        while (found := local_images.find_built(client, boxed)) is not None:
            client.api.remove_image(found.id, force=True, noprune=True)

    yield remove
    build(client, boxed, build_options, lambda text: None)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("find", "no image of boxed has been published"),
        ("create", "has just been removed; `matterzoo pull boxed` or `matterzoo build boxed`"),
    ],
)
def test_the_image_vanishes_after_it_was_found(
    when: str,
    message: str,
    layout: Layout,
    ingest: Ingest,
    forget: Callable[[], None],
    client: docker.DockerClient,
    boxed: Family,
    build_options: BuildOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = {"find": "ask", "create": "remove_abandoned"}[when]  # what the runtime does just before
    place = {"ask": Engine, "remove_abandoned": docker_runtime}[last]
    do = getattr(place, last)

    def vanish_and_do(*arguments: object) -> object:
        forget()
        return do(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, last, vanish_and_do)
        assert_failed(layout, ingest("plain"), message, done=0, sent=40)
    build(client, boxed, build_options, lambda text: None)
    assert_loaded(layout, ingest("plain"), 40)


def test_an_image_that_only_says_it_is_the_family(
    layout: Layout,
    ingest: Ingest,
    forget: Callable[[], None],
    client: docker.DockerClient,
    base: str,
    boxed: Family,
    build_options: BuildOptions,
) -> None:
    forget()
    labels = {FAMILY: boxed.name, RECIPE: recipe(boxed)}
    file = f'FROM {base}\nENTRYPOINT ["python3", "-P", "-m", "zoo.worker"]\n'
    forged, _ = client.images.build(fileobj=io.BytesIO(file.encode()), labels=labels, rm=True)
    try:
        assert_failed(
            layout,
            ingest("plain"),
            f"{forged.id.removeprefix('sha256:')} is no image of matterzoo",
            done=0,
            sent=40,
        )
    finally:
        client.api.remove_image(forged.id, force=True)
    build(client, boxed, build_options, lambda text: None)
    assert_loaded(layout, ingest("plain"), 40)


# --- the worker
def test_the_worker_is_killed(
    layout: Layout,
    ingest: Ingest,
    molecules: str,
    meanwhile: Meanwhile,
    mine: Callable[[], list[Container]],
    podman: bool,
) -> None:
    if podman:
        pytest.skip(
            "Podman does not say why a process was killed, so memory is taken to be the reason; "
            "run with Docker"
        )
    meanwhile(lambda: mine()[0].kill())
    result = ingest("late", "--nodes", dataset=molecules, limit=ALL)
    assert_loaded(layout, result, atoms=2 * ALL)
    assert "the worker was killed from outside, maybe for its memory" in result[1]
    assert f"continuing from the {DONE} of {ALL} systems" in result[2]


def test_the_worker_crashes(layout: Layout, ingest: Ingest, molecules: str) -> None:
    result = ingest("crashing", dataset=molecules, limit=ALL)
    assert_failed(layout, result, "the worker ended early (exit code 3)")
    assert "memory" not in result[1] + result[2]
    assert_resumes(layout, ingest, "crashing", molecules)


def test_where_memory_runs_out_a_smaller_budget_is_tried(layout: Layout, ingest: Ingest) -> None:
    result = ingest("hungry", "--memory", "300m")
    assert_loaded(layout, result, 40)
    lines = [line.strip() for line in result[1].splitlines() if "memory ran out" in line]
    message = "continuing from the finished shards with half the batch budget"
    assert lines == [f"boxed-hungry: memory ran out: {message}, {n}" for n in (8, 4)]


def test_memory_that_is_too_little_for_one_system(
    layout: Layout, ingest: Ingest, podman: bool
) -> None:
    result = ingest("starving", "--memory", "300m", "--batch", "2", limit=3)
    killed = "killed, and Podman does not say why; most likely" if podman else "killed because"
    assert_failed(layout, result, f"{killed} memory ran out, its limit of 300 MiB", done=0, sent=3)
    assert result[1].count("memory ran out: continuing") == 1
    assert "The batch budget is 1 already. More memory may help (--memory" in result[2]
    assert_loaded(layout, ingest("starving", "--memory", "900m", "--batch", "1", limit=3), 3)


def test_the_worker_hangs(layout: Layout, ingest: Ingest, molecules: str) -> None:
    result = ingest("stuck", "--timeout", "5", dataset=molecules, limit=ALL)
    assert_failed(
        layout, result, "no sign of life for 5 s: counted as hung and ended; --timeout allows more"
    )
    assert_resumes(layout, ingest, "stuck", molecules)


def test_the_disk_fills_up(
    layout: Layout, ingest: Ingest, molecules: str, small_disk: Path, only_run: OnlyRun
) -> None:
    layout.data.symlink_to(small_disk)
    result = ingest("filling", dataset=molecules, limit=ALL)
    assert_failed(layout, result, f"free space on the disk of {only_run().out}, then repeat")
    assert "no space left" in result[2]
    (only_run().out / "filler").unlink()
    assert_resumes(layout, ingest, "filling", molecules)


# --- the host
@pytest.fixture
def host(molecules: str, only_run: OnlyRun, layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """A process with a worker that is in its second shard, where a batch takes 2 s."""
    command = [
        sys.executable,
        "-m",
        "matterzoo",
        "ingest",
        "boxed-late",
        molecules,
        "--limit",
        str(ALL),
    ]
    command += ["--runtime", "docker"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: any(run.shards for run in list_runs(layout)))
        yield process


def test_the_host_process_is_killed(
    layout: Layout,
    ingest: Ingest,
    molecules: str,
    host: subprocess.Popen[str],
    mine: Callable[[], list[Container]],
) -> None:
    (left,) = mine()
    host.kill()  # and nobody asks after it yet: a zombie has ended all the same
    wait_for(lambda: (left.reload(), left.status == "exited")[1], 10)
    assert ingest("plain", "--store", str(layout.store.with_name("other.duckdb")))[0] == 0
    assert mine() == []  # any run removes what is left of any other
    assert_resumes(layout, ingest, "late", molecules, DONE + 1)


def test_the_host_process_is_killed_and_started_again_at_once(
    layout: Layout, ingest: Ingest, molecules: str, host: subprocess.Popen[str]
) -> None:
    time.sleep(1)  # into the next batch, which is not lost
    host.kill()
    host.wait()
    result = ingest("late", dataset=molecules, limit=ALL)
    assert_loaded(layout, result)
    found = re.search(rf"continuing from the (\d+) of {ALL} systems", result[2])
    assert found is not None and DONE < int(found[1]) < ALL


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_host_process_is_interrupted(
    how: signal.Signals,
    layout: Layout,
    ingest: Ingest,
    molecules: str,
    host: subprocess.Popen[str],
    mine: Callable[[], list[Container]],
) -> None:
    time.sleep(1)  # into the next batch, which is not lost
    host.send_signal(how)
    _, err = host.communicate()
    assert host.returncode == 130
    assert (
        err.strip() == "interrupted; what is done is kept, and the same command goes on from there"
    )
    assert mine() == []
    assert not layout.store.exists()
    assert_resumes(layout, ingest, "late", molecules, DONE + 1)


def test_only_what_nobody_works_with_is_removed(
    layout: Layout, ingest: Ingest, client: docker.DockerClient, base: str, only_run: OnlyRun
) -> None:
    """What is removed, and what stays, when the same run starts again or another one does."""
    assert ingest("plain")[0] == 0
    with subprocess.Popen(["true"]) as gone:
        pass
    here, run = socket.gethostname(), only_run()
    owners = {
        "of a process that is gone": (f"{here} {gone.pid} 1", "/elsewhere"),
        "of a process whose number another has now": (f"{here} {os.getpid()} 1", "/elsewhere"),
        "of this very run": (this_process(), str(run.folder)),
        "of one that works": (this_process(), "/elsewhere"),
        "of one that works on the like in another store": (
            this_process(),
            f"/elsewhere/{run.run_id}",
        ),
        "of another machine": (f"not-{here} 1 1", "/elsewhere"),
        "of nobody": ("", "/elsewhere"),
    }
    made = {}
    try:
        for what, (owner, folder) in owners.items():
            labels = {FAMILY: "boxed", RUN: folder, HOST: owner}
            made[what] = client.containers.create(
                base, ["true"], labels=labels, network_mode="none"
            )
        layout.store.unlink()
        (run.out / "run.json").unlink()
        assert_loaded(layout, ingest("plain"), 40)
        there = {
            container.id for container in client.containers.list(all=True, ignore_removed=True)
        }
        assert [what for what, container in made.items() if container.id not in there] == list(
            owners
        )[:3]
    finally:
        for container in made.values():
            remove_container(container)
