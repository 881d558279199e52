"""Where things lie: the store, and beside it the folder of datasets and runs that it can be made again from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.store import StoreError, cache_folder, data_folder, is_duckdb
from zoo import worker
from zoo.worker import appear, stamp, sync

OWNER = "store.json"  # in a data folder: the name of the store that it belongs to


class Damaged(StoreError):
    """A file beside the store is not as it was written; the message names it."""


def memory_limit(systems: int, dimension: int = 0) -> str:
    """DuckDB's memory while it plans, checks and lands; beyond it, it works on disk.

    What has to be in memory: the index over system ids, about 200 bytes a system; and of vectors of that dimension a
    few row groups (a shard has about 1024 rows, so 4 KiB a number and row group).
    """
    return f"{128 + systems // 4000 + dimension // 32}MB"


def glob_free(path: Path) -> str:
    """A path for read_parquet, in which `*`, `?` and `[` of a folder's name stand for themselves."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def read_json(path: Path) -> dict[str, Any]:
    """One of our JSON files. Raises Damaged where it is not there, or not as it was written."""
    try:
        content: dict[str, Any] = _in_american(worker.read_json(path))
        return content
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except worker.Damaged as error:
        raise Damaged(str(error)) from error


def _in_american(content: Any) -> Any:
    """The content with keys as they are spelled now; stores of schema 2 and earlier wrote `licence`."""
    if isinstance(content, list):
        return [_in_american(item) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key.replace("licence", "license"): _in_american(value) for key, value in content.items()
    }


def check_file(path: Path, stated: dict[str, Any]) -> None:
    """Raise Damaged where a file is not the one whose stamp was noted when it was written."""
    found = _stamp(_Named(_identity(path), path)) if path.is_file() else None
    if found != stated:
        try:
            worker.check_stamp(path, stated)
        except worker.Damaged as error:
            raise Damaged(str(error)) from error


def look_again() -> None:
    """Forget which files have been read: damage that came since is to be found."""
    _stamp.cache_clear()


@dataclass(frozen=True)
class _Named:
    """A file, known by what the file system says of it: the systems of a dataset's runs are one file of many names."""

    identity: tuple[int, ...]
    path: Path = field(compare=False)


@lru_cache(maxsize=1024)
def _stamp(file: _Named) -> dict[str, Any]:
    return stamp(file.path)


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write one of our JSON files, whole or not at all, so that a power loss does not undo it."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        sync(path.parent.parent)
    appear(path, lambda temporary: temporary.write_text(worker.sealed(content)))


LEFT_OVER = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")  # what `appear` writes before it renames


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def unless_full() -> Iterator[None]:
    """Leave out what is written within where the disk has no space left."""
    try:
        yield
    except OSError as error:
        if error.errno not in worker.FULL:
            raise


@dataclass(frozen=True)
class Run:
    """A run's folder: what the worker is given, what it wrote, and what the host noted.

    job/systems.parquet, job/job.json; out/shard-*.parquet, out/run.json, out/worker.log; model.json (the rows of
    `models` and `scores`), runtime.json (what started the worker, in which image), landed.json (when it last landed),
    failed.json (why the worker ended early).
    """

    folder: Path

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def job(self) -> Path:
        return self.folder / "job"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def systems(self) -> Path:
        return self.job / "systems.parquet"

    @property
    def shards(self) -> list[Path]:
        return sorted(self.out.glob("shard-*.parquet"))

    @property
    def log(self) -> Path:
        return self.out / "worker.log"

    @property
    def finished(self) -> bool:
        return (self.out / "run.json").exists()

    @property
    def landed(self) -> bool:
        return (self.folder / "landed.json").exists()

    @property
    def model_id(self) -> str:
        """Of its job; of its folder's name, where the job can no longer be read."""
        try:
            return str(self.read("job/job.json")["model_id"])
        except (Damaged, KeyError):
            return self.run_id.rsplit("--", 2)[0]

    @property
    def dataset(self) -> str:
        """Of its job; of its folder's name, where the job can no longer be read."""
        try:
            return str(self.read("job/job.json")["dataset"])
        except (Damaged, KeyError):
            return self.run_id.rsplit("--", 2)[-2:][0]

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files, by its path in the folder. Raises Damaged."""
        return read_json(self.folder / name)

    def tidy(self) -> None:
        """Remove what processes that were killed have left half written. The worker tidies its own folder."""
        for folder in (self.folder, self.job):
            for file in folder.glob(".*.tmp"):
                found = LEFT_OVER.fullmatch(file.name)
                if found is not None and not _lives(int(found["pid"])):
                    file.unlink(missing_ok=True)

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write one of its JSON files, whole or not at all."""
        write_json(self.folder / name, content)


