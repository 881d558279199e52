"""A small downloaded dataset of the tests' own: lines of text, each an id and a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.sources.shared.source import Source
from ingest.systems.entry import Entry, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset

FACTS = """
name = "numbers"
title = "Numbers"
description = "Lines of text."
homepage = "https://example.org/numbers"
citation = "nobody"
systems = 40
license = { name = "CC-BY-NC-4.0", url = "https://example.org/terms", commercial = false }
"""
FILE = '[[file]]\npath = "numbers.txt"\nurl = "%s"\n'


def ids(source: Source) -> Iterator[str]:
    with source.path("numbers.txt").open() as file:
        for line in file:
            yield line.split()[0]


def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
    wanted = set(chosen)
    with source.path("numbers.txt").open() as file:
        for line in file:
            name, *rest = line.split()
            if name in wanted and rest == ["torn"]:
                yield Unreadable(name, "torn")
            elif name in wanted:
                yield Entry(name, np.array([1]), np.array([[float(rest[0]), 0, 0]]))


def lines(n: int, *torn: str) -> bytes:
    return "".join(f"n{i} {'torn' if f'n{i}' in torn else i}\n" for i in range(n)).encode()


def materialize_sample(
    dataset: DownloadedDataset, folder: Path, limit: int | None = None
) -> MaterializedDataset:
    return materialize(dataset.sampled(limit, lambda text: None), folder)


def systems(made: MaterializedDataset) -> set[str]:
    return set(pq.read_table(made.systems)["system_id"].to_pylist())
