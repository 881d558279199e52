"""Datasets: a named, fixed list of systems, and the fingerprint of what decides its entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ingest.callbacks import Log
from ingest.systems.entry import Entry, Remark, Unreadable
from zoo.code import code_hash

# Of a dataset's folder and of what ingest.systems.validation checks. It is part of every
# fingerprint: raise it when either changes, and every dataset is written again.
FORMAT = 2

Item = Entry | Unreadable | Remark  # what a source yields


@dataclass(frozen=True)
class Dataset:
    """A named, fixed list of systems.

    Attributes:
        name: The name of the dataset; every system id begins with it.
        title: One line about the dataset.
        source: Where the systems come from; an absolute path for a user's own file.
        license: The license of the source.
        packages: Packages whose versions decide the entries, too.
        entries: A function that reads the source from its beginning, one entry at a time.
        made_from: Every file, of code or of data, whose content decides the entries.
        words: What else decides the entries, such as the names of files that ids are made of.
        numbered: Whether rows without ids were numbered, as the user asked.
        approx_systems: About how many systems there are, None if that is not known before they
            are read.
        approx_seconds: About how long it takes to materialize them on 2 CPU cores.
        sample: Only so many systems of the source (ingest.systems.sample says which), None for all.
    """

    name: str
    title: str
    source: str
    license: str
    packages: tuple[str, ...]
    entries: Callable[[], Iterator[Item]]
    made_from: tuple[str, ...]
    words: tuple[str, ...] = ()
    numbered: bool = False
    approx_systems: int | None = None
    approx_seconds: float | None = None
    sample: int | None = None

    def sampled(self, limit: int | None, log: Log) -> Dataset:
        """Return the dataset to materialize when `limit` systems are asked for.

        Datasets that installed packages carry are small and are materialized whole, whatever the
        limit; those that are downloaded, or slow to make, override this.

        Args:
            limit: The number of systems asked for, None for the dataset's default.
            log: Prints one line, for what has to be downloaded first.

        Returns:
            This dataset.
        """
        return self

    @property
    def is_sampled(self) -> bool:
        """Whether a limit decides how much of the source is materialized."""
        return type(self).sampled is not Dataset.sampled

    @property
    def versions(self) -> dict[str, str]:
        """The installed version of each package that decides the entries."""
        return {package: version(package) for package in self.packages}

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that decides the entries; a folder with the same one is up to date."""
        files = [_recipe_hash(Path(path)) for path in self.made_from]
        facts = [FORMAT, self.name, files, self.versions, *([self.words] if self.words else [])]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Args:
        path: An existing file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_file(module: str) -> str:
    """Return the path of a module's code without importing the module, for `made_from`.

    Args:
        module: The full name of a module that may be slow to import.

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {module}")
    return spec.origin


def _recipe_hash(path: Path) -> str:
    """Hash a file that decides entries; comments and docstrings of code decide nothing."""
    return code_hash(path.read_bytes()) if path.suffix == ".py" else file_hash(path)
