"""Weights on this machine: where they lie, and their download.

An encoder is given only what is, byte for byte, what a card or weights.lock names. What a package
carries is in the family's environment, and the worker verifies it there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo.cards.family import Selection
from zoo.cards.weights_source import Weights, WeightsFile
from zoo.places import user_cache
from zoo.terminal import megabytes, show_download
from zoo.weights import hub
from zoo.weights.digest import Content, describe_mismatch
from zoo.weights.download import Log, download, download_lock
from zoo.weights.errors import DownloadError, WeightsError

PICKLE = "pickles, which may run code when they are loaded: only bytes with the pinned hash are"


@dataclass(frozen=True)
class LocalWeights:
    """The files of a model's weights on this machine.

    Attributes:
        folder: The folder that holds them by the names in the card. They may be links.
        root: The folder that a container must mount so that the links lead somewhere.
    """

    folder: Path
    root: Path


def needed_files(selection: Selection) -> tuple[WeightsFile, ...]:
    """Return the files that must be downloaded before a model can run.

    Args:
        selection: The model. One that a package carries needs none.
    """
    weights = selection.model.weights
    return weights.needed(untrained=selection.untrained) if weights.source in ("hub", "url") else ()


def find_weights(selection: Selection) -> LocalWeights | None:
    """Return a model's downloaded files if all of them are there in the right size, else None.

    Nothing is read or downloaded.

    Args:
        selection: The model.
    """
    if not needed_files(selection) or missing_files(selection):
        return None
    folder = weights_folder(selection)
    return LocalWeights(folder, _root(selection, folder))


def missing_files(selection: Selection) -> tuple[WeightsFile, ...]:
    """Return the files that have still to be downloaded; all of them if they are not pinned.

    Args:
        selection: The model.
    """
    files = needed_files(selection)
    if not files or not selection.model.weights.pinned(untrained=selection.untrained):
        return files
    folder = weights_folder(selection)
    return tuple(file for file in files if not _has_size(folder / file.path, file.size))


def _has_size(path: Path, size: int | None) -> bool:
    """Return whether a file is there, in its size if that is known: a hash alone is a pin, too."""
    return path.is_file() and size in (None, path.stat().st_size)


def weights_folder(selection: Selection) -> Path:
    """Return the folder of a model's files, whether or not they are there.

    It lies in the hub's cache; for files of another server in the folder that MATTERZOO_WEIGHTS
    names, or in the user's cache.

    Args:
        selection: The model.
    """
    weights = selection.model.weights
    if weights.source == "hub":
        return hub.snapshot_folder(str(weights.repo), str(weights.revision)).resolve()
    named = os.environ.get("MATTERZOO_WEIGHTS")
    parent = Path(named) if named else user_cache() / "weights"
    return parent.resolve() / selection.family.name / selection.model.id


def _root(selection: Selection, folder: Path) -> Path:
    """Return the repository's folder in the hub's cache; the cache if repositories share files."""
    weights = selection.model.weights
    if weights.source == "url":
        return folder
    root = hub.repository_folder(str(weights.repo)).resolve()
    files = [(folder / file.path).resolve() for file in needed_files(selection)]
    return root if all(file.is_relative_to(root) for file in files) else root.parent


@contextlib.contextmanager
def weights_errors() -> Iterator[None]:
    """Turn errors of downloads and of the file system into a WeightsError.

    Yields:
        Nothing, while the block runs.

    Raises:
        WeightsError: The block raised one of them.
    """
    try:
        yield
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(
            f"{error}: may this folder be read and written, and is its disk full?"
        ) from error


@weights_errors()
def download_weights(selection: Selection, log: Log) -> LocalWeights | None:
    """Download the files of a model that are not there, and verify all of them.

    Args:
        selection: The model.
        log: Called with each line that a user should see: the license, the files, their faults.

    Returns:
        Where the files are; None for a model that needs none.

    Raises:
        WeightsError: The files are not pinned, cannot be downloaded, or are not those expected.
    """
    files = needed_files(selection)
    if not files:
        return None
    _require_pins(selection)
    folder = weights_folder(selection)
    for file in files:
        _set_aside_if_wrong(folder / file.path, _content(file), log)
    missing = [file for file in files if not (folder / file.path).exists()]
    if missing:
        announce_download(selection, missing, log)
    for file in missing:
        download_file(selection.model.weights, file, folder / file.path, log)
    for file in files:
        if wrong := describe_mismatch(folder / file.path, _content(file)):
            raise WeightsError(
                f"{folder / file.path} is not what {selection.model.id} is pinned to: {wrong}"
            )
    return LocalWeights(folder, _root(selection, folder))


def _require_pins(selection: Selection) -> None:
    if not selection.model.weights.pinned(untrained=selection.untrained):
        raise WeightsError(
            f"the weights of {selection.model_id} are not pinned: nobody has recorded their hashes "
            f"yet; `matterzoo weights {selection.model_id}` downloads them once and does"
        )


def _content(file: WeightsFile) -> Content:
    return Content(size=file.size, sha256=file.sha256)


def _set_aside_if_wrong(path: Path, expected: Content, log: Log) -> None:
    """Rename a file that was altered or is damaged, or what a link leads to, to NAME.bad."""
    if not path.exists() or describe_mismatch(path, expected) is None:
        return
    real = path.resolve()
    with download_lock(real, log):
        wrong = describe_mismatch(real, expected) if real.exists() else None
        if wrong:  # no other process has replaced it meanwhile
            bad = real.with_name(f"{real.name}.bad")
            real.replace(bad)
            log(f"{path} is not the file expected: {wrong}; it was set aside as {bad}")


def announce_download(selection: Selection, files: list[WeightsFile], log: Log) -> None:
    """Log what is about to be downloaded, and its license if that is not free.

    Args:
        selection: The model.
        files: The files to be downloaded.
        log: Called with each line.
    """
    model = selection.model
    if notice := model.license_weights.notice("the weights"):
        log(f"{model.id}: {notice}")
    known = all(file.size for file in files)
    size = f", {megabytes(sum(file.size or 0 for file in files))}" if known else ""
    if model.weights.format == "pickle":
        log(f"{model.id}: {PICKLE}")
    log(f"{model.id}: downloading {', '.join(file.path for file in files)}{size}")


def download_file(weights: Weights, file: WeightsFile, path: Path, log: Log) -> Path:
    """Download one file of weights.

    Args:
        weights: The source of the file.
        file: The file, with what is known of its content.
        path: Where a file that is not of the hub is put. One of the hub goes to the hub's cache.
        log: Called with one line when the download waits or is tried again.

    Returns:
        Where the file is.
    """
    with show_download(Path(file.path).name) as progress:
        if weights.source == "hub":
            repo, revision, known = str(weights.repo), str(weights.revision), _content(file)
            return hub.download_to_cache(repo, revision, file.path, known, log, progress.move)
        expected = Content(size=file.size, sha256=file.sha256, git_blob=file.git_blob)
        return download(str(file.url), path, expected, log=log, progress=progress.move)


def weights_status(selection: Selection) -> str:
    """Return 'none needed', 'in package', 'downloaded', 'pinned' or 'not pinned'.

    Args:
        selection: The model. 'pinned' means that its files can be downloaded and verified.
    """
    weights = selection.model.weights
    if weights.source in ("none", "package"):
        return {"none": "none needed", "package": "in package"}[weights.source]
    if not weights.pinned(untrained=selection.untrained):
        return "not pinned"
    missing = needed_files(selection) and find_weights(selection) is None
    return "pinned" if missing else "downloaded"
