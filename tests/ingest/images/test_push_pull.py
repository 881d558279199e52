"""Images are pushed and pulled by digest, and no other image is taken for one of the project."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from ingest.failures import RunError
from ingest.images.build import BuildOptions, build
from ingest.images.digests import (
    Published,
    current,
    digests_file,
    explain_missing,
    published,
    record,
)
from ingest.images.layers import LayerProgress
from ingest.images.local_images import find_built, find_image
from ingest.images.push_pull import pull, push
from ingest.images.recipe import REVISION, UNCOMMITTED, recipe
from ingest.images.status import describe_images, stale_families
from ingest.layout import Layout
from matterzoo import main
from tests.ingest.images.registry import serving
from zoo.cards.discovery import find_family
from zoo.cards.family import Family

Ingest = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def entry(
    boxed: Family, build_options: BuildOptions, client: docker.DockerClient, registry: str,
    places: dict[str, str],
) -> Iterator[Published]:  # fmt: skip
    """The family's image in the registry, pushed once. At the end it is built again."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        build(client, boxed, build_options, lambda text: None)
        yield push(client, boxed, registry, lambda text: None, uncommitted=True)
        forget(client, boxed)
        build(client, boxed, build_options, lambda text: None)


@pytest.fixture
def pushed(entry: Published, boxed: Family, client: docker.DockerClient) -> Iterator[Published]:
    """The family's image in the registry and in images.lock, and none here."""
    record(boxed, entry)
    forget(client, boxed)
    yield entry
    digests_file(boxed).unlink()


@pytest.fixture
def built(boxed: Family, build_options: BuildOptions, client: docker.DockerClient) -> Image:
    """The family's image, built here; nothing is published."""
    digests_file(boxed).unlink(missing_ok=True)
    return build(client, boxed, build_options, lambda text: None)


def forget(client: docker.DockerClient, family: Family) -> None:
    """Remove the family's image under all its names."""
    while (image := find_built(client, family)) is not None:
        client.api.remove_image(image.id, force=True)


@pytest.mark.container
def test_what_was_pushed_is_pulled_by_its_digest_and_run(
    pushed: Published, boxed: Family, client: docker.DockerClient, ingest: Ingest
) -> None:
    assert json.loads(digests_file(boxed).read_text()) == {"boxed": vars(pushed)}
    assert find_image(client, boxed) is None and stale_families().count("boxed") == 0
    code, out, _ = ingest("plain")
    assert code == 0
    assert f"pulling {pushed.reference}" in out and f"image {pushed.reference}" in out
    found = find_image(client, boxed)
    assert found is not None and found == pushed.reference
    assert any(pushed.digest in row for row in describe_images(client) if row.startswith("boxed"))


@pytest.mark.container
def test_the_run_records_the_digest(pushed: Published, ingest: Ingest, layout: Layout) -> None:
    from schemas.store import connect

    assert ingest("plain")[0] == 0
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT image FROM runs").fetchall() == [(pushed.reference,)]


