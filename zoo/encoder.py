"""The contract between the worker and a family's code. Runs inside every family's environment: numpy only."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ENERGY = (
    "energy"  # beside the representations in what `encode` returns; no representation has this name
)
SYMBOLS = (  # of the elements: SYMBOLS[Z - 1]
    *(
        "H",
        "He",
        "Li",
        "Be",
        "B",
        "C",
        "N",
        "O",
        "F",
        "Ne",
        "Na",
        "Mg",
        "Al",
        "Si",
        "P",
        "S",
        "Cl",
        "Ar",
        "K",
        "Ca",
    ),
    *(
        "Sc",
        "Ti",
        "V",
        "Cr",
        "Mn",
        "Fe",
        "Co",
        "Ni",
        "Cu",
        "Zn",
        "Ga",
        "Ge",
        "As",
        "Se",
        "Br",
        "Kr",
        "Rb",
        "Sr",
        "Y",
    ),
    *(
        "Zr",
        "Nb",
        "Mo",
        "Tc",
        "Ru",
        "Rh",
        "Pd",
        "Ag",
        "Cd",
        "In",
        "Sn",
        "Sb",
        "Te",
        "I",
        "Xe",
        "Cs",
        "Ba",
        "La",
        "Ce",
    ),
    *(
        "Pr",
        "Nd",
        "Pm",
        "Sm",
        "Eu",
        "Gd",
        "Tb",
        "Dy",
        "Ho",
        "Er",
        "Tm",
        "Yb",
        "Lu",
        "Hf",
        "Ta",
        "W",
        "Re",
        "Os",
        "Ir",
    ),
    *(
        "Pt",
        "Au",
        "Hg",
        "Tl",
        "Pb",
        "Bi",
        "Po",
        "At",
        "Rn",
        "Fr",
        "Ra",
        "Ac",
        "Th",
        "Pa",
        "U",
        "Np",
        "Pu",
        "Am",
        "Cm",
    ),
    *(
        "Bk",
        "Cf",
        "Es",
        "Fm",
        "Md",
        "No",
        "Lr",
        "Rf",
        "Db",
        "Sg",
        "Bh",
        "Hs",
        "Mt",
        "Ds",
        "Rg",
        "Cn",
        "Nh",
        "Fl",
        "Mc",
    ),
    *("Lv", "Ts", "Og"),
)


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One molecule, material or protein, as an encoder sees it. What a system lacks is None."""

    system_id: str
    content_hash: str
    numbers: np.ndarray | None = None  # (n,) int64, atomic numbers
    positions: np.ndarray | None = None  # (n, 3) float64, Å
    cell: np.ndarray | None = None  # (3, 3) float64, Å, rows are lattice vectors
    pbc: np.ndarray | None = None  # (3,) bool
    charge: int | None = None  # elementary charges
    spin: int | None = None  # multiplicity, 2S + 1
    smiles: str | None = None
    sequence: str | None = None  # one-letter amino acids
    backbone: np.ndarray | None = None  # (residues, 4, 3) float64, Å: N, CA, C, O


QUANTUM = 1e-8  # Å; see content_hash
HASHED = ("numbers", "positions", "cell", "pbc", "charge", "spin", "smiles", "sequence", "backbone")


def content_hash(system: Any) -> str:
    """sha256 (hex) of what a system holds, without its id; the same on every platform.

    Each field of HASHED that is not None adds its name, its shape and its bytes: integers and booleans as little-endian
    int64, text as UTF-8, coordinates as little-endian int64 counts of 1e-8 Å. That precision is what text formats keep
    (extxyz writes 8 decimals), so a system survives a round trip through a file, and -0.0 is 0.0.
    """
    digest = hashlib.sha256()
    for name in HASHED:
        value = getattr(system, name)
        if value is not None:
            data = value.encode() if isinstance(value, str) else _as_integers(name, value).tobytes()
            shape = [len(data)] if isinstance(value, str) else list(np.shape(value))
            digest.update(json.dumps([name, shape]).encode() + data)
    return digest.hexdigest()


def _as_integers(name: str, value: Any) -> np.ndarray:
    if name in ("positions", "cell", "backbone"):
        value = np.rint(np.asarray(value, dtype=np.float64) / QUANTUM)
    return np.asarray(value).astype("<i8")


class NotApplicable(Exception):
    """The model cannot take this system by its nature (not an error); the message is the reason that is stored."""


class Encoder(ABC):
    """One model of a family, loaded once, that turns prepared systems into vectors.

    A family's `encoder.py` defines one subclass named `FamilyEncoder`; the worker constructs it with the model's card.
    The card's own limits (input kind, elements, sizes) are enforced by the worker before `prepare` is called.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        """Load the model, from the files in `self.weights` and from nowhere else.

        model: the model's card as a plain mapping. device: 'cpu', 'cuda', 'cuda:1'. dtype: 'float32', 'float64', …
        untrained_seed: None loads the published weights; an integer draws every weight at random from that seed
        with the same architecture and code (the untrained twin).
        """
        self.model = model
        self.device = device
        self.dtype = dtype
        self.untrained_seed = untrained_seed

    @property
    def weights(self) -> Path:
        """The folder that holds the card's files of weights, by the names that they have there."""
        return Path(self.model["weights"]["folder"])

    def survey(self, systems: Iterable[System]) -> None:  # noqa: B027 - most encoders need not
        """See every system of the job that the card's limits let through once, before the first is encoded."""

    @abstractmethod
    def prepare(self, system: System) -> Any:
        """Turn one system into the model's own input (a graph, tokens). Raise NotApplicable with a reason."""

    def size(self, item: Any) -> int:
        """What one prepared item adds to the batch budget, in the unit of the card's `compute.scales_with`."""
        return 1

    @abstractmethod
    def encode(self, items: Sequence[Any], representations: Sequence[str]) -> dict[str, list[Any]]:
        """Vectors of each prepared item, in the order given, for each representation asked for.

        An array of shape (n_nodes, d) where the card says level 'node' (the worker pools it), (d,) where it says
        'system'. Where the card has [model.energy], ENERGY too, whatever is asked for: of each item one float, the
        total energy of the whole system (of its cell, where it is periodic) in eV, as the model predicts it.
        """
