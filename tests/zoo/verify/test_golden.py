"""Golden vectors: each family's first model gives again what its golden.parquet holds."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from zoo.cards.discovery import family_folders
from zoo.cards.family import Selection
from zoo.cards.loading import load_family
from zoo.places import ROOT
from zoo.verify.environment import worker_start
from zoo.verify.golden import GOLDEN, find_golden_differences, read_golden_systems
from zoo.weights.local import find_weights, needed_files
from zoo.worker.tables import SYSTEMS

ENVIRONMENTS = Path(os.environ.get("MATTERZOO_ENVS") or ROOT / ".envs")
FOLDERS = [folder for folder in family_folders() if (folder / "golden.parquet").exists()]
family_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@family_folder
def test_holds_every_model_that_needs_no_download_in_every_representation(folder: Path) -> None:
    """Vectors of layers may be missing where the weights need a download."""
    table = pq.read_table(folder / "golden.parquet")
    assert table.schema.names == GOLDEN.names
    found = {(row["model_id"], row["representation"]) for row in table.to_pylist()}
    there = {model_id for model_id, _ in found}
    models = [m for m in load_family(folder).models if m.id in there or m.bundled]
    every = {(m.id, r.name) for m in models for r in m.representation}
    needed = {
        (m.id, r.name) for m in models for r in m.representation if m.bundled or not r.is_layer
    }
    assert needed <= found <= every


@family_folder
def test_systems_are_described_in_full(folder: Path) -> None:
    systems = read_golden_systems(folder / "golden.parquet")
    assert systems.schema.names == SYSTEMS.names
    assert len(systems) >= 2
    assert len(set(systems["content_hash"].to_pylist())) == len(systems)


@pytest.mark.environment
@family_folder
def test_first_model_gives_them_again(folder: Path) -> None:
    python = ENVIRONMENTS / folder.name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs the family's environment: matterzoo env {folder.name}")
    family = load_family(folder)
    selections = [Selection(family=family, model=model, untrained=False) for model in family.models]
    first = next((s for s in selections if not needed_files(s) or find_weights(s)), None)
    if first is None:
        pytest.skip(f"needs the weights of a model: matterzoo weights {family.models[0].id}")
    local = find_weights(first)
    assert (
        find_golden_differences(first.model, family, worker_start(python, local and local.folder))
        == []
    )
