"""The project's images that the local engine holds, and which of them a family may run in."""

from __future__ import annotations

import docker
from docker.errors import ImageNotFound
from docker.models.images import Image

from ingest.images.digests import current, explain_missing
from ingest.images.recipe import FAMILY, RECIPE, recipe
from zoo.cards.family import Family


def find_image(client: docker.DockerClient, family: Family) -> str | None:
    """Find the local image to run a family in.

    The published image is preferred to one that was built here. Either must be of today's recipe
    and carry the family's labels.

    Args:
        client: The engine to ask.
        family: The family to run.

    Returns:
        `registry/name@sha256:…` for a published image, the id for one that was built here, or None
        if the engine has neither.
    """
    reference = find_published(client, family)
    if reference is not None:
        return reference
    image = find_built(client, family)
    return None if image is None else str(image.id)


def find_published(client: docker.DockerClient, family: Family) -> str | None:
    """Find the published image of a family on the engine.

    Args:
        client: The engine to ask.
        family: The family of the image.

    Returns:
        `registry/name@sha256:…`, or None if no image of the family as it is now is published, it is
        not here, or what is here under its digest is another image.
    """
    entry = current(family)
    if entry is None:
        return None
    try:
        image = client.images.get(entry.reference)
    except ImageNotFound:
        return None
    return entry.reference if is_image_of(image, family) else None


def find_built(client: docker.DockerClient, family: Family) -> Image | None:
    """Find an image with labels that say it is made from the family as it is now.

    Args:
        client: The engine to ask.
        family: The family of the image.

    Returns:
        The newest such image, preferably one that has a name; None if there is none.
    """
    # The filter holds one label only, because Podman 4.3 finds nothing for two.
    found = client.images.list(filters={"label": f"{RECIPE}={recipe(family)}"})
    fitting = [image for image in found if is_image_of(image, family)]
    # A build without the cache leaves the image of the build before it behind, without a name.
    return max(fitting, key=lambda image: (bool(image.tags), image.attrs["Created"]), default=None)


def is_image_of(image: Image, family: Family) -> bool:
    """Return whether an image is the whole image of the family as it is now.

    Args:
        image: An image with any labels.
        family: The family that the image should be of.
    """
    stated = (image.labels.get(FAMILY), image.labels.get(RECIPE))
    return stated == (family.name, recipe(family)) and is_whole(image)


def is_whole(image: Image) -> bool:
    """Return whether an image is the last stage of a build, which starts the worker.

    Args:
        image: An image with any labels. Podman labels what is left of earlier stages, too.
    """
    return "zoo.worker" in (image.attrs["Config"].get("Entrypoint") or ())


def missing_image(client: docker.DockerClient, family: Family) -> str | None:
    """Return why there is no image to run a family in, or None if one is here or can be pulled.

    Args:
        client: The engine to ask.
        family: The family to run.
    """
    if find_image(client, family) is not None or current(family) is not None:
        return None
    return explain_missing(family)
