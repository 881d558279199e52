"""The guard around parsers: no content of a file is ever a traceback.

Every record is read in `_read_record`, and an exception there becomes an unreadable entry that
names the parser and its error. That does not hide mistakes of our own: where a line of this package
raised the exception and it is not a `RecordError`, the reason says so with the line, and the tests
over `tests/ingest/readers/inputs` and over mutated files fail on such a reason.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from ingest.readers.shared.packed import plain_name, raise_system_fault
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.readers.shared.text import BAD_BYTE, describe_bad_byte, printable
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Entry, Unreadable

OUR_FAULT = "this reader failed"  # begins the reason of what is a mistake of ours
_OUR_CODE = str(Path(__file__).parents[2])  # the package `ingest`
# Exceptions that a parser in C++ raises seem to come from our line that called it.
_WITHOUT_FRAME = {"RDKit": (RuntimeError,)}


def read_entries(reader: Reader, path: Path) -> Iterator[Item]:
    """Read the entries of a file.

    Args:
        reader: The reader of the file's format.
        path: The file.

    Yields:
        Entries, readable or not, and remarks. If the file breaks off between records, what came
        before stays, and the last entry says why.

    Raises:
        DatasetError: The file as a whole cannot be read.
        SystemFault: The machine fails, and not the file.
    """
    count = 0
    try:
        for record in reader.records(path):
            count += 1
            if isinstance(record, Record):
                yield from _read_record(record, path)
            else:
                yield record
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # see the module's docstring
        raise_system_fault(path, error)
        fault = f"the file cannot be read further: {_describe(error, 'Python')}"
        yield Unreadable(f"{plain_name(path).stem} after {count}", fault)


def parser_reason(parser: str, error: Exception) -> str:
    """Return why a record cannot be read, in one line.

    Args:
        parser: The library that raised the error.
        error: What was raised; the words of a RecordError stand alone.
    """
    if isinstance(error, RecordError):
        return str(error)
    return " ".join(f"{parser} cannot read it: {type(error).__name__}: {error}".split())


def _read_record(record: Record, path: Path) -> Iterator[Item]:
    try:
        for item in record.read():
            yield _decoded(item, record)
    except (DatasetError, MemoryError):
        raise
    except UnicodeEncodeError as error:  # a parser was given a byte that is not UTF-8
        bad_byte = describe_bad_byte(record.text, record.line)
        yield Unreadable(printable(record.name), bad_byte or parser_reason(record.parser, error))
    except Exception as error:  # errors of parsers have no common type
        raise_system_fault(path, error)
        yield Unreadable(printable(record.name), printable(_describe(error, record.parser)))


def _describe(error: Exception, parser: str) -> str:
    """Return a parser's error with the parser's name, and a mistake of ours with its line."""
    frames = traceback.extract_tb(error.__traceback__)
    expected = (RecordError, *_WITHOUT_FRAME.get(parser, ()))
    ours = bool(frames) and frames[-1].filename.startswith(_OUR_CODE)
    if not ours or isinstance(error, expected):
        return parser_reason(parser, error)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return (
        f"{OUR_FAULT} at {where}, {type(error).__name__}: {error}; please report it with the file"
    )


def _decoded(item: Item, record: Record) -> Item:
    """Refuse an entry if a byte in its id, SMILES or sequence is not UTF-8; others do no harm."""
    if isinstance(item, Unreadable):
        return Unreadable(printable(item.source_id), printable(item.reason))
    if not isinstance(item, Entry):
        return item
    words = (item.source_id, item.smiles or "", item.sequence or "")
    if any(_is_damaged(word) for word in words):
        fault = (
            describe_bad_byte(record.text, record.line)
            or f"{item.source_id!r} holds U+FFFD, a lost character"
        )
        return Unreadable(printable(item.source_id), fault)
    return item


def _is_damaged(word: str) -> bool:
    return not word.isascii() and (bool(BAD_BYTE.search(word)) or "\ufffd" in word)
