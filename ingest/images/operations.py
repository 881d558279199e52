"""What a user asks for: build, push, pull or clean the image of one family, or of all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import docker

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images.build import BuildOptions, build
from ingest.images.digests import current
from ingest.images.engine import connected
from ingest.images.files.archive import save
from ingest.images.local_images import find_image, find_published
from ingest.images.push_pull import ImageMissing, pull, push
from ingest.images.removal import clean, list_removable
from zoo.cards.discovery import find_families, find_family
from zoo.cards.family import Family

ALL = "all"  # instead of a family's name
STEP_SECONDS = 3600.0  # s that one step of a build, push or pull may take without a word


def build_images(name: str, options: BuildOptions, log: Log) -> None:
    """Build the images of one family or of all.

    Args:
        name: A family's name, or `all`.
        options: How each image is built.
        log: Shows progress, one line per call.

    Raises:
        RunError: If an image cannot be built; of several, the others are still built.
    """
    with connected(timeout=STEP_SECONDS) as client:
        for_each_image(name, partial(_build, client, options, log), log)


def _build(client: docker.DockerClient, options: BuildOptions, log: Log, family: Family) -> None:
    log(f"building the image of {family.name}")
    image = build(client, family, options, log)
    log(f"{image.tags[0]}: {image.attrs['Size'] / 1e6:,.0f} MB, {image.id}")


def push_images(name: str, registry: str, log: Log, *, uncommitted: bool = False) -> None:
    """Push the images of one family, or all that were built here, and record their digests.

    Args:
        name: A family's name, or `all`.
        registry: The registry and the owner there: `ghcr.io/owner`, `localhost:5000`.
        log: Shows progress, one line per call.
        uncommitted: Whether images are pushed that hold files that no commit has.

    Raises:
        RunError: If a push fails; of several, the others are still pushed.
    """
    with connected(timeout=STEP_SECONDS) as client:
        for_each_image(
            name,
            lambda family: push(client, family, registry, log, uncommitted=uncommitted),
            log,
        )


def pull_images(name: str, log: Log) -> None:
    """Pull the published images of one family, or all that there are, unless they are here.

    Of a family without a published image, one that was built here will do.

    Args:
        name: A family's name, or `all`.
        log: Shows progress, one line per call.

    Raises:
        RunError: If a pull fails; of several, the others are still pulled.
    """
    with connected(timeout=STEP_SECONDS) as client:
        for_each_image(name, partial(_pull_unless_here, client, log), log)


def _pull_unless_here(client: docker.DockerClient, log: Log, family: Family) -> None:
    find = find_image if current(family) is None else find_published
    found = find(client, family)
    done = f"{found} is here" if found else f"{pull(client, family, log)} pulled"
    log(f"{family.name}: {done}")


def save_images(name: str, log: Log) -> None:
    """Write the images of one family, or all that are here, to archives.

    Args:
        name: A family's name, or `all`.
        log: Shows progress, and where each archive is.

    Raises:
        RunError: If an image cannot be saved; of several, the others are still saved.
    """
    with connected(timeout=STEP_SECONDS) as client:
        for_each_image(name, lambda family: log(f"saved {save(client, family, log)}"), log)


def for_each_image(name: str, act: Callable[[Family], object], log: Log) -> None:
    """Act on one family, or on every family.

    Args:
        name: A family's name, or `all`.
        act: Is called with each family. If there are several, a family for which it raises
            ImageMissing is listed at the end, and one for which it raises another RunError does
            not stop the others; its error is printed at once.
        log: Shows one line about the families without an image.

    Raises:
        RunError: If no family has an image, or `act` failed for any family.
    """
    if name != ALL:
        act(find_family(name))
        return
    without: list[str] = []
    failed: list[str] = []
    done = 0
    for family in find_families(name):
        try:
            act(family)
            done += 1
        except ImageMissing:
            without.append(family.name)
        except RunError as error:
            print(f"error: {family.name}: {error}", file=sys.stderr, flush=True)
            failed.append(family.name)
    if without:
        log(f"there is no image of {', '.join(without)}; `matterzoo build FAMILY` makes one")
    if failed:
        asked = len(failed) + len(without) + done
        raise RunError(f"{len(failed)} of {asked} families failed: {', '.join(failed)}")
    if not done:
        raise RunError("there is no image of any family")


def clean_images(name: str, confirm: Callable[[list[str], str], None], log: Log) -> None:
    """Remove the images of one family, or all images and abandoned containers of the project.

    Args:
        name: A family's name, or `all`.
        confirm: Is asked before all images are removed: with one line per image, and a sentence
            that says what would happen. It raises an error to refuse.
        log: Shows one line for each thing that was removed or that stays.
    """
    family = None if name == ALL else find_family(name).name
    with connected() as client:
        removable = list_removable(client) if family is None else []
        if removable:
            warning = f"This would remove {len(removable)} images, each minutes to build again"
            confirm(removable, warning)
        done = list(clean(client, family))
    for line in done or ["the engine holds nothing of matterzoo"]:
        log(line)
