"""The form of an exported store: one DuckDB file that holds all of it.

It has the tables of a store under their names, with `embeddings` as a table, so that every DuckDB
client reads vectors without another file. Further tables have what an import needs to make the
folder beside a store again: the files of datasets and runs, and vectors that a later run has
replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from ingest.runs.chunks.shared import link
from schemas.errors import StoreError
from zoo.errors import MatterzooError
from zoo.files import fsync
from zoo.worker.job import SYSTEMS_FILE

FORMAT = 2  # of the tables below; an import refuses a later one
TABLES = ("datasets", "systems", "models", "runs", "failures", "labels", "scores")
LONGEST = 16_384  # numbers in a vector, as far as memory is planned for
PART_BYTES = 8_000_000  # of a file's content, in memory at once
COLUMNS = {
    "system_id": "The system, as in table systems",
    "model_id": "The model, as in table models",
    "representation": "Where in the model the vector was read",
    "content_hash": "What the model saw; two vectors are compared only where it agrees",
    "run_id": "The run, as in table runs",
    "vector": "float32, in the model's own arbitrary units",
}
# The vectors of all runs, those included that no longer count.
ALL_VECTORS = "FROM embeddings UNION ALL FROM superseded_embeddings"
ALL_NODES = "FROM node_embeddings UNION ALL FROM superseded_node_embeddings"
_VECTORS = """
CREATE TABLE {name} (
    system_id VARCHAR NOT NULL, model_id VARCHAR NOT NULL, representation VARCHAR NOT NULL,
    content_hash VARCHAR NOT NULL, run_id VARCHAR NOT NULL, vector FLOAT[] NOT NULL
);
"""
_NODES = """
CREATE TABLE {name} (
    system_id VARCHAR NOT NULL, node INTEGER NOT NULL, content_hash VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL, representation VARCHAR NOT NULL, run_id VARCHAR NOT NULL,
    vector FLOAT[] NOT NULL
);
"""
SCHEMA = f"""
DROP VIEW embeddings;
DROP VIEW node_embeddings;
DROP TABLE vector_files;
DROP TABLE superseded;
DROP TABLE schema_version;
{_VECTORS.format(name="embeddings")}
{_VECTORS.format(name="superseded_embeddings")}
{_NODES.format(name="node_embeddings")}
{_NODES.format(name="superseded_node_embeddings")}
CREATE TABLE exported (
    format INTEGER NOT NULL, matterzoo VARCHAR NOT NULL, time TIMESTAMPTZ NOT NULL
);
CREATE TABLE files (path VARCHAR PRIMARY KEY, sha256 VARCHAR NOT NULL);
CREATE TABLE contents (
    sha256 VARCHAR NOT NULL, part INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (sha256, part)
);
COMMENT ON TABLE embeddings IS 'Vectors, one per system, model and representation.';
COMMENT ON TABLE node_embeddings IS
    'Vectors of atoms and residues, one per node, model and representation.';
COMMENT ON COLUMN node_embeddings.node IS
    'Which atom or residue, from 0, in the order of systems.numbers or of systems.sequence';
COMMENT ON TABLE superseded_node_embeddings IS
    'The same of superseded_embeddings';
COMMENT ON TABLE superseded_embeddings IS
    'Vectors that a later run has replaced, or whose system has left its dataset or changed in '
    'it; `matterzoo import` needs them to check their runs';
COMMENT ON TABLE exported IS
    'One row: `matterzoo export` wrote this file, `matterzoo import` reads it';
