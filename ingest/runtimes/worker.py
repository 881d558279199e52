"""A worker that has been started: it takes one job after another until it is ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.callbacks import OnEvent
from ingest.failures import RunError, Vanished
from ingest.runtimes.watch import Watch
from zoo.weights.local import LocalWeights
from zoo.worker.events import LOG_FILE, Assignment


@dataclass(frozen=True)
class JobPlaces:
    """Where the files of one job lie on this machine.

    Attributes:
        job: The folder with `job.json` and `systems.parquet`, which is only read.
        out: The folder that shards, `run.json` and `worker.log` are written to; made if absent.
        weights: Where the files of weights lie that the family's package does not carry, which are
            only read; None if there are none.
    """

    job: Path
    out: Path
    weights: LocalWeights | None = None


class Worker(ABC):
    """A worker's process or container. What it has imported for a job is there for the next one.

    Attributes:
        jobs: How many jobs it has done.
    """

    def __init__(self, lines: Iterator[bytes], silence: float) -> None:
        """Take over a worker that waits for its first job.

        Args:
            lines: Its output, which comes as it is asked for, and ends with the worker.
            silence: Seconds without a line during a job, after which it counts as hung.
        """
        self.jobs = 0
        self._lines, self._silence = lines, silence

    def run(self, places: JobPlaces, on_event: OnEvent) -> None:
        """Have the worker do a job, and pass its events on as they come.

        Args:
            places: Where the job lies.
            on_event: Is called with each event of the worker.

        Raises:
            RunError: If it does not finish; then the worker must not be used any more. It is
                `Killed` or `OutOfMemory` if that is why, and `Vanished` if the worker, which has
                done other jobs, ended before it began with this one.
        """
        places.out.mkdir(parents=True, exist_ok=True)
        with (places.out / LOG_FILE).open("ab", buffering=0) as log_file:
            with Watch(on_event, log_file, self._silence, self.kill) as watch:
                with suppress(OSError):  # it has ended, which its output says
                    self.send(self.assign(places).to_line())
                for line in self._lines:
                    watch.take_line(line)
                    if watch.finished:
                        break
            if not watch.finished:
                error = self.explain_end(watch)
                raise Vanished(str(error)) if self.jobs and not watch.began else error
            if not (places.out / "run.json").exists():
                raise RunError(watch.explain("it finished, but there is no run.json"))
        self.jobs += 1

    def assign(self, places: JobPlaces) -> Assignment:
        """Return what the worker is told of a job.

        Args:
            places: Where the job lies on this machine.
        """
        weights = None if places.weights is None else places.weights.folder
        return Assignment(places.job, places.out, weights)

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether the worker can take a job: it is there, and has not ended meanwhile."""

    @abstractmethod
    def send(self, line: bytes) -> None:
        """Write a line to the worker's standard input.

        Args:
            line: The line, with its end.
        """

    @abstractmethod
    def kill(self) -> None:
        """End a worker that hangs. It must not raise."""

    @abstractmethod
    def explain_end(self, watch: Watch) -> RunError:
        """Return the error of a worker whose output has ended before its job was done.

        Args:
            watch: What was seen of the job.
        """
