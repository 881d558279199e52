"""What a reader is: how files of one format become records, and records become entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ingest.readers.shared.packed import plain_name
from ingest.systems.dataset import Item
from zoo.errors import MatterzooError


class RecordError(MatterzooError, ValueError):
    """A record cannot be taken; the message is the reason that users see."""


@dataclass(frozen=True)
class Record:
    """One record of a file.

    Attributes:
        name: What the entry is called if the record cannot be read.
        read: Gives the entries of the record.
        parser: The library that raises errors about this record.
        text: The text of the record, if bytes in it may not be UTF-8.
        line: The number of the first line of that text in the file, from 1.
    """

    name: str
    read: Callable[[], Iterable[Item]]
    parser: str
    text: str = ""
    line: int = 1


@dataclass(frozen=True)
class Reader:
    """How files of one format become entries.

    Attributes:
        suffixes: How file names of this format end, in lower case, with the dot.
        records: Cuts a file into records; memory does not grow with the file. A fault of one
            record makes that record unreadable, and a fault of the file is a DatasetError.
        packages: The packages whose versions decide the entries.
        code: The files of code that decide the entries.
        names: How file names of this format begin, in upper case, if they have no suffix.
        numbered: As `records`, with the numbers of rows as ids where a table has no ids; None if
            the format never lacks them.
        chains: Whether ids of entries may be `<file stem>_<chain>`.
    """

    suffixes: tuple[str, ...]
    records: Callable[[Path], Iterator[Record | Item]]
    packages: tuple[str, ...]
    code: tuple[str, ...]
    names: tuple[str, ...] = ()
    chains: bool = False
    numbered: Callable[[Path], Iterator[Record | Item]] | None = None

    def with_numbers(self) -> Reader:
        """Return the reader that takes the numbers of rows for ids where a table has none."""
        return self if self.numbered is None else replace(self, records=self.numbered)

    def suffix_of(self, path: Path) -> str:
        """Return the suffix of this format that a file has before `.gz`, '' if it has none of them.

        Args:
            path: A file.
        """
        name = plain_name(path).name.lower()
        return next((end for end in self.suffixes if name.endswith(end)), "")

    def knows_name(self, path: Path) -> bool:
        """Return whether a file's name begins with one of this format's names.

        Args:
            path: A file.
        """
        return any(path.name.upper().startswith(name) for name in self.names)
