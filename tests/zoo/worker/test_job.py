"""Jobs and systems survive their files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.zoo.worker.toy import Toy, atoms, model_card
from zoo.worker.job import Job, JobSystems
from zoo.worker.sealed import write_sealed


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


def test_a_job_survives_the_file(tmp_path: Path) -> None:
    job = Job(
        run_id="r",
        model_id="toy-1+untrained",
        model=model_card(),
        representations=("first", "nodes"),
        family="toy",
        dataset="d",
        untrained_seed=7,
        device="cuda:1",
        batch=5,
        sent={"size": 1, "sha256": "0" * 64},
    )
    job.write(tmp_path)
    assert Job.read(tmp_path) == job
    assert json.loads((tmp_path / "job.json").read_text())["job_version"] == 1


def test_a_job_without_the_fields_of_later_versions_can_be_read(tmp_path: Path) -> None:
    job = Job(run_id="r", model_id="toy-1", model=model_card(), representations=("first",))
    content = job.to_json()
    for name in ("sent", "replaces_all"):
        del content[name]
    write_sealed(tmp_path / "job.json", content)
    assert Job.read(tmp_path) == job
