"""Which vector files a run has, and where they are.

A worker leaves them in the run's folder, out/vectors-00000.parquet and so on, and run.json names
them. A load moves them to the store's folder of vectors, where every run has its own names:

    <store>.data/vectors/dataset=<dataset>/model=<model>/<run id>-00000.parquet
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ingest.integrity import Damaged, check_file
from ingest.runs.folder import Run
from schemas.paths import VECTORS
from zoo.files import fsync, rename_durably


@dataclass(frozen=True)
class RunFile:
    """A vector file of a run.

    Attributes:
        run: The run.
        name: The name that the worker gave it.
        representation: The representation that it holds.
        rows: How many vectors it has.
        bytes: Its size.
        sha256: Its SHA-256.
        place: Its path below the store's folder of vectors.
    """

    run: Run
    name: str
    representation: str
    rows: int
    bytes: int
    sha256: str
    place: str

    @property
    def path(self) -> Path:
        """The path where the file is; a new one is still where the worker wrote it."""
        new = self.run.out / self.name
        return new if new.exists() else self._placed

    @property
    def stamp(self) -> dict[str, Any]:
        """The file's stamp, see `zoo.worker.sealed`."""
        return {"size": self.bytes, "sha256": self.sha256}

    def check(self) -> None:
        """Compare the file with its stamp; raise Damaged if it is another one, or missing."""
        check_file(self.path, self.stamp)

    def put_in_place(self) -> None:
        """Move the file to the store's folder of vectors, unless it is there."""
        new = self.run.out / self.name
        if new.exists():
            self._placed.parent.mkdir(parents=True, exist_ok=True)
            fsync(self._placed.parent.parent)
            rename_durably(new, self._placed)

    @property
    def _placed(self) -> Path:
        return self.run.data / VECTORS / self.place


def list_files(run: Run) -> list[RunFile]:
    """Return the vector files of a finished run, in the order in which run.json has them.

    Args:
        run: A finished run.

    Raises:
        Damaged: run.json or job.json is not as it was written.
    """
    job, result = run.read("job/job.json"), run.read("out/run.json")
    folder = f"{name_dataset(job['dataset'])}/{name_model(job['model_id'])}"
    return [
        RunFile(
            run,
            name=stated["file"],
            representation=stated["representation"],
            rows=stated["rows"],
            bytes=stated["bytes"],
            sha256=stated["sha256"],
            place=f"{folder}/{run.run_id}-{number:05d}.parquet",
        )
        for number, stated in enumerate(result.get("vectors", []))
    ]


def has_shards(run: Run) -> bool:
    """Return whether a finished run is of an earlier version, and has shards for vector files.

    Args:
        run: A finished run.
    """
    return "vectors" not in run.read("out/run.json")


def is_whole(run: Run) -> bool:
    """Return whether all files of a finished run are there, as far as their sizes show.

    Args:
        run: A finished run.
    """
    try:
        if has_shards(run):
            return True
        files = list_files(run)
    except (Damaged, LookupError, TypeError):
        return True  # a load says what is wrong
    return all(file.path.is_file() and file.path.stat().st_size == file.bytes for file in files)


def name_dataset(dataset: str) -> str:
    """Return the name of a dataset's folder below the folder of vectors.

    Args:
        dataset: The dataset.
    """
    return f"dataset={_escape(dataset)}"


def name_model(model_id: str) -> str:
    """Return the name of a model's folder below that of a dataset.

    Args:
        model_id: The model.
    """
    return f"model={_escape(model_id)}"


def _escape(name: str) -> str:
    """Return a name as part of a path, in which other programs find the name again."""
    return quote(name, safe=" @+,")
