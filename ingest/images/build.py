"""Build a family's image on the local engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images import wheels
from ingest.images.build_errors import STEP, explain_failed_build
from ingest.images.context import build_context
from ingest.images.engine import BROKEN
from ingest.images.local_images import is_whole
from ingest.images.push_pull import pull_image
from ingest.images.recipe import PART, RECIPE, default_base, labels
from zoo.cards.family import Family

# The name of what a build leaves beside its image: stages that the next build begins with.
KEPT = "matterzoo/kept-for-the-next-build"


@dataclass(frozen=True)
class BuildOptions:
    """How an image is built.

    Attributes:
        base: The base image; None takes the Dockerfile's.
        builder: The image in which packages are installed; None takes the base.
        torch_backend: PyTorch's build: `cpu`, `cu126`, …; None takes what the package index itself
            serves, which for Linux is the CUDA build.
        offline: Whether to build without a network, from the wheels that `matterzoo wheels`
            fetched.
        cache: Whether to take layers that earlier builds left.
    """

    base: str | None = None
    builder: str | None = None
    torch_backend: str | None = None
    offline: bool = False
    cache: bool = True


def build(client: docker.DockerClient, family: Family, options: BuildOptions, log: Log) -> Image:
    """Build a family's image.

    Args:
        client: The engine that builds and then holds the image.
        family: The family of the image.
        options: How the image is built.
        log: Shows progress, one line per step.

    Returns:
        The image, named `matterzoo/FAMILY:` and twelve digits of its recipe.

    Raises:
        RunError: If wheels, the base image or the builder are missing, a step fails, or the image
            does not carry the labels that it was given.
    """
    base = options.base or default_base()
    if options.offline:
        _check_wheels(family)
    digest = _registry_digest(_find_or_pull(client, "base", base, log))
    if options.builder:
        _find_or_pull(client, "builder", options.builder, log)
    wanted = labels(family, base, digest)
    name = f"matterzoo/{family.name}:{wanted[RECIPE][:12]}"
    with build_context(family, offline=options.offline) as file, _naming_what_stays(client):
        events = client.api.build(
            fileobj=file,
            custom_context=True,
            buildargs=_arguments(family, options, base),
            labels=wanted,
            tag=name,
            target="family",
            network_mode="none" if options.offline else None,
            nocache=not options.cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(events, family, options, log)
    image = client.images.get(name)
    _check_labels(image, name, wanted)
    return image


def _check_wheels(family: Family) -> None:
    own, shared = wheels.family_wheels(family), wheels.shared_wheels(family)
    if not (own.is_dir() and shared.is_dir()):
        raise RunError(
            f"there are no wheels in {own}; `matterzoo wheels {family.name}` fetches them"
        )


def _check_labels(image: Image, name: str, wanted: dict[str, str]) -> None:
    found = {key: image.labels.get(key) for key in wanted}
    wrong = {key: value for key, value in found.items() if value != wanted[key]}
    if wrong:
        raise RunError(
            f"the engine built {name} with labels {wrong} instead of {wanted}; it is not used"
        )


def _arguments(family: Family, options: BuildOptions, base: str) -> dict[str, str]:
    """Return the ARGs of the Dockerfile."""
    arguments = {
        "BASE": base,
        "BUILDER": options.builder or base,
        "FAMILY": family.name,
        "UV": wheels.uv_requirement(),
        "TORCH": family.torch or "",
        "TORCH_BACKEND": options.torch_backend or "",
        "SOURCES": " ".join(family.sources),
        "SYSTEM_PACKAGES": " ".join(family.system_packages),
    }
    if options.offline:
        names = " ".join(source.partition("@")[0] for source in family.sources)
        return arguments | {"OFFLINE": "1", "TORCH_BACKEND": "", "SOURCES": names}
    index = os.environ.get("PIP_INDEX_URL")
    return arguments | ({"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if index else {})


def _find_or_pull(client: docker.DockerClient, option: str, name: str, log: Log) -> Image:
    """Return the image that an option of `build` names; it is pulled if it is not here."""
    try:
        return client.images.get(name)
    except ImageNotFound:
        pass
    try:
        return pull_image(client, name, log)
    except RunError as error:
        raise RunError(
            f"{error}. --{option} names another {option} image (with make: {option.upper()}=), "
            "such as one that `docker load` took from a file"
        ) from error


def _registry_digest(image: Image) -> str | None:
    """Return a registry's digest of an image, or None for one made on this machine."""
    digests = image.attrs.get("RepoDigests") or ()
    return next((str(name).partition("@")[2] for name in digests), None)


@contextmanager
def _naming_what_stays(client: docker.DockerClient) -> Iterator[None]:
    """Give names to the stages that a build leaves, however it ends.

    Without one they would be among all that has no name on the engine, and nobody could tell whose
    they are. They are not removed, because another build may be using them, and the next one begins
    with them.
    """
    try:
        yield
    finally:
        with suppress(*BROKEN):  # the build's own error says more
            for image in client.images.list(filters={"label": PART}):
                if not image.tags and not is_whole(image):
                    image.tag(KEPT, image.id.removeprefix("sha256:")[:12])


def _follow(
    events: Iterator[dict[str, Any]], family: Family, options: BuildOptions, log: Log
) -> None:
    """Log each step as it begins, and raise RunError with the output of a step that fails."""
    output: list[str] = []

    def failure(error: object) -> RunError:
        text = str(error).strip()
        return RunError(explain_failed_build(family, text, output, offline=options.offline))

    try:
        for event in events:
            text = str(event.get("stream", "")).rstrip()
            output += text.splitlines()
            step = STEP.match(text)
            if step is not None:
                log(f"  {step[0]}")
            if "error" in event:
                raise failure(event["error"])
    except DockerException as error:
        raise failure(error) from error
