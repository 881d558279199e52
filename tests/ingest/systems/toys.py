"""Water, and datasets of a few entries, for the tests of systems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry, Unreadable


def water(source_id: str = "water", **changes: object) -> Entry:
    positions = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    return replace(Entry(source_id, np.array([8, 1, 1]), positions), **changes)


def dataset(*entries: Entry | Unreadable, name: str = "toy") -> Dataset:
    return Dataset(name, "Toys", "a test", "MIT", ("numpy",), lambda: iter(entries), (__file__,))
