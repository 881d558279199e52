"""A job: what a worker is asked to do. Its fields are defined here and nowhere else.

job/job.json          the fields of `Job`, sealed
job/systems.parquet   the systems, in the columns of `zoo.worker.tables.SYSTEMS`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from zoo.encoder import System, content_hash
from zoo.worker.errors import DamagedFileError, WorkerError
from zoo.worker.sealed import check_stamp, read_sealed, write_sealed
from zoo.worker.tables import to_system

JOB_FILE = "job.json"
SYSTEMS_FILE = "systems.parquet"
JOB_VERSION = 1  # of the file's fields; a worker refuses a job that it might misread


@dataclass(frozen=True, kw_only=True)
class Job:
    """What decides a run, and what its record says of where it came from.

    The worker itself needs neither family, dataset, encoder_hash, lock_hash nor replaces_all: the
    host reads them when it loads the run.

    Attributes:
        run_id: The name of the run.
        model_id: The model, or its untrained twin.
        model: The card as plain data, as `Model.for_worker` gives it.
        representations: The full names (`zoo.worker.pooling`) of those that are asked for.
        family: The model's family.
        dataset: The dataset that the systems are of.
        untrained_seed: The seed of the untrained twin's weights; None: the published weights.
        device: 'cpu', 'cuda', 'cuda:1'.
        dtype: 'float32', 'float64', ….
        batch: The budget of a batch, in the card's unit; None: the card's.
        seed: The seed of whatever the encoder draws at random.
        card_hash: The hash of the card.
        encoder_hash: The hash of the family's code; None where there is none.
        lock_hash: The hash of the family's requirements; None where there are none.
        replaces_all: Whether the run replaces every earlier vector of its model and dataset.
        sent: The stamp of systems.parquet; None: nobody has taken one.
    """

    run_id: str
    model_id: str
    model: Mapping[str, Any]
    representations: tuple[str, ...]
    family: str = ""
    dataset: str = ""
    untrained_seed: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch: int | None = None
    seed: int = 0
    card_hash: str = ""
    encoder_hash: str | None = None
    lock_hash: str | None = None
    replaces_all: bool = False
    sent: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read the job of a folder.

        Args:
            folder: The folder with job.json.

        Returns:
            What the file says. Fields that versions before this one did not write have defaults.

        Raises:
            DamagedFileError: The file is not as it was written.
            WorkerError: The file has another version, or asks for a representation that the model
                does not have.
        """
        content = read_sealed(folder / JOB_FILE)
        found = content.get("job_version")
        if found != JOB_VERSION:
            raise WorkerError(
                f"{folder / JOB_FILE}: job_version is {found!r}, this worker reads {JOB_VERSION}"
            )
        content["representations"] = tuple(content["representations"])
        job = cls(**{f.name: content[f.name] for f in fields(cls) if f.name in content})
        known = [r["name"] for r in job.model["representation"]]
        for name in job.representations:
            if name not in known:
                raise WorkerError(
                    f"{job.model_id} has no representation {name!r}; it has {', '.join(known)}"
                )
        return job

    @property
    def repeats(self) -> float:
        """How closely the model repeats a vector in the job's dtype, relative to its norm."""
        stated = self.model["tolerance"]
        return float((stated.get(self.dtype) or stated)["batch"])

    def to_json(self) -> dict[str, Any]:
        """Return the content of job.json."""
        plain = asdict(self) | {"representations": list(self.representations)}
        return {"job_version": JOB_VERSION} | plain

    def write(self, folder: Path) -> None:
        """Write job.json, whole or not at all.

        Args:
            folder: An existing folder.

        Raises:
            OSError: The folder cannot be written.
        """
        write_sealed(folder / JOB_FILE, self.to_json())


@dataclass(frozen=True)
class JobSystems:
    """The systems of a job.

    Attributes:
        path: The file systems.parquet.
        sent: Its stamp. Where it is None, as of golden vectors, nothing is compared.
    """

    path: Path
    sent: Mapping[str, Any] | None

    def __len__(self) -> int:
        return int(pq.read_metadata(self.path).num_rows)

    def __iter__(self) -> Iterator[System]:
        """Yield every system in order, holding one row group in memory at a time.

        Raises:
            DamagedFileError: A system is not what its content_hash says.
        """
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, use_threads=False).to_batches():
                    yield from (self._checked(to_system(batch, i)) for i in range(batch.num_rows))

    def check(self) -> None:
        """Compare the file with its stamp.

        Raises:
            DamagedFileError: The systems are not those that the host has sent.
        """
        if self.sent is not None:
            check_stamp(self.path, self.sent)

    def _checked(self, system: System) -> System:
        if self.sent is not None and content_hash(system) != system.content_hash:
            raise DamagedFileError(
                f"{self.path} is damaged: {system.system_id} is not what its content_hash says"
            )
        return system
