"""Dataset `omat24`: inorganic crystals off their equilibrium, with their energies; see omat24.toml."""

from __future__ import annotations

from ingest.sources.lmdb_archives import archives

DATASET = archives(__file__)
