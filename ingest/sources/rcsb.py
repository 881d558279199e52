"""Dataset `rcsb`: protein chains of the PDB; rcsb.toml says which ones, and what is read of them.

The list is a file of FASTA records, the chains of an entry one after another:

    >1ubq_A mol:protein length:76  UBIQUITIN
    MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG

Several processes download entries at once, and each reads what it downloaded, so that a sample of
many small files takes the network's time and not that of one core.
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
from ingest.readers.shared.packed import raise_system_fault
from ingest.sources.shared.downloaded import downloaded
from ingest.sources.shared.source import Source
from ingest.systems import proteins
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.proteins import Chain, sequence_and_backbone
from zoo.weights.download import download
from zoo.weights.errors import DownloadError, MissingFileError

LIST = "pdb_seqres.txt.gz"
_CONNECTIONS = 8  # more gain little, and other people use the server, too
_AHEAD = 64  # entries that are started beyond the one that is yielded next


def list_chains(source: Source) -> Iterator[str]:
    """List the protein chains that are long enough, one per sequence and entry.

    Args:
        source: The facts and files of the dataset.

    Yields:
        Ids such as '1UBQ_A'.

    Raises:
        DatasetError: The file is not the PDB's list of sequences.
    """
    path = source.path(LIST)
    shortest = source.facts.options["shortest"]
    entry, sequences = "", set[str]()
    try:
        for name, sequence in _records(path):
            if name[:4] != entry:
                entry, sequences = name[:4], set()
            if len(sequence) >= shortest and sequence not in sequences:
                sequences.add(sequence)
                yield f"{entry.upper()}{name[4:]}"
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise_system_fault(path, error)
        raise DatasetError(
            f"{path} is not the PDB's list of sequences: {error}; remove it, and run this again"
        ) from error


def _records(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name ('1ubq_A') and sequence of each protein in the list."""
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


def _read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    """Read chains entry by entry; each entry is downloaded once for all its chains."""
    chains: dict[str, list[str]] = defaultdict(list)
    for source_id in chosen:
        entry, _, chain = source_id.partition("_")
        chains[entry].append(chain)
    options = source.facts.options
    work = partial(read_entry, source.folder, options["entry"], options["shortest"])
    started: deque[Future[list[Entry | Unreadable]]] = deque()
    # Spawned: forking a host that runs threads may hang it.
    with ProcessPoolExecutor(_CONNECTIONS, mp_context=get_context("spawn")) as pool:
        try:
            for entry, names in chains.items():
                started.append(pool.submit(work, entry, names))
                if len(started) > _AHEAD:
                    yield from started.popleft().result()
            while started:
                yield from started.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def read_entry(
    folder: Path, address: str, shortest: int, entry: str, names: Sequence[str]
) -> list[Entry | Unreadable]:
    """Download an entry, unless it is there already, and read some of its chains.

    Args:
        folder: The folder of the dataset's files.
        address: The address of an entry, with fields {middle} and {id}.
        shortest: The least number of residues of a chain.
        entry: The id of the entry, such as '1UBQ'.
        names: The authors' names of the chains.

    Returns:
        One outcome per chain. An entry that is missing or broken makes them unreadable.

    Raises:
        DatasetError: The server cannot be reached, or the machine fails, which is not the entry's
            fault.
    """
    middle, low = entry[1:3].lower(), entry.lower()
    path = folder / "mmCIF" / middle / f"{low}.cif.gz"
    try:
        download(address.format(middle=middle, id=low), path)
        found = read_chains(path, names)
    except MissingFileError as error:
        fault = f"the entry is not in the archive: {error}"
        return [Unreadable(f"{entry}_{name}", fault) for name in names]
    except DownloadError as error:
        raise DatasetError(f"dataset rcsb: {error}") from error
    except MmcifError as error:
        fault = f"{low}.cif.gz cannot be read: {error}"
        return [Unreadable(f"{entry}_{name}", fault) for name in names]
    return [_entry(f"{entry}_{name}", found.get(name), shortest) for name in names]


def _entry(source_id: str, chain: Chain | None, shortest: int) -> Entry | Unreadable:
    if chain is None:
        fault = "the entry's file has no observed backbone atoms of this chain"
        return Unreadable(source_id, fault)
    sequence, backbone = sequence_and_backbone(chain)
    if len(sequence) < shortest:
        found = f"{len(sequence)} of the {len(chain)} observed residues have N, CA, C and O"
        return Unreadable(source_id, f"{found}; expected at least {shortest}")
    return Entry(source_id, sequence=sequence, backbone=backbone)


DATASET = downloaded(
    __file__,
    list_chains,
    _read,
    packages=("biopython",),
    code=(mmcif_atoms.__file__, proteins.__file__),
)
