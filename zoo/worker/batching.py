"""From systems to shards: windows, batches within the budget, and what becomes of each system."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.encoder import ENERGY, Encoder, NotApplicable, System
from zoo.files import is_disk_full
from zoo.worker.applicability import reason_to_skip, rough_size
from zoo.worker.errors import (
    DiskFullError,
    WorkerError,
    describe,
    is_machine_fault,
    is_out_of_memory,
)
from zoo.worker.events import EVENT_SECONDS, Advice, CurrentSystem, send_event
from zoo.worker.job import Job
from zoo.worker.pooling import NODES, split_name, to_nodes, to_vector
from zoo.worker.shards import Outcome, Shards
from zoo.worker.signals import Signals

WINDOW = 1024  # systems that are sorted by size together, and at most this many in a shard
FLUSH_SECONDS = 60.0  # a slow model writes a shard at least this often, so that little is lost


class Clock(dict[str, float]):
    """Seconds spent in each part of a run."""

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add the time of a block to a part.

        Args:
            part: The part's name.

        Yields:
            Nothing.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self[part] = self.get(part, 0.0) + time.perf_counter() - start


class _Prepared(NamedTuple):
    system: System
    item: Any
    size: int


class Batcher:
    """Takes systems through the encoder and adds the outcome of each to the shards.

    A system that fails takes no other with it: a batch that fails is halved until one is left.
    """

    def __init__(
        self,
        job: Job,
        encoder: Encoder,
        shards: Shards,
        clock: Clock,
        stop: Signals,
        advice: Advice | None = None,
    ) -> None:
        """Begin.

        Args:
            job: The job.
            encoder: The model, loaded.
            shards: Where outcomes go.
            clock: Where the time of 'prepare' and 'encode' is added.
            stop: Asked between two systems whether to end.
            advice: What the host has learned from workers that were killed.
        """
        self._job, self._encoder, self._shards = job, encoder, shards
        self._clock, self._stop, self._advice = clock, stop, advice or Advice()
        self._current = CurrentSystem(shards.out)
        self._reported = 0.0
        self._budget: int = job.batch or job.model["compute"]["batch"]
        self._cards = {r["name"]: r for r in job.model["representation"]}
        self._encoded = {name: split_name(name)[0] for name in job.representations}
        self._energies_left_out = 0
        self._compared_with_card = False

    def run(self, systems: Iterable[System]) -> None:
        """Take all systems to their end, without those that earlier starts have finished.

        Args:
            systems: The systems of the job, in its order.

        Raises:
            WorkerError: The run cannot go on: a fault of the encoder or of the
                machine, such as a full disk or a broken GPU.
            Stopped: A signal asked the worker to end. What is done is in the shards.
        """
        self._stop.between_batches = True
        stream = iter(systems)
        try:
            for number, window in enumerate(iter(lambda: list(islice(stream, WINDOW)), [])):
                self._run_window(number, window)
        finally:  # only a worker that is killed leaves the file behind
            self._current.close()
        if self._energies_left_out:
            send_event(
                "warning",
                message=f"{self._energies_left_out} energies are not finite and are left out; "
                "the vectors stay",
            )

    def _run_window(self, number: int, window: Sequence[System]) -> None:
        finished, suspect = self._shards.finished(number), self._advice.suspect
        todo = [system for system in window if system.system_id not in finished]
        todo.sort(key=lambda system: (system.system_id != suspect, rough_size(system)))
        try:
            for batch in self._batches(todo):
                self._encode(batch)
                self._report()
                # What a suspect gives is kept at once, so that a run that is killed again and
                # again gets on.
                survived = batch[0].system.system_id == suspect
                self._shards.flush(number, every=0.0 if survived else FLUSH_SECONDS)
        finally:  # a run that stops keeps what it has
            self._shards.flush(number)

    def _report(self) -> None:
        counts = self._shards.counts
        if time.monotonic() - self._reported >= EVENT_SECONDS:
            self._reported = time.monotonic()
            send_event("progress", done=counts.done, **asdict(counts))

    def _batches(self, systems: Sequence[System]) -> Iterator[list[_Prepared]]:
        """Pack prepared systems up to the budget, preparing no more than one batch at a time."""
        batch: list[_Prepared] = []
        for system in systems:
            self._stop.check()
            with self._clock.measure("prepare"):
                prepared = self._prepare(system, alone=not batch)
            if prepared is None:
                continue
            if system.system_id == self._advice.suspect:
                yield [prepared]
                continue
            if batch and sum(p.size for p in batch) + prepared.size > self._budget:
                yield batch
                batch = []
            batch.append(prepared)
        if batch:
            yield batch

    def _prepare(self, system: System, alone: bool) -> _Prepared | None:
        skipped = reason_to_skip(system, self._job.model)
        if system.system_id in self._advice.too_large:
            skipped = "failed", self._advice.too_large[system.system_id]
        if skipped is None:
            self._current.note(system, alone=alone, ok=self._shards.counts.ok)
            try:
                item = self._encoder.prepare(system)
                return _Prepared(system, item, int(self._encoder.size(item)))
            except NotApplicable as error:
                skipped = "not_applicable", " ".join(str(error).split())
            except Exception as error:
                self._raise_if_machine_fails(error)
                skipped = "failed", describe(error)
        self._add_without_vector(system, *skipped)
        return None

    def _encode(self, batch: Sequence[_Prepared]) -> None:
        """Encode a batch; if it fails, its halves, down to the guilty system."""
        alone = len(batch) == 1
        current = batch[0].system if alone else None
        self._current.note(current, alone=alone, ok=self._shards.counts.ok)
        names = list(dict.fromkeys(self._encoded.values()))
        try:
            with self._clock.measure("encode"):
                vectors = self._encoder.encode([p.item for p in batch], names)
        except Exception as error:
            self._explain(batch, error)
        else:
            self._keep(batch, vectors)
            return
        # Outside the except block, so that the failed attempt's memory is free.
        self._stop.check()
        if len(batch) > 1:
            middle = len(batch) // 2
            self._encode(batch[:middle])
            self._encode(batch[middle:])

    def _explain(self, batch: Sequence[_Prepared], error: Exception) -> None:
        """Blame the system if the batch holds but one; halve the budget if memory ran out."""
        self._raise_if_machine_fails(error)
        memory = is_out_of_memory(error)
        if "CUDA error" in str(error) and not memory:
            ids = ", ".join(p.system.system_id for p in batch[:3])
            raise WorkerError(
                f"the GPU can no longer be used, from a batch that begins with {ids}: "
                f"{describe(error)}"
            )
        if memory and "torch" in sys.modules:
            sys.modules["torch"].cuda.empty_cache()
        if len(batch) == 1 and isinstance(error, NotApplicable):
            reason = " ".join(str(error).split())
            self._add_without_vector(batch[0].system, "not_applicable", reason)
        elif len(batch) == 1:
            self._add_without_vector(batch[0].system, "failed", describe(error))
        elif memory:
            self._budget = max(1, min(self._budget, sum(p.size for p in batch) // 2))
            send_event("warning", message=f"out of memory; the batch budget is now {self._budget}")

    def _raise_if_machine_fails(self, error: Exception) -> None:
        """Stop the run: that is no fault of the system, and its failure would stay."""
        if isinstance(error, OSError) and is_disk_full(error):
            raise DiskFullError(error, Path(error.filename or self._shards.out)) from error
        if is_machine_fault(error):
            raise WorkerError(
                f"the machine fails, and no system does: {describe(error)}; when that is mended, "
                "the same run continues from its finished shards"
            ) from error

    def _keep(self, batch: Sequence[_Prepared], found: Mapping[str, Sequence[Any]]) -> None:
        for name in self._encoded.values():
            count = len(found.get(name, ()))
            if count != len(batch):
                raise _fault_of_encoder(f"{count} vectors of {name!r} for {len(batch)} systems")
        if not self._compared_with_card:
            self._compare_with_card(found)
        energies = self._energies(len(batch), found)
        for i, prepared in enumerate(batch):
            rows = [
                self._outcome(prepared.system, name, found[encoded][i])
                for name, encoded in self._encoded.items()
            ]
            self._shards.add([row._replace(energy=energies[i]) for row in rows])

    def _compare_with_card(self, found: Mapping[str, Sequence[Any]]) -> None:
        """End the run if no vector of the first batch is as long as the card says.

        Otherwise the same fault of the card would be stored with every system.
        """
        for name in self._encoded.values():
            lengths = {np.shape(value)[-1:] for value in found[name]}
            expected = self._cards[name]["dimension"]
            if len(lengths) == 1 and lengths.isdisjoint({(expected,), ()}):
                ((length,),) = lengths
                raise WorkerError(
                    f"{self._job.model_id} gives vectors of {length} numbers in {name!r}, and its "
                    f"card says {expected}: correct `dimension` in the family's models.toml"
                )
        self._compared_with_card = True

    def _energies(self, count: int, found: Mapping[str, Sequence[Any]]) -> list[float | None]:
        """Return energies in eV; None if the card promises none or one is not finite."""
        if self._job.model.get(ENERGY) is None:
            return [None] * count
        energies = np.asarray(found.get(ENERGY, ()), dtype=np.float64)
        if energies.shape != (count,):
            raise _fault_of_encoder(f"energies of shape {energies.shape} for {count} systems")
        finite = np.isfinite(energies)
        self._energies_left_out += int(np.count_nonzero(~finite))
        pairs = zip(energies, finite, strict=True)
        return [float(energy) if is_finite else None for energy, is_finite in pairs]

    def _outcome(self, system: System, name: str, value: Any) -> Outcome:
        card, (_, pooling) = self._cards[name], split_name(name)
        ids = system.system_id, system.content_hash, name
        try:
            if pooling == NODES:
                vector = to_nodes(value, card["dimension"], system, self._job.model["input"])
                return Outcome(*ids, "ok", None, vector.ravel())
            repeats = self._job.repeats if pooling == "std" else 0.0
            vector = to_vector(value, card["level"], card["dimension"], pooling, repeats)
        except NotApplicable as reason:
            return Outcome(*ids, "not_applicable", str(reason), None)
        except ValueError as fault:
            return Outcome(*ids, "failed", str(fault), None)
        return Outcome(*ids, "ok", None, vector)

    def _add_without_vector(self, system: System, status: str, reason: str) -> None:
        """Add a system that has no vector in any representation."""
        ids = system.system_id, system.content_hash
        names = self._job.representations
        self._shards.add([Outcome(*ids, name, status, reason, None) for name in names])


def _fault_of_encoder(what: str) -> WorkerError:
    return WorkerError(f"encode() returned {what}: a fault of the family's encoder")
