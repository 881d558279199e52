"""Weights: where they lie, and their download.

Nothing is given to an encoder that is not, byte for byte, what a card or weights.lock names. What a package carries is
in the family's environment, and the worker verifies it there.
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
from zoo.terminal import license_line, megabytes, show_download
from zoo.weights import hub
from zoo.weights.digest import Content, fault
from zoo.weights.download import DownloadError, download, lock
from zoo.weights.hub import Say

PICKLE = "pickles, which may run code when they are loaded: only bytes with the pinned hash are"


class WeightsError(Exception):
    """Weights that cannot be had or are not what they should be: what, and what to do."""


@dataclass(frozen=True)
class Place:
    """folder: holds the files by the card's names. root: what is to be mounted so that links in it lead somewhere."""

    folder: Path
    root: Path


def needed(selection: Selection) -> tuple[WeightsFile, ...]:
    """The files that have to be at hand before a model can run: none where its package carries them."""
    weights = selection.model.weights
    return weights.needed(untrained=selection.untrained) if weights.source in ("hub", "url") else ()


def at_hand(selection: Selection) -> Place | None:
    """Where the files are, if there are any and all of them are there in the right size. Nothing is read or asked."""
    files = needed(selection)
    if not files or not selection.model.weights.pinned(untrained=selection.untrained):
        return None
    folder = folder_of(selection)
    if all(
        (folder / file.path).is_file() and (folder / file.path).stat().st_size == file.size
        for file in files
    ):
        return Place(folder, root_of(selection, folder))
    return None


def folder_of(selection: Selection) -> Path:
    """The folder of a model's files: of the hub's cache, or our own (MATTERZOO_WEIGHTS, or among the user's caches)."""
    weights = selection.model.weights
    if weights.source == "hub":
        return hub.snapshot(str(weights.repo), str(weights.revision)).resolve()
    own = os.environ.get("MATTERZOO_WEIGHTS")
    return (
        (Path(own) if own else user_cache() / "weights").resolve()
        / selection.family.name
        / selection.model.id
    )


def root_of(selection: Selection, folder: Path) -> Path:
    """The repository's folder in the hub's cache, or all of that cache where its repositories share files."""
    weights = selection.model.weights
    if weights.source == "url":
        return folder
    root = hub.repository(str(weights.repo)).resolve()
    inside = all((folder / file.path).resolve().is_relative_to(root) for file in needed(selection))
    return root if inside else root.parent


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What goes wrong underneath is a WeightsError."""
    try:
        yield
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    except OSError as error:
        raise WeightsError(
            f"{error}: may this folder be read and written, and is its disk full?"
        ) from error


@told()
def fetch(selection: Selection, say: Say) -> Place | None:
    """Download what is not there, verify all of it, and return where it is; None for a model without such files."""
    files = needed(selection)
    if not files:
        return None
    require_pins(selection)
    folder = folder_of(selection)
    for file in files:
        set_aside_if_wrong(folder / file.path, content(file), say)
    lacking = [file for file in files if not (folder / file.path).exists()]
    if lacking:
        announce(selection, lacking, say)
    for file in lacking:
        obtain(selection.model.weights, file, folder / file.path, say)
    for file in files:
        if wrong := fault(folder / file.path, content(file)):
            raise WeightsError(
                f"{folder / file.path} is not what {selection.model.id} is pinned to: {wrong}"
            )
    return Place(folder, root_of(selection, folder))


def require_pins(selection: Selection) -> None:
    """WeightsError for a model of which nobody has fixed what is to be loaded."""
    if not selection.model.weights.pinned(untrained=selection.untrained):
        raise WeightsError(
            f"the weights of {selection.model_id} are not pinned: nobody has recorded their hashes yet; "
            f"`matterzoo pin {selection.model.id}` downloads them once and does"
        )


def content(file: WeightsFile) -> Content:
    """What a file has to be, as far as that is pinned."""
    return Content(size=file.size, sha256=file.sha256)


def set_aside_if_wrong(path: Path, expected: Content, say: Say) -> None:
    """A file that was altered, or broke, is renamed to NAME.bad; so is what a link leads to."""
    if not path.exists() or fault(path, expected) is None:
        return
    real = path.resolve()
    with lock(real, say):
        if real.exists() and (
            wrong := fault(real, expected)
        ):  # no other process has mended it meanwhile
            bad = real.with_name(f"{real.name}.bad")
            real.replace(bad)
            say(f"{path} is not the file expected: {wrong}; it was set aside as {bad}")


def announce(selection: Selection, files: list[WeightsFile], say: Say) -> None:
    """What is about to be downloaded, and under which terms if these are not free."""
    if notice := license_line(selection.model.license_weights, "the weights"):
        say(f"{selection.model.id}: {notice}")
    size = (
        f", {megabytes(sum(file.size or 0 for file in files))}"
        if all(file.size for file in files)
        else ""
    )
    if selection.model.weights.format == "pickle":
        say(f"{selection.model.id}: {PICKLE}")
    names = ", ".join(file.path for file in files)
    say(f"{selection.model.id}: downloading {names}{size}")


def obtain(weights: Weights, file: WeightsFile, path: Path, say: Say) -> Path:
    """Download one file, as far as known as it has to be, and return where it is. DownloadError with what to do."""
    with show_download(Path(file.path).name) as bar:
        if weights.source == "hub":
            return hub.land(
                str(weights.repo), str(weights.revision), file.path, content(file), say, bar.move
            )
        expected = Content(size=file.size, sha256=file.sha256, git_blob=file.git_blob)
        return download(str(file.url), path, expected, say=say, progress=bar.move)


def status(selection: Selection) -> str:
    """In two words, how far a model's weights are: none needed, in package, at hand, pinned, not pinned."""
    weights = selection.model.weights
    if weights.source in ("none", "package"):
        return {"none": "none needed", "package": "in package"}[weights.source]
    if not weights.pinned(untrained=selection.untrained):
        return "not pinned"
    return "pinned" if at_hand(selection) is None and needed(selection) else "at hand"
