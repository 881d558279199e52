"""Open the store: one DuckDB file, its tables made by the numbered SQL files of this folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import duckdb

from schemas.message import one_line

FOLDER = Path(__file__).resolve().parent
MEMORY = ":memory:"
HEADERS = 3 * 4096  # bytes of a DuckDB file before its first block
HOLDER = re.compile(r"lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")
# What DuckDB says of a file that is cut off, has a flipped bit, or does not fit its WAL. "INTERNAL Error" and "FATAL
# Error" are how it says that it met what it never writes.
BROKEN = re.compile(
    "(?i)corrupt|checksum|serializ|replaying WAL|could not read enough bytes|conflict on|INTERNAL Error|FATAL Error|"
    "has been invalidated"
)
# What it says of a file of a newer DuckDB, and also of one whose number of the format is damaged.
OTHER_VERSION = re.compile(
    "can only read version|read WAL of version|trying to read a database file with version"
)
# What DuckDB raises where the file, its disk or its lock is at fault, and not the statement.
OF_THE_FILE = (
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)


class StoreError(Exception):
    """The store cannot be opened; the message says why and what to do. The file is as it was."""


class StoreLocked(StoreError):
    """Another process uses it."""


class StoreOld(StoreError):
    """Its tables are of an older version, and it was opened to be read only."""


class StoreBroken(StoreError):
    """It is no file that DuckDB can read, or it is damaged."""


def connect(path: str | Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to the store, its tables up to date.

    A store that does not exist is made, unless read_only; it appears whole or not at all. Several processes may read
    at once; one may write, alone. `:memory:` is an empty store that lives as long as the connection.
    """
    _check_path(path, read_only)
    if str(path) != MEMORY and not Path(path).exists():
        _create(Path(path))
    try:
        connection = _open(path, read_only)
    except StoreBroken:
        if not _undo_migration(Path(path)):
            raise
        connection = _open(path, read_only)
    try:
        _migrate(connection, path, read_only)
    except OF_THE_FILE as error:
        connection.close()
        raise _why_not(path, read_only, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def explain(path: str | Path, error: duckdb.Error) -> StoreError:
    """Say what an error means that came while the open store was read, and what to do."""
    return _why_not(path, True, str(error))


def data_folder(path: str | Path) -> Path:
    """Beside the store `matter.duckdb`, `matter.data`: all that the store can be made again from, and the cache.

    A store of another suffix keeps it: `exp.1` and `exp.2` are two experiments, with `exp.1.data` and `exp.2.data`.
    """
    file = Path(path)
    return (
        file.with_suffix(".data")
        if file.suffix == ".duckdb"
        else file.with_name(f"{file.name}.data")
    )


def is_duckdb(path: str | Path) -> bool:
    """Does a file begin as those of DuckDB do?"""
    with Path(path).open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


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


def _check_path(path: str | Path, read_only: bool) -> None:
    """Refuse a path that cannot be a store."""
    file = Path(path)
    if str(path) == MEMORY:
        return
    if file.is_dir():
        raise StoreError(f"{path} is a folder; a store is a file, such as {file / 'matter.duckdb'}")
    if "?" in str(
        path
    ):  # DuckDB takes what follows for options of an address, and puts its WAL elsewhere
        raise StoreError(
            f"{path} has a '?' in it, and DuckDB opens no file below such a name; give another path"
        )
    if read_only and not file.exists():
        raise StoreError(f"there is no store at {path}; `make demo` or `make ingest` makes one")
    if not file.parent.is_dir():
        raise StoreError(
            f"there is no folder {file.parent} to hold the store {file.name}; make it first"
        )


def _create(path: Path) -> None:
    """Make an empty store under a temporary name, then give it its own: a kill leaves no half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _discard(temporary)
        with duckdb.connect(str(temporary)) as connection:
            _apply(connection, migrations())
        _appear(temporary, path)
    except (*OF_THE_FILE, OSError) as error:
        raise _why_not(path, False, str(error)) from error
    finally:
        _discard(temporary)


def _appear(temporary: Path, path: Path) -> None:
    """Name a finished file, unless another process has made one of that name meanwhile."""
    descriptor = os.open(temporary, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    left_over = path.with_name(f"{path.name}.wal")
    if left_over.exists():  # of a store that was removed: it would be replayed into this one
        left_over.replace(left_over.with_name(f"{left_over.name}.broken"))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        temporary.rename(path)


def _discard(file: Path) -> None:
    for name in (file.name, f"{file.name}.wal"):
        file.with_name(name).unlink(missing_ok=True)


def _open(path: str | Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    settled = (
        read_only and not Path(f"{path}.wal").exists()
    )  # else blocks may be counted that are not yet written
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise _why_not(path, read_only, str(error)) from error
    if settled:
        ((blocks, size),) = connection.execute(
            "SELECT used_blocks, block_size FROM pragma_database_size()"
        ).fetchall()
        found = Path(path).stat().st_size
        if (
            found < HEADERS + blocks * size
        ):  # DuckDB itself would notice only when it comes to read what is missing
            connection.close()
            least = HEADERS + blocks * size
            raise StoreBroken(
                f"{path} is cut off: it has {found} bytes of at least {least}. {_mend(path)}"
            )
    return connection


def _why_not(path: str | Path, read_only: bool, message: str) -> StoreError:
    if "not a valid DuckDB database file" in message:
        return StoreBroken(f"{path} is not a DuckDB file, so it is no store; {_mend(path)}")
    if "different configuration" in message:
        return StoreLocked(
            f"{path} is already open in this process, in another mode; close that connection first"
        )
    if "Could not set lock" in message:
        return in_use(path, _holder(message), read_only)
    if "No space left" in message or "quota exceeded" in message:
        return StoreError(
            f"no space left for {path}: free space on its disk, then repeat; the store is as it was"
        )
    if "Permission denied" in message or "Read-only file system" in message:
        why = "Permission denied" if "Permission denied" in message else "Read-only file system"
        return StoreError(f"{path} cannot be opened{'' if read_only else ' for writing'}: {why}")
    said = f"{path} cannot be opened by DuckDB {duckdb.__version__}: {one_line(message)}"
    if OTHER_VERSION.search(message):
        return StoreBroken(
            f"{said}. Either a newer DuckDB has written it: then update matterzoo, or open it "
            f"with that DuckDB. Or it is damaged: then {_mend(path)}"
        )
    if BROKEN.search(message):
        return StoreBroken(f"{said}. The file is damaged: {_mend(path)}")
    return StoreError(said)


def _mend(path: str | Path) -> str:
    """What to do about a file that is no store any more, or never was one."""
    if data_folder(path).exists():
        return f"`make rebuild` makes it again from {data_folder(path)}, and keeps it as {Path(path).name}.broken"
    return "give another path, or move that file away"


def in_use(path: str | Path, holder: str, read_only: bool) -> StoreLocked:
    """The error that says which process keeps this one from opening the store."""
    does = "is being written by" if read_only else "is in use by"
    return StoreLocked(
        f"{path} {does} {holder}; wait until it is done, or end it "
        "(one process writes alone; several may read at once with read_only)"
    )


def _holder(message: str) -> str:
    """'process 123 (python -m ingest …)' from DuckDB's message; the command as far as this machine tells it."""
    found = HOLDER.search(message)
    return "another process" if found is None else process(found["pid"], found["program"])


def process(pid: str, program: str = "python") -> str:
    """'process 123 (python -m ingest …)' of a process id; the command as far as this machine tells it."""
    return f"process {pid} ({_command(pid) or program})"


def _command(pid: str) -> str:
    """The command line of a process, '' where this machine does not tell."""
    try:
        shown = subprocess.run(
            ["ps", "-o", "args=", "-p", pid], capture_output=True, text=True, check=False
        )
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
        _bring_up_to_date(connection, Path(path), {v: known[v] for v in missing})


def _bring_up_to_date(
    connection: duckdb.DuckDBPyConnection, path: Path, files: dict[int, Path]
) -> None:
    """Apply the files to a store that holds something, so that a kill, or a full disk, leaves it as it was."""
    if str(path) == MEMORY:
        _apply(connection, files)
        return
    connection.execute(
        "CHECKPOINT"
    )  # from here to the mark's end its WAL holds nothing but the migration
    mark = _mark_of_migration(path)
    mark.touch()
    _apply(connection, files)
    mark.unlink(missing_ok=True)


def _undo_migration(path: Path) -> bool:
    """Put aside the WAL of a migration that was cut off. Returns whether it was that which kept the store from opening.

    Nobody is at work on it: DuckDB takes the file's lock before it reads the WAL, and would have said so.
    """
    mark, wal = _mark_of_migration(path), path.with_name(f"{path.name}.wal")
    if not (mark.exists() and wal.exists()):
        return False
    wal.replace(wal.with_name(f"{wal.name}.broken"))
    mark.unlink(missing_ok=True)
    return True


def _mark_of_migration(path: Path) -> Path:
    return path.with_name(f".{path.name}.migrating")


def _version(connection: duckdb.DuckDBPyConnection, path: str | Path) -> int:
    """The schema's version, 0 for an empty file."""
    tables = {
        name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    }
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise StoreError(
            f"{path} is a DuckDB file but no store: it has no table schema_version. Give another path"
        )
    rows = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(rows[0][0])


def _apply(connection: duckdb.DuckDBPyConnection, files: dict[int, Path]) -> None:
    """Run the files in order, all or none, and write the result into the file itself.

    DuckDB 1.5.5 cannot replay ALTER or COMMENT of a table with a CHECK out of its WAL (duckdb/duckdb#19712 and others):
    left there, a process that dies leaves a store that nothing opens.
    """
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
    connection.execute("CHECKPOINT")
