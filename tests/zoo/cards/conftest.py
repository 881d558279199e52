"""What the tests of cards share."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cards.scaffold import write_family


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a family of one model, as `matterzoo new` does, beside the real ones."""
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path))
    return write_family("toy", tmp_path)
