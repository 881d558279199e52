"""Push images to a registry, and pull them by their digest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
from docker.errors import APIError
from docker.models.images import Image

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images.digests import Published, current, explain_missing, record
from ingest.images.layers import LayerProgress
from ingest.images.local_images import find_built, is_image_of
from ingest.images.recipe import REVISION, UNCOMMITTED, recipe
from zoo.cards.family import Family

# How the last status of a push ends, with Docker as with Podman.
DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class ImageMissing(RunError):
    """There is no image of the family as it is now: none was built here, or none was published."""


def push(
    client: docker.DockerClient,
    family: Family,
    registry: str,
    log: Log,
    *,
    uncommitted: bool = False,
) -> Published:
    """Push a family's image to a registry, and record its digest in images.lock.

    Args:
        client: The engine that holds the image.
        family: The family of the image.
        registry: The registry and the owner there: `ghcr.io/owner`, `localhost:5000`.
        log: Shows progress, one line per call.
        uncommitted: Whether an image is pushed that holds files that no commit has.

    Returns:
        What was recorded.

    Raises:
        ImageMissing: If no image of the family as it is now is here.
        RunError: If the image was built from files that no commit has, or the push fails; then
            nothing is recorded.
    """
    image = find_built(client, family)
    if image is None:
        raise ImageMissing(
            f"no image of {family.name} as it is now is here; "
            f"`matterzoo build {family.name}` builds it"
        )
    revision = image.labels.get(REVISION)
    if revision and revision.endswith(UNCOMMITTED) and not uncommitted:
        raise RunError(
            f"the image of {family.name} was built from files that no commit has ({revision}), so "
            "nobody could find out what is in it. Commit them, repeat `matterzoo build "
            f"{family.name}` and push again; --uncommitted (with make: UNCOMMITTED=1) pushes it as "
            "it is"
        )
    name, tag = f"{registry.rstrip('/')}/matterzoo-{family.name}", recipe(family)[:12]
    image.tag(name, tag)
    log(f"pushing {name}:{tag}")
    digest = None
    for event in _follow(
        lambda: client.api.push(name, tag=tag, stream=True, decode=True), f"the push of {name}"
    ):
        digest = DIGEST.search(str(event.get("status", ""))) or digest
    if digest is None:
        raise RunError(
            f"{name}:{tag} was pushed, but the engine reported no digest; images.lock is unchanged"
        )
    entry = Published(name, digest[1], recipe(family), revision)
    log(f"{entry.reference} -> {record(family, entry)}")
    return entry


def pull(client: docker.DockerClient, family: Family, log: Log) -> str:
    """Pull a family's published image, by its digest and no other way.

    Args:
        client: The engine that then holds the image.
        family: The family of the image.
        log: Shows progress, one line per call.

    Returns:
        The image's name: `registry/name@sha256:…`.

    Raises:
        ImageMissing: If no image of the family as it is now is published.
        RunError: If the pull fails, or the image is not the family's.
    """
    entry = current(family)
    if entry is None:
        raise ImageMissing(explain_missing(family))
    image = pull_image(client, entry.reference, log)
    if not is_image_of(image, family):
        raise RunError(
            f"{entry.reference} has the labels {image.labels}, which are not those of "
            f"{family.name} with recipe {entry.recipe[:12]}, so it is not used. images.lock is "
            f"wrong: `matterzoo push {family.name} REGISTRY` writes it"
        )
    return entry.reference


def pull_image(client: docker.DockerClient, reference: str, log: Log) -> Image:
    """Pull one image by its name.

    Args:
        client: The engine that then holds the image.
        reference: The image's name: `name`, `name:tag` or `name@sha256:…`.
        log: Shows progress, one line per call.

    Returns:
        The image.

    Raises:
        RunError: With the registry's answer, if the image cannot be pulled.
    """
    log(f"pulling {reference}")
    name, separator, version = (
        reference.partition("@") if "@" in reference else reference.rpartition(":")
    )
    if not separator or "/" in version:
        name, version = reference, "latest"
    for _ in _follow(
        lambda: client.api.pull(name, tag=version, stream=True, decode=True),
        f"the pull of {reference}",
    ):
        pass
    return client.images.get(reference)


def _follow(start: Callable[[], Iterator[dict[str, Any]]], what: str) -> Iterator[dict[str, Any]]:
    """Yield the engine's events and show them; raise RunError for an event that is an error."""
    with LayerProgress() as progress:
        try:
            for event in start():
                if "error" in event:
                    raise RunError(f"{what} failed: {event['error']}")
                progress.show(event)
                yield event
        except APIError as error:
            raise RunError(f"{what} failed: {error.explanation or error}") from error
