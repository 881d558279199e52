"""Text of users' files: its encoding is recognized, and a byte that is no text costs only what needs it.

A file is UTF-8, with or without a byte-order mark, or UTF-16 or UTF-32 with one. A byte that is not UTF-8 is kept as a
surrogate (PEP 383), so that the rest of the file can be read and the byte named with its place.
"""

from __future__ import annotations

import codecs
import gzip
import re
import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TextIO

from ingest.systems.entry import DatasetError

MARKS = {  # the longer first: UTF-32's mark begins with UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
GZIP = b"\x1f\x8b"
MOST_BYTES = (
    2**26
)  # of a compressed file when unpacked: a few hundred bytes may stand for gigabytes
MOST_LETTERS = 1000  # of an id or a reason of what cannot be read
BAD = re.compile("[\udc80-\udcff]")


@contextmanager
def opened(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file, compressed by gzip or not, in its own encoding.

    Args:
        path: the file.
        newline: as for `open`; "" keeps line ends as they are.
    """
    with path.open("rb") as raw:
        start = raw.read(4)
    if start.startswith(GZIP):
        yield TextIOWrapper(
            BytesIO(_unpacked(path)), encoding="utf-8", errors="surrogateescape", newline=newline
        )
        return
    encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    with path.open(encoding=encoding, errors=errors, newline=newline) as file:
        yield file


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is compressed, and cannot be unpacked: {error}") from error
    if len(content) > MOST_BYTES:
        raise DatasetError(
            f"{path} unpacks to more than {MOST_BYTES} bytes; unpack it and give the file itself"
        )
    return content


def bad_byte(text: str, first_line: int = 1) -> str | None:
    """Name the first byte of a text that is not UTF-8, or None if there is none.

    Args:
        text: lines of a file that `opened` gave.
        first_line: the number of the text's first line in its file, from 1.
    """
    found = BAD.search(text)
    if found is None:
        return None
    before = text[: found.start()]
    line = before.count("\n")
    offset = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
    byte = ord(found.group()) - 0xDC00
    return f"not UTF-8 (byte 0x{byte:02X} at offset {offset} of line {first_line + line}); save the file as UTF-8"


def readable(text: str) -> str:
    """Return the text with U+FFFD, the replacement character, for each byte that is not UTF-8."""
    return BAD.sub("\ufffd", text)


def plain(text: str) -> str:
    """Return the text in one line of at most a thousand letters, with control characters escaped."""
    shown = "".join(
        x if unicodedata.category(x) != "Cc" else repr(x)[1:-1]
        for x in readable(text)[:MOST_LETTERS]
    )
    return shown + "…" if len(text) > MOST_LETTERS else shown
