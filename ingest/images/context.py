"""The build context of an image: what the Dockerfile copies, and nothing else."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ingest.images import wheels
from ingest.images.recipe import dockerfile, family_files, worker_files
from zoo.cards.family import Family
from zoo.places import ROOT


def build_context(family: Family, *, offline: bool) -> IO[bytes]:
    """Write the build context of a family's image as a tar file.

    Dates and owners are fixed, so that equal content gives an equal context.

    Args:
        family: The family of the image.
        offline: Whether the context holds the wheels that `matterzoo wheels` fetched.

    Returns:
        The tar file, open at its beginning; the caller closes it. It holds the Dockerfile, the
        worker, the family's folder, and two folders for wheels.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, path in _contents(family, offline=offline):
            _add_file(tar, name, path)
        for folder in ("wheels/shared", "wheels/family"):  # COPY needs them even if they are empty
            _add_folder(tar, folder)
    file.seek(0)
    return file


def _contents(family: Family, *, offline: bool) -> Iterator[tuple[str, Path]]:
    """Yield each file of the context: its name there, and its path here."""
    yield "Dockerfile", dockerfile()
    for file in worker_files():
        yield file.relative_to(ROOT).as_posix(), file
    for file in family_files(family):
        yield f"zoo/families/{family.name}/{file.relative_to(family.path).as_posix()}", file
    if offline:
        folders = {"shared": wheels.shared_wheels(family), "family": wheels.family_wheels(family)}
        for part, folder in folders.items():
            for file in sorted(folder.iterdir()):
                yield f"wheels/{part}/{file.name}", file


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = path.stat().st_size, 0o644
    with path.open("rb") as content:
        tar.addfile(member, content)


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(member)
