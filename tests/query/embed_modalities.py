"""Embed what docs/modalities.md is about: `python -m tests.query.embed_modalities`."""

from __future__ import annotations

import sys

import matterzoo

CONTROLS = "reference,reference-rotated,reference-shuffled,random,constant"
PROTEINS = "unirep-64,unirep-256,unirep-1900,proteinmpnn,ligandmpnn"
MOLECULES = "minimol,minilm-smiles,chgnet-0.3.0,sevennet-0"


def with_twins(models: str) -> str:
    return ",".join(f"{name},{name}@untrained" for name in models.split(","))


def main() -> int:
    """Embed the systems of both datasets, as far as that is still to do.

    Returns:
        The exit code of the first command that fails, else 0.
    """
    for models, dataset in (
        (f"{CONTROLS},{with_twins(PROTEINS)}", ["proteins"]),
        (f"{CONTROLS},{with_twins(MOLECULES)}", ["nci", "--limit", "300"]),
    ):
        if code := matterzoo.main(["ingest", models, *dataset]):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
