"""Vectors and energies of a few systems, computed by a family's own worker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.cards.family import Family
from zoo.cards.schema import Model
from zoo.encoder import ENERGY
from zoo.verify.environment import Start
from zoo.verify.errors import VerificationError
from zoo.worker.job import SYSTEMS_FILE, Job
from zoo.worker.merge import OUTCOMES_FILE

Rows = Sequence[Mapping[str, Any]]  # as of `read_rows`
Vectors = dict[tuple[str, str], np.ndarray]  # (system_id, representation) -> vector
Energies = Mapping[str, float]  # system_id -> eV


def embed(
    model: Model,
    family: Family,
    systems: pa.Table,
    start: Start,
    *,
    batch: int | None = None,
    untrained_seed: int | None = None,
    device: str = "cpu",
    dtype: str | None = None,
) -> Rows:
    """Compute the vectors of systems in every representation of a model.

    Args:
        model: The model.
        family: Its family.
        systems: The systems, in the columns of `zoo.worker.tables.SYSTEMS`.
        start: Starts the worker.
        batch: The budget of a batch, in the card's unit; None for the card's.
        untrained_seed: The seed of the untrained twin; None for the model itself.
        device: 'cpu', 'cuda' or 'cuda:N'.
        dtype: The precision; None for the card's.

    Returns:
        One row per system and representation; see `read_rows`.

    Raises:
        VerificationError: The worker fails, or fails on one of the systems.
    """
    job = Job(
        run_id="golden",
        model_id=model.id,
        model=model.for_worker(),
        representations=tuple(r.name for r in model.representation),
        untrained_seed=untrained_seed,
        device=device,
        dtype=dtype or model.dtype,
        batch=batch,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary, "golden", "job"), Path(temporary, "golden", "out")
        folder.mkdir(parents=True)
        job.write(folder)
        pq.write_table(systems, folder / SYSTEMS_FILE)
        start(family, folder, out)
        rows = read_rows(out)
    failures = [row for row in rows if row["status"] == "failed"]  # one per representation
    if failed := dict.fromkeys(f"{row['system_id']}: {row['reason']}" for row in failures):
        raise VerificationError(f"{model.id} failed on {'; '.join(failed)}")
    return rows


def read_rows(out: Path) -> Rows:
    """Return what a finished worker wrote, as plain data.

    Args:
        out: The folder that the worker wrote to.

    Returns:
        One row per system and representation, with the columns of
        `zoo.worker.tables.OUTCOMES`, and 'vector': a list of floats, or None.
    """
    vectors: dict[tuple[str, str], list[float]] = {}
    for path in sorted(out.glob("vectors-*.parquet")):
        for row in pq.read_table(path).to_pylist():
            vectors[row["system_id"], row["representation"]] = row["vector"]
    outcomes: list[dict[str, Any]] = pq.read_table(out / OUTCOMES_FILE).to_pylist()
    return [
        row | {"vector": vectors.get((row["system_id"], row["representation"]))} for row in outcomes
    ]


def to_vectors(rows: Rows) -> Vectors:
    """Return the vectors of rows, by system and representation, in float64.

    Args:
        rows: As of `read_rows`. Those without a vector are left out.
    """
    return {
        (row["system_id"], row["representation"]): np.array(row["vector"], dtype=np.float64)
        for row in rows
        if row["status"] == "ok"
    }


def to_energies(rows: Rows) -> Energies:
    """Return the energies of rows in eV, by system.

    Args:
        rows: As of `read_rows`. Those without an energy are left out.
    """
    return {row["system_id"]: row[ENERGY] for row in rows if row[ENERGY] is not None}
