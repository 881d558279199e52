"""Where things lie: the store, and beside it the folder of datasets and runs that it can be made again from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.store import StoreError, cache_folder, data_folder


def memory_limit(systems: int, dimension: int = 0) -> str:
    """DuckDB's memory while it plans, checks and lands; beyond it, it works on disk.

    What has to be in memory: the index over system ids, about 200 bytes a system; and of vectors of that dimension a
    few row groups (a shard has about 1024 rows, so 4 KiB a number and row group).
    """
    return f"{128 + systems // 4000 + dimension // 32}MB"


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

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files, by its path in the folder."""
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write one of its JSON files, whole or not at all."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(path)


@dataclass(frozen=True)
class Layout:
    """The store's file, and the paths beside it."""

    store: Path

    @classmethod
    def find(cls, store: str | None = None) -> Layout:
        """The store that was named, or MATTERZOO_STORE, or matter.duckdb in this folder."""
        path = Path(store or os.environ.get("MATTERZOO_STORE") or "matter.duckdb").absolute()
        if not path.parent.is_dir():
            raise StoreError(f"there is no folder {path.parent} to hold the store {path.name}; make it first")
        return cls(path)

    @property
    def data(self) -> Path:
        return data_folder(self.store)

    @property
    def cache(self) -> Path:
        """Neighbour lists that questions keep."""
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
        """Every run's folder that holds a job, by name."""
        return [Run(job.parent.parent) for job in sorted((self.data / "runs").glob("*/job/job.json"))]
