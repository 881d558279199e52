"""Push images to a registry and pull them by digest, with each layer's progress shown."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
from docker.errors import APIError
from docker.models.images import Image
from tqdm import tqdm

from ingest.events import Log
from ingest.failures import RunError
from ingest.images.digests import Published, current, record, why_not
from ingest.images.local import built, is_of
from ingest.images.recipe import recipe
from zoo.cards.family import Family

DIGEST = re.compile(
    r"digest: (sha256:[0-9a-f]{64})"
)  # in the last status of a push, Docker's and Podman's
EVERY = 5.0  # s between two lines where there is no terminal
FINISHED = (
    "Pull complete",
    "Pushed",
    "Already exists",
    "Layer already exists",
    "Mounted from",
    "Download complete",
)


class NoImage(RunError):
    """There is no image of the family as it is now: none was built here, or none was published."""


def push(client: docker.DockerClient, family: Family, registry: str, say: Log) -> Published:
    """Push the family's image and record its digest in images.lock. registry: 'ghcr.io/owner', 'localhost:5000'."""
    image = built(client, family)
    if image is None:
        raise NoImage(
            f"no image of {family.name} made of what it is now is here; `make build FAMILY={family.name}` builds it"
        )
    name, tag = f"{registry.rstrip('/')}/matterzoo-{family.name}", recipe(family)[:12]
    image.tag(name, tag)
    say(f"pushing {name}:{tag}")
    found = None
    for event in _shown(
        lambda: client.api.push(name, tag=tag, stream=True, decode=True), f"the push of {name}"
    ):
        found = DIGEST.search(str(event.get("status", ""))) or found
    if found is None:
        raise RunError(
            f"{name}:{tag} was pushed, but the engine told no digest; images.lock is as it was"
        )
    revision = image.labels.get("org.opencontainers.image.revision")
    entry = Published(name, found[1], recipe(family), revision)
    say(f"{entry.reference} -> {record(family, entry)}")
    return entry


def pull(client: docker.DockerClient, family: Family, say: Log) -> str:
    """Pull the family's published image, by its digest and no other way. Returns 'registry/name@sha256:…'.

    RunError where there is none that fits.
    """
    entry = current(family)
    if entry is None:
        raise NoImage(why_not(family))
    image = pull_image(client, entry.reference, say)
    if not is_of(image, family):
        raise RunError(
            f"{entry.reference} says of itself (its labels: {image.labels}) that it is not {family.name} with recipe "
            f"{entry.recipe[:12]}, so it is not used. images.lock is wrong: `make push FAMILY={family.name}` writes it"
        )
    return entry.reference


def pull_image(client: docker.DockerClient, reference: str, say: Log) -> Image:
    """Pull one image, 'name:tag' or 'name@sha256:…'. RunError with the registry's answer if it cannot be had."""
    say(f"pulling {reference}")
    name, separator, version = (
        reference.partition("@") if "@" in reference else reference.rpartition(":")
    )
    if not separator or "/" in version:
        name, version = reference, "latest"
    for _ in _shown(
        lambda: client.api.pull(name, tag=version, stream=True, decode=True),
        f"the pull of {reference}",
    ):
        pass
    return client.images.get(reference)


def _shown(ask: Callable[[], Iterator[dict[str, Any]]], what: str) -> Iterator[dict[str, Any]]:
    """Pass the engine's events on and show them. RunError for an event that is an error."""
    with Layers() as layers:
        try:
            for event in ask():
                if "error" in event:
                    raise RunError(f"{what} failed: {event['error']}")
                layers(event)
                yield event
        except APIError as error:
            raise RunError(f"{what} failed: {error.explanation or error}") from error


class Layers:
    """A bar for each layer on a terminal; elsewhere a line now and then for all of them."""

    def __init__(self) -> None:
        self.sizes: dict[str, tuple[int, int]] = {}
        self.finished: set[str] = set()
        self.bars: dict[str, Any] = {}
        self.told = time.monotonic()

    def __enter__(self) -> Layers:
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self.bars.values():
            bar.close()

    def __call__(self, event: dict[str, Any]) -> None:
        layer, detail = event.get("id"), event.get("progressDetail") or {}
        if layer is None:
            return
        status = str(event.get("status", ""))
        if status.startswith(FINISHED):
            self.finished.add(layer)
        if detail.get("total"):
            self.sizes[layer] = detail.get("current", 0), detail["total"]
        if sys.stderr.isatty():
            self._bar(layer, status)
        elif time.monotonic() - self.told >= EVERY:
            self.told = time.monotonic()
            print(f"  {self}", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        done, total = (sum(size[i] for size in self.sizes.values()) / 1e6 for i in (0, 1))
        return f"{len(self.finished)} of {len(self.finished | set(self.sizes))} layers, {done:,.0f} of {total:,.0f} MB"

    def _bar(self, layer: str, status: str) -> None:
        if layer not in self.sizes:
            return
        current, total = self.sizes[layer]
        if layer not in self.bars:
            width = min(100, shutil.get_terminal_size().columns)
            size = {"ncols": width, "nrows": 40, "unit": "B", "unit_scale": True}
            self.bars[layer] = tqdm(
                position=len(self.bars), leave=False, total=total, initial=current, **size
            )
        bar = self.bars[layer]
        bar.total, bar.n = total, total if layer in self.finished else current
        bar.set_description_str(f"  {layer[:12]} {status[:17]:<17}")
