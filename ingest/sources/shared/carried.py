"""Datasets whose table the project carries itself, compressed; see ingest/sources/carried."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from ingest.callbacks import Log
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.sample import rank
from ingest.systems.validation import validate
from zoo.machine import count_cores

Row = dict[str, str]
Make = Callable[[Row], Entry | Unreadable]
FOLDER = Path(__file__).parents[1] / "carried"


def table_of(dataset: str) -> Path:
    """Return the path of a dataset's table.

    Args:
        dataset: The name of the dataset.
    """
    return FOLDER / f"{dataset}.tsv.gz"


def read_table(dataset: str) -> Iterator[Row]:
    """Read a dataset's table, row by row.

    Args:
        dataset: The name of the dataset.

    Yields:
        {column: text}; an empty text is a value that is not known.
    """
    with gzip.open(table_of(dataset), "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


@dataclass(frozen=True, kw_only=True)
class SlowDataset(Dataset):
    """A carried table whose entries take long to make, so that a limit makes only a sample.

    Attributes:
        rows: Reads the table; each row has an `id`.
        make: Makes the entry of a row, in a process of its own; a function of a module.
    """

    rows: Callable[[], Iterable[Row]]
    make: Make

    def sampled(self, limit: int | None, log: Log) -> Dataset:
        """Return the dataset with the systems that a limit means.

        Args:
            limit: The number of systems, None for all.
            log: Is not used, as nothing has to be downloaded.

        Returns:
            A dataset that makes a sample of so many systems, or all if there are no more.
        """
        total = self.approx_systems or 0
        if limit is None or limit >= total:
            return replace(self, entries=partial(make_all, self.rows, self.make))
        seconds = (self.approx_seconds or 0) * limit / total
        entries = partial(make_some, self.rows, self.make, limit)
        return replace(self, sample=limit, entries=entries, approx_seconds=max(1.0, seconds))


def make_all(rows: Callable[[], Iterable[Row]], make: Make) -> Iterator[Entry | Unreadable]:
    """Make every entry on all cores, in the order of the table.

    Args:
        rows: Reads the table.
        make: Makes the entry of a row.

    Yields:
        One entry per row.
    """
    # Processes are spawned, as forking a host that runs threads may hang it.
    with ProcessPoolExecutor(count_cores(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, rows(), chunksize=16)


def make_some(
    rows: Callable[[], Iterable[Row]], make: Make, limit: int
) -> Iterator[Entry | Unreadable]:
    """Make the entries that a limit means; others take the place of those that cannot be read.

    Args:
        rows: Reads the table.
        make: Makes the entry of a row.
        limit: The number of readable systems.

    Yields:
        One entry per row that was taken, in the order of samples.
    """
    ordered = iter(sorted(rows(), key=lambda row: rank(row["id"])))
    with ProcessPoolExecutor(count_cores(), mp_context=get_context("spawn")) as pool:
        missing = limit
        while chosen := list(islice(ordered, missing)):
            for made in pool.map(make, chosen, chunksize=4):
                entry = validate(made) if isinstance(made, Entry) else made
                missing -= isinstance(entry, Entry)
                yield entry
