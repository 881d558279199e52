"""Files that somebody publishes: the facts of a dataset's TOML file, and the files on this machine.

The files lie in $MATTERZOO_DATASETS/<name>, by default in <user's cache>/matterzoo/datasets/<name>.
A user who has them already puts them there, under the paths in the TOML file. What a publisher says
about a file (size, SHA-256, MD5) stands in the TOML file. If no checksum was published, `matterzoo
pin --dataset <name>` records what it finds in <name>.lock beside the TOML file, once, and only that
content is accepted from then on.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ingest.callbacks import Log
from ingest.systems.entry import DatasetError
from zoo.cards.base import Card
from zoo.cards.licenses import License
from zoo.cards.weights_source import PublishedFile
from zoo.files import write_atomically
from zoo.places import user_cache
from zoo.terminal import megabytes, show_download
from zoo.weights.digest import Content, cached_digests
from zoo.weights.download import download
from zoo.weights.errors import DownloadError

# Loopback addresses are those of the tests' own server.
_Https = Annotated[str, Field(pattern=r"^(https://|http://127\.0\.0\.1:)")]
_Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class SourceFile(PublishedFile):
    """One published file. What the publisher does not say is left out.

    Attributes:
        url: Where it is downloaded.
        rounded: About how many bytes it has, if the publisher gives no exact size.
        md5: Its MD5, if the publisher gives one.
        note: Where the checksum was read, or that none is published.
    """

    url: _Https
    rounded: int | None = Field(default=None, gt=0)
    md5: _Md5 | None = None
    note: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the content is known by a checksum."""
        return self.sha256 is not None or self.md5 is not None

    @property
    def content(self) -> Content:
        """What is known of the content."""
        return Content(size=self.size, sha256=self.sha256, md5=self.md5)


class LabelColumn(Card):
    """A property that the source gives for its systems.

    Attributes:
        key: What the source calls it.
        property: What the table `labels` calls it.
        unit: The unit of its values, '1' if they have none.
        source: The level of theory or kind of measurement, and the dataset.
    """

    key: str
    property: str
    unit: str
    source: str


