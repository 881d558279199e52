"""Dataset `b3db`: molecules that do or do not pass the blood-brain barrier, as B3DB has them.

Each has one conformer, except salts and what ETKDGv3 or MMFF94 cannot do: of those only the SMILES
string is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from ingest.readers.shared import smiles_entry
from ingest.readers.shared.reader import RecordError
from ingest.sources.shared import carried
from ingest.systems.dataset import code_file
from ingest.systems.entry import Entry, Label, Unreadable

# Of ETKDGv3. Of 160 molecules drawn from the table, 10 attempts find a conformer for 147, 20 for
# 151, and 40 for no other, while the failures take most of the time.
_ATTEMPTS = 20
_SOURCE = "B3DB (qc-B3DB 1.1.1)"


def make_entry(row: dict[str, str]) -> Entry | Unreadable:
    """Return a molecule with its conformer, if it has one, and its labels.

    Args:
        row: A row of the table.
    """
    from ingest.systems import molecules  # here so that listing datasets does not import RDKit

    try:
        plain = smiles_entry.smiles_entry(row["id"], row["smiles"])
    except RecordError as error:
        return Unreadable(row["id"], str(error))
    labels = tuple(_labels(row))
    smiles = plain.smiles or ""
    if "." in smiles:
        return replace(plain, labels=labels)
    try:
        numbers, positions = molecules.make_conformer(molecules.parse_smiles(smiles), _ATTEMPTS)
    except ValueError:
        return replace(plain, labels=labels)
    return replace(plain, numbers=numbers, positions=positions, labels=labels)


def _labels(row: dict[str, str]) -> Iterator[Label]:
    yield Label("bbb_permeable", float(row["permeable"]), "1", f"{_SOURCE}, group {row['group']}")
    if row["logbb"]:
        yield Label("logbb", float(row["logbb"]), "1", _SOURCE)


_rows = partial(carried.read_table, "b3db")
DATASET = carried.SlowDataset(
    name="b3db",
    title="Molecules with blood-brain barrier labels, one ETKDGv3 + MMFF94 conformer each",
    source="qc-B3DB 1.1.1; Meng et al., Sci. Data 8, 289 (2021)",
    license="CC0-1.0",
    packages=("rdkit",),
    entries=partial(carried.make_all, _rows, make_entry),
    rows=_rows,
    make=make_entry,
    made_from=(
        *(__file__, smiles_entry.__file__, carried.__file__),
        *(str(carried.table_of("b3db")), code_file("ingest.systems.molecules")),
    ),
    approx_systems=7_805,
    approx_seconds=720,
)
