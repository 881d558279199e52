"""Remove from the engine what carries the project's labels, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import docker
from docker.errors import APIError, NotFound
from docker.models.images import Image

from ingest.images.containers import list_containers, remove_abandoned
from ingest.images.recipe import FAMILY, PART, RUN


def clean(client: docker.DockerClient, family: str | None = None) -> Iterator[str]:
    """Remove the project's images and abandoned containers from the engine.

    Containers of processes that are gone are removed first; a container that works stays. An image
    that any container was made from stays, too: otherwise Docker would remove it from under a
    container that has ended, and Podman would remove the container with it.

    Args:
        client: The engine to clean.
        family: The name of the family to remove the images of; None removes those of all
            families, and the layers that are kept for the next build.

    Yields:
        One line for each thing that was removed or that stays.
    """
    for name in remove_abandoned(client):
        yield f"removed container {name}"
    for container in list_containers(client):
        yield f"container {container.name} is working on run {container.labels.get(RUN)}; it stays"
    users = {
        _digits(container.attrs["Image"]): container.name
        for container in client.containers.list(all=True, ignore_removed=True)
    }
    for image in client.images.list(filters={"label": PART}):
        if family in (None, image.labels.get(FAMILY)):
            yield from _remove(client, image, users.get(_digits(image.id)))


def list_removable(client: docker.DockerClient) -> list[str]:
    """Return one line for each image that `clean` removes, unless a container was made from it.

    Args:
        client: The engine to ask.
    """
    images = client.images.list(filters={"label": PART})
    return [f"image {_name(image)} ({image.attrs['Size'] / 1e6:,.0f} MB)" for image in images]


def _name(image: Image) -> str:
    return str(next(iter(image.tags), image.short_id))


def _digits(image_id: str) -> str:
    """Return an image's id without the prefix that Docker writes and Podman does not."""
    return image_id.removeprefix("sha256:")


def _remove(client: docker.DockerClient, image: Image, user: str | None) -> Iterator[str]:
    """Remove one image, unless a container, `user`, was made from it."""
    name = _name(image)
    if user is not None:
        yield f"image {name} stays: container {user} was made from it"
        return
    try:
        client.api.remove_image(image.id, force=True)
    except NotFound:  # it was removed together with another image
        return
    except APIError as error:
        yield f"image {name} stays: {error.explanation}"
        return
    size = f"{image.attrs['Size'] / 1e6:,.0f} MB"
    yield f"removed image {name} ({size}, what it shares with others included)"
