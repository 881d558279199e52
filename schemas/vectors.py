"""The Parquet files that hold the vectors of a store, found again wherever they are moved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import duckdb

from schemas.object_stores import is_remote
from schemas.paths import nodes_folder, vectors_folder

NODES = ":nodes"  # ends the representation of a file whose rows are of atoms or residues
FILES = """
SELECT file, folder, f.run_id, f.dataset, f.model_id, representation, rows, bytes, sha256, modified,
    coalesce(runtime, ''), suffix(representation, ':nodes') AS of_nodes
FROM vector_files AS f LEFT JOIN runs USING (run_id)
WHERE ($model_id IS NULL OR f.model_id = $model_id) AND ($dataset IS NULL OR f.dataset = $dataset)
AND ($nodes IS NULL OR of_nodes = $nodes)
ORDER BY file
"""


@dataclass(frozen=True)
class VectorFile:
    """A registered file: a row of the table `vector_files`, and where the file is now.

    Attributes:
        beside: The folder of vectors, or of vectors of nodes, beside the store.
        file: The path below that folder.
        folder: The folder that the view names.
        run_id: The run that made it.
        dataset: The dataset of its systems.
        model_id: The model.
        representation: The representation; of vectors of nodes, NODES ends it.
        rows: How many vectors it has, superseded ones included.
        bytes: Its size.
        sha256: Its SHA-256.
        modified: When it was written, in ns since 1970; None in an object store.
        runtime: What started the run's worker.
    """

    beside: str
    file: str
    folder: str
    run_id: str
    dataset: str
    model_id: str
    representation: str
    rows: int
    bytes: int
    sha256: str
    modified: int | None
    runtime: str

    @property
    def listed(self) -> str:
        """The path that the view names."""
        return f"{self.folder}/{self.file}"

    @property
    def is_of_nodes(self) -> bool:
        """Whether its rows are of atoms or residues."""
        return self.representation.endswith(NODES)

    @cached_property
    def path(self) -> str:
        """The path where the file is: beside the store, else where the view says."""
        beside = f"{self.beside}/{self.file}"
        return beside if self.is_local and Path(beside).exists() else self.listed

    @property
    def is_local(self) -> bool:
        """Whether the file is on a file system, and not in an object store."""
        return not is_remote(self.folder)

    @cached_property
    def fault(self) -> str | None:
        """What is wrong with the file, and what mends it; else None.

        Its content is looked at only if its size or time has changed, and if this process could
        note that it is whole: a large store that may only be read is not read at each opening.
        """
        if not self.is_local:
            return None
        try:
            status = Path(self.path).stat()
        except OSError:
            return f"{self.path} is missing: {self.remedy}"
        if status.st_size != self.bytes:
            return f"{self.path} has {status.st_size} bytes, expected {self.bytes}: {self.remedy}"
        if not self.is_as_noted and os.access(self.path, os.W_OK):
            found = _hash(self.path, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            if found != self.sha256:
                return f"{self.path} is not as it was written: {self.remedy}"
        return None

    @property
    def is_as_noted(self) -> bool:
        """Whether the file is where the view says, and was not modified since it was written."""
        if not self.is_local:
            return True
        return self.path == self.listed and modified_at(self.path) in (self.modified, None)

    @property
    def remedy(self) -> str:
        """What brings the vectors of the file back."""
        command = f"`matterzoo ingest {self.model_id} {self.dataset}"
        if self.runtime == "fetched":
            again = f"`matterzoo fetch {self.model_id} {self.dataset} REPOSITORY` fetches it again"
        elif self.runtime == "given":
            again = f"{command} --vectors FILE` imports its vectors again"
        else:
            name = self.representation.removesuffix(NODES)
            more = " --nodes" if self.is_of_nodes else ""
            again = f"{command} --representation {name}{more}` computes its vectors again"
        return f"restore it, or {again}"


def modified_at(path: str) -> int | None:
    """Return when a file was modified, in ns since 1970; None if it is on no file system.

    Args:
        path: The path or address of a file.
    """
    try:
        return None if is_remote(path) else Path(path).stat().st_mtime_ns
    except OSError:
        return None


def list_vector_files(
    connection: duckdb.DuckDBPyConnection,
    store: str | Path,
    model_id: str | None = None,
    dataset: str | None = None,
    *,
    nodes: bool | None = False,
) -> list[VectorFile]:
    """Return the registered files, by name.

    Args:
        connection: An open store.
        store: Its path.
        model_id: Only files of this model; None for all.
        dataset: Only files of this dataset; None for all.
        nodes: Whether vectors of nodes are meant, and not those of systems; None for both.
    """
    chosen = {"model_id": model_id, "dataset": dataset, "nodes": nodes}
    folders = [str(folder(store).absolute()) for folder in (vectors_folder, nodes_folder)]
    rows = connection.execute(FILES, chosen).fetchall()
    return [VectorFile(folders[of_nodes], *row) for *row, of_nodes in rows]


def literals(values: Sequence[str]) -> str:
    """Return a list of strings in SQL; a view cannot hold parameters.

    Args:
        values: The strings.
    """
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


@lru_cache(maxsize=4096)
def _hash(path: str, *identity: int) -> str:
    """Return the SHA-256 of a file; `identity` is what changes if its content does."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
