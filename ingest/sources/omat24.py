"""Dataset `omat24`: inorganic crystals off equilibrium, with energies; see omat24.toml."""

from __future__ import annotations

from ingest.sources.shared.lmdb_archives import downloaded_archives

DATASET = downloaded_archives(__file__)