COMMENT ON TABLE files IS 'The files of datasets and runs beside the store, vectors apart';
COMMENT ON TABLE contents IS 'What those files hold, each content once, in parts';
"""


class ExportError(MatterzooError):
    """A store cannot be exported or imported; the message says why and what to do."""


def comments() -> Iterator[str]:
    """Yield a statement per column of `embeddings`."""
    for name, about in COLUMNS.items():
        text = about.replace("'", "''")
        yield f"COMMENT ON COLUMN embeddings.{name} IS '{text}'"


def add_file(connection: duckdb.DuckDBPyConnection, path: str, file: Path) -> None:
    """Put a file into an exported store.

    Args:
        connection: Has the exported store attached as `target`.
        path: The file's path below the data folder.
        file: The file.
    """
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        connection.execute("INSERT INTO target.files VALUES (?, ?)", [path, sha256])
        known = "SELECT 1 FROM target.contents WHERE sha256 = ? LIMIT 1"
        if connection.execute(known, [sha256]).fetchone() is not None:
            return
        stream.seek(0)
        number = 0
        while content := stream.read(PART_BYTES):
            row = [sha256, number, content]
            connection.execute("INSERT INTO target.contents VALUES (?, ?, ?)", row)
            number += 1


@dataclass(frozen=True)
class ExportedStore:
    """An exported store, open to be read only.

    Attributes:
        file: The file.
        connection: A connection to it.
        form: Its format, see FORMAT; the first has no vectors of nodes.
        shared: A folder where files of systems that are written keep a link by their content, so
            that the jobs of all models that were sent the same systems share one; None for none.
    """

    file: Path
    connection: duckdb.DuckDBPyConnection
    form: int
    shared: Path | None = None

    @property
    def has_nodes(self) -> bool:
        """Whether it has the tables of vectors of nodes."""
        return self.form > 1

    @classmethod
    def open(cls, file: Path, shared: Path | None = None) -> ExportedStore:
        """Open an exported store.

        Args:
            file: The file.
            shared: See the class.

        Raises:
            ExportError: There is none, or this version cannot read it.
        """
        if not file.is_file():
            raise ExportError(f"there is no file {file}")
        try:
            connection = duckdb.connect(str(file), read_only=True)
            (form, version), *_ = connection.execute(
                "SELECT format, matterzoo FROM exported"
            ).fetchall()
        except (duckdb.Error, ValueError) as error:
            raise ExportError(
                f"{file} is no exported store: expected a file that `matterzoo export` wrote "
                f"({str(error).splitlines()[0]})"
            ) from error
        if form > FORMAT:
            raise ExportError(
                f"{file} was exported by matterzoo {version} in format {form}, this one reads up "
                f"to {FORMAT}: update matterzoo"
            )
        return cls(file, connection, form, shared)

    def paths(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, such as 'runs/<run id>'.

        Args:
            folder: A path below the data folder.
        """
        query = "SELECT path FROM files WHERE starts_with(path, ?) ORDER BY path"
        return [path for (path,) in self.connection.execute(query, [f"{folder}/"]).fetchall()]

    def hash_of(self, path: str) -> str | None:
        """Return the SHA-256 of a file, None if there is none.

        Args:
            path: Its path below the data folder.
        """
        query = "SELECT sha256 FROM files WHERE path = ?"
        found = self.connection.execute(query, [path]).fetchone()
        return None if found is None else str(found[0])

    def read_json(self, path: str) -> dict[str, Any]:
        """Return the content of a small JSON file, {} if there is none.

        Args:
            path: Its path below the data folder.
        """
        query = "SELECT content FROM contents WHERE sha256 = ? AND part = 0"
        found = self.connection.execute(query, [self.hash_of(path)]).fetchone()
        content: dict[str, Any] = {} if found is None else json.loads(found[0])
        return content

    def write_folder(self, folder: str, target: Path) -> None:
        """Write all files of a folder.

        Args:
            folder: A path below the data folder, such as 'runs/<run id>'.
            target: Where its files are to be; an existing folder.

        Raises:
            ExportError: A path leads elsewhere, or a content is damaged.
        """
        for path in self.paths(folder):
            inside = PurePosixPath(path).relative_to(folder)
            if ".." in inside.parts or inside.is_absolute():
                raise ExportError(f"{self.file} is refused: its file {path!r} lies elsewhere")
            file = target / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            self._write_file(path, file)

    def _write_file(self, path: str, file: Path) -> None:
        expected, digest = str(self.hash_of(path)), hashlib.sha256()
        same = self.shared / expected if self.shared and file.name == SYSTEMS_FILE else None
        if same is not None and same.exists() and link(same, file):
            return
        parts = "SELECT content FROM contents WHERE sha256 = ? AND part = ?"
        with file.open("wb") as stream:
            number = 0
            while found := self.connection.execute(parts, [expected, number]).fetchone():
                stream.write(found[0])
                digest.update(found[0])
                number += 1
        if digest.hexdigest() != expected:
            raise StoreError(f"{self.file} is damaged: its file {path} is not what was exported")
        fsync(file)
        if same is not None and not same.exists():
            link(file, same)
