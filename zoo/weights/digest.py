"""The content of a file: its size and hashes, compared with those expected.

A file of gigabytes is read once: its hashes are remembered until it changes.
"""

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

    Attributes:
        size: Bytes.
        sha256: SHA-256 in hexadecimal.
        sha512: SHA-512 in hexadecimal.
        md5: MD5 in hexadecimal.
        git_blob: Git's own SHA-1 of the content in hexadecimal, as `git ls-tree` shows it.
    """

    size: int | None = None
    sha256: str | None = None
    sha512: str | None = None
    md5: str | None = None
    git_blob: str | None = None

    def hashes(self) -> dict[str, str]:
        """Return the hashes that are known, by kind."""
        kinds = ("sha256", "sha512", "md5", "git_blob")
        known = {kind: getattr(self, kind) for kind in kinds}
        return {kind: value for kind, value in known.items() if value is not None}


ANYTHING = Content()


def compute_digests(path: Path, kinds: Sequence[str]) -> dict[str, str]:
    """Compute hashes of a file in one pass.

    Args:
        path: The file.
        kinds: Any of 'sha256', 'sha512', 'md5', 'git_blob'.

    Returns:
        The hashes in hexadecimal, by kind.
    """
    makers = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
    makers |= {"md5": hashlib.md5, "git_blob": hashlib.sha1}
    hashers = {kind: makers[kind](usedforsecurity=False) for kind in kinds}
    with path.open("rb") as file:
        if "git_blob" in hashers:
            hashers["git_blob"].update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        while block := file.read(BLOCK):
            for hasher in hashers.values():
                hasher.update(block)
    return {kind: hasher.hexdigest() for kind, hasher in hashers.items()}


def cached_digests(path: Path, kinds: Sequence[str]) -> dict[str, str]:
    """Return hashes of a file, which is read only if it has changed since the last time.

    A file has changed if its size, inode or times have. Whoever writes to a file can set its mtime
    back, but nobody can set its ctime.

    Args:
        path: The file.
        kinds: Any of 'sha256', 'sha512', 'md5', 'git_blob'.
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
        known = {**known, **compute_digests(path, [kind for kind in kinds if kind not in known])}
        # A cache that cannot be written costs time and nothing else.
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps({"identity": identity, "digests": known})
            write_atomically(note, content, durable=False)
    return {kind: known[kind] for kind in kinds}


def describe_mismatch(path: Path, expected: Content) -> str | None:
    """Return how a file differs from what is expected, None if it does not.

    Args:
        path: The file.
        expected: What is known of its content.
    """
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        return f"it has {size:,} bytes, expected {expected.size:,}"
    wanted = expected.hashes()
    found = cached_digests(path, list(wanted)) if wanted else {}
    wrong = [
        f"its {kind} is {found[kind]}, expected {wanted[kind]}"
        for kind in wanted
        if found[kind] != wanted[kind]
    ]
    return "; ".join(wrong) or None
