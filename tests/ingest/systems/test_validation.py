"""Entries that no model can embed are unreadable, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.systems.entry import Entry, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.validation import validate
from tests.ingest.systems.toys import dataset, water
from zoo.encoder import content_hash


def test_a_box_without_periodicity_is_dropped() -> None:
    boxed = validate(water(cell=np.eye(3) * 10, pbc=np.zeros(3, dtype=bool)))
    assert isinstance(boxed, Entry)
    assert boxed.cell is None
    assert content_hash(boxed) == content_hash(water())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"positions": np.full((3, 3), np.nan)}, "position of atom 0 is nan; expected finite"),
        ({"positions": np.full((3, 3), np.inf)}, "position of atom 0 is inf"),
        (
            {"positions": np.full((3, 3), 1e9)},
            r"position of atom 0 is 1000000000.0; .* within ±1e\+06",
        ),
        (
            {"positions": np.zeros((2, 3))},
            r"3 atomic numbers need positions of shape \(3, 3\), got \(2, 3\)",
        ),
        ({"positions": None}, "must come together"),
        ({"positions": [[0, 0], [1]]}, "not numbers of one shape"),
        ({"numbers": np.array([8, 0, 1])}, "atomic number 0 is not between 1 and 118"),
        ({"numbers": np.array([8, 119, 1])}, "atomic number 119"),
        ({"numbers": np.array([], dtype=int), "positions": np.zeros((0, 3))}, "without atoms"),
        ({"numbers": None, "positions": None}, "nothing to embed"),
        ({"pbc": np.ones(3, dtype=bool)}, "cell and pbc must come together"),
        ({"cell": np.zeros((3, 3)), "pbc": np.ones(3, dtype=bool)}, "span no volume"),
        ({"cell": np.eye(3) * np.nan, "pbc": np.ones(3, dtype=bool)}, "cell vector 0 is nan"),
        (
            {"cell": np.eye(2), "pbc": np.ones(3, dtype=bool)},
            r"shapes \(3, 3\) and \(3,\), got \(2, 2\)",
        ),
        (
            {"sequence": "MK", "backbone": np.zeros((1, 4, 3))},
            r"does not fit its sequence, expected \(2, 4, 3\)",
        ),
        ({"sequence": "M", "backbone": np.full((1, 4, 3), np.nan)}, "backbone of residue 0 is nan"),
    ],
)
def test_a_broken_entry_is_unreadable_with_its_reason(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    written = materialize(dataset(water(), water("broken", **changes)), tmp_path / "toy")
    row = pq.read_table(written.unreadable).to_pylist()
    assert [(r["source_id"], r["system_id"]) for r in row] == [("broken", "toy/broken")]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(row[0]["reason"])


WATER = {"numbers": np.array([8, 1]), "positions": np.array([[0, 0, 0], [0, 0, 0.97]])}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"numbers": [8, 1.5]}, "atomic number 1.5 is not a whole number"),
        ({"numbers": ["8", "1"]}, "are not numbers"),
        ({"numbers": [8, float("nan")]}, "atomic number nan is not a whole number"),
        ({"cell": np.eye(3) * 9, "pbc": ["F", "F", "F"]}, "neither true nor false"),
        ({"cell": np.eye(3) * 9, "pbc": [0, 0, 2]}, "neither true nor false"),
        ({"cell": np.diag([9, 9, 0.01]), "pbc": [True] * 3}, "the cell is 0.01 Å thin"),
        ({"spin": -5}, "spin = -5 is not a multiplicity"),
        ({"spin": 0}, "spin = 0 is not a multiplicity"),
        ({"charge": 10**30}, "beyond what 9 protons can have"),
        ({"charge": 2**40, "numbers": None, "positions": None, "smiles": "C"}, "beyond what"),
        ({"positions": [[0, 0, 0], [0, 0, 0]]}, "atoms 0 and 1 are 0 Å apart"),
        ({"source_id": "a\x1bb"}, "holds a control character"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], reason: str) -> None:
    found = validate(Entry(**{"source_id": "x", **WATER, **change}))  # type: ignore[arg-type]
    assert isinstance(found, Unreadable) and reason in found.reason
