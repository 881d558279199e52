"""`matterzoo clean --images` removes what carries the project's labels and nothing else.

The images that a test removes carry a label of its own, so that the images of whoever runs it stay.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator

import docker
import pytest
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.images import Image

from ingest.images import local_images, removal
from ingest.images.build import BuildOptions, build
from ingest.images.containers import remove_container, this_process
from ingest.images.recipe import FAMILY, HOST, RUN
from ingest.images.removal import clean
from matterzoo import main
from zoo.cards.family import Family

pytestmark = pytest.mark.container
Make = Callable[..., Image]
Start = Callable[..., Container]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> str:
    """The label by which images are taken for the project's."""
    name = f"org.matterzoo.test-{uuid.uuid4().hex[:12]}"
    monkeypatch.setattr(removal, "PART", name)
    return name


@pytest.fixture
def make(client: docker.DockerClient, base: str) -> Iterator[Make]:
    """Make a small image with these labels; without a name it is dangling."""
    made: list[str] = []

    def image(labels: dict[str, str], name: str | None = None) -> Image:
        file = f"FROM {base}\nLABEL org.example.number={uuid.uuid4().hex}\n"
        found, _ = client.images.build(
            fileobj=io.BytesIO(file.encode()), labels=labels, tag=name, rm=True
        )
        made.append(found.id)
        return found

    yield image
    for number in made:
        try:
            client.api.remove_image(number, force=True)
        except NotFound:  # as it should be
            continue


@pytest.fixture
def start(client: docker.DockerClient) -> Iterator[Start]:
    """Start a container of an image, which works until the test ends."""
    made: list[Container] = []

    def container(image: str, labels: dict[str, str], command: str = "sleep 600") -> Container:
        # With an init, because a first process does not end when it is asked to.
        options = {"labels": labels, "network_mode": "none", "init": True, "detach": True}
        made.append(client.containers.run(image, command.split(), **options))
        return made[-1]

    yield container
    for one in made:
        remove_container(one)


def images(client: docker.DockerClient) -> dict[str, str | None]:
    """The id of each image, and the family that its labels name."""
    return {image.id: image.labels.get(FAMILY) for image in client.images.list()}


def test_nothing_but_ours_is_removed(
    client: docker.DockerClient, base: str, part: str, make: Make, start: Start
) -> None:
    foreign = {make({}, "example/foreign:1").id, make({"org.example.part": "family"}).id}
    ours = {
        make({part: "family", FAMILY: "boxed"}, "matterzoo/boxed:clean").id,
        make({part: "build"}).id,
    }
    running, ended = start(base, {"org.example.run": "x"}), start(base, {}, "true")
    assert foreign | ours <= images(client).keys()
    done = list(clean(client))
    assert len([line for line in done if line.startswith("removed image ")]) == 2
    assert any("matterzoo/boxed:clean" in line for line in done)
    left = images(client).keys()
    assert foreign <= left and not ours & left
    for container, status in ((running, "running"), (ended, "exited")):
        container.reload()
        assert container.status == status
    assert list(clean(client)) == []


def test_what_is_at_work_stays(
    client: docker.DockerClient, part: str, make: Make, start: Start
) -> None:
    image = make({part: "family", FAMILY: "boxed"}, "matterzoo/boxed:clean")
    work = start("matterzoo/boxed:clean", {RUN: "/elsewhere/runs/r1", HOST: this_process()})
    first, second = clean(client)
    assert first == f"container {work.name} is working on run /elsewhere/runs/r1; it stays"
    assert second == f"image {image.tags[0]} stays: container {work.name} was made from it"
    work.reload()
    assert work.status == "running" and image.id in images(client)
    remove_container(work)
    assert [line.startswith(f"removed image {image.tags[0]} (") for line in clean(client)] == [True]


def test_somebody_elses_container_of_our_image_stays(
    client: docker.DockerClient, part: str, make: Make, start: Start
) -> None:
    make({part: "family", FAMILY: "boxed"}, "matterzoo/boxed:clean")
    theirs = start("matterzoo/boxed:clean", {}, "true")
    theirs.wait()
    (line,) = clean(client)
    assert line.endswith(f" stays: container {theirs.name} was made from it")
    theirs.reload()


def test_one_familys(
    client: docker.DockerClient,
    boxed: Family,
    build_options: BuildOptions,
    make: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = make({removal.PART: "family", FAMILY: "unbuilt"}, "matterzoo/unbuilt:clean")
    before = images(client)
    found = local_images.find_built(client, boxed)
    assert found is not None and {found.id, other.id} <= before.keys()
    try:
        assert main(["clean", "--images", "boxed"]) == 0
        gone = before.keys() - images(client).keys()
        assert found.id in gone and {before[number] for number in gone} == {"boxed"}
        assert f"removed image {found.tags[0]} (" in capsys.readouterr().out
        assert main(["clean", "--images", "boxed"]) == 0
        assert "removed image" not in capsys.readouterr().out
    finally:
        build(client, boxed, build_options, lambda text: None)
