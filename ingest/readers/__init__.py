"""Readers of users' files, one module per format, found by suffix or file name.

A reader cuts its file into records, each with a name and a function that gives the record's entries, so that memory
does not grow with the file. What concerns one entry makes that entry unreadable; what concerns the file is a
DatasetError.

No content of a file is a traceback: `_parsed` is the one place where a record is read, and an exception there becomes
an unreadable entry that names the parser and its error. A mistake of our own is not hidden by that: where the exception
was raised by a line of this package and is not a refusal (`Refused`), the reason says so with the line, and the tests
over `tests/ingest/readers/inputs` and over mutated files fail on such a reason.
"""

from __future__ import annotations

import pkgutil
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ingest.readers import text
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Label, Remark, Unreadable

ID_KEYS = ("id", "system_id", "material_id", "mat_id", "mol_id", "uid")
CHARGE_KEYS = ("charge", "total_charge")
# All mean 2S + 1: `spin` in OMol25, `total_spin` in MACE, whose default is 1.
SPIN_KEYS = ("spin", "total_spin", "multiplicity", "spin_multiplicity")
# Total energies in eV: ASE's own key, and the one that MACE's training files use so that ASE does not take it away.
ENERGY_KEYS = ("energy", "REF_energy")
READ_KEYS = frozenset({*ID_KEYS, *CHARGE_KEYS, *SPIN_KEYS, *ENERGY_KEYS})
OURS = str(Path(__file__).parents[1])  # the package `ingest`
MOST_NAMED = 20  # keys in one remark; training files have about ten, files of notes any number
NO_FRAME = {
    "RDKit": (RuntimeError,)
}  # what a parser in C++ raises seems to come from the line that called it
FAULT = "this reader failed"  # begins the reason of what is a mistake of ours

Item = Entry | Unreadable | Remark


class Refused(ValueError):
    """What a record says cannot be taken; the message is the reason."""


@dataclass(frozen=True)
class Record:
    """One record of a file: what it is called if it cannot be read, and how it is read."""

    name: str
    read: Callable[[], Iterable[Item]]
    parser: str  # the library whose error it may be
    text: str = ""  # its text where a byte may not be UTF-8
    line: int = 1  # the number of that text's first line


class Ignored:
    """What entries of a file have and readers do not read, counted, so that it can be said once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, *keys: str) -> None:
        """Count these keys of one entry."""
        self.counts.update(keys)

    def remarks(self) -> Iterator[Remark]:
        """One remark on all of them, the most frequent first, or none."""
        if self.counts:
            most = self.counts.most_common(MOST_NAMED)
            named = ", ".join(f"{text.readable(key)!r:.40} ({count})" for key, count in most)
            more = (
                f" and {len(self.counts) - len(most)} more" if len(self.counts) > len(most) else ""
            )
            yield Remark(f"not read, with the number of entries that have it: {named}{more}")


@dataclass(frozen=True)
class Reader:
    """How files of one format become entries. A module here that defines READER is one."""

    suffixes: tuple[str, ...]  # lower case, with the dot
    records: Callable[[Path], Iterator[Record | Item]]
    packages: tuple[str, ...]
    code: tuple[str, ...]  # the files whose code decides the entries
    names: tuple[
        str, ...
    ] = ()  # upper case; files known by how their name begins rather than how it ends

    def suffix_of(self, path: Path) -> str:
        """The suffix of this reader that the file has, '' if none."""
        return next((suffix for suffix in self.suffixes if path.name.lower().endswith(suffix)), "")

    def named(self, path: Path) -> bool:
        """Whether the file's name begins as one of this reader's names."""
        return any(path.name.upper().startswith(name) for name in self.names)


def load_readers() -> list[Reader]:
    modules = [
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    return [module.READER for module in modules if hasattr(module, "READER")]


def suffixes() -> list[str]:
    """What the readers read, for messages."""
    return sorted({name for reader in load_readers() for name in (*reader.suffixes, *reader.names)})


def read_file(path: Path) -> Dataset:
    """A user's file as a dataset, named by its stem. Nothing is read yet but what its name says."""
    if path.is_dir():
        raise DatasetError(f"{path} is a folder; give one file ({', '.join(suffixes())})")
    if not path.stat().st_size:
        raise DatasetError(f"{path} is empty (0 bytes)")
    reader = _reader_of(path)
    if reader is None:
        raise DatasetError(
            f"{path}: no reader for {path.suffix or path.name!r}; expected {', '.join(suffixes())}"
        )
    return Dataset(
        name=_dataset_name(path, reader),
        title=f"Systems of {path.name}",
        source=str(path.resolve()),  # tells two files of one name apart
        license="the user's own file",
        packages=reader.packages,
        entries=partial(entries, reader, path),
        made_from=(__file__, text.__file__, *reader.code, str(path)),
    )


