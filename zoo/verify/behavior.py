"""Does a model behave as its card says? What `make check MODEL=…` finds out.

With the published weights where they are at hand; else with a small checkpoint in the published format, which the
family's `dummy_checkpoint.py` makes and which is loaded through the same code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zoo.cards.family import Family, Selection
from zoo.cards.schema import Model
from zoo.cards.twins import twin_seed
from zoo.cards.weights_source import WeightsFile
from zoo.encoder import ENERGY
from zoo.verify.golden import GoldenError, Start, differences, embed, in_environment, variables
from zoo.verify.records import evidence
from zoo.verify.sample_systems import default_systems, rotated
from zoo.weights.local import find_weights, needed_files

Rows = Sequence[Mapping[str, Any]]  # of shards
Vectors = dict[tuple[str, str], np.ndarray]  # (system_id, representation) -> vector
Energies = Mapping[str, float]  # system_id -> eV
ROTATED = "~rotated"  # ends the system_id of a system that is rotated and moved
LEAST = 2  # systems that a model has to take; a check on fewer tells nothing


@dataclass
class Examination:
    """One model, what it is loaded from, and what was found."""

    model: Model  # with the dimensions and hashes of what is loaded
    family: Family
    python: Path  # of the family's environment
    weights: Path | None  # the folder of its files
    real: bool  # the published weights, or nothing is learned
    device: str = "cpu"
    untrained: bool = False  # it is the untrained twin that is examined
    published: Model | None = None  # what the model is a dummy checkpoint of
    faults: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    systems: int = 0
    atoms: dict[str, int] = field(default_factory=dict)  # system_id -> their number

    def run(self) -> None:
        """Every check. What fails is in `faults`, what was tried and is well in `passed`."""
        given = default_systems()
        systems = pa.concat_tables([given, rotated(given)])
        self.atoms = {row["system_id"]: len(row["numbers"] or ()) for row in systems.to_pylist()}
        rows = self.embed(systems)
        first = _vectors(rows)
        self.systems = len({system_id for system_id, _ in first})
        if self.systems < LEAST:
            self.faults.append(
                f"takes {self.systems} of {len(systems)} small systems; at least {LEAST} are needed"
            )
            return
        self.passed.append(
            "finite, of the stated dimension"
        )  # else the worker makes it a failure, and embed raises
        again = self.embed(systems.take(pa.array(range(len(systems) - 1, -1, -1))), batch=1)
        self.note(
            "batch, order and repeat",
            self.compare(first, _vectors(again), self.model.tolerance.batch),
        )
        self.rotation(first)
        self.energy(rows, again)
        if self.untrained:
            return
        self.reference(rows, given)
        if self.model.trainable:
            self.twin(first, given)
        if self.real and (self.family.path / "golden.parquet").exists():
            self.note("golden vectors", differences(self.model, self.family, self.start()))

    @property
    def selection(self) -> Selection:
        return Selection(family=self.family, model=self.model, untrained=self.untrained)

    def start(self) -> Start:
        return in_environment(self.python, self.weights)

    def embed(self, systems: pa.Table, batch: int | None = None) -> Rows:
        seed = self.selection.untrained_seed
        start = self.start()
        return embed(
            self.model,
            self.family,
            systems,
            start,
            batch=batch,
            untrained_seed=seed,
            device=self.device,
        )

    def note(self, what: str, faults: Sequence[str]) -> None:
        self.faults += [f"{what}: {fault}" for fault in faults]
        self.passed += [] if faults else [what]

    def compare(self, expected: Vectors, found: Vectors, tolerance: float) -> list[str]:
        """Where two sets of vectors differ by more than a part of their norm."""
        faults = [
            f"{' '.join(key)} is there only once" for key in sorted(expected.keys() ^ found.keys())
        ]
        for key in sorted(expected.keys() & found.keys()):
            distance = np.linalg.norm(found[key] - expected[key]) / np.linalg.norm(expected[key])
            if not distance <= tolerance:
                faults.append(
                    f"{' '.join(key)} differs by {distance:.2g} of its norm, {tolerance:g} is allowed"
                )
        return faults

    def rotation(self, vectors: Vectors) -> None:
        """Rotated and moved in space, an invariant representation stays as it is."""
        if self.model.tolerance.rotation is None:
            return
        names = {r.name for r in self.model.representation if r.channels == "invariant"}
        there = {
            key: v for key, v in vectors.items() if key[0].endswith(ROTATED) and key[1] in names
        }
        here = {key: vectors[key[0].removesuffix(ROTATED), key[1]] for key in there}
        if there:
            self.note(
                "rotation and translation", self.compare(here, there, self.model.tolerance.rotation)
            )

    def energy(self, first: Rows, again: Rows) -> None:
        """Finite; the same in other batches and orders; and rotated and moved in space, as the vectors are held to."""
        if self.model.energy is None:
            return
        energies, tolerance = _energies(first), self.model.tolerance
        without = sorted({system_id for system_id, _ in _vectors(first)} - energies.keys())
        faults = [f"{system_id} has none that is finite" for system_id in without]
        faults += self.differ(energies, _energies(again), tolerance.batch)
        if tolerance.rotation is not None:
            there = {key: energy for key, energy in energies.items() if key.endswith(ROTATED)}
            here = {
                key: energies[key.removesuffix(ROTATED)]
                for key in there
                if key.removesuffix(ROTATED) in energies
            }
            faults += self.differ(here, there, tolerance.rotation)
        self.note(ENERGY, faults)

    def differ(self, expected: Energies, found: Energies, tolerance: float) -> list[str]:
        """Where energies of systems that both have differ by more than a part of their size, at least 1 eV an atom.

        Without that least size an energy that happens to be near zero could never pass.
        """
        faults = []
        for key in sorted(expected.keys() & found.keys()):
            size = max(abs(expected[key]), float(self.atoms[key]))
            difference = abs(found[key] - expected[key]) / size
            if not difference <= tolerance:
                faults.append(
                    f"{key} differs by {difference:.2g} of its {size:.6g} eV, {tolerance:g} is allowed"
                )
        return faults

    def reference(self, rows: Rows, systems: pa.Table) -> None:
        """The package's own way to the same vectors and energies, where the family's dummy_checkpoint.py has one."""
        if not (self.family.path / "dummy_checkpoint.py").exists() or self.weights is None:
            return
        with tempfile.TemporaryDirectory() as temporary:
            files = [Path(temporary, "systems.parquet"), Path(temporary, "vectors.parquet")]
            pq.write_table(systems, files[0])
            inside(self.python, self.family, self.model, "reference", self.weights, *files)
            if files[1].exists():
                expected = _vectors(
                    [row | {"status": "ok"} for row in pq.read_table(files[1]).to_pylist()]
                )
                vectors = _vectors(rows)
                both = (
                    expected.keys() & vectors.keys()
                )  # what the encoder does not take, the package may
                theirs, ours = ({key: found[key] for key in both} for found in (expected, vectors))
                tolerance = self.model.tolerance.rotation or self.model.tolerance.batch
                faults = (
                    self.compare(theirs, ours, tolerance)
                    if both
                    else ["it has none of the systems"]
                )
                self.note("the package's own result", faults)
                energies = {
                    system_id: float(v[0])
                    for (system_id, name), v in expected.items()
                    if name == ENERGY
                }
                if energies and self.model.energy is not None:
                    self.note(
                        "the package's own energy",
                        self.differ(energies, _energies(rows), tolerance),
                    )

    def twin(self, vectors: Vectors, systems: pa.Table) -> None:
        """The untrained twin runs, with the files that the card grants it alone, and is another network.

        One that needs none is as large as the published network, also beside a dummy checkpoint.
        """
        model = (
            self.model
            if self.model.weights.needed(untrained=True)
            else self.published or self.model
        )
        with self.files_of_the_twin() as folder:
            start = in_environment(self.python, folder)
            rows = embed(
                model,
                self.family,
                systems,
                start,
                untrained_seed=twin_seed(model.id),
                device=self.device,
            )
        found = _vectors(rows)
        like = [key for key in found if key in vectors and found[key].shape == vectors[key].shape]
        same = [
            " ".join(key)
            for key in like
            if np.allclose(found[key], vectors[key], rtol=1e-4, atol=0.0)
        ]
        faults = [f"{key} is that of the trained model" for key in same]
        faults += [] if found else ["takes none of the systems"]
        self.note("untrained twin", faults)

    @contextlib.contextmanager
    def files_of_the_twin(self) -> Iterator[Path | None]:
        if self.weights is None:
            yield None
            return
        with tempfile.TemporaryDirectory() as temporary:
            for file in self.model.weights.needed(untrained=True):
                link = Path(temporary, file.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((self.weights / file.path).resolve())
            yield Path(temporary)

    def record(self) -> dict[str, Any]:
        """What the family's checked.lock holds of this model."""
        return {
            "weights": "real" if self.real else "dummy",
            "date": datetime.now(UTC).date().isoformat(),
            "device": self.device,
            "systems": self.systems,
            "passed": self.passed,
            **evidence(self.selection, real=self.real),
        }


