"""Files that are recognized when they are read again: sealed JSON, and stamps of other files.

A sealed JSON file carries the SHA-256 of its own content, so that one flipped bit is noticed. A
stamp is the size and the SHA-256 of a file, kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.files import write_atomically
from zoo.worker.errors import DamagedFileError

SEAL = "sha256"  # the key of a JSON file's own sum


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file with its seal, whole or not at all.

    Args:
        path: The file. Its folder must exist.
        content: The JSON object, without the keys 'sealed' and 'sha256'.

    Raises:
        OSError: The file cannot be written; an older one stays.
    """
    # `sealed` names the key of the sum: where a bit of that key itself has flipped, it is missed.
    whole = {**content, "sealed": SEAL}
    write_atomically(path, json.dumps(whole | {SEAL: _sum_of(whole)}, indent=1))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a sealed JSON file. One without a seal, as old versions wrote them, is read as it is.

    Args:
        path: The file.

    Returns:
        The JSON object, without its seal.

    Raises:
        DamagedFileError: The file holds no JSON object, or not the one that was sealed.
        OSError: The file cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DamagedFileError(f"{path} is damaged: it holds no JSON object")
    found = content.pop(SEAL, None)
    if (found is not None or "sealed" in content) and found != _sum_of(content):
        raise DamagedFileError(
            f"{path} is damaged: its content does not have the SHA-256 that it was written with"
        )
    content.pop("sealed", None)
    return content


def stamp(path: Path) -> dict[str, Any]:
    """Return the size (bytes) and the SHA-256 (hex) of a file, by which it is known again.

    Args:
        path: The file, which is read once.
    """
    with path.open("rb") as file:
        return {
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def check_stamp(path: Path, expected: Mapping[str, Any]) -> None:
    """Compare a file with its stamp.

    Args:
        path: The file.
        expected: What `stamp` returned when it was written.

    Raises:
        DamagedFileError: The file is missing, or is another one.
    """
    if not path.is_file():
        raise DamagedFileError(f"{path} is missing")
    found = stamp(path)
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged: expected {_in_words(expected)}, found {_in_words(found)}"
        )


def _in_words(facts: Mapping[str, Any]) -> str:
    return f"{facts['size']} bytes with SHA-256 {facts['sha256'][:12]}…"


def _sum_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