class Facts(Card):
    """A dataset's TOML file.

    Attributes:
        name: The name of the dataset.
        title: One line about it.
        description: What it holds, where it is from, and how its ids are made.
        homepage: Where it is published.
        citation: The paper that describes it.
        doi: The identifier of that paper.
        license: The license of the data.
        systems: How many systems the source lists.
        seconds: About how long a sample of 50,000 takes to read on 2 CPU cores.
        file: The files that are downloaded.
        besides: What is downloaded in addition to these files.
        label: The properties that become labels.
        options: Facts that only this dataset's module reads.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    title: str
    description: str
    homepage: _Https
    citation: str
    doi: str | None = Field(default=None, pattern=r"^10\.")
    license: License
    systems: int | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)
    file: tuple[SourceFile, ...]
    besides: str = ""
    label: tuple[LabelColumn, ...] = ()
    options: dict[str, Any] = {}


def describe_files(files: Sequence[SourceFile]) -> str:
    """Return how many files there are, and how large they are as far as publishers say.

    Args:
        files: Published files.
    """
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    sizes = [file.size or file.rounded for file in files]
    if not any(sizes):
        return f"{count} of unknown size"
    about = "about " if any(file.size is None for file in files) else ""
    more = " and more" if None in sizes else ""
    return f"{count}, {about}{megabytes(sum(filter(None, sizes)), 0)}{more}"


@dataclass(frozen=True)
class Source:
    """A published dataset: its facts, and its files on this machine.

    Attributes:
        facts: The content of the TOML file, with the checksums of its lock.
        toml: The TOML file.
    """

    facts: Facts
    toml: Path

    @classmethod
    def load(cls, toml: Path) -> Source:
        """Read a TOML file, with the checksums that its lock records.

        Args:
            toml: The file.

        Returns:
            The facts; the files themselves are not looked at.

        Raises:
            DatasetError: The file or its lock is wrong; the message lists every fault.
        """
        lock = toml.with_suffix(".lock")
        try:
            facts = tomllib.loads(toml.read_text(encoding="utf-8"))
            pins = json.loads(lock.read_text()) if lock.exists() else {}
            facts["file"] = [
                pins.get(file.get("path"), {}) | file for file in facts.get("file", [])
            ]
            return cls(Facts.model_validate(facts), toml)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise DatasetError(f"{toml} is wrong:\n  " + "\n  ".join(faults)) from error
        except ValueError as error:
            raise DatasetError(
                f"{toml} or {lock.name} cannot be read: {error}; correct it, or remove the lock"
            ) from error

    @property
    def lock(self) -> Path:
        """The file with the checksums that no publisher gives."""
        return self.toml.with_suffix(".lock")

    @property
    def folder(self) -> Path:
        """The folder of the files on this machine."""
        datasets = Path(os.environ.get("MATTERZOO_DATASETS") or user_cache() / "datasets")
        return datasets.expanduser() / self.facts.name

    def path(self, name: str) -> Path:
        """Return the path of a file on this machine.

        Args:
            name: The path of the file in the TOML file.

        Raises:
            DatasetError: The TOML file names no such file.
        """
        if name not in {file.path for file in self.facts.file}:
            raise DatasetError(f"{self.toml.name} names no file {name!r}")
        return self.folder / name

    @property
    def missing(self) -> list[SourceFile]:
        """The files that are still to be downloaded."""
        return [file for file in self.facts.file if not (self.folder / file.path).exists()]

    def fetch(self, log: Log) -> Path:
        """Download what is missing and verify everything.

        Args:
            log: Prints one line.

        Returns:
            The folder of the files.

        Raises:
            DatasetError: A file has no known checksum, cannot be downloaded, or is another one.
        """
        unpinned = [file.path for file in self.facts.file if not file.pinned]
        if unpinned:
            name = self.facts.name
            raise DatasetError(
                f"no checksum of {unpinned[0]} of dataset {name} is known, so it could not be told "
                f"from another file; `matterzoo pin --dataset {name}` downloads it once and writes "
                f"its checksum into {self.lock.name}"
            )
        self._announce(log)
        for file in self.facts.file:
            self._fetch(file, log)
        return self.folder

    def pin(self, log: Log) -> Path:
        """Record size and SHA-256 of every file for which the publisher gives no checksum.

        Args:
            log: Prints one line.

        Returns:
            The lock that was written.

        Raises:
            DatasetError: A file cannot be downloaded.
        """
        pins = json.loads(self.lock.read_text()) if self.lock.exists() else {}
        self._announce(log)
        for file in self.facts.file:
            if not file.pinned:
                path = self._fetch(file, log)
                digest, size = cached_digests(path, ["sha256"])["sha256"], path.stat().st_size
                pins[file.path] = {"sha256": digest, "size": size}
                log(f"{file.path}: {digest}, {size:,} bytes")
        write_atomically(self.lock, json.dumps(pins, indent=2, sort_keys=True) + "\n")
        return self.lock

    def _announce(self, log: Log) -> None:
        """Log what is about to be downloaded, and on which terms."""
        if not self.missing:
            return
        license = self.facts.license
        terms = "" if license.commercial else ", not for commercial use"
        link = license.url or license.no_url_because
        log(f"  downloading {describe_files(self.missing)}, to {self.folder}")
        log(f"  license of {self.facts.name}: {license.name}{terms}, {link}")

    def _fetch(self, file: SourceFile, log: Log) -> Path:
        try:
            with show_download(file.path) as bar:
                return download(
                    file.url,
                    self.folder / file.path,
                    file.content,
                    log=lambda text: log(f"  {text}"),
                    progress=bar.move,
                )
        except DownloadError as error:
            raise DatasetError(f"dataset {self.facts.name}: {error}") from error
