"""Remove what carries our labels from the engine, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import docker
from docker.errors import APIError, NotFound
from docker.models.images import Image

from ingest.images.containers import left_behind, ours
from ingest.images.recipe import FAMILY, PART, RUN


def clean(client: docker.DockerClient, family: str | None = None) -> Iterator[str]:
    """Remove the images of one family, or every image of ours with the layers kept for the next build.

    Containers whose process is gone go first; one that works stays. So does an image that a container is made of, ours
    or anybody's: Docker would remove it from under one that has ended, Podman the container with it. Yields what was
    done.
    """
    for name in left_behind(client):
        yield f"removed container {name}"
    for container in ours(client):
        yield f"container {container.name} is working on run {container.labels.get(RUN)}; it stays"
    users = {
        _digits(c.attrs["Image"]): c.name
        for c in client.containers.list(all=True, ignore_removed=True)
    }
    for image in client.images.list(filters={"label": PART}):
        if family in (None, image.labels.get(FAMILY)):
            yield from _remove(client, image, users.get(_digits(image.id)))


def listed(client: docker.DockerClient) -> list[str]:
    """Return a line for each image that `clean` would remove, unless a container is made of it."""
    images = client.images.list(filters={"label": PART})
    return [
        f"image {next(iter(i.tags), i.short_id)} ({i.attrs['Size'] / 1e6:,.0f} MB)" for i in images
    ]


def _digits(image: str) -> str:
    """An image's id, as Docker and Podman both write it."""
    return image.removeprefix("sha256:")


def _remove(client: docker.DockerClient, image: Image, user: str | None) -> Iterator[str]:
    name = next(iter(image.tags), image.short_id)
    if user is not None:
        yield f"image {name} stays: container {user} is made of it"
        return
    try:
        client.api.remove_image(image.id, force=True)
        yield f"removed image {name} ({image.attrs['Size'] / 1e6:,.0f} MB, what it shares with others included)"
    except NotFound:  # it went with another
        pass
    except APIError as error:
        yield f"image {name} stays: {error.explanation}"
