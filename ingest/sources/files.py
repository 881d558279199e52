"""Published datasets' files: the facts of ingest/datasets/<name>.toml, and the files themselves, fetched and verified.

They lie in $MATTERZOO_DATASETS/<name>, by default in <user's cache>/matterzoo/datasets/<name>. A user who has them already
puts them there, under the paths of the TOML. What a publisher tells of a file (size, sha256, md5) stands in the TOML;
where no checksum was published, `make pin DATASET=<name>` writes what it finds into <name>.lock beside it, once,
and only that content is taken from then on.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ingest.systems.entry import DatasetError
from zoo.cards.base import Card
from zoo.cards.licenses import License
from zoo.cards.weights_source import PublishedFile
from zoo.files import write_atomically
from zoo.places import user_cache
from zoo.terminal import show_download
from zoo.weights.digest import Content, cached_digests
from zoo.weights.download import download
from zoo.weights.errors import DownloadError

Say = Callable[[str], None]
Https = Annotated[
    str, Field(pattern=r"^(https://|http://127\.0\.0\.1:)")
]  # loopback: the tests' own server
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class SourceFile(PublishedFile):
    """One published file. path: where it lies in the dataset's folder. What the publisher does not tell is left out."""

    url: Https
    rounded: int | None = Field(
        default=None, gt=0, description="bytes, where the publisher only tells about how many"
    )
    md5: Md5 | None = None
    note: str = Field(
        default="", description="where the checksum was read, or that none is published"
    )

    @property
    def pinned(self) -> bool:
        """Is it known by a checksum?"""
        return self.sha256 is not None or self.md5 is not None

    @property
    def content(self) -> Content:
        return Content(size=self.size, sha256=self.sha256, md5=self.md5)


def amount(files: Sequence[SourceFile]) -> str:
    """How many files, and how many MB as far as anybody tells."""
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    sizes = [file.size or file.rounded for file in files]
    if not any(sizes):
        return f"{count} of unknown size"
    about = "about " if any(file.size is None for file in files) else ""
    more = " and more" if None in sizes else ""
    return f"{count}, {about}{sum(filter(None, sizes)) / 1e6:,.0f} MB{more}"


class LabelColumn(Card):
    """A property that the source gives for its systems."""

    key: str = Field(description="what the source calls it")
    property: str = Field(description="what table `labels` calls it")
    unit: str = Field(description="'1' if it has none")
    source: str = Field(description="level of theory or kind of measurement, and the dataset")


class About(Card):
    """<name>.toml. `options` are the loader's own facts (a template of addresses, a list of parts)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    title: str
    description: str
    homepage: Https
    citation: str
    doi: str | None = Field(default=None, pattern=r"^10\.")
    license: License
    systems: int | None = Field(default=None, gt=0, description="how many the source lists")
    seconds: float | None = Field(
        default=None, gt=0, description="to read a sample of 50,000 on 2 CPU cores, about"
    )
    file: tuple[SourceFile, ...]
    besides: str = Field(default="", description="what is downloaded besides these files")
    label: tuple[LabelColumn, ...] = ()
    options: dict[str, Any] = {}


@dataclass(frozen=True)
class Source:
    """A published dataset: its facts, the TOML file they are from, and the folder of its files on this machine."""

    about: About
    toml: Path

    @classmethod
    def load(cls, toml: Path) -> Source:
        """The TOML with what its lock pins. Raises DatasetError, which lists every fault at once."""
        lock = toml.with_suffix(".lock")
        try:
            facts = tomllib.loads(toml.read_text(encoding="utf-8"))
            pins = json.loads(lock.read_text()) if lock.exists() else {}
            facts["file"] = [
                pins.get(file.get("path"), {}) | file for file in facts.get("file", [])
            ]
            return cls(About.model_validate(facts), toml)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise DatasetError(f"{toml} is wrong:\n  " + "\n  ".join(faults)) from error
        except ValueError as error:
            raise DatasetError(
                f"{toml} or {lock.name} cannot be read: {error}; mend it, or remove the lock"
            ) from error

    @property
    def lock(self) -> Path:
        return self.toml.with_suffix(".lock")

    @property
    def folder(self) -> Path:
        """Where the files are kept, or were put by hand."""
        return (
            Path(os.environ.get("MATTERZOO_DATASETS") or user_cache() / "datasets").expanduser()
            / self.about.name
        )

    def path(self, name: str) -> Path:
        """One of the files of the TOML, by its path there."""
        if name not in {file.path for file in self.about.file}:
            raise DatasetError(f"{self.toml.name} names no file {name!r}")
        return self.folder / name

    @property
    def missing(self) -> list[SourceFile]:
        """The files still to be downloaded."""
        return [file for file in self.about.file if not (self.folder / file.path).exists()]

    def fetch(self, say: Say) -> Path:
        """Download what is missing, verify everything, and return the folder. DatasetError with what to do."""
        unpinned = [file.path for file in self.about.file if not file.pinned]
        if unpinned:
            name = self.about.name
            raise DatasetError(
                f"no checksum of {unpinned[0]} of dataset {name} is known, so nobody could tell it from another file;"
                f" `make pin DATASET={name}` downloads it once and writes its checksum into {self.lock.name}"
            )
        self._tell(say)
        for file in self.about.file:
            self._fetch(file, say)
        return self.folder

    def _tell(self, say: Say) -> None:
        """What is about to be downloaded, and on which terms."""
        if not self.missing:
            return
        license = self.about.license
        terms = "" if license.commercial else ", not for commercial use"
        say(f"  downloading {amount(self.missing)}, to {self.folder}")
        say(
            f"  license of {self.about.name}: {license.name}{terms}, {license.url or license.no_url_because}"
        )

    def _fetch(self, file: SourceFile, say: Say) -> Path:
        try:
            with show_download(file.path) as bar:
                path = self.folder / file.path
                return download(
                    file.url,
                    path,
                    file.content,
                    log=lambda text: say(f"  {text}"),
                    progress=bar.move,
                )
        except DownloadError as error:
            raise DatasetError(f"dataset {self.about.name}: {error}") from error

    def pin(self, say: Say) -> Path:
        """Write size and sha256 of every file whose publisher tells no checksum into the lock, which is returned."""
        pins = json.loads(self.lock.read_text()) if self.lock.exists() else {}
        self._tell(say)
        for file in self.about.file:
            if not file.pinned:
                path = self._fetch(file, say)
                pins[file.path] = {
                    "sha256": cached_digests(path, ["sha256"])["sha256"],
                    "size": path.stat().st_size,
                }
                say(f"{file.path}: {pins[file.path]['sha256']}, {pins[file.path]['size']:,} bytes")
        content = json.dumps(pins, indent=2, sort_keys=True) + "\n"
        write_atomically(self.lock, content)
        return self.lock