def _vectors(rows: Rows) -> Vectors:
    ok = [row for row in rows if row["status"] == "ok"]
    return {
        (row["system_id"], row["representation"]): np.array(row["vector"], dtype=np.float64)
        for row in ok
    }


def _energies(rows: Rows) -> Energies:
    return {row["system_id"]: row[ENERGY] for row in rows if row[ENERGY] is not None}


def inside(python: Path, family: Family, model: Model, action: str, *paths: Path) -> str:
    """Run the family's dummy checkpoint in its environment; what it printed. GoldenError with what it said if it fails."""
    with tempfile.TemporaryDirectory() as temporary:
        card = Path(temporary, "card.json")
        card.write_text(json.dumps(model.for_worker()))
        command = [
            str(python),
            "-P",
            "-m",
            "zoo.verify.dummy_checkpoint",
            action,
            str(family.path.resolve()),
            str(card),
        ]
        command += [str(path) for path in paths]
        done = subprocess.run(
            command, cwd=temporary, env=variables(), capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise GoldenError(
            f"{family.path / 'dummy_checkpoint.py'}, {action} of {model.id}, failed:\n{done.stderr[-3000:]}"
        )
    return done.stdout


def write_dummy_checkpoint(family: Family, model: Model, python: Path, folder: Path) -> Model:
    """Write a model's dummy checkpoint into a folder. Returns the model with the dimensions and hashes of what was written."""
    dimensions = json.loads(inside(python, family, model, "write", folder).splitlines()[-1])
    names = {r.name for r in model.representation}
    if set(dimensions) != names:
        raise GoldenError(
            f"the dummy checkpoint of {model.id} told the dimensions of {sorted(dimensions)}, not {sorted(names)}"
        )
    shown = [r.model_copy(update={"dimension": dimensions[r.name]}) for r in model.representation]
    files = tuple(_written(file, folder) for file in model.weights.files)
    weights = model.weights.model_copy(
        update={"files": files, "revision": model.weights.revision or "0" * 40}
    )
    return model.model_copy(update={"representation": tuple(shown), "weights": weights})


def _written(file: WeightsFile, folder: Path) -> WeightsFile:
    path = folder / file.path
    if not path.is_file():
        raise GoldenError(f"the dummy checkpoint wrote no {file.path}, which the card names")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return file.model_copy(update={"sha256": sha256, "size": path.stat().st_size})


def examine(
    selection: Selection, python: Path, *, dummy: bool = False, device: str = "cpu"
) -> Examination:
    """Check one model. dummy: with its dummy checkpoint, also where the published weights are at hand. Raises GoldenError."""
    model, family, untrained = selection.model, selection.family, selection.untrained
    place = find_weights(selection)
    if not needed_files(selection) or (place is not None and not dummy):
        folder = place.folder if place else None
        found = Examination(
            model, family, python, folder, real=True, device=device, untrained=untrained
        )
        found.run()
        return found
    with tempfile.TemporaryDirectory() as temporary:
        reduced = write_dummy_checkpoint(family, model, python, Path(temporary))
        found = Examination(
            reduced, family, python, Path(temporary), real=False, device=device, untrained=untrained
        )
        found.published = model
        found.run()
    found.model = model
    return found
