"""Where a model's weights come from: the part of a card on sources, files and their hashes.

Pins are the revisions, hashes and sizes that cards leave open. A family's weights.lock is JSON:
{repository of the hub: {revision, files: {path: {sha256, size}}}, url: {sha256, size}}. An
installed program carries one, and the user has another for what nobody had pinned; see
`zoo.places.weights_pins`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from zoo.cards.base import Card, Commit, Sha256
from zoo.places import weights_pins

Pins = dict[str, Any]
PINS_FILE = "weights.lock"
Format = Literal[
    "safetensors",
    "pickle",
    "torchscript",
    "tensorflow",
    "zip",
    "npz",
    "onnx",
    "kerasify",
    "neurochem",
]


class PublishedFile(Card):
    """A file that somebody publishes, and what is known of its content.

    Attributes:
        path: The path under which it is stored, relative to the folder of its kind.
        sha256: Its SHA-256, in hexadecimal; None if nobody has recorded it.
        size: Its size in bytes; None if nobody has recorded it.
    """

    path: str = Field(pattern=r"^[^/]")
    sha256: Sha256 | None = None
    size: int | None = Field(default=None, gt=0)

    @field_validator("path")
    @classmethod
    def _stays_in_its_folder(cls, value: str) -> str:
        if ".." in Path(value).parts:
            raise ValueError("a path may not leave its folder")
        return value


class WeightsFile(PublishedFile):
    """One file of weights, named as the encoder opens it.

    The path is relative to the hub's repository, or to site-packages if the source is 'package'.
    Hashes and sizes that the card leaves open are recorded in the family's weights.lock.

    Attributes:
        url: Where the file is served; given if the source is 'url', and only then.
        git_blob: Git's own SHA-1 of the content, in hexadecimal.
        twin: Whether the untrained twin needs the file too, as it does a vocabulary.
    """

    url: str | None = Field(default=None, pattern=r"^https://")
    git_blob: Commit | None = None
    twin: bool = True

    @property
    def pinned(self) -> bool:
        """Whether the hash of the file is recorded, which fixes every byte of it.

        The size is only told before a download.
        """
        return self.sha256 is not None


class Weights(Card):
    """Where the weights come from.

    Attributes:
        source: 'hub': a repository of the Hugging Face hub, at one revision; 'url': files that
            somebody serves; 'package': the family's own package carries them; 'none': the model has
            nothing that is learned.
        package: The package that carries them, if the source is 'package'.
        repo: The repository, 'owner/name', if the source is 'hub'.
        revision: The commit of the repository; None if nobody has recorded it.
        format: The format of the files; None if there are none.
        files: The files.
    """

    source: Literal["hub", "url", "package", "none"]
    package: str | None = None
    repo: str | None = Field(default=None, pattern=r"^[\w.\-]+/[\w.\-]+$")
    revision: Commit | None = None
    format: Format | None = None
    files: tuple[WeightsFile, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Weights:
        needed = {"hub": {"repo"}, "url": set(), "package": {"package"}, "none": set()}[self.source]
        for name in ("repo", "package"):
            if (getattr(self, name) is not None) != (name in needed):
                raise ValueError(
                    f"source {self.source!r} {'needs a' if name in needed else 'has no'} {name}"
                )
        if self.revision is not None and self.source != "hub":
            raise ValueError(f"source {self.source!r} has no revision")
        if (self.source == "none") != (self.format is None) or (self.source == "none") != (
            not self.files
        ):
            verb = "has no" if self.source == "none" else "needs a"
            raise ValueError(f"source {self.source!r} {verb} format and files")
        if any((file.url is not None) != (self.source == "url") for file in self.files):
            raise ValueError("each file of source 'url', and of no other, has a url")
        complete = all(file.pinned and file.size is not None for file in self.files)
        if self.source == "package" and not complete:
            raise ValueError("each file of source 'package' needs sha256 and size")
        return self

    def needed(self, *, untrained: bool) -> tuple[WeightsFile, ...]:
        """Return the files that a model loads.

        Args:
            untrained: Whether the untrained twin is meant, which loads only files marked `twin`.
        """
        return tuple(file for file in self.files if file.twin or not untrained)

    def pinned(self, *, untrained: bool) -> bool:
        """Return whether every byte that a model loads is fixed by a recorded hash.

        Args:
            untrained: Whether the untrained twin is meant.
        """
        files = self.needed(untrained=untrained)
        fixed = self.source != "hub" or self.revision is not None
        return not files or (fixed and all(file.pinned for file in files))

    def with_pins(self, pins: Mapping[str, Any]) -> Weights:
        """Return the weights with the revision and the hashes that weights.lock records.

        Args:
            pins: The content of weights.lock: {repository: {revision, files: {path: {sha256,
                size}}}} and {url: {sha256, size}}.

        Raises:
            ValueError: The card states another revision, hash or size than weights.lock.
            KeyError: A pin is incomplete.
        """
        if self.source not in ("hub", "url"):
            return self
        revision = self.revision
        if self.repo is not None and self.repo in pins:
            revision = _agreed("revision", self.revision, pins[self.repo]["revision"])
        files = tuple(self._pinned_file(file, pins) for file in self.files)
        return self.model_copy(update={"revision": revision, "files": files})

    def _pinned_file(self, file: WeightsFile, pins: Mapping[str, Any]) -> WeightsFile:
        if self.source == "hub":
            found = pins.get(self.repo or "", {}).get("files", {}).get(file.path)
        else:
            found = pins.get(file.url or "")
        if found is None:
            return file
        facts = {"sha256": found["sha256"], "size": found["size"]}
        pinned = WeightsFile.model_validate({"path": file.path, **facts})
        agreed = {n: _agreed(n, getattr(file, n), getattr(pinned, n)) for n in facts}
        return file.model_copy(update=agreed)


def _agreed(name: str, card: Any, lock: Any) -> Any:
    if card is not None and card != lock:
        raise ValueError(f"models.toml says {name} {card}, but weights.lock says {lock}")
    return lock


def read_pins(file: Path) -> Pins:
    """Read a file of pins.

    Args:
        file: The file; if there is none, nothing is pinned.

    Returns:
        Its content.

    Raises:
        TypeError: The file holds something else than pins.
    """
    pins: Pins = json.loads(file.read_text()) if file.exists() else {}
    if not isinstance(pins, dict):
        raise TypeError(f"expected a JSON object, found {pins!r:.60}")
    return pins


def known_pins(family: Path) -> Pins:
    """Return all pins of a family: those that it carries, and what the user's add to them.

    Args:
        family: The family's folder.
    """
    carried, own = family / PINS_FILE, weights_pins(family)
    if own == carried:
        return read_pins(carried)
    result = read_pins(own)
    for key, pin in read_pins(carried).items():
        other = result.get(key, {})
        same = "files" in pin and other.get("revision") == pin["revision"]
        result[key] = pin | {"files": other["files"] | pin["files"]} if same else pin
    return result
