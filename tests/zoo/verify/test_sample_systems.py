"""The small systems: varied, and as nature has them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from Bio.PDB.vectors import Vector, calc_angle, calc_dihedral
from hypothesis import given
from hypothesis import strategies as st

from zoo.verify.sample_systems import (
    ANGLES,
    BONDS,
    PROTEINS,
    build_backbone,
    default_systems,
    rotate_systems,
)

torsion = st.floats(-179.0, 179.0)


def vectors(residue: np.ndarray) -> list[Vector]:
    return [Vector(position) for position in residue]


def turns(measured: float, degrees: float) -> None:
    """An angle in radians is that one in degrees, which 360 more or less leave alone."""
    assert np.cos(measured - np.radians(degrees)) == pytest.approx(1.0, abs=1e-9)


@np.errstate(
    all="ignore"
)  # Biopython divides by zero on the way where a torsion is exactly 0 or 180
@given(st.lists(st.tuples(torsion, torsion), min_size=2, max_size=6))
def test_a_backbone_has_the_torsions_bonds_and_angles_it_was_asked_for(
    torsions: list[tuple[float, float]],
) -> None:
    """Measured by Biopython."""
    chain = [vectors(residue) for residue in build_backbone(torsions)]
    for i, ((n, ca, c, o), (n2, ca2, c2, _)) in enumerate(pairwise(chain)):
        assert [(ca - n).norm(), (n2 - c).norm(), (o - c).norm()] == pytest.approx(
            [BONDS["N"], BONDS["C"], 1.231]
        )
        turns(calc_angle(ca, c, n2), ANGLES["C"])
        turns(calc_dihedral(ca, c, n2, ca2), 180.0)
        turns(calc_dihedral(n, ca, c, n2), torsions[i][1])
        turns(calc_dihedral(c, n2, ca2, c2), torsions[i + 1][0])
        turns(calc_dihedral(ca, n2, c, o), 180.0)  # flat: O lies in the plane


def test_a_helix_rises_by_1_5_angstrom_a_residue_and_closes_its_hydrogen_bonds() -> None:
    helix = build_backbone([(-57.0, -47.0)] * 17)
    assert np.linalg.norm(helix[0, 1] - helix[-1, 1]) / 16 == pytest.approx(1.5, abs=0.1)
    assert np.linalg.norm(helix[:-4, 3] - helix[4:, 0], axis=1) == pytest.approx(3.0, abs=0.2)


def test_they_are_varied() -> None:
    rows = default_systems().to_pylist()
    assert {len(row["numbers"]) for row in rows if row["numbers"]} >= {1, 2, 4}
    assert sum(row["cell"] is not None for row in rows) == 3
    assert sum(row["smiles"] is not None for row in rows) == 4
    assert {len(row["sequence"]) for row in rows if row["sequence"]} == {
        len(s) for s, _ in PROTEINS.values()
    }
    assert len({row["content_hash"] for row in rows}) == len(rows)


def test_rotated_systems_keep_every_distance() -> None:
    here = {row["system_id"]: row for row in default_systems().to_pylist()}
    there = rotate_systems(default_systems()).to_pylist()
    assert len(there) == len(here) - 1  # caffeine lies nowhere
    for row in there:
        name = "positions" if row["positions"] else "backbone"
        a, b = (
            np.array(r[name]).reshape(-1, 3)
            for r in (row, here[row["system_id"].removesuffix("~rotated")])
        )
        assert np.abs(a - b).max() > 1
        assert np.linalg.norm(a[:, None] - a[None], axis=-1) == pytest.approx(
            np.linalg.norm(b[:, None] - b, axis=-1)
        )
