"""Datasets whose table the project carries itself, compressed; see ingest/sources/carried."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "carried"


def table_of(dataset: str) -> Path:
    """Return the path of a dataset's table.

    Args:
        dataset: The name of the dataset.
    """
    return FOLDER / f"{dataset}.tsv.gz"


def read_table(dataset: str) -> Iterator[dict[str, str]]:
    """Read a dataset's table, row by row.

    Args:
        dataset: The name of the dataset.

    Yields:
        {column: text}; an empty text is a value that is not known.
    """
    with gzip.open(table_of(dataset), "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
