"""images.lock: which image of a family was published, by digest. Written by `make push`, never by hand."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.failures import RunError
from ingest.images.recipe import recipe
from zoo.cards.family import Family
from zoo.worker import appear


@dataclass(frozen=True)
class Published:
    """An image in a registry. recipe: what it was made of; revision: the repository's commit."""

    image: str
    digest: str
    recipe: str
    revision: str | None

    @property
    def reference(self) -> str:
        return f"{self.image}@{self.digest}"


def lock_file(family: Family) -> Path:
    """MATTERZOO_IMAGES, for a registry of one's own; else beside the families' folders: zoo/images.lock."""
    named = os.environ.get("MATTERZOO_IMAGES")
    return Path(named) if named else family.path.parent / "images.lock"


def published(family: Family) -> Published | None:
    """What images.lock says of the family, None where nobody has published it. Raises RunError if it cannot be read."""
    file = lock_file(family)
    entry = _read(file).get(family.name)
    if entry is None:
        return None
    try:
        return Published(**entry)
    except TypeError as error:
        raise RunError(
            f"{file}: the entry of {family.name} is not one that `make push` writes: {error}"
        ) from error


def current(family: Family) -> Published | None:
    """The published image, if it is made of what the family is made of now."""
    found = published(family)
    return found if found is not None and found.recipe == recipe(family) else None


def why_not(family: Family) -> str:
    """Why there is no published image to pull, and what to do."""
    build = f"`make build FAMILY={family.name}` builds one here"
    found = published(family)
    if found is None:
        return f"no image of {family.name} has been published ({lock_file(family)} has no entry); {build}"
    return (
        f"the published image of {family.name}, {found.reference}, is stale: it was made of recipe "
        f"{found.recipe[:12]}, the family is {recipe(family)[:12]} now; {build}"
    )


def record(family: Family, image: Published) -> Path:
    """Write the entry of one family, whole or not at all; the others stay."""
    file = lock_file(family)
    entries = _read(file) | {family.name: asdict(image)}
    content = json.dumps(dict(sorted(entries.items())), indent=1) + "\n"
    appear(file, lambda temporary: temporary.write_text(content))
    return file


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as error:
        raise RunError(f"{file} is not JSON: {error}; restore it from the repository") from error
    if not isinstance(found, dict):
        raise RunError(
            f"{file} holds a {type(found).__name__}, expected an object with one entry a family"
        )
    return found
