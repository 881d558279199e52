"""Entries: one system each, as its source gives it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.errors import MatterzooError


class DatasetError(MatterzooError):
    """A dataset does not exist, or its source cannot be read as a whole."""


@dataclass(frozen=True, slots=True)
class Label:
    """A property of a system.

    Attributes:
        property: The name of the property, such as `energy`.
        value: Its value.
        unit: The unit of the value, '1' if it has none.
        source: Where the value comes from.
    """

    property: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One system as its source gives it, before it is validated. What a system lacks is None."""

    source_id: str
    numbers: np.ndarray | None = None  # (n,) atomic numbers
    positions: np.ndarray | None = None  # (n, 3) Å
    cell: np.ndarray | None = None  # (3, 3) Å, rows are lattice vectors
    pbc: np.ndarray | None = None  # (3,) bool
    charge: int | None = None  # elementary charges
    spin: int | None = None  # multiplicity, 2S + 1
    smiles: str | None = None  # canonical, by RDKit
    sequence: str | None = None  # one-letter amino acids
    backbone: np.ndarray | None = None  # (residues, 4, 3) Å: N, CA, C, O
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of a source that could not be read, and the reason."""

    source_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a source that users should know, such as keys that are not read."""

    text: str
