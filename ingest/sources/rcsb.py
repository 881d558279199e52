"""Dataset `rcsb`: protein chains of the PDB; see rcsb.toml for which and what of them.

The list is a file of FASTA records, the chains of an entry one after another:

    >1ubq_A mol:protein length:76  UBIQUITIN
    MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG

Entries are fetched by several processes at once, each of which reads what it fetched, so that a sample of many small
files takes the network's time and not that of one core.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ingest.readers.shared import mmcif_atoms
from ingest.readers.shared.mmcif_atoms import MmcifError, read_chains
from ingest.sources.published import Source, published
from ingest.systems import proteins
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.proteins import Chain, sequence_and_backbone
from zoo.weights.download import download
from zoo.weights.errors import DownloadError, MissingFileError

LIST = "pdb_seqres.txt.gz"
AT_ONCE = 8  # connections; more gain little, and other people use the server too
AHEAD = 64  # entries begun beyond the one whose turn it is


def ids(source: Source) -> Iterator[str]:
    path = source.path(LIST)
    shortest = source.about.options["shortest"]
    entry, sequences = "", set[str]()
    try:
        for name, sequence in _records(path):
            if name[:4] != entry:
                entry, sequences = name[:4], set()
            if len(sequence) >= shortest and sequence not in sequences:
                sequences.add(sequence)
                yield f"{entry.upper()}{name[4:]}"
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise DatasetError(
            f"{path} is not the PDB's list of sequences: {error}; remove it, and run this again"
        ) from error


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """Name ('1ubq_A') and sequence of each protein of the list."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for header in file:
            words = header.split(maxsplit=3)
            if len(words) < 3 or not words[0].startswith(">") or not words[1].startswith("mol:"):
                raise ValueError(
                    f"expected '>1ubq_A mol:protein length:76 …', got {header.strip()!r:.80}"
                )
            sequence = file.readline().strip()
            if words[1] == "mol:protein":
                yield words[0][1:], sequence


def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    """Entry by entry, each fetched once for all its chains."""
    chains: dict[str, list[str]] = defaultdict(list)
    for source_id in chosen:
        entry, _, chain = source_id.partition("_")
        chains[entry].append(chain)
    work = partial(
        fetch_and_read,
        source.folder,
        source.about.options["entry"],
        source.about.options["shortest"],
    )
    begun: deque[Future[list[Entry | Unreadable]]] = deque()
    # Spawned: forking a host that runs threads may hang it.
    with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as pool:
        try:
            for entry, names in chains.items():
                begun.append(pool.submit(work, entry, names))
                if len(begun) > AHEAD:
                    yield from begun.popleft().result()
            while begun:
                yield from begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def fetch_and_read(
    folder: Path, address: str, shortest: int, entry: str, names: Sequence[str]
) -> list[Entry | Unreadable]:
    """These chains of an entry. Raises DatasetError where the server cannot be had: that is no fault of the entry."""
    middle, low = entry[1:3].lower(), entry.lower()
    path = folder / "mmCIF" / middle / f"{low}.cif.gz"
    try:
        download(address.format(middle=middle, id=low), path)
        found = read_chains(path, names)
    except MissingFileError as error:
        return [
            Unreadable(f"{entry}_{name}", f"the entry is not in the archive: {error}")
            for name in names
        ]
    except DownloadError as error:
        raise DatasetError(f"dataset rcsb: {error}") from error
    except MmcifError as error:
        return [
            Unreadable(f"{entry}_{name}", f"{low}.cif.gz cannot be read: {error}") for name in names
        ]
    return [_entry(f"{entry}_{name}", found.get(name), shortest) for name in names]


def _entry(source_id: str, chain: Chain | None, shortest: int) -> Entry | Unreadable:
    if chain is None:
        return Unreadable(
            source_id, "the entry's file has no observed backbone atoms of this chain"
        )
    sequence, backbone = sequence_and_backbone(chain)
    if len(sequence) < shortest:
        seen = f"{len(sequence)} of the {len(chain)} residues seen have N, CA, C and O"
        return Unreadable(source_id, f"{seen}; expected at least {shortest}")
    return Entry(source_id, sequence=sequence, backbone=backbone)


DATASET = published(
    __file__, ids, read, packages=("biopython",), code=(mmcif_atoms.__file__, proteins.__file__)
)
