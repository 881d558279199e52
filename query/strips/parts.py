"""The files of strips: whole or absent, and with checksums, which NumPy's archives have."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from query.engine.sums import Arrays
from zoo.files import write_atomically

_TEXT = "text"


class Parts:
    """The strips of one question that are found."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it need not exist.

        Args:
            folder: The question's folder.
        """
        self.folder = folder

    def file(self, name: str) -> Path:
        """Return where a strip is, or is to be.

        Args:
            name: The strip's name.
        """
        return self.folder / "parts" / f"{name}.npz"

    def lock(self, name: str) -> Path:
        """Return the lock of whoever is at a strip.

        Args:
            name: The strip's name.
        """
        path = self.folder / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def has(self, name: str) -> bool:
        """Return whether a strip is found.

        Args:
            name: The strip's name.
        """
        return self.file(name).exists()

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the strips that are not found.

        Args:
            names: Names of strips.
        """
        for folder in {self.file(name).parent for name in names}:
            if folder.is_dir():  # to list it makes a network file system look again
                list(folder.iterdir())
        return [name for name in names if not self.has(name)]

    def read(self, name: str) -> Arrays | None:
        """Return a strip; None if it is not there. One that is damaged is removed.

        Args:
            name: The strip's name.
        """
        try:
            with self.file(name).open("rb") as stream, np.load(stream) as found:
                return {each: found[each] for each in found.files}
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, ValueError, EOFError):
            self.file(name).unlink(missing_ok=True)
            return None

    def write(self, name: str, arrays: Arrays) -> None:
        """Write a strip, which replaces one that another process has found meanwhile.

        Args:
            name: The strip's name.
            arrays: What it holds.
        """

        def save(path: Path) -> None:
            with path.open("wb") as stream:
                np.savez(stream, **arrays)  # type: ignore[arg-type]

        self.file(name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file(name), save)


def as_array(content: Any) -> Arrays:
    """Return something that JSON holds as a strip. Floats keep every bit.

    Args:
        content: The content.
    """
    return {_TEXT: np.frombuffer(json.dumps(content).encode(), np.uint8)}


def from_array(arrays: Arrays) -> Any:
    """Return what `as_array` was given.

    Args:
        arrays: The strip.
    """
    return json.loads(arrays[_TEXT].tobytes())
