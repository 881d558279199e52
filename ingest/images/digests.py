"""images.lock: the digest of each family's published image, as `matterzoo push` records it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.failures import RunError
from ingest.images.recipe import recipe
from zoo.cards.family import Family
from zoo.files import write_atomically
from zoo.places import CARRIED_DIGESTS, image_digests, user_settings


@dataclass(frozen=True)
class Published:
    """An image in a registry.

    Attributes:
        image: Its name with the registry: `ghcr.io/owner/matterzoo-chgnet`.
        digest: The registry's digest of it: `sha256:…`.
        recipe: The recipe of the family from which it was made.
        revision: The commit of this repository from which it was made, if that is known.
    """

    image: str
    digest: str
    recipe: str
    revision: str | None

    @property
    def reference(self) -> str:
        """The name by which the image is pulled: `registry/name@sha256:…`."""
        return f"{self.image}@{self.digest}"


def digests_file(family: Family) -> Path:
    """Return the file in which the digest of this family's image is recorded.

    Args:
        family: The family; families of a user's own have a file of their own.
    """
    return image_digests(family.path.parent)


def published(family: Family) -> Published | None:
    """Return the published image of a family, whether or not it is of today's recipe.

    Args:
        family: The family to look up.

    Returns:
        The recorded entry, or None if nobody has published an image of the family.

    Raises:
        RunError: If the file or the entry cannot be read.
    """
    file = digests_file(family)
    entry = (_carried(family) | _read(file)).get(family.name)
    if entry is None:
        return None
    try:
        return Published(**entry)
    except TypeError as error:
        raise RunError(
            f"{file}: the entry of {family.name} is not one that `matterzoo push` writes: {error}"
        ) from error


def current(family: Family) -> Published | None:
    """Return the published image of a family if it was made from the family as it is now.

    Args:
        family: The family to look up.
    """
    found = published(family)
    return found if found is not None and found.recipe == recipe(family) else None


def explain_missing(family: Family) -> str:
    """Return why there is no published image to pull, and what to do.

    Args:
        family: A family for which `current` returns None.
    """
    build = f"`matterzoo build {family.name}` builds one here"
    found = published(family)
    if found is None:
        file = digests_file(family)
        return f"no image of {family.name} has been published ({file} has no entry); {build}"
    return (
        f"the published image of {family.name}, {found.reference}, is stale: it was made from "
        f"recipe {found.recipe[:12]}, the family is {recipe(family)[:12]} now; {build}"
    )


def record(family: Family, image: Published) -> Path:
    """Write the entry of one family, whole or not at all; the entries of others stay.

    Args:
        family: The family of the published image.
        image: The image, as it is in the registry.

    Returns:
        The file that was written.

    Raises:
        RunError: If the file cannot be read.
    """
    file = digests_file(family)
    entries = _read(file) | {family.name: asdict(image)}
    content = json.dumps(dict(sorted(entries.items())), indent=1) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, content)
    return file


def _carried(family: Family) -> dict[str, dict[str, str]]:
    """Return the entries that an installed program carries, over which a user's own ones go."""
    installed = digests_file(family) == user_settings() / "images.lock"
    return _read(CARRIED_DIGESTS) if installed else {}


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as error:
        raise RunError(f"{file} is not JSON: {error}; restore it from the repository") from error
    if not isinstance(found, dict):
        raise RunError(
            f"{file} holds a {type(found).__name__}, expected an object with one entry per family"
        )
    return found
