"""Systems survive the file."""

from __future__ import annotations

import numpy as np

from tests.zoo.worker.toy import (
    Toy,
    atoms,
)
from zoo.worker.job import JobSystems


def test_systems_survive_the_file(toy: Toy) -> None:
    toy.write(
        [
            atoms(
                "full",
                [1, 8],
                cell=np.eye(3).tolist(),
                pbc=[True, False, True],
                charge=-1,
                spin=2,
                smiles="O",
            ),
            {
                "system_id": "protein",
                "sequence": "AC",
                "backbone": np.arange(24.0).reshape(2, 4, 3).tolist(),
            },
        ]
    )
    full, protein = JobSystems(toy.folder / "job" / "systems.parquet", None)
    assert full.numbers.dtype == np.int64 and full.numbers.tolist() == [1, 8]
    assert full.positions.shape == (2, 3) and full.positions[1].tolist() == [1.0, 0.5, 0.25]
    assert full.cell.tolist() == np.eye(3).tolist() and full.pbc.tolist() == [True, False, True]
    assert (full.charge, full.spin, full.smiles, full.sequence, full.backbone) == (
        -1,
        2,
        "O",
        None,
        None,
    )
    assert protein.backbone.shape == (2, 4, 3) and protein.backbone[1, 0].tolist() == [
        12.0,
        13.0,
        14.0,
    ]
    assert protein.numbers is None and protein.cell is None and protein.sequence == "AC"
