"""Dataset `omol25`: molecules with charge and spin, and their energies; see omol25.toml."""

from __future__ import annotations

from ingest.sources.shared.lmdb_archives import downloaded_archives

DATASET = downloaded_archives(__file__)
