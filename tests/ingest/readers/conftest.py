"""What the tests of the readers share: a file written, a file read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import Entry, Remark, Unreadable
from ingest.systems.validation import validate


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file of this name and content."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def read() -> Callable[[Path], list[Entry | Unreadable]]:
    """Every entry of a file, as it would be materialized."""

    def entries(path: Path) -> list[Entry | Unreadable]:
        given = find_dataset(str(path)).entries()
        return [
            validate(x) if isinstance(x, Entry) else x for x in given if not isinstance(x, Remark)
        ]

    return entries


@pytest.fixture(scope="session")
def good(read: Callable[[Path], list[Entry | Unreadable]]) -> Callable[[Path], list[Entry]]:
    """The entries of a file of which all must be readable."""

    def entries(path: Path) -> list[Entry]:
        found = read(path)
        assert [entry for entry in found if isinstance(entry, Unreadable)] == []
        return [entry for entry in found if isinstance(entry, Entry)]

    return entries


@pytest.fixture(scope="session")
def reasons(read: Callable[[Path], list[Entry | Unreadable]]) -> Callable[[Path], dict[str, str]]:
    """Why each unreadable entry of a file is."""
    return lambda path: {
        entry.source_id: entry.reason for entry in read(path) if isinstance(entry, Unreadable)
    }
