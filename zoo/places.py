"""The folders of the program itself: its source and the families that it carries."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # holds the packages: the checkout, or site-packages
FAMILIES = ROOT / "zoo" / "families"
