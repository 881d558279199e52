"""Dataset `omol25`: molecules with charge and spin, and their energies; see omol25.toml."""

from __future__ import annotations

from ingest.sources.lmdb_archives import archives

DATASET = archives(__file__)
