"""Dataset `salex`: frames of relaxations of inorganic crystals; see salex.toml."""

from __future__ import annotations

from ingest.sources.shared.lmdb_archives import downloaded_archives

DATASET = downloaded_archives(__file__)
