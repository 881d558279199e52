"""A small downloaded dataset, with and without a known checksum, served on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.sources.shared.downloaded import DownloadedDataset, downloaded
from tests.hub import Blob, Hub
from tests.ingest.downloaded import served
from tests.ingest.sources.numbered_lines import FACTS, FILE, ids, lines, read


@pytest.fixture
def toml(hub: Hub, tmp_path: Path) -> Path:
    """Write numbers.toml, in which the file has no checksum."""
    path = tmp_path / "numbers.toml"
    path.write_text(FACTS + FILE % f"{hub.url}/files/numbers.txt")
    hub.files["numbers.txt"] = Blob(lines(40))
    return path


@pytest.fixture
def numbers(hub: Hub, toml: Path) -> DownloadedDataset:
    """Return the dataset of forty lines, with a known checksum."""
    dataset = downloaded(str(toml.with_suffix(".py")), ids, read)
    return replace(served(dataset, hub, {"numbers.txt": lines(40)}), made_from=(str(toml),))
