"""Which images are here, which are published, and which a change has made stale."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.models.images import Image

from ingest.failures import RunError
from ingest.images.digests import current, published
from ingest.images.local import is_of
from ingest.images.recipe import FAMILY, PART, RECIPE, REPOSITORY, recipe, worker_files
from zoo.cards.discovery import load_families
from zoo.cards.family import Family

COPIES = (
    4  # layers that the last stage adds to the base: torch, the environment, the worker, the family
)
FOR_ALL = (
    "Dockerfile",
    "ingest/images/build.py",
    *(str(file.relative_to(REPOSITORY)) for file in worker_files()),
)


def rows(client: docker.DockerClient) -> Iterator[str]:
    """A line for each family. Sizes in MB, 10^6 bytes, unpacked; an image's own are the layers that no other has."""
    found = client.images.list(filters={"label": PART})
    images = [image for image in found if image.labels.get(PART) == "family"]
    layers = {image.labels.get(FAMILY): set(image.attrs["RootFS"]["Layers"]) for image in images}
    yield f"{'family':<14} {'recipe':<12}  {'here':<36}  published"
    for family in load_families().values():
        mine = [image for image in images if image.labels.get(FAMILY) == family.name]
        others = set().union(*(found for name, found in layers.items() if name != family.name))
        yield f"{family.name:<14} {recipe(family)[:12]}  {_here(family, mine, others):<36}  {_published(family)}"
    yield f"\n{len(found) - len(images)} more are kept for the next build. `make clean` removes all of them"


def _here(family: Family, images: list[Image], others: set[str]) -> str:
    if not images:
        return "no"
    fitting = [image for image in images if is_of(image, family)]
    image = (fitting or images)[0]
    size = f"{image.attrs['Size'] / 1e6:,.0f} MB, {_own(image, others) / 1e6:,.0f} MB its own"
    return size if fitting else f"stale ({image.labels.get(RECIPE, '')[:12]}), {size}"


def _own(image: Image, others: set[str]) -> int:
    """Bytes of the layers that no other family's image has, of those that the last stage of the Dockerfile copies."""
    sizes = [step["Size"] for step in image.history() if step["Size"]]  # the newest first
    layers = reversed(image.attrs["RootFS"]["Layers"][-COPIES:])
    return sum(size for layer, size in zip(layers, sizes, strict=False) if layer not in others)


def _published(family: Family) -> str:
    entry = published(family)
    if entry is None:
        return "no"
    return (
        entry.reference
        if entry.recipe == recipe(family)
        else f"stale ({entry.recipe[:12]}), {entry.reference}"
    )


def stale() -> list[str]:
    """Families that have no published image of what they are made of now."""
    return [family.name for family in load_families().values() if current(family) is None]


def changed(since: str) -> list[str]:
    """Families whose image is affected by what changed since that revision: theirs, or what all share."""
    command = ["git", "diff", "--name-only", since, "--"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"git cannot compare with {since!r}: {done.stderr.strip()}")
    files = done.stdout.splitlines()
    everything = any(file in FOR_ALL for file in files)
    return [f.name for f in load_families().values() if everything or _touches(f.path, files)]


def _touches(folder: Path, files: list[str]) -> bool:
    return any((REPOSITORY / file).is_relative_to(folder) for file in files)
