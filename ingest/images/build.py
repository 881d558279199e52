"""Build a family's image on the local engine, from a context that holds what the Dockerfile copies and nothing else."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.images import Image

from ingest.events import Log
from ingest.failures import RunError
from ingest.images import wheels
from ingest.images.recipe import DOCKERFILE, RECIPE, default_base, files_of, labels, worker_files
from ingest.images.registry import pull_image
from zoo.cards.family import Family
from zoo.places import ROOT

TAIL = 8  # lines that are shown of how a failed step began, and of how it ended
COLOR = re.compile(r"\x1b\[[0-9;]*m")
STEP = re.compile(
    r"(\[\d+/\d+\] )?STEP \d+/\d+ ?: (FROM|COPY|RUN) .{0,80}", re.IGNORECASE
)  # Docker's and Podman's
COMMAND = re.compile(
    r"The command '.*' returned a non-zero code", re.DOTALL
)  # is in the log already


@dataclass(frozen=True)
class Choice:
    """How an image is built; each None stands for its default."""

    base: str | None = None  # the Dockerfile's
    builder: str | None = None  # the base
    torch_backend: str | None = (
        None  # what the package index itself serves, which for Linux is the CUDA build
    )
    offline: bool = False  # from the wheels that `make wheels` fetched
    cache: bool = True  # take the layers that are there already from builds before


def build(client: docker.DockerClient, family: Family, choice: Choice, say: Log) -> Image:
    """Build the family's image."""
    base = choice.base or default_base()
    if choice.offline and not (wheels.own(family).is_dir() and wheels.shared(family).is_dir()):
        raise RunError(
            f"there are no wheels in {wheels.own(family)}; `make wheels FAMILY={family.name}` fetches them"
        )
    about = labels(family, base, _digest(client, base, say))
    name = f"matterzoo/{family.name}:{about[RECIPE][:12]}"
    with context(family, offline=choice.offline) as file:
        lines = client.api.build(
            fileobj=file,
            custom_context=True,
            buildargs=_arguments(family, choice, base),
            labels=about,
            tag=name,
            target="family",
            network_mode="none" if choice.offline else None,
            nocache=not choice.cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(lines, family, say)
    image = client.images.get(name)
    wrong = {
        key: image.labels.get(key) for key, value in about.items() if image.labels.get(key) != value
    }
    if wrong:
        raise RunError(
            f"the engine built {name} with labels {wrong} instead of {about}; it is not used"
        )
    return image


def _arguments(family: Family, choice: Choice, base: str) -> dict[str, str]:
    found = {
        "BASE": base,
        "BUILDER": choice.builder or base,
        "FAMILY": family.name,
        "UV": wheels.uv(),
    }
    found |= {"TORCH": family.torch or "", "TORCH_BACKEND": choice.torch_backend or ""}
    found |= {"SOURCES": " ".join(family.sources)}
    if choice.offline:
        names = " ".join(source.partition("@")[0] for source in family.sources)
        return found | {"OFFLINE": "1", "TORCH_BACKEND": "", "SOURCES": names}
    index = os.environ.get("PIP_INDEX_URL")
    return found | ({"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} if index else {})


def _digest(client: docker.DockerClient, base: str, say: Log) -> str | None:
    """The registry's digest of the base image, which is pulled if it is not there; None for one made here."""
    try:
        image = client.images.get(base)
    except ImageNotFound:
        try:
            image = pull_image(client, base, say)
        except RunError as error:
            raise RunError(
                f"{error}. BASE=… names another base image, such as one of this machine"
            ) from error
    return next(
        (str(name).partition("@")[2] for name in image.attrs.get("RepoDigests") or ()), None
    )


def context(family: Family, *, offline: bool) -> IO[bytes]:
    """The build context as an open tar file: the Dockerfile, the worker, the family's folder, its wheels if asked for.

    Dates and owners are fixed, so that equal content is an equal context.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, path in _contents(family, offline=offline):
            _add(tar, name, path)
        for folder in ("wheels/shared", "wheels/family"):  # COPY wants them, be they empty
            _add_folder(tar, folder)
    file.seek(0)
    return file


def _contents(family: Family, *, offline: bool) -> Iterator[tuple[str, Path]]:
    yield "Dockerfile", DOCKERFILE
    for file in worker_files():
        yield file.relative_to(ROOT).as_posix(), file
    for file in files_of(family):
        yield f"zoo/families/{family.name}/{file.relative_to(family.path).as_posix()}", file
    if offline:
        for part, folder in (("shared", wheels.shared(family)), ("family", wheels.own(family))):
            for file in sorted(folder.iterdir()):
                yield f"wheels/{part}/{file.name}", file


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o644
    with path.open("rb") as content:
        tar.addfile(member, content)


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(member)


def _follow(lines: Iterator[dict[str, Any]], family: Family, say: Log) -> None:
    """Say each step as it begins. RunError with the end of the log where one fails."""
    log: list[str] = []
    try:
        for line in lines:
            text = str(line.get("stream", "")).rstrip()
            log += text.splitlines()
            step = STEP.match(text)
            if step is not None:
                say(f"  {step[0]}")
            if "error" in line:
                raise RunError(_why(family, str(line["error"]).strip(), log))
    except DockerException as error:
        raise RunError(_why(family, str(error), log)) from error


def _why(family: Family, error: str, log: list[str]) -> str:
    """The error, and how the step that failed began and ended."""
    last = max((i for i, line in enumerate(log) if STEP.match(line)), default=-1)
    said = [COLOR.sub("", line) for line in log[last + 1 :]]
    said = [
        line
        for line in said
        if line.strip() and not line.startswith((" --->", "Removing intermediate"))
    ]
    if len(said) > 2 * TAIL:
        said = [*said[:TAIL], "…", *said[-TAIL:]]
    parts = [
        f"the image of {family.name} could not be built: {COMMAND.sub('a step ended with exit code', error)}"
    ]
    parts += [f"  {line}" for line in [*log[last : last + 1], *said]]
    full = "no space left" in error.lower()
    parts += (
        ["The engine's disk is full: `make clean` removes every image of matterzoo"] if full else []
    )
    return "\n".join(parts)
