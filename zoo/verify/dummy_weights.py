"""Dummy checkpoints of models whose weights are not on this machine, made in their environment."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zoo.cards.family import Family
from zoo.cards.schema import Model
from zoo.cards.weights_source import WeightsFile
from zoo.verify.embedding import Vectors, to_vectors
from zoo.verify.environment import environment_variables
from zoo.verify.errors import VerificationError
from zoo.worker.job import SYSTEMS_FILE


def write_dummy_checkpoint(family: Family, model: Model, python: Path, folder: Path) -> Model:
    """Write a dummy checkpoint of a model.

    Args:
        family: The family, which has a dummy_checkpoint.py.
        model: The model.
        python: The Python of the family's environment.
        folder: The folder that gets the files of the card.

    Returns:
        The model with the dimensions and hashes of what was written.

    Raises:
        VerificationError: The family's code fails, or does not write what the card names.
    """
    output = _run(python, family, model, "write", folder)
    dimensions = json.loads(output.splitlines()[-1])
    names = {r.name for r in model.representation}
    if set(dimensions) != names:
        raise VerificationError(
            f"the dummy checkpoint of {model.id} has the representations {sorted(dimensions)}, "
            f"expected {sorted(names)}"
        )
    shown = [r.model_copy(update={"dimension": dimensions[r.name]}) for r in model.representation]
    files = tuple(_written(file, folder) for file in model.weights.files)
    weights = model.weights.model_copy(
        update={"files": files, "revision": model.weights.revision or "0" * 40}
    )
    return model.model_copy(update={"representation": tuple(shown), "weights": weights})


def compute_reference(
    family: Family, model: Model, python: Path, weights: Path, systems: pa.Table, dtype: str
) -> Vectors | None:
    """Compute vectors with the model's own package, without our encoder.

    Args:
        family: The family.
        model: The model.
        python: The Python of the family's environment.
        weights: The folder of the model's weights.
        systems: The systems, in the columns of `zoo.worker.tables.SYSTEMS`.
        dtype: The precision of the network that the card of `reference` states as `dtype`.

    Returns:
        The vectors, and the energies in eV as representation 'energy'; None if the family's
        dummy_checkpoint.py defines no `reference`, or there is no such file.
    """
    if not (family.path / "dummy_checkpoint.py").exists():
        return None
    with tempfile.TemporaryDirectory() as temporary:
        given, found = Path(temporary, SYSTEMS_FILE), Path(temporary, "vectors.parquet")
        pq.write_table(systems, given)
        _run(python, family, model, "reference", weights, given, found, dtype=dtype)
        if not found.exists():
            return None
        return to_vectors([row | {"status": "ok"} for row in pq.read_table(found).to_pylist()])


def _run(
    python: Path, family: Family, model: Model, action: str, *paths: Path, dtype: str = "float32"
) -> str:
    """Run zoo.verify.dummy_checkpoint in the family's environment and return what it printed."""
    with tempfile.TemporaryDirectory() as temporary:
        card = Path(temporary, "card.json")
        card.write_text(json.dumps(model.for_worker() | {"dtype": dtype}))
        command = [str(python), "-P", "-m", "zoo.verify.dummy_checkpoint", action]
        command += [str(family.path.resolve()), str(card), *map(str, paths)]
        done = subprocess.run(
            command,
            cwd=temporary,
            env=environment_variables(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise VerificationError(
            f"{family.path / 'dummy_checkpoint.py'}, {action} of {model.id}, failed:\n"
            f"{done.stderr[-3000:]}"
        )
    return done.stdout


def _written(file: WeightsFile, folder: Path) -> WeightsFile:
    path = folder / file.path
    if not path.is_file():
        raise VerificationError(
            f"the dummy checkpoint has no file {file.path}, which the card names"
        )
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return file.model_copy(update={"sha256": sha256, "size": path.stat().st_size})