def _reader_of(path: Path) -> Reader | None:
    """The reader of a file: by its suffix, or else by how its name begins (POSCAR_1.csv is a table)."""
    readers = load_readers()
    by_suffix = (reader for reader in readers if reader.suffix_of(path))
    return next(by_suffix, None) or next((reader for reader in readers if reader.named(path)), None)


def _dataset_name(path: Path, reader: Reader) -> str:
    stem = path.name.lower().removesuffix(reader.suffix_of(path))
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._") or "file"


def entries(reader: Reader, path: Path) -> Iterator[Item]:
    """The entries of a file. Where a file breaks off between records, what came before it stays."""
    count = 0
    try:
        for record in reader.records(path):
            count += 1
            if isinstance(record, Record):
                yield from _parsed(record)
            else:
                yield record
    except (DatasetError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # what a file holds must not be a traceback; see the module's docstring
        yield Unreadable(
            f"{path.stem} after {count}",
            f"the file cannot be read further: {told('Python', error)}",
        )


def _parsed(record: Record) -> Iterator[Item]:
    """Read a record; whatever its parser raises makes an unreadable entry. See the module's docstring."""
    try:
        for item in record.read():
            yield _decoded(item, record)
    except (DatasetError, MemoryError):
        raise
    except UnicodeEncodeError as error:  # a parser was given a byte that is not UTF-8
        fault = text.bad_byte(record.text, record.line) or reason(record.parser, error)
        yield Unreadable(text.plain(record.name), fault)
    except Exception as error:  # a parser's faults have no common type
        yield Unreadable(text.plain(record.name), text.plain(told(record.parser, error)))


def told(parser: str, error: Exception) -> str:
    """A refusal in its words, a parser's error with the parser's name, a mistake of ours with its line."""
    frames = traceback.extract_tb(error.__traceback__)
    if (
        frames
        and frames[-1].filename.startswith(OURS)
        and not isinstance(error, (Refused, *NO_FRAME.get(parser, ())))
    ):
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return (
            f"{FAULT} at {where}, {type(error).__name__}: {error}; please report it with the file"
        )
    return reason(parser, error)


def _decoded(item: Item, record: Record) -> Item:
    """The entry, unreadable if its id, SMILES or sequence holds a byte that is not UTF-8; elsewhere that is nothing."""
    if isinstance(item, Entry):
        words = (item.source_id, item.smiles or "", item.sequence or "")
        if any(
            not word.isascii() and (text.BAD.search(word) or "\ufffd" in word) for word in words
        ):
            fault = (
                text.bad_byte(record.text, record.line)
                or f"{item.source_id!r} holds U+FFFD, a lost character"
            )
            return Unreadable(text.plain(item.source_id), fault)
    elif isinstance(item, Unreadable):
        return Unreadable(text.plain(item.source_id), text.plain(item.reason))
    return item


def id_of(fields: Mapping[str, Any], otherwise: object) -> str:
    """The id that an entry's own fields give, or else another."""
    given = (str(fields[key]).strip() for key in ID_KEYS if fields.get(key) is not None)
    return next((value for value in given if value), str(otherwise))


def charge_of(fields: Mapping[str, Any]) -> int | None:
    """The charge among an entry's fields, None where it has none. Raises Refused for 0.5, 'none' or two values."""
    return _integer(fields, CHARGE_KEYS)


def multiplicity_of(fields: Mapping[str, Any]) -> int | None:
    """The multiplicity, 2S + 1, among an entry's fields, None where it has none. Raises Refused as `charge_of`."""
    return _integer(fields, SPIN_KEYS)


def _integer(fields: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    found = {key: _whole(key, fields[key]) for key in keys if fields.get(key) is not None}
    if len(set(found.values())) > 1:
        raise Refused(
            f"{' and '.join(f'{key} = {value}' for key, value in found.items())} contradict each other"
        )
    return next(iter(found.values()), None)


def _whole(key: str, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not np.isfinite(number) or number != round(number):
        raise Refused(f"{key} = {str(value):.60} is not a whole number")
    return round(number)


def energies_of(fields: Mapping[str, Any], source: str, ignored: Ignored) -> tuple[Label, ...]:
    """The energies (eV) among an entry's fields as labels; one that is not finite, as of a failed calculation, is none.

    Raises Refused where one is no number.
    """
    found = []
    for key in ENERGY_KEYS:
        if fields.get(key) is not None:
            try:
                value = float(fields[key])
            except (TypeError, ValueError):
                raise Refused(f"{key} = {str(fields[key]):.60} is not a number") from None
            if np.isfinite(value):
                found.append(
                    Label("energy", value, "eV", source if key == "energy" else f"{source}: {key}")
                )
            else:
                ignored.count(f"{key} that is not finite")
    return tuple(found)


def reason(parser: str, error: Exception) -> str:
    """A parser's exception in one line; a refusal in its own words."""
    if isinstance(error, Refused):
        return str(error)
    return " ".join(f"{parser} cannot read it: {type(error).__name__}: {error}".split())
