"""Which images are here, which are published, and which a change has made stale."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.models.images import Image

from ingest.failures import RunError
from ingest.images.digests import current, published
from ingest.images.local_images import is_image_of
from ingest.images.recipe import FAMILY, PART, RECIPE, common_files, recipe
from zoo.cards.discovery import load_families
from zoo.cards.family import Family
from zoo.places import ROOT, is_checkout

# Layers that the last stage of the Dockerfile adds to the base: one per COPY.
COPIES = 5


def describe_images(client: docker.DockerClient) -> Iterator[str]:
    """Describe each family's image: whether it is here, published, or stale.

    Args:
        client: The engine to ask.

    Yields:
        A heading, one line per family, and a line about what is kept for the next build. Sizes are
        in MB of 10^6 bytes, unpacked; an image's own size is that of the layers that no other
        family's image has.
    """
    found = client.images.list(filters={"label": PART})
    images = [image for image in found if image.labels.get(PART) == "family"]
    layers = {image.labels.get(FAMILY): set(image.attrs["RootFS"]["Layers"]) for image in images}
    yield f"{'family':<14} {'recipe':<12}  {'here':<36}  published"
    for family in load_families().values():
        own = [image for image in images if image.labels.get(FAMILY) == family.name]
        others = set().union(*(held for name, held in layers.items() if name != family.name))
        here = _describe_local(family, own, others)
        yield f"{family.name:<14} {recipe(family)[:12]}  {here:<36}  {_describe_published(family)}"
    kept = len(found) - len(images)
    remedy = "`matterzoo clean --images all` removes all of them"
    yield f"\n{kept} more are kept for the next build. {remedy}"


def _describe_local(family: Family, images: list[Image], others: set[str]) -> str:
    if not images:
        return "no"
    fitting = [image for image in images if is_image_of(image, family)]
    image = (fitting or images)[0]
    own = _own_size(image, others) / 1e6
    size = f"{image.attrs['Size'] / 1e6:,.0f} MB, {own:,.0f} MB its own"
    return size if fitting else f"stale ({image.labels.get(RECIPE, '')[:12]}), {size}"


def _own_size(image: Image, others: set[str]) -> int:
    """Return the bytes of the last stage's layers that are not among those of other families."""
    sizes = [step["Size"] for step in image.history() if step["Size"]]  # the newest first
    layers = reversed(image.attrs["RootFS"]["Layers"][-COPIES:])
    return sum(size for layer, size in zip(layers, sizes, strict=False) if layer not in others)


def _describe_published(family: Family) -> str:
    entry = published(family)
    if entry is None:
        return "no"
    if entry.recipe == recipe(family):
        return entry.reference
    return f"stale ({entry.recipe[:12]}), {entry.reference}"


def stale_families() -> list[str]:
    """Return the names of the families without a published image of what they are now."""
    return [family.name for family in load_families().values() if current(family) is None]


def changed_families(since: str) -> list[str]:
    """Return the names of the families with an image that a change affects.

    Args:
        since: The revision of the repository to compare with.

    Raises:
        RunError: If git cannot compare with it.
    """
    if not is_checkout():
        raise RunError(f"cannot compare with {since!r}: matterzoo does not run from a checkout")
    command = ["git", "diff", "--name-only", since, "--"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"git cannot compare with {since!r}: {done.stderr.strip()}")
    files = done.stdout.splitlines()
    everything = bool({*common_files()} & {*files})
    return [f.name for f in load_families().values() if everything or _touches(f.path, files)]


def _touches(folder: Path, files: list[str]) -> bool:
    return any((ROOT / file).is_relative_to(folder) for file in files)