@dataclass(frozen=True)
class Layout:
    """The store's file, and the paths beside it."""

    store: Path

    @classmethod
    def find(cls, store: str | None = None) -> Layout:
        """The store that was named, or MATTERZOO_STORE, or matter.duckdb in this folder."""
        path = Path(store or os.environ.get("MATTERZOO_STORE") or "matter.duckdb").absolute()
        if not path.parent.is_dir():
            raise StoreError(
                f"there is no folder {path.parent} to hold the store {path.name}; make it first"
            )
        found = cls(path)
        found._refuse_foreign_folder()
        return found

    def claim(self) -> None:
        """Note in the data folder whose it is, unless its disk is full: the failure itself is still to be recorded."""
        self.data.mkdir(parents=True, exist_ok=True)
        if (
            not (self.data / OWNER).exists() or self._owner() != self.store.name
        ):  # renamed, with its store
            with unless_full():
                write_json(self.data / OWNER, {"store": self.store.name})

    def _refuse_foreign_folder(self) -> None:
        """Two stores never share a data folder: one's runs would land in the other, and be removed with it."""
        before = self.store.with_suffix(
            ".data"
        )  # where every store had it once, whatever its suffix
        settled = (self.data / "runs").exists() or (self.data / OWNER).exists()
        if (
            self.store.exists()
            and not settled
            and (before / "runs").is_dir()
            and self._may_have_used(before)
        ):
            others = self._others_in(before)
            how = (
                f"cp -r {before} {self.data} (not mv: {', '.join(others)} may have runs there, too)"
            )
            raise StoreError(
                f"Older versions kept the runs of {self.store.name} in {before.name}, shared with any other store "
                f"named {self.store.stem}.*; this version expects {self.data.name}: "
                + (how if others else f"mv {before} {self.data}")
            )
        owner = self._owner()
        if owner != self.store.name and self.store.with_name(owner).exists():
            raise StoreError(
                f"{self.data} belongs to the store {owner}; give this one another name"
            )

    def _may_have_used(self, before: Path) -> bool:
        """Is a folder where older versions kept the runs not said to be another store's?"""
        if before == self.data:
            return False
        return (
            not (before / OWNER).exists()
            or read_json(before / OWNER).get("store") == self.store.name
        )

    def _others_in(self, before: Path) -> list[str]:
        """Other stores beside this one that may have their runs in that folder."""
        files = [
            file for file in self.store.parent.iterdir() if file != self.store and file.is_file()
        ]
        mine = [file for file in files if before in (file.with_suffix(".data"), data_folder(file))]
        return sorted(file.name for file in mine if is_duckdb(file))

    def _owner(self) -> str:
        """The name of the store that the data folder belongs to; this one's where nobody says."""
        if (self.data / OWNER).exists():
            return str(read_json(self.data / OWNER).get("store"))
        namesake = self.store.with_name(f"{self.store.name}.duckdb")
        return (
            namesake.name
            if data_folder(namesake) == self.data and self.data.exists()
            else self.store.name
        )

    @property
    def data(self) -> Path:
        return data_folder(self.store)

    @property
    def cache(self) -> Path:
        """Neighbor lists that questions keep."""
        return cache_folder(self.store)

    @property
    def spill(self) -> Path:
        """Where DuckDB puts what exceeds its memory limit."""
        return self.data / "tmp"

    def dataset(self, name: str) -> Path:
        return self.data / "datasets" / name

    def run(self, run_id: str) -> Run:
        return Run(self.data / "runs" / run_id)

    def runs(self) -> list[Run]:
        """Every run's folder that holds a job, by name; also one that has lost it, and has landed or is finished."""
        folders = [Run(folder) for folder in sorted((self.data / "runs").glob("[!.]*"))]
        return [
            run for run in folders if (run.job / "job.json").exists() or run.landed or run.finished
        ]
