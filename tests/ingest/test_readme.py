"""The README of ingest names every dataset and every format."""

from __future__ import annotations

from pathlib import Path

from ingest.readers.shared.discovery import known_suffixes
from ingest.sources.shared.discovery import load_datasets

README = Path(__file__).parents[2] / "ingest" / "README.md"


def test_every_dataset_and_format_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in load_datasets() if f"| `{name}` |" not in text] == []
    assert [suffix for suffix in known_suffixes() if f"`{suffix}`" not in text] == []
