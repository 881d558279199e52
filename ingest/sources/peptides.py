"""Dataset `peptides`: antimicrobial peptides of APD3, and other peptides of UniProt.

modlAMP chose them for telling the two apart. A sequence that is in both halves is antimicrobial.
That a peptide of UniProt is none only means that nobody has reported it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.sources.shared import carried
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Label

_SOURCE = "modlAMP 4.3.3 (AMPvsUniProt)"


def _entries() -> Iterator[Entry]:
    for row in carried.read_table("peptides"):
        label = Label("antimicrobial", float(row["antimicrobial"]), "1", _SOURCE)
        yield Entry(row["id"], sequence=row["sequence"], labels=(label,))


DATASET = Dataset(
    name="peptides",
    title="Antimicrobial and other peptides, sequences with a label",
    source="modlAMP 4.3.3, of APD3 and UniProt; Müller et al., Bioinformatics 33, 2753 (2017)",
    license="BSD-3-Clause (modlAMP)",
    packages=(),
    entries=_entries,
    made_from=(__file__, carried.__file__, str(carried.table_of("peptides"))),
    approx_systems=4_642,
    approx_seconds=1,
)
