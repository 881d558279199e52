"""Dataset `salex`: frames of inorganic crystals' relaxations, with their energies; see salex.toml."""

from __future__ import annotations

from ingest.sources.lmdb_archives import archives

DATASET = archives(__file__)
