"""Open the store: one DuckDB file, its tables made by the numbered SQL files of this folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import duckdb

FOLDER = Path(__file__).resolve().parent
MEMORY = ":memory:"
HOLDER = re.compile(r"lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")


class StoreError(Exception):
    """The store cannot be opened; the message says why and what to do. The file is as it was."""


class StoreLocked(StoreError):
    """Another process uses it."""


class StoreOld(StoreError):
    """Its tables are of an older version, and it was opened to be read only."""


class StoreBroken(StoreError):
    """It is no file that DuckDB can read."""


def connect(path: str | Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to the store, its tables up to date.

    A store that does not exist is made, unless read_only. Several processes may read at once; one may write, alone.
    `:memory:` is an empty store that lives as long as the connection.
    """
    connection = _open(path, read_only)
    try:
        _migrate(connection, path, read_only)
    except (duckdb.IOException, duckdb.TransactionException) as error:
        connection.close()
        raise _why_not(path, read_only, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def data_folder(path: str | Path) -> Path:
    """Beside the store `matter.duckdb`, `matter.data`: all that the store can be made again from, and the cache."""
    return Path(path).with_suffix(".data")


def cache_folder(path: str | Path) -> Path:
    """What questions found and may find again; can be removed at any time."""
    return data_folder(path) / "cache"


def update(path: str | Path) -> None:
    """Bring the tables of a store up to date, if there is one and they are not; only then it is opened for writing."""
    if Path(path).exists():
        try:
            connect(path, read_only=True).close()
        except StoreOld:
            connect(path).close()


def migrations() -> dict[int, Path]:
    """The SQL files of this folder by version: 001_store.sql is version 1."""
    return {int(file.name[:3]): file for file in sorted(FOLDER.glob("[0-9][0-9][0-9]_*.sql"))}


def _open(path: str | Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    file = Path(path)
    if str(path) != MEMORY:
        if file.is_dir():
            raise StoreError(f"{path} is a folder; a store is a file, such as {file / 'matter.duckdb'}")
        if read_only and not file.exists():
            raise StoreError(f"there is no store at {path}; `make demo` or `make ingest` makes one")
        if not file.parent.is_dir():
            raise StoreError(f"there is no folder {file.parent} to hold the store {file.name}; make it first")
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise _why_not(path, read_only, str(error)) from error


def _why_not(path: str | Path, read_only: bool, message: str) -> StoreError:
    if "not a valid DuckDB database file" in message:
        return StoreBroken(f"{path} is not a DuckDB file, so it is no store; give another path, or move that file away")
    if "different configuration" in message:
        return StoreLocked(f"{path} is already open in this process, in another mode; close that connection first")
    if "Could not set lock" in message:
        does = "is being written by" if read_only else "is in use by"
        return StoreLocked(
            f"{path} {does} {_holder(message)}; wait until it is done, or end it "
            "(one process writes alone; several may read at once with read_only)"
        )
    if "No space left" in message or "quota exceeded" in message:
        return StoreError(f"no space left for {path}: free space on its disk, then repeat; the store is as it was")
    kind = StoreBroken if re.search("(?i)corrupt|checksum|serialization", message) else StoreError
    return kind(f"{path} cannot be opened by DuckDB {duckdb.__version__}: {message.splitlines()[0]}")


def _holder(message: str) -> str:
    """'process 123 (python -m ingest …)' from DuckDB's message; the command as far as this machine tells it."""
    found = HOLDER.search(message)
    if found is None:
        return "another process"
    return f"process {found['pid']} ({_command(found['pid']) or found['program']})"


def _command(pid: str) -> str:
    """The command line of a process, '' where this machine does not tell."""
    try:
        shown = subprocess.run(["ps", "-o", "args=", "-p", pid], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return shown.stdout.strip()[:120]


def _migrate(connection: duckdb.DuckDBPyConnection, path: str | Path, read_only: bool) -> None:
    known = migrations()
    version = _version(connection, path)
    if version > max(known):
        raise StoreError(
            f"{path} was made by matterzoo schema {version}, this one knows up to {max(known)}: update matterzoo"
        )
    missing = [v for v in known if v > version]
    if missing and read_only:
        raise StoreOld(
            f"{path} has matterzoo schema {version}, this one reads {max(known)}; any `make ingest` updates it"
        )
    if missing:
        _apply(connection, {v: known[v] for v in missing})


def _version(connection: duckdb.DuckDBPyConnection, path: str | Path) -> int:
    """The schema's version, 0 for an empty file."""
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise StoreError(f"{path} is a DuckDB file but no store: it has no table schema_version. Give another path")
    rows = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(rows[0][0])


def _apply(connection: duckdb.DuckDBPyConnection, files: dict[int, Path]) -> None:
    """Run the files in order, all or none."""
    connection.execute("BEGIN")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL)"
        )
        for version, file in files.items():
            connection.execute(file.read_text())
            connection.execute(f"INSERT INTO schema_version VALUES ({version}, now())")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
