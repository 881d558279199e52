"""Make the tables of this folder out of the packages that publish the data.

    pip download --no-deps modlamp==4.3.3 qc-B3DB==1.1.1
    python -m ingest.sources.carried.make modlamp-*.whl qc_b3db-*.whl

Neither package is needed to use the datasets: the tables are a hundredth of their size.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ingest.sources.shared.carried import FOLDER
from zoo.files import write_atomically

_WHEELS = {  # {SHA-256 of the wheel: table}
    "6948bcbc4a9614d10b6b47a051d4576c42fe8e5487fbbeb3cfe0d8033eb27f91": "peptides",
    "c929f601951e4b0ed56326c94d2cdc2f6b0c24711fbc1e0d7f67e88e330fc959": "b3db",
}
_PEPTIDES = "modlamp/data/AMPvsUniProt.csv"
_B3DB = "B3DB/B3DB_classification.tsv"
_COLUMNS = {  # ours: B3DB's
    "id": "NO.",
    "smiles": "SMILES",
    "permeable": "BBB+/BBB-",
    "logbb": "logBB",
    "group": "group",
}
Row = Sequence[str]


def main(wheels: Sequence[str]) -> int:
    """Write the table of each wheel into this folder.

    Args:
        wheels: Paths of the wheels that the module's docstring names.

    Returns:
        The exit code: 2 if a file is not one of these wheels.
    """
    for wheel in map(Path, wheels):
        table = _WHEELS.get(hashlib.sha256(wheel.read_bytes()).hexdigest())
        if table is None:
            print(f"{wheel} is not a wheel that the tables were made of", file=sys.stderr)
            return 2
        with zipfile.ZipFile(wheel) as archive:
            rows = peptides(archive) if table == "peptides" else b3db(archive)
            write_atomically(FOLDER / f"{table}.tsv.gz", packed(rows))
    return 0


def peptides(archive: zipfile.ZipFile) -> Iterator[Row]:
    """Read modlAMP's antimicrobial peptides and other peptides, each sequence once.

    Args:
        archive: The wheel of modlAMP.

    Yields:
        The names of the columns, then rows: id, sequence, and 1 if it is antimicrobial. Of 22
        sequences that are in both halves the first one counts, which is that of known peptides.
    """
    yield "id", "sequence", "antimicrobial"
    lines = archive.read(_PEPTIDES).decode().splitlines()[1:]  # the first line has counts
    seen = set[str]()
    for number, line in enumerate(lines, start=1):
        sequence, label = (word.strip() for word in line.split(","))
        if sequence not in seen:
            seen.add(sequence)
            yield f"{'apd' if label == '1' else 'uniprot'}-{number}", sequence, label


def b3db(archive: zipfile.ZipFile) -> Iterator[Row]:
    """Read B3DB's molecules with their class.

    Args:
        archive: The wheel of qc-B3DB.

    Yields:
        The names of the columns, then rows: B3DB's number, SMILES, 1 if the molecule passes the
        blood-brain barrier, logBB or nothing, and the group by how far the references agree.
    """
    yield tuple(_COLUMNS)
    text = io.TextIOWrapper(archive.open(_B3DB), encoding="utf-8", newline="")
    for row in csv.DictReader(text, delimiter="\t"):
        found = {ours: row[theirs] for ours, theirs in _COLUMNS.items()}
        yield tuple((found | {"permeable": str(int(found["permeable"] == "BBB+"))}).values())


def packed(rows: Iterable[Row]) -> bytes:
    """Return a table of tabs, compressed without the time.

    Args:
        rows: The names of the columns, and rows.
    """
    content = "".join("\t".join(row) + "\n" for row in rows)
    return gzip.compress(content.encode(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
