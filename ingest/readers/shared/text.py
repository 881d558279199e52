"""Text of users' files: its encoding is recognized, and a bad byte costs only what needs it.

A file is UTF-8, with or without a byte-order mark, or UTF-16 or UTF-32 with one. A byte that is not
UTF-8 is kept as a surrogate (PEP 383), so that the rest of the file can be read and a message can
name the byte with its place.
"""

from __future__ import annotations

import codecs
import gzip
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TextIO, cast

from ingest.readers.shared.packed import is_packed, plain_size

_ENCODING_OF_MARK = {  # the longer first: UTF-32's mark begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
_MAX_LETTERS = 1000  # of an id or a reason of an entry that cannot be read
BAD_BYTE = re.compile("[\udc80-\udcff]")


@contextmanager
def open_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file, compressed by gzip or not, in its own encoding.

    Args:
        path: The file.
        newline: As for `open`; "" keeps line ends as they are.

    Yields:
        The open file, in which a byte that is not UTF-8 is a surrogate.

    Raises:
        DatasetError: The file is compressed and cannot be unpacked, or unpacks to too much.
    """
    with _open_bytes(path) as raw:
        start = raw.read(4)
        raw.seek(0)
        marks = _ENCODING_OF_MARK.items()
        encoding = next((name for mark, name in marks if start.startswith(mark)), "utf-8")
        errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
        with TextIOWrapper(raw, encoding=encoding, errors=errors, newline=newline) as file:
            yield file


def _open_bytes(path: Path) -> IO[bytes]:
    if not is_packed(path):
        return path.open("rb")
    plain_size(path)  # verifies it whole
    return cast(IO[bytes], gzip.open(path))


def describe_bad_byte(text: str, first_line: int = 1) -> str | None:
    """Describe the first byte of a text that is not UTF-8.

    Args:
        text: Lines of a file that `open_text` gave.
        first_line: The number of the text's first line in its file, from 1.

    Returns:
        The byte, its place and what to do; None if every byte is UTF-8.
    """
    found = BAD_BYTE.search(text)
    if found is None:
        return None
    before = text[: found.start()]
    line = first_line + before.count("\n")
    offset = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
    byte = ord(found.group()) - 0xDC00
    return (
        f"not UTF-8 (byte 0x{byte:02X} at offset {offset} of line {line}); save the file as UTF-8"
    )


def replace_bad_bytes(text: str) -> str:
    """Return a text with U+FFFD, the replacement character, for each byte that is not UTF-8.

    Args:
        text: Any text that `open_text` gave.
    """
    return BAD_BYTE.sub("\ufffd", text)


def printable(text: str) -> str:
    """Return a text in one line of at most 1000 letters, with control characters escaped.

    Args:
        text: Any text that `open_text` gave.
    """
    shown = "".join(
        letter if unicodedata.category(letter) != "Cc" else repr(letter)[1:-1]
        for letter in replace_bad_bytes(text)[:_MAX_LETTERS]
    )
    return shown + "…" if len(text) > _MAX_LETTERS else shown
