"""Dataset `aflow`: the 288 ordered prototype crystals of the AFLOW library that pymatgen carries."""

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
    """One crystal of the library."""

    tag: str  # unique: AFLOW label, formula and, where two crystals share both, the Strukturbericht
    numbers: np.ndarray  # (n,)
    positions: np.ndarray  # (n, 3) Å
    cell: np.ndarray  # (3, 3) Å


def load_prototypes() -> list[Prototype]:
    """The library in its own order.

    Read as plain JSON: importing pymatgen.analysis.prototypes builds 288 bibliographies first (8 s, and warnings).
    """
    spec = find_spec("pymatgen.analysis.prototypes")
    if spec is None or spec.origin is None:
        raise DatasetError(
            "pymatgen is not installed, so its AFLOW prototypes are not there; run `make setup`"
        )
    with gzip.open(
        Path(spec.origin).with_name("aflow_prototypes.json.gz"), "rt", encoding="utf-8"
    ) as file:
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
    """'AB_oP8_62_c_c.FeB', or 'AB_oP8_62_c_c.FeB.B27' where the library has a Strukturbericht symbol."""
    kinds = sorted(set(symbols), key=symbols.index)
    counts = [symbols.count(kind) for kind in kinds]
    divisor = int(np.gcd.reduce(counts))
    formula = "".join(
        kind + (str(n // divisor) if n > divisor else "")
        for kind, n in zip(kinds, counts, strict=True)
    )
    symbol = tags["strukturbericht"]
    return f"{tags['aflow']}.{formula}" + ("" if symbol == "None" else f".{symbol}")


def entries() -> Iterator[Entry]:
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
    entries=entries,
    made_from=(__file__,),
    approx_systems=288,
    approx_seconds=1,
)
