"""What a file holds: its size and hashes, compared with what is expected; a file of gigabytes is read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.files import write_atomically
from zoo.places import user_cache

BLOCK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Content:
    """What is known of a file's content. What is None is not compared.

    size in bytes; sha256 and md5 in hex; git_blob is git's own SHA-1 of the content, as `git ls-tree` tells it.
    """

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    git_blob: str | None = None

    def hashes(self) -> dict[str, str]:
        """The hashes that are known, by kind."""
        known = {"sha256": self.sha256, "md5": self.md5, "git_blob": self.git_blob}
        return {kind: value for kind, value in known.items() if value is not None}


ANYTHING = Content()


def digests(path: Path, kinds: Sequence[str]) -> dict[str, str]:
    """Hashes of a file, read once for all kinds: sha256, md5, git_blob."""
    makers = {"sha256": hashlib.sha256, "md5": hashlib.md5, "git_blob": hashlib.sha1}
    hashers = {kind: makers[kind](usedforsecurity=False) for kind in kinds}
    with path.open("rb") as file:
        if "git_blob" in hashers:
            hashers["git_blob"].update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while block := file.read(BLOCK):
            for hasher in hashers.values():
                hasher.update(block)
    return {kind: hasher.hexdigest() for kind, hasher in hashers.items()}


def remembered(path: Path, kinds: Sequence[str]) -> dict[str, str]:
    """As digests, but a file that has not changed since (size, times of change, inode) is not read again.

    Whoever writes to a file can put its mtime back; its ctime nobody can.
    """
    status = path.stat()
    identity = [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]
    note = user_cache() / "verified" / f"{status.st_dev}-{status.st_ino}.json"
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        noted = json.loads(note.read_text())
        known = noted["digests"] if noted["identity"] == identity else {}
    if not set(kinds) <= set(known):
        known = {**known, **digests(path, [kind for kind in kinds if kind not in known])}
        with contextlib.suppress(
            OSError
        ):  # a cache that cannot be written costs time, nothing else
            note.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({"identity": identity, "digests": known})
            write_atomically(note, content, durable=False)
    return {kind: known[kind] for kind in kinds}


def fault(path: Path, expected: Content) -> str | None:
    """How a file differs from what is expected of it; None if it does not."""
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"it has {size:,} bytes, expected {expected.size:,}"
    wanted = expected.hashes()
    found = remembered(path, list(wanted)) if wanted else {}
    wrong = [
        f"its {kind} is {found[kind]}, expected {wanted[kind]}"
        for kind in wanted
        if found[kind] != wanted[kind]
    ]
    return "; ".join(wrong) or None
