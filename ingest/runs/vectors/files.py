"""Which vector files a run has, and where they are.

A worker leaves them in the run's folder, out/vectors-00000.parquet and so on, and run.json names
them. A load moves them to the store's folder of vectors, where every run has its own names:

    <store>.data/vectors/dataset=<dataset>/model=<model>/<run id>-00000.parquet
    <store>.data/nodes/dataset=<dataset>/model=<model>/<run id>-00001.parquet

or into an object store. The second is one of vectors of atoms or residues, out/nodes-00001.parquet.
In an object store, names end with a part of the file's SHA-256: several stores may use one place,
and then a name never means two contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from ingest.integrity import Damaged, check_file
from ingest.runs.folder import Run
from ingest.runs.vectors.places import NOTE, address_of_new
from ingest.runs.vectors.upload import check_object, download, upload
from schemas.object_stores import is_remote
from schemas.paths import NODES, VECTORS
from zoo.files import fsync, rename_durably

HASH_DIGITS = 12  # hexadecimal digits of a file's SHA-256 in its name in an object store


@dataclass(frozen=True)
class RunFile:
    """A vector file of a run.

    Attributes:
        run: The run.
        name: The name that the worker gave it.
        representation: The full name of the representation that it holds.
        rows: How many vectors it has.
        bytes: Its size.
        sha256: Its SHA-256.
        folder: The store's folder of vectors, or an address in an object store.
        place: Its path below that.
        systems: How many systems begin in it, if its rows are of nodes; else None.
    """

    run: Run
    name: str
    representation: str
    rows: int
    bytes: int
    sha256: str
    folder: str
    place: str
    systems: int | None = None

    @property
    def is_new(self) -> bool:
        """Whether the file is still where the worker wrote it."""
        return (self.run.out / self.name).exists()

    @property
    def is_local(self) -> bool:
        """Whether the file is on a file system, and not in an object store."""
        return self.is_new or not is_remote(self.folder)

    @property
    def path(self) -> str:
        """The path, or the address, where the file is."""
        return str(self.run.out / self.name) if self.is_new else f"{self.folder}/{self.place}"

    @property
    def stamp(self) -> dict[str, Any]:
        """The file's stamp, see `zoo.worker.sealed`."""
        return {"size": self.bytes, "sha256": self.sha256}

    def check(self) -> None:
        """Compare the file with its stamp; raise Damaged if it is another one, or missing."""
        if self.is_local:
            check_file(Path(self.path), self.stamp)
        else:
            check_object(self.path, self.stamp)

    @contextmanager
    def local_copy(self) -> Iterator[Path]:
        """Yield a path of the file's content: the file itself, or a copy of an object."""
        if self.is_local:
            yield Path(self.path)
            return
        with TemporaryDirectory() as temporary:
            copy = Path(temporary, self.name)
            download(self.path, copy)
            yield copy

    def put_in_place(self) -> None:
        """Move the file to its folder, unless it is there."""
        new = self.run.out / self.name
        if not self.is_new:
            return
        if is_remote(self.folder):
            upload(new, f"{self.folder}/{self.place}")
            new.unlink()
            return
        placed = Path(self.folder, self.place)
        placed.parent.mkdir(parents=True, exist_ok=True)
        fsync(placed.parent.parent)
        rename_durably(new, placed)


def put_in_place(run: Run) -> None:
    """Move the new vector files of a run to where those of its store go.

    The run's folder keeps where that is, so that it does not change if a process that moves some of
    them is killed.

    Args:
        run: A finished run.

    Raises:
        RequestError: MATTERZOO_VECTORS is no address.
        StoreError: The object store cannot be written to.
    """
    files = list_files(run)
    if files and all(file.is_new for file in files) and not (run.folder / NOTE).exists():
        address = address_of_new(run.data)
        if address is not None:
            run.write(NOTE, {"folder": address})
    for file in list_files(run):
        file.put_in_place()


def list_files(run: Run) -> list[RunFile]:
    """Return the vector files of a finished run, in the order in which run.json has them.

    Args:
        run: A finished run.

    Raises:
        Damaged: run.json or job.json is not as it was written.
    """
    job, result = run.read("job/job.json"), run.read("out/run.json")
    address = run.read(NOTE)["folder"] if (run.folder / NOTE).exists() else None
    place = f"{name_dataset(job['dataset'])}/{name_model(job['model_id'])}/{run.run_id}"
    return [
        RunFile(
            run,
            name=stated["file"],
            representation=stated["representation"],
            rows=stated["rows"],
            bytes=stated["bytes"],
            sha256=stated["sha256"],
            folder=_folder(run, address, of_nodes="systems" in stated),
            place=f"{place}-{number:05d}{_mark(stated) if address else ''}.parquet",
            systems=stated.get("systems"),
        )
        for number, stated in enumerate(result.get("vectors", []))
    ]


def _folder(run: Run, address: str | None, *, of_nodes: bool) -> str:
    """Return the folder of vectors, or of vectors of nodes, beside the store or at an address."""
    if address is None:
        return str(run.data / (NODES if of_nodes else VECTORS))
    return f"{address}/{NODES}" if of_nodes else address


def _mark(stated: Mapping[str, Any]) -> str:
    return f"-{stated['sha256'][:HASH_DIGITS]}"


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
    paths = [(Path(file.path), file.bytes) for file in files if file.is_local]
    return all(path.is_file() and path.stat().st_size == size for path, size in paths)


def reopen_damaged(run: Run) -> bool:
    """Have a finished run count as unfinished if a file of it is missing or cut off.

    Its run.json is kept under another name. What is computed again takes the place of its files.

    Args:
        run: A run that this process has locked.

    Returns:
        Whether the run was reopened.
    """
    if not run.finished or is_whole(run):
        return False
    record = run.out / "run.json"
    record.replace(record.with_suffix(".json.damaged"))
    return True


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
