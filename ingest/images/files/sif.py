"""What Apptainer starts: an image as one file, SIF, or unpacked in a folder, a sandbox.

<folder of image files>/<family>-<digest>/
    image.json      the image that it was made from, and the recipe of that
    image.sif
    sandbox/root    the same unpacked, where files cannot be mounted; made when first needed
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images.digests import current, explain_missing
from ingest.images.files.archive import DIGITS, find_archive, is_of, list_stale
from ingest.images.files.program import Program, explain_unpacking
from ingest.images.recipe import recipe
from ingest.integrity import Damaged, read_json, write_json
from zoo.cards.family import Family
from zoo.files import file_lock, fsync, write_folder_atomically
from zoo.places import image_files


@dataclass(frozen=True)
class Sif:
    """An image that Apptainer can start.

    Attributes:
        folder: Its folder.
        image: `registry/name@sha256:…` for a published image, the id for one from an archive.
    """

    folder: Path
    image: str

    @property
    def file(self) -> Path:
        """The image as one file."""
        return self.folder / "image.sif"

    @property
    def root(self) -> Path:
        """The same unpacked, whether or not it is."""
        return self.folder / "sandbox" / "root"


def find_sif(family: Family) -> Sif | None:
    """Find the image that was made from a family as it is now.

    Args:
        family: The family to run.

    Returns:
        The published image if it is among several, else the newest; None if there is none.
    """
    entry = current(family)
    found = []
    for about in image_files().glob(f"{family.name}-*/image.json"):
        try:
            said = read_json(about)
        except Damaged:  # it is made again
            continue
        sif = Sif(about.parent, str(said.get("image")))
        fits = (said.get("family"), said.get("recipe")) == (family.name, recipe(family))
        if fits and (sif.file.exists() or sif.root.exists()):
            published = entry is not None and sif.image == entry.reference
            found.append((published, about.stat().st_mtime, sif))
    return max(found, key=lambda each: each[:2])[2] if found else None


def why_missing(family: Family) -> str | None:
    """Return why there is no image to start, or None if there is one or it can be made.

    Args:
        family: The family to run.
    """
    try:
        if find_sif(family) or find_archive(family) or current(family):
            return None
        return _explain(family)
    except RunError as error:
        return str(error)


def make_sif(program: Program, family: Family, log: Log) -> Sif:
    """Make the image of a family unless it is here: from an archive, else from the registry.

    It appears whole or not at all. If two processes make it at once, one waits for the other.

    Args:
        program: The program that makes it.
        family: The family to run.
        log: Shows progress, one line per call.

    Returns:
        The image, unpacked if this machine cannot mount it.

    Raises:
        RunError: There is no image of the family as it is now, it cannot be had, or it is another.
    """
    found = find_sif(family)
    if found is None:
        with _only_one(image_files(), f".{family.name}.lock", log):
            found = find_sif(family) or _make(program, family, log)
    if explain_unpacking() is not None:
        unpack(program, found, log)
    return found


def unpack(program: Program, sif: Sif, log: Log) -> Path:
    """Unpack an image unless it is, once for all tasks of all nodes that see the folder.

    Args:
        program: The program that unpacks it.
        sif: The image.
        log: Shows progress, one line per call.

    Returns:
        The folder to start.

    Raises:
        RunError: It cannot be unpacked.
    """
    if sif.root.exists():
        return sif.root
    with _only_one(sif.folder, ".lock", log):
        if not sif.root.exists():
            log(f"unpacking {sif.file}, once, since {explain_unpacking()}")
            with write_folder_atomically(sif.folder / "sandbox") as folder:
                command = ["build", "--sandbox", str(folder / "root"), str(sif.file)]
                program.run(command, f"unpacking {sif.file}")
    return sif.root


@contextmanager
def _only_one(folder: Path, name: str, log: Log) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    waiting = "waiting for another process that makes this image ready"
    with file_lock(folder / name, on_wait=lambda holder: log(f"{waiting}: {holder}")):
        yield


def _make(program: Program, family: Family, log: Log) -> Sif:
    archive, entry = find_archive(family), current(family)
    if archive is not None:
        source, image = archive.source, archive.image_id
    elif entry is not None:
        source, image = f"docker://{entry.reference}", entry.reference
    else:
        raise RunError(_explain(family))
    sif = Sif(image_files() / f"{family.name}-{image.rpartition(':')[2][:DIGITS]}", image)
    log(f"making {sif.file} from {source}, once (about {family.installed_mb:,} MB unpacked)")
    with write_folder_atomically(sif.folder) as folder:
        file = folder / sif.file.name
        # Its cache would keep every layer a second time, for an image that is made once.
        command = ["build", "--disable-cache", str(file), source]
        program.run(command, f"making an image of {family.name} from {source}")
        _require_of(program, file, family, source)
        fsync(file)
        about = {"family": family.name, "recipe": recipe(family), "image": image, "source": source}
        about["made_with"] = f"{program.name} {program.version}"
        write_json(folder / "image.json", about)
    return sif


def _require_of(program: Program, file: Path, family: Family, source: str) -> None:
    """Refuse an image whose labels are not the family's."""
    command = ["inspect", "--json", "--labels", str(file)]
    said = program.run(command, f"reading the labels of {source}")
    try:
        labels = json.loads(said)["data"]["attributes"]["labels"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{program.name} {program.version} said nothing of the labels of {source}: {said!r}"
        ) from error
    if not is_of(labels, family):
        raise RunError(
            f"{source} has the labels {labels}, which are not those of {family.name} with recipe "
            f"{recipe(family)[:12]}, so it is not used"
        )


def _explain(family: Family) -> str:
    """Return why there is neither a published image nor an archive, and what to do."""
    stale = list_stale(family)
    old = f"; {stale[0]} was made from the family as it once was" if stale else ""
    return (
        f"{explain_missing(family)}{old}. Without an engine here, `matterzoo save {family.name}` "
        f"on a machine with Docker writes it as a file, which belongs into {image_files()}"
    )
