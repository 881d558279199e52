"""Images in archives, which can be copied to where there is neither an engine nor a registry.

`docker save` writes such an archive, in Docker's form or in that of the OCI; both are read here.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images.local_images import find_image
from ingest.images.push_pull import ImageMissing
from ingest.images.recipe import FAMILY, RECIPE, recipe
from zoo.cards.family import Family
from zoo.files import write_atomically
from zoo.places import image_files

DIGITS = 16  # of a digest, in the name of a file or folder
PIECE = 2**20  # bytes of an archive that are asked of the engine at once


@dataclass(frozen=True)
class Archive:
    """An image in an archive.

    Attributes:
        path: The archive, a tar file.
        form: `docker-archive` or `oci-archive`, as Apptainer and skopeo call it.
        image_id: `sha256:…`, the digest of the image's configuration, which Docker calls its id.
        labels: The image's labels.
    """

    path: Path
    form: str
    image_id: str
    labels: dict[str, str]

    @property
    def source(self) -> str:
        """The name by which Apptainer reads it."""
        return f"{self.form}:{self.path}"


def save(client: docker.DockerClient, family: Family, log: Log) -> Path:
    """Write the image of a family to an archive in the folder of image files.

    Args:
        client: The engine that holds the image.
        family: The family of the image.
        log: Shows progress, one line per call.

    Returns:
        The archive. It appears whole or not at all.

    Raises:
        ImageMissing: If no image of the family as it is now is here.
        RunError: If what the engine writes is not the image.
    """
    name = find_image(client, family)
    if name is None:
        raise ImageMissing(
            f"no image of {family.name} as it is now is here; `matterzoo build {family.name}` "
            f"builds it, `matterzoo pull {family.name}` pulls one that is published"
        )
    image = client.images.get(name)
    digits = str(image.id).removeprefix("sha256:")[:DIGITS]
    path = image_files() / f"{family.name}-{digits}.tar"
    if path.exists():
        log(f"{path} is here")
        return path
    log(f"writing {path} ({image.attrs['Size'] / 1e6:,.0f} MB)")
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            for piece in image.save(chunk_size=PIECE):
                file.write(piece)
        _require_of(read_archive(temporary), family)

    write_atomically(path, write)
    return path


def find_archive(family: Family) -> Archive | None:
    """Find the archive of a family's image as the family is now.

    Args:
        family: The family of the image.

    Returns:
        The newest such archive in the folder of image files; None if there is none.

    Raises:
        RunError: A file there that is named after the family is not the archive of an image.
    """
    fitting = (archive for archive in _archives(family) if is_of(archive.labels, family))
    return max(fitting, key=lambda archive: archive.path.stat().st_mtime, default=None)


def list_stale(family: Family) -> list[Path]:
    """Return the archives of a family's image that were made from the family as it once was.

    Args:
        family: The family of the images.

    Raises:
        RunError: A file there that is named after the family is not the archive of an image.
    """
    return [archive.path for archive in _archives(family) if not is_of(archive.labels, family)]


def is_of(labels: dict[str, str], family: Family) -> bool:
    """Return whether labels are those of the image of a family as it is now.

    Args:
        labels: The labels of any image.
        family: The family that the image should be of.
    """
    return (labels.get(FAMILY), labels.get(RECIPE)) == (family.name, recipe(family))


def read_archive(path: Path) -> Archive:
    """Read what an archive says of its image; its layers are not read.

    Args:
        path: A tar file, which is not compressed.

    Returns:
        The archive.

    Raises:
        RunError: It is not the archive of one image.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            names = tar.getnames()
            form = "docker-archive" if "manifest.json" in names else "oci-archive"
            content = _configuration(tar, form)
        labels = json.loads(content).get("config", {}).get("Labels") or {}
    except (tarfile.TarError, OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is not an archive of one image as `matterzoo save` or `docker save` writes it "
            f"({error}); write it again, or remove it"
        ) from error
    return Archive(path, form, f"sha256:{hashlib.sha256(content).hexdigest()}", labels)


def _archives(family: Family) -> Iterator[Archive]:
    """Yield the archives of a family's images; another family's name may begin with its own."""
    for path in sorted(image_files().glob(f"{family.name}-*.tar")):
        archive = read_archive(path)
        if archive.labels.get(FAMILY) == family.name:
            yield archive


def _require_of(archive: Archive, family: Family) -> None:
    if not is_of(archive.labels, family):
        raise RunError(
            f"what the engine saved has the labels {archive.labels}, which are not those of "
            f"{family.name} with recipe {recipe(family)[:12]}; nothing was written"
        )


def _configuration(tar: tarfile.TarFile, form: str) -> bytes:
    """Return the configuration of the one image in an archive."""
    if form == "docker-archive":
        (image,) = json.loads(_read(tar, "manifest.json"))
        return _read(tar, image["Config"])
    found: dict[str, Any] = json.loads(_read(tar, "index.json"))
    while "manifests" in found:  # an index may list an index, and records of how it was built
        entries = found["manifests"]
        built = [e for e in entries if e.get("platform", {}).get("architecture") != "unknown"]
        found = json.loads(_read(tar, _blob(built[0]["digest"])))
    return _read(tar, _blob(found["config"]["digest"]))


def _blob(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    return f"blobs/{algorithm}/{digits}"


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} in it is not a file")
    with file:
        return file.read()