@pytest.mark.container
def test_pull_of_a_model_and_of_a_family(
    pushed: Published, boxed: Family, build_options: BuildOptions, client: docker.DockerClient,
    layout: Layout, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    build(client, boxed, build_options, lambda text: None)  # it will not do for the published one
    assert main(["pull", "--model", "boxed-plain"]) == 0
    assert f"boxed: {pushed.reference} pulled" in capfd.readouterr().out
    assert main(["pull", "boxed"]) == 0
    assert f"boxed: {pushed.reference} is here" in capfd.readouterr().out


@pytest.mark.container
def test_a_digest_that_the_registry_does_not_hold(
    pushed: Published, boxed: Family, client: docker.DockerClient, ingest: Ingest
) -> None:
    record(boxed, replace(pushed, digest="sha256:" + "0" * 64))
    with pytest.raises(
        RunError, match=rf"the pull of {pushed.image}@sha256:0000.* failed: .*manifest"
    ):
        pull(client, boxed, lambda text: None)
    code, _, err = ingest("plain")
    assert code == 1 and err.count("error: ") == 1 and "Traceback" not in err


@pytest.mark.container
def test_a_registry_that_is_not_there(
    pushed: Published, boxed: Family, client: docker.DockerClient
) -> None:
    record(boxed, replace(pushed, image="127.0.0.1:9/matterzoo-boxed"))
    with pytest.raises(
        RunError, match=r"the pull of 127.0.0.1:9/matterzoo-boxed@.* failed: .*refused"
    ):
        pull(client, boxed, lambda text: None)


@pytest.mark.container
def test_a_push_that_fails_records_nothing(
    built: Image, boxed: Family, client: docker.DockerClient
) -> None:
    with pytest.raises(
        RunError, match=r"the push of 127.0.0.1:9/matterzoo-boxed failed: .*refused"
    ):
        push(client, boxed, "127.0.0.1:9", lambda text: None, uncommitted=True)
    assert published(boxed) is None


@pytest.mark.container
def test_an_image_of_an_uncommitted_tree_is_pushed_only_if_told_to(
    built: Image, boxed: Family, build_options: BuildOptions, client: docker.DockerClient,
    registry: str, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    label = {REVISION: "0" * 40 + UNCOMMITTED}
    file = io.BytesIO(f"FROM {built.id}\nLABEL org.example.copy=1\n".encode())
    name = f"matterzoo/boxed:{recipe(boxed)[:12]}"
    image, _ = client.images.build(fileobj=file, labels=label, tag=name, rm=True)
    try:
        assert main(["push", "boxed", registry]) == 1
        assert "built from files that no commit has (000" in capfd.readouterr().err
        assert published(boxed) is None
        assert main(["push", "all", "--uncommitted", registry]) == 0
        entry = published(boxed)
        assert entry is not None and entry.revision == label[REVISION]
        digests_file(boxed).unlink()
    finally:
        client.api.remove_image(image.id, force=True)  # with Podman, what it was made from, too
        build(client, boxed, build_options, lambda text: None)


@pytest.mark.container
def test_an_image_of_another_recipe_is_not_pulled(
    pushed: Published, boxed: Family, client: docker.DockerClient
) -> None:
    record(boxed, replace(pushed, recipe="0" * 64))
    with pytest.raises(
        RunError,
        match=rf"published image of boxed, {pushed.reference}, is stale: .*`matterzoo build ",
    ):
        pull(client, boxed, lambda text: None)


@pytest.mark.container
def test_an_image_under_a_digest_that_is_not_the_familys_is_not_used(
    pushed: Published, boxed: Family, build_options: BuildOptions, base: str,
    client: docker.DockerClient, registry: str,
) -> None:  # fmt: skip
    client.images.get(base).tag(f"{registry}/foreign", "1")
    digest = ""
    for event in client.api.push(f"{registry}/foreign", tag="1", stream=True, decode=True):
        words = str(event.get("status", "")).split()
        digest = next((word for word in words if word.startswith("sha256:")), digest)
    client.api.remove_image(f"{registry}/foreign:1")
    entry = Published(f"{registry}/foreign", digest, recipe(boxed), None)
    record(boxed, entry)
    with pytest.raises(
        RunError,
        match=rf"{entry.reference} has the labels .* not those of boxed with recipe .*not used",
    ):
        pull(client, boxed, lambda text: None)
    assert find_image(client, boxed) is None
    built = build(client, boxed, build_options, lambda text: None)
    assert find_image(client, boxed) == built.id


@pytest.mark.container
def test_what_is_not_built_is_not_pushed(
    client: docker.DockerClient, boxed: Family, registry: str
) -> None:
    with pytest.raises(
        RunError, match=r"no image of unbuilt .*`matterzoo build unbuilt` builds it"
    ):
        push(client, boxed.model_copy(update={"name": "unbuilt"}), registry, print)


def test_nothing_published_is_said_plainly(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_IMAGES", str(tmp_path / "images.lock"))
    message = explain_missing(find_family("boxed"))
    assert (
        message.startswith("no image of boxed has been published (")
        and "images.lock has no entry" in message
    )
    assert current(find_family("boxed")) is None


def test_entries_of_other_families_stay(
    places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_IMAGES", str(tmp_path / "images.lock"))
    family = find_family("boxed")
    one, two = (Published("example.org/x", f"sha256:{n * 64}", recipe(family), None) for n in "12")
    record(family, one)
    record(family.model_copy(update={"name": "another"}), two)
    assert published(family) == one
    record(family, two)
    assert list(json.loads((tmp_path / "images.lock").read_text())) == ["another", "boxed"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: .*restore it from the repository"),
        ("[]", "holds a list, expected an object"),
        ('{"boxed": {"image": "x"}}', "the entry of boxed is not one that `matterzoo push` writes"),
        ('{"boxed": "x"}', "the entry of boxed is not one that `matterzoo push` writes"),
    ],
)
def test_an_images_lock_that_cannot_be_read(
    places: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    message: str,
) -> None:
    (tmp_path / "images.lock").write_text(content)
    monkeypatch.setenv("MATTERZOO_IMAGES", str(tmp_path / "images.lock"))
    with pytest.raises(RunError, match=message):
        published(find_family("boxed"))


def test_progress_is_counted_by_layer() -> None:
    with LayerProgress() as layers:
        layers.show({"status": "Pulling from x"})
        layers.show(
            {
                "id": "a",
                "status": "Downloading",
                "progressDetail": {"current": 1_000_000, "total": 4_000_000},
            }
        )
        layers.show(
            {
                "id": "b",
                "status": "Downloading",
                "progressDetail": {"current": 2_000_000, "total": 2_000_000},
            }
        )
        layers.show({"id": "b", "status": "Pull complete", "progressDetail": {}})
        layers.show({"id": "c", "status": "Already exists", "progressDetail": {}})
        assert str(layers) == "2 of 3 layers, 3 of 6 MB"
