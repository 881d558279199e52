"""Whether a model behaves as its card says: what `matterzoo check MODEL` finds out.

The published weights are used if they are on this machine. Otherwise a dummy checkpoint is, a small
one in the published format, which the family's `dummy_checkpoint.py` makes and which is loaded
through the same code.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zoo.cards.family import Family, Selection
from zoo.cards.precision import Bounds
from zoo.cards.schema import Model
from zoo.cards.twins import twin_seed
from zoo.encoder import ENERGY
from zoo.verify.comparison import compare_energies, compare_vectors, find_layer_faults
from zoo.verify.dummy_weights import compute_reference, write_dummy_checkpoint
from zoo.verify.embedding import Rows, Vectors, embed, to_energies, to_vectors
from zoo.verify.environment import Start, worker_start
from zoo.verify.golden import GOLDEN_FILE, find_golden_differences
from zoo.verify.notation import find_notation_faults, spelled_systems
from zoo.verify.records import evidence
from zoo.verify.sample_systems import ROTATED, default_systems, rotate_systems
from zoo.weights.local import find_weights, needed_files

LEAST = 2  # systems that a model has to take; a check on fewer shows nothing


def examine(
    selection: Selection, python: Path, *, dummy: bool = False, device: str = "cpu"
) -> Examination:
    """Check one model.

    Args:
        selection: The model.
        python: The Python of its family's environment.
        dummy: Whether to use a dummy checkpoint even if the weights are on this machine.
        device: 'cpu', 'cuda' or 'cuda:N'.

    Returns:
        What was found.

    Raises:
        VerificationError: The model gives no vectors at all, so there is nothing to compare.
    """
    model, family = selection.model, selection.family
    local = find_weights(selection)
    about: dict[str, Any] = {"device": device, "untrained": selection.untrained}
    about["draw"] = selection.draw
    if not needed_files(selection) or (local is not None and not dummy):
        folder = local.folder if local else None
        found = Examination(model, family, python, folder, real=True, **about)
        found.run()
        return found
    with tempfile.TemporaryDirectory() as temporary:
        small = write_dummy_checkpoint(family, model, python, Path(temporary))
        found = Examination(small, family, python, Path(temporary), real=False, **about)
        found.published = model
        found.run()
    found.model = model
    return found


@dataclass
class Examination:
    """The examination of one model.

    Attributes:
        model: The card, with the dimensions and hashes of the weights that are used.
        family: Its family.
        python: The Python of the family's environment.
        weights: The folder of the files of weights; None if there are none.
        real: Whether the published weights are used, or nothing is learned.
        device: 'cpu', 'cuda' or 'cuda:N'.
        untrained: Whether an untrained twin is examined.
        draw: Which of the model's twins, from 1.
        published: The card of the published model, if a dummy checkpoint is used.
        faults: What failed, one line each.
        passed: What was tried and found right.
        systems: The number of systems that the model takes.
        atoms: The number of atoms of each system, by its id.
    """

    model: Model
    family: Family
    python: Path
    weights: Path | None
    real: bool
    device: str = "cpu"
    untrained: bool = False
    draw: int = 1
    published: Model | None = None
    faults: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    systems: int = 0
    atoms: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Make every check, and note what fails in `faults` and what does not in `passed`."""
        samples = default_systems()
        written = self.model.stereochemistry is not None
        spelled = spelled_systems() if written else samples.slice(0, 0)
        systems = pa.concat_tables([samples, rotate_systems(samples), spelled])
        self.atoms = {row["system_id"]: len(row["numbers"] or ()) for row in systems.to_pylist()}
        rows = self._embed(systems)
        first = to_vectors(rows)
        self.systems = len({system_id for system_id, _ in first})
        if self.systems < LEAST:
            self.faults.append(
                f"takes {self.systems} of {len(systems)} small systems; at least {LEAST} are needed"
            )
            return
        # Otherwise the worker would have called it a failure, and `embed` would have raised.
        self.passed.append("finite, of the stated dimension")
        again = self._embed(systems.take(pa.array(range(len(systems) - 1, -1, -1))), batch=1)
        differing = compare_vectors(first, to_vectors(again), self.bounds.batch)
        self._note("batch, order and repeat", differing)
        if self.model.layers is not None:
            self._note("layers", find_layer_faults(self.model, first))
        self._check_precision(first, samples)
        if written:
            self._note("notation", find_notation_faults(self.model, first, self.bounds.batch))
        self._check_rotation(first)
        self._check_energy(rows, again)
        if self.untrained:
            return
        self._check_reference(rows, samples)
        if self.model.trainable:
            self._check_twin(first, samples)
        if self.real and (self.family.path / GOLDEN_FILE).exists():
            differing = find_golden_differences(self.model, self.family, self._start())
            self._note("golden vectors", differing)

    @property
    def dtype(self) -> str:
        """The precision of all checks but one.

        Published weights run in the card's, as they do for a user: a large model may fit in no
        other. A dummy checkpoint runs in float32 where the card allows it, which shows smaller
        faults; `_check_precision` compares the card's with it.
        """
        exact = self.model.dtypes is None or "float32" in self.model.dtypes
        return self.model.dtype if self.real or not exact else "float32"

    @property
    def bounds(self) -> Bounds:
        """What the card promises in that precision."""
        return self.model.tolerance.at(self.dtype)

    @property
    def selection(self) -> Selection:
        """The model that is examined, as a user names it."""
        return Selection(
            family=self.family, model=self.model, untrained=self.untrained, draw=self.draw
        )

    def record(self) -> dict[str, Any]:
        """Return what the family's checked.lock records of this model."""
        return {
            "weights": "real" if self.real else "dummy",
            "date": datetime.now(UTC).date().isoformat(),
            "device": self.device,
            "systems": self.systems,
            "passed": self.passed,
            **evidence(self.selection, real=self.real),
        }

    def _start(self) -> Start:
        return worker_start(self.python, self.weights)

    def _embed(self, systems: pa.Table, batch: int | None = None, dtype: str | None = None) -> Rows:
        return embed(
            self.model,
            self.family,
            systems,
            self._start(),
            batch=batch,
            untrained_seed=self.selection.untrained_seed,
            device=self.device,
            dtype=dtype or self.dtype,
        )

    def _note(self, what: str, faults: Sequence[str]) -> None:
        self.faults += [f"{what}: {fault}" for fault in faults]
        self.passed += [] if faults else [what]

    def _check_precision(self, vectors: Vectors, systems: pa.Table) -> None:
        """Compare vectors in the card's precision with those in the one of the other checks."""
        dtype = self.model.dtype
        if dtype == self.dtype:
            return
        found = to_vectors(self._embed(systems, dtype=dtype))
        same = {key: vectors[key] for key in found.keys() & vectors.keys()}
        differing = compare_vectors(same, found, self.model.tolerance.at(dtype).batch)
        self._note(f"{dtype} beside {self.dtype}", differing)

    def _check_rotation(self, vectors: Vectors) -> None:
        """Compare invariant representations of systems with those of their rotated copies."""
        if self.bounds.rotation is None:
            return
        names = {r.name for r in self.model.representation if r.channels == "invariant"}
        rotated = {
            key: v for key, v in vectors.items() if key[0].endswith(ROTATED) and key[1] in names
        }
        original = {key: vectors[key[0].removesuffix(ROTATED), key[1]] for key in rotated}
        if rotated:
            differing = compare_vectors(original, rotated, self.bounds.rotation)
            self._note("rotation and translation", differing)

    def _check_energy(self, first: Rows, again: Rows) -> None:
        """Hold energies to what vectors are held to: finite, and the same however computed."""
        if self.model.energy is None:
            return
        energies, tolerance = to_energies(first), self.bounds
        without = sorted({system_id for system_id, _ in to_vectors(first)} - energies.keys())
        faults = [f"{system_id} has none that is finite" for system_id in without]
        faults += compare_energies(energies, to_energies(again), self.atoms, tolerance.batch)
        if tolerance.rotation is not None:
            rotated = {key: energy for key, energy in energies.items() if key.endswith(ROTATED)}
            original = {
                key: energies[key.removesuffix(ROTATED)]
                for key in rotated
                if key.removesuffix(ROTATED) in energies
            }
            faults += compare_energies(original, rotated, self.atoms, tolerance.rotation)
        self._note(ENERGY, faults)

    def _check_reference(self, rows: Rows, systems: pa.Table) -> None:
        """Compare with what the model's own package gives, where the family says how to ask it."""
        if self.weights is None:
            return
        expected = compute_reference(
            self.family, self.model, self.python, self.weights, systems, self.dtype
        )
        if expected is None:
            return
        vectors = to_vectors(rows)
        both = expected.keys() & vectors.keys()  # the package may take more than the encoder
        theirs, ours = ({key: found[key] for key in both} for found in (expected, vectors))
        tolerance = self.bounds.rotation or self.bounds.batch
        differing = compare_vectors(theirs, ours, tolerance)
        self._note(
            "the package's own result", differing if both else ["it has none of the systems"]
        )
        energies = {key[0]: float(v[0]) for key, v in expected.items() if key[1] == ENERGY}
        if energies and self.model.energy is not None:
            differing = compare_energies(energies, to_energies(rows), self.atoms, tolerance)
            self._note("the package's own energy", differing)

    def _check_twin(self, vectors: Vectors, systems: pa.Table) -> None:
        """Run the untrained twin with the files that the card grants it, and see that it differs.

        A twin that needs no files has the size of the published network even if a dummy checkpoint
        is used.
        """
        small = self.model.weights.needed(untrained=True)
        model = self.model if small else self.published or self.model
        with self._files_of_the_twin() as folder:
            rows = embed(
                model,
                self.family,
                systems,
                worker_start(self.python, folder),
                untrained_seed=twin_seed(model.id),
                device=self.device,
                dtype=self.dtype,
            )
        found = to_vectors(rows)
        faults = [
            f"{' '.join(key)} is that of the trained model"
            for key in found
            if key in vectors
            and found[key].shape == vectors[key].shape
            and np.allclose(found[key], vectors[key], rtol=1e-4, atol=0.0)
        ]
        self._note("untrained twin", faults if found else ["takes none of the systems"])

    @contextlib.contextmanager
    def _files_of_the_twin(self) -> Iterator[Path | None]:
        if self.weights is None:
            yield None
            return
        with tempfile.TemporaryDirectory() as temporary:
            for file in self.model.weights.needed(untrained=True):
                link = Path(temporary, file.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((self.weights / file.path).resolve())
            yield Path(temporary)
