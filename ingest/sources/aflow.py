"""Dataset `aflow`: the 288 ordered prototype crystals of AFLOW that pymatgen carries."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry
from zoo.encoder import SYMBOLS


@dataclass(frozen=True)
class Prototype:
    """One crystal of the library.

    Attributes:
        tag: AFLOW label, formula and, if the library has one, the Strukturbericht symbol; unique.
        numbers: (n,) atomic numbers.
        positions: (n, 3) in Å.
        cell: (3, 3) in Å, rows are lattice vectors.
    """

    tag: str
    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray


def load_prototypes() -> list[Prototype]:
    """Return the library in its own order.

    It is read as plain JSON, as importing pymatgen.analysis.prototypes builds 288 bibliographies
    first (8 s, and warnings).

    Raises:
        DatasetError: Pymatgen is not installed.
    """
    spec = find_spec("pymatgen.analysis.prototypes")
    if spec is None or spec.origin is None:
        raise DatasetError(
            "pymatgen is not installed, and dataset aflow is a part of it; install it with "
            "`pip install 'matterzoo[ingest]'`"
        )
    library = Path(spec.origin).with_name("aflow_prototypes.json.gz")
    with gzip.open(library, "rt", encoding="utf-8") as file:
        return [_prototype(record) for record in json.load(file)]


def _prototype(record: dict[str, Any]) -> Prototype:
    sites = record["snl"]["sites"]
    symbols = [site["species"][0]["element"] for site in sites]
    return Prototype(
        tag=_tag(record["tags"], symbols),
        numbers=np.array([SYMBOLS.index(symbol) + 1 for symbol in symbols]),
        positions=np.array([site["xyz"] for site in sites]),
        cell=np.array(record["snl"]["lattice"]["matrix"]),
    )


def _tag(tags: dict[str, str], symbols: list[str]) -> str:
    """Return 'AB_oP8_62_c_c.FeB', or 'AB_oP8_62_c_c.FeB.B27' with a Strukturbericht symbol."""
    kinds = sorted(set(symbols), key=symbols.index)
    counts = [symbols.count(kind) for kind in kinds]
    divisor = int(np.gcd.reduce(counts))
    formula = "".join(
        kind + (str(n // divisor) if n > divisor else "")
        for kind, n in zip(kinds, counts, strict=True)
    )
    symbol = tags["strukturbericht"]
    return f"{tags['aflow']}.{formula}" + ("" if symbol == "None" else f".{symbol}")


def _entries() -> Iterator[Entry]:
    for prototype in load_prototypes():
        yield Entry(
            prototype.tag,
            prototype.numbers,
            prototype.positions,
            prototype.cell,
            np.ones(3, dtype=bool),
        )


DATASET = Dataset(
    name="aflow",
    title="Prototype crystals of the AFLOW library (288)",
    source="pymatgen.analysis.prototypes; Mehl et al., Comput. Mater. Sci. 136, S1 (2017)",
    license="MIT (pymatgen)",
    packages=("pymatgen",),
    entries=_entries,
    made_from=(__file__,),
    approx_systems=288,
    approx_seconds=1,
)
