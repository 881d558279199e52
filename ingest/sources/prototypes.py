"""Dataset `prototypes`: the AFLOW prototype crystals with other elements of matching role.

The generator, for each prototype of at most MAX_SITES sites with plausible contacts (TIGHTEST):

1. Every element may be replaced by one of the same role (ROLES). A decoration gives each of the
   prototype's elements a replacement, no two the same. Per prototype, a composition is used once,
   and its own not at all, so that swapping two elements on equivalent sites makes no duplicate.
2. The cell is rescaled isotropically until the closest contact, in units of the sum of the covalent
   radii (Cordero et al. 2008), is as close as it is in the prototype.
3. Of the decorations with a sane volume (VOLUMES), the DECORATIONS with the smallest SHA-256 of tag
   and elements are taken: a choice that looks random, is the same everywhere, and for one prototype
   does not depend on the others.

These crystals are plausible inputs, not predictions: nothing is relaxed, and many would not be
stable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product

import numpy as np

from ingest.sources import aflow
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from zoo.encoder import SYMBOLS

MAX_SITES = 20  # per cell; larger prototypes are left out
DECORATIONS = 10  # per prototype, at most
# Sum of the radii / distance. Beyond are errors of the library (NiSbS: 2.6), and actinides under 5f
# bonding.
TIGHTEST = 1.35
VOLUMES = (4.0, 100.0)  # Å^3 per atom; diamond has 5.7, solid cesium 117
_CONTACT_CUTOFF = 5.0  # Å; no two covalent radii add up to more (those of cesium: 4.88)

ROLES = tuple(
    tuple(role.split())
    for role in (
        "H",  # is never replaced: nothing else is like it
        "Li Na K Rb Cs",
        "Be Mg Ca Sr Ba",
        "Sc Y La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
        "Ti Zr Hf V Nb Ta Cr Mo W Mn Re",
        "Fe Co Ni Ru Rh Pd Os Ir Pt Cu Ag Au",
        "Zn Cd Hg",
        "Al Ga In Tl Sn Pb",
        "B C Si Ge",
        "N P As Sb Bi",
        "O S Se Te",
        "F Cl Br I",
    )
)
# Radioactive elements of the library, and an element of the role they have; they replace nothing.
_STAND_INS = {"Po": "Te", "Pa": "Ce", "Th": "Ce", "U": "Ce", "Np": "Ce", "Pu": "Ce", "Cf": "Ce"}


def role_of(symbol: str) -> tuple[str, ...]:
    """Return the elements that may replace an element.

    Args:
        symbol: The symbol of an element of the library.
    """
    return next(role for role in ROLES if _STAND_INS.get(symbol, symbol) in role)


def decorations(prototype: aflow.Prototype) -> list[Entry]:
    """Return the decorated crystals of a prototype.

    Args:
        prototype: One crystal of the library.

    Returns:
        At most DECORATIONS crystals, fewer if the roles of its elements have few members.
    """
    if len(prototype.numbers) > MAX_SITES:
        return []
    elements, counts = _elements(prototype)
    contacts = shortest_contacts(prototype)
    if _tightness(contacts, elements, elements) > TIGHTEST:
        return []
    used = {_composition(elements, counts)}
    chosen: list[Entry] = []
    distinct = (new for new in product(*map(role_of, elements)) if len(set(new)) == len(new))
    for new in sorted(distinct, key=lambda new: _draw(prototype.tag, new)):
        if _composition(new, counts) in used:
            continue
        crystal = decorate(prototype, new, contacts)
        if VOLUMES[0] <= _volume(crystal) <= VOLUMES[1]:
            used.add(_composition(new, counts))
            chosen.append(crystal)
        if len(chosen) == DECORATIONS:
            break
    return chosen


def _volume(crystal: Entry) -> float:
    """Return the volume in Å^3 per atom."""
    assert crystal.cell is not None
    assert crystal.numbers is not None
    return float(abs(np.linalg.det(crystal.cell)) / len(crystal.numbers))


def _elements(prototype: aflow.Prototype) -> tuple[tuple[str, ...], tuple[int, ...]]:
    symbols = [SYMBOLS[number - 1] for number in prototype.numbers]
    elements = tuple(dict.fromkeys(symbols))
    return elements, tuple(symbols.count(element) for element in elements)


def _composition(elements: tuple[str, ...], counts: tuple[int, ...]) -> frozenset[tuple[str, int]]:
    return frozenset(zip(elements, counts, strict=True))


def _draw(tag: str, elements: tuple[str, ...]) -> str:
    return hashlib.sha256(" ".join((tag, *elements)).encode()).hexdigest()


def shortest_contacts(prototype: aflow.Prototype) -> dict[tuple[str, str], float]:
    """Return the shortest distance in Å between each pair of elements.

    Args:
        prototype: One crystal of the library.

    Returns:
        Distances by pair of elements; pairs without a contact within 5 Å are left out.
    """
    from ase.neighborlist import primitive_neighbor_list

    i, j, d = primitive_neighbor_list(
        "ijd", (True,) * 3, prototype.cell, prototype.positions, _CONTACT_CUTOFF
    )
    shortest: dict[tuple[str, str], float] = {}
    for a, b, distance in zip(
        prototype.numbers[i].tolist(), prototype.numbers[j].tolist(), d.tolist(), strict=True
    ):
        pair = (SYMBOLS[a - 1], SYMBOLS[b - 1])
        shortest[pair] = min(distance, shortest.get(pair, distance))
    return shortest


def _tightness(
    contacts: dict[tuple[str, str], float], old: tuple[str, ...], new: tuple[str, ...]
) -> float:
    """Return the largest (sum of covalent radii) / distance over all contacts.

    The contacts are those of the old elements, with the new ones in their places.
    """
    from ase.data import covalent_radii

    radius = {a: covalent_radii[SYMBOLS.index(b) + 1] for a, b in zip(old, new, strict=True)}
    return float(max((radius[a] + radius[b]) / distance for (a, b), distance in contacts.items()))


def decorate(
    prototype: aflow.Prototype, new: tuple[str, ...], contacts: dict[tuple[str, str], float]
) -> Entry:
    """Return one decorated and rescaled crystal.

    Args:
        prototype: One crystal of the library.
        new: The new elements, in the order of those they replace.
        contacts: The prototype's `shortest_contacts`.

    Returns:
        The crystal; its id is the prototype's tag and the new elements.
    """
    old, _ = _elements(prototype)
    scale = _tightness(contacts, old, new) / _tightness(contacts, old, old)
    replacement = {
        SYMBOLS.index(a) + 1: SYMBOLS.index(b) + 1 for a, b in zip(old, new, strict=True)
    }
    return Entry(
        f"{prototype.tag}:{'-'.join(new)}",
        np.array([replacement[number] for number in prototype.numbers.tolist()]),
        prototype.positions * scale,
        prototype.cell * scale,
        np.ones(3, dtype=bool),
    )


def _entries() -> Iterator[Entry]:
    for prototype in aflow.load_prototypes():
        yield from decorations(prototype)


DATASET = Dataset(
    name="prototypes",
    title="AFLOW prototypes decorated with other elements of matching role",
    source=(
        "generated from pymatgen.analysis.prototypes; "
        "radii: Cordero et al., Dalton Trans. 2832 (2008)"
    ),
    license="MIT",
    packages=("pymatgen", "ase"),
    entries=_entries,
    made_from=(__file__, aflow.__file__),
    approx_systems=2_107,
    approx_seconds=10,
)
