"""The contract between the worker and a family's code.

Every family's `encoder.py` imports this module and no other of the project. It runs in every
family's environment, so it needs numpy alone.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# The key of energies beside the representations that `encode` returns; no representation has it.
ENERGY = "energy"
_ELEMENTS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar
    K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
    Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
    Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
SYMBOLS = tuple(_ELEMENTS.split())  # of the elements: that of atomic number Z is SYMBOLS[Z - 1]


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One molecule, material or protein, as an encoder sees it. What a system lacks is None.

    Attributes:
        system_id: `<dataset>/<id in its source>`.
        content_hash: What `content_hash` returns for it.
        numbers: The atomic numbers, int64 of shape (n,).
        positions: The positions of the atoms in Å, float64 of shape (n, 3).
        cell: The lattice vectors in Å, one per row, float64 of shape (3, 3).
        pbc: Whether the system is periodic along each lattice vector, bool of shape (3,).
        charge: The total charge in elementary charges.
        spin: The spin multiplicity, 2S + 1.
        smiles: The SMILES.
        sequence: The amino acids, one letter each.
        backbone: The positions of N, CA, C and O in Å, float64 of shape (residues, 4, 3).
    """

    system_id: str
    content_hash: str
    numbers: np.ndarray | None = None
    positions: np.ndarray | None = None
    cell: np.ndarray | None = None
    pbc: np.ndarray | None = None
    charge: int | None = None
    spin: int | None = None
    smiles: str | None = None
    sequence: str | None = None
    backbone: np.ndarray | None = None


QUANTUM = 1e-8  # Å; what text formats keep: extxyz writes 8 decimals
HASHED = ("numbers", "positions", "cell", "pbc", "charge", "spin", "smiles", "sequence", "backbone")


def content_hash(system: Any) -> str:
    """Hash what a system holds, without its id.

    Each field of HASHED that is not None adds its name, its shape and its bytes: integers and
    booleans as little-endian int64, text as UTF-8, coordinates as little-endian int64 counts of
    QUANTUM. So a system survives a round trip through a file, and -0.0 is 0.0.

    Args:
        system: A `System`, or anything else with the fields of HASHED.

    Returns:
        The SHA-256 in 64 hexadecimal digits; the same on every platform.
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
    """The model cannot take this system by its nature; the message is the reason that is stored.

    It is no error of the model, the code or the system.
    """


class Encoder(ABC):
    """One model of a family, loaded once, that turns prepared systems into vectors.

    A family's `encoder.py` defines one subclass named `FamilyEncoder`; the worker constructs it
    with the model's card. The worker enforces the card's own limits (kind of input, elements,
    sizes) before it calls `prepare`.

    Attributes:
        model: The model's card as a plain mapping.
        device: 'cpu', 'cuda', 'cuda:1'.
        dtype: 'float32', 'float64', ….
        untrained_seed: The seed of the untrained twin's weights, or None.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        """Load the model, from the files in `self.weights` and from nowhere else.

        Args:
            model: The model's card as a plain mapping.
            device: 'cpu', 'cuda', 'cuda:1'.
            dtype: 'float32', 'float64', ….
            untrained_seed: None loads the published weights. An integer draws every weight at
                random from that seed, with the same architecture and code: the untrained twin.

        Raises:
            ValueError: The package cannot compute as asked; the message says in which dtype or on
                which device it can.
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
        """See every system that the card's limits let through, before the first one is encoded.

        Args:
            systems: The systems of the job, each once.
        """

    @abstractmethod
    def prepare(self, system: System) -> Any:
        """Turn one system into the model's own input, such as a graph or tokens.

        Args:
            system: The system.

        Returns:
            Whatever `size` and `encode` take.

        Raises:
            NotApplicable: The model cannot take the system by its nature.
            Exception: Any other one is stored as the reason why the system failed.
        """

    def size(self, item: Any) -> int:
        """Return what one prepared item adds to the budget of a batch.

        Args:
            item: What `prepare` returned.

        Returns:
            A count in the unit of the card's `compute.scales_with`.
        """
        return 1

    @abstractmethod
    def encode(self, items: Sequence[Any], representations: Sequence[str]) -> dict[str, list[Any]]:
        """Compute the vectors of a batch.

        Args:
            items: What `prepare` returned, of one or more systems.
            representations: The names of those that are asked for.

        Returns:
            For each representation one array per item, in the order given: of shape (n_nodes, d)
            where the card says level 'node' (the worker pools it), (d,) where it says 'system'.
            Where the card has [model.energy], ENERGY too, whatever is asked for: one float per
            item, the total energy of the whole system (of its cell, if it is periodic) in eV, as
            the model predicts it.
        """
