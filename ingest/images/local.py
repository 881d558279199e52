"""The images of ours that the engine holds: which of them a family may run in."""

from __future__ import annotations

import docker
from docker.errors import ImageNotFound
from docker.models.images import Image

from ingest.images.digests import current, why_not
from ingest.images.recipe import FAMILY, RECIPE, recipe
from zoo.cards.family import Family


def find(client: docker.DockerClient, family: Family) -> str | None:
    """The image to run a family in: the published one, by its digest, else one built here; both of today's recipe.

    Returns 'registry/name@sha256:…' for a published one, the id of one built here.
    """
    entry = current(family)
    if entry is not None:
        try:
            image = client.images.get(entry.reference)
        except ImageNotFound:
            pass
        else:
            return entry.reference if is_of(image, family) else None
    image = built(client, family)
    return None if image is None else str(image.id)


def built(client: docker.DockerClient, family: Family) -> Image | None:
    """An image whose labels say that it is made of what the family is made of now."""
    # One label in the filter: Podman 4.3 finds nothing for two.
    found = client.images.list(filters={"label": f"{RECIPE}={recipe(family)}"})
    fitting = [image for image in found if is_of(image, family)]
    # A build that took nothing from the one before leaves that one's image behind, without a name.
    return max(fitting, key=lambda image: (bool(image.tags), image.attrs["Created"]), default=None)


def is_of(image: Image, family: Family) -> bool:
    """Whether it is the whole image of the family as it is now. Podman labels what is left of earlier stages, too."""
    said = (image.labels.get(FAMILY), image.labels.get(RECIPE))
    return said == (family.name, recipe(family)) and "zoo.worker" in (
        image.attrs["Config"].get("Entrypoint") or ()
    )


def lacking(client: docker.DockerClient, family: Family) -> str | None:
    """Why there is no image to run the family in; None where one is here or can be pulled."""
    if find(client, family) is not None or current(family) is not None:
        return None
    return why_not(family)
