"""The folder of a run: what the worker was given, what it wrote, and what the host noted.

<store>.data/runs/<run id>/
    job/systems.parquet, job/job.json           what the worker is given
    job/advice.json                             what the host learned from workers that died
    out/shard-*.parquet                         what the worker wrote until it was done
    out/outcomes.parquet, out/run.json          what became of every system, and of the run
    out/vectors-*.parquet                       vectors, until a load moves them, see runs/vectors
    out/worker.log                              what the family's packages printed
    model.json                                  rows of the tables `models` and `scores`
    runtime.json                                which runtime started the worker, which image
    landing.json                                a load that has begun (see runs/store/sequence)
    landed.json                                 when the run was last loaded
    failed.json                                 why the worker ended early
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.integrity import Damaged, read_json, write_json
from ingest.layout import Layout
from ingest.runs.errors import RunBusy
from zoo.files import LockHeldError, file_lock, remove_leftovers

# Loading was once called landing. The files keep their names, so that older data folders are read.
LOADING = "landing.json"
LOADED = "landed.json"


@dataclass(frozen=True)
class Run:
    """A run, known by its folder.

    Attributes:
        folder: The run's folder, named by the run's id.
    """

    folder: Path

    @classmethod
    def of(cls, layout: Layout, run_id: str) -> Run:
        """Return the run of that id, which may not exist yet.

        Args:
            layout: The store beside which the run lies.
            run_id: The run's id, as `ingest.runs.job_folder.name_run` makes it.
        """
        return cls(layout.runs / run_id)

    @property
    def run_id(self) -> str:
        """The id of the run, which names its folder."""
        return self.folder.name

    @property
    def data(self) -> Path:
        """The store's data folder, in which the run's folder lies."""
        return self.folder.parent.parent

    @property
    def job(self) -> Path:
        """The folder that the worker reads."""
        return self.folder / "job"

    @property
    def out(self) -> Path:
        """The folder that the worker writes."""
        return self.folder / "out"

    @property
    def systems(self) -> Path:
        """The systems that the worker is given."""
        return self.job / "systems.parquet"

    @property
    def shards(self) -> list[Path]:
        """The shards that an unfinished run has written so far, in their order."""
        return sorted(self.out.glob("shard-*.parquet"))

    @property
    def outcomes(self) -> Path:
        """What became of every system, once the run is finished."""
        return self.out / "outcomes.parquet"

    @property
    def log(self) -> Path:
        """What the worker's packages printed."""
        return self.out / "worker.log"

    @property
    def finished(self) -> bool:
        """Whether the worker has done all of its job."""
        return (self.out / "run.json").exists()

    @property
    def loaded(self) -> bool:
        """Whether the run has been loaded into the store at least once."""
        return (self.folder / LOADED).exists()

    @property
    def failed(self) -> bool:
        """Whether the run's last worker ended early, and that was recorded."""
        return (self.folder / "failed.json").exists()

    @property
    def model_id(self) -> str:
        """The model, by the job, or by the folder's name if the job can no longer be read."""
        try:
            return str(self.read("job/job.json")["model_id"])
        except (Damaged, KeyError):
            return self.run_id.rsplit("--", 2)[0]

    @property
    def dataset(self) -> str:
        """The dataset, by the job, or by the folder's name if the job can no longer be read."""
        try:
            return str(self.read("job/job.json")["dataset"])
        except (Damaged, KeyError):
            return self.run_id.rsplit("--", 2)[-2:][0]

    def read(self, name: str) -> dict[str, Any]:
        """Return the content of one of the run's JSON files; raise Damaged if it has none.

        Args:
            name: The file's path in the run's folder, such as `job/job.json`.
        """
        return read_json(self.folder / name)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write one of the run's JSON files, whole or not at all.

        Args:
            name: The file's path in the run's folder.
            content: What the file is to hold.
        """
        write_json(self.folder / name, content)

    def remove_leftovers(self) -> None:
        """Remove files that killed processes left half written; the worker clears `out` itself."""
        for folder in (self.folder, self.job):
            remove_leftovers(folder)


def list_runs(layout: Layout) -> list[Run]:
    """Return every run beside a store, by name.

    A folder counts if it holds a job; also if it has lost its job, but was finished or loaded.

    Args:
        layout: The store beside which the runs lie.
    """
    runs = [Run(folder) for folder in sorted(layout.runs.glob("[!.]*"))]
    return [run for run in runs if (run.job / "job.json").exists() or run.loaded or run.finished]


@contextmanager
def lock_run(run: Run, wait: float = 0.0) -> Iterator[None]:
    """Keep other processes from working on a run while the `with` block lasts.

    Args:
        run: A run with a folder.
        wait: Seconds to wait while another process works on it.

    Yields:
        Nothing, once what killed processes left half written is removed.

    Raises:
        RunBusy: Another process works on the run, or has just removed it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(file_lock(run.folder / ".lock", wait=wait))
        except FileNotFoundError:
            raise RunBusy(
                f"another process has just removed run {run.run_id}; repeat the command"
            ) from None
        except LockHeldError:
            raise RunBusy(
                f"another process is working on run {run.run_id}; wait until it is done"
            ) from None
        run.remove_leftovers()
        yield
