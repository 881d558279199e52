"""Flip one bit at a time in the files of a store, and check whether that is noticed.

    python -m tests.ingest.flips --flips 200 [--seed 0]

A flip is found if a command names the file, and harmless if every row stays what it was. Anything
else is silent, which is a fault: the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs import load as loading
from ingest.runs.errors import RequestError, ShardError
from ingest.runs.folder import Run
from ingest.runs.imported import IMPORTED
from ingest.runs.load import finish_interrupted_loads
from ingest.runs.vectors.files import list_files
from ingest.systems.materialized import check_materialized, read_materialized
from query.engine.undefined import Undefined
from query.reading.dataset_files import DatasetFiles
from schemas.errors import StoreBroken, StoreError, explain_error
from schemas.store import connect
from tests.ingest.soak import MODELS, import_random, load_one, quiet, rows, run_of

KINDS = ("vectors", "outcomes", "systems", "json", "store", "wal", "note")
FOUND, HARMLESS, SILENT = "found", "harmless", "SILENT"
ERRORS = (StoreError, ShardError, RequestError)


def build(root: Path) -> None:
    """Write `whole`, a store of two loads, and `cut`, the same but interrupted.

    The second load of `cut` ended between its COMMIT and its checkpoint. `whole` is made where
    trials have it, so that they need not write its view again.
    """
    whole, cut = (Layout(root / name / "matter.duckdb") for name in ("trial", "cut"))
    whole.store.parent.mkdir(parents=True)
    import_random(whole, MODELS[0])
    run_of(whole, MODELS[0]).write("runtime.json", {"runtime": "given", "image": None})
    shutil.copytree(whole.store.parent, cut.store.parent)
    import_random(whole, MODELS[1])
    run = run_of(whole, MODELS[1])
    shutil.copytree(run.folder, cut.data / "runs" / run.run_id)
    for file in list_files(run):  # as the worker left it
        shutil.copy(file.path, Run.of(cut, run.run_id).out / file.name)
    (run_of(cut, MODELS[1]).folder / "landed.json").unlink()
    pid = os.fork()
    if pid == 0:
        put = loading.put_finished_run
        loading.put_finished_run = lambda *given: (put(*given), os._exit(0))
        load_one(MODELS[1])(cut)
    assert os.waitpid(pid, 0)[1] == 0 and cut.store.with_name("matter.duckdb.wal").exists()
    shutil.copytree(whole.store.parent, root / "whole")


def flip(file: Path, chance: random.Random) -> int:
    """Flip a random bit of a file in place, as a disk would; return the bit's byte.

    A file with several links stays one file.
    """
    with file.open("r+b") as content_file:
        content = bytearray(content_file.read())
        place = chance.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
        content_file.seek(0)
        content_file.write(content)
    return place // 8


def files_of(kind: str, layout: Layout) -> list[Path]:
    runs = layout.data / "runs"
    patterns = {
        "outcomes": "*/out/outcomes.parquet",
        "systems": "*/job/systems.parquet",
        "note": "*/landed.json",
    }
    if kind == "vectors":
        return sorted(layout.vectors.rglob("*.parquet"))
    if kind in patterns:
        found = list(runs.glob(patterns[kind]))
        return sorted(
            [*found, *layout.dataset("soak").glob("*.parquet")] if kind == "systems" else found
        )
    if kind == "json":
        return sorted(
            [
                *runs.glob("*/*.json"),
                *runs.glob("*/*/*.json"),
                *layout.data.glob("datasets/*/*.json"),
            ]
        )
    return [layout.store if kind == "store" else layout.store.with_name("matter.duckdb.wal")]


def vectors_of(connection: duckdb.DuckDBPyConnection, model_id: str) -> NDArray[np.float32]:
    """Return the vectors of a model, (n, d)."""
    files = DatasetFiles.of(connection, "soak")
    assert files is not None
    return files.read_vectors((model_id, IMPORTED), model_id)


class Flips:
    """Flips in copies of stores, and their outcomes."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.chance = root, random.Random(seed)
        whole = Layout(root / "trial" / "matter.duckdb")
        self.expected = rows(whole)
        with connect(whole.store, read_only=True) as connection:
            self.vectors = {model_id: vectors_of(connection, model_id) for model_id in MODELS[:2]}

    def trial(self, kind: str) -> tuple[str, str]:
        """Flip one bit; return the outcome and the place."""
        shutil.rmtree(self.root / "trial", ignore_errors=True)
        shutil.copytree(self.root / ("cut" if kind == "wal" else "whole"), self.root / "trial")
        layout = Layout(self.root / "trial" / "matter.duckdb")
        file = self.chance.choice(files_of(kind, layout))
        where = f"byte {flip(file, self.chance)} of {file.relative_to(self.root / 'trial')}"
        found = self._store(layout) if kind in ("store", "wal") else self._beside(layout, file)
        if kind == "vectors" and self._read(layout, file) == SILENT:
            found = SILENT
        return found, where

    def _read(self, layout: Layout, file: Path) -> str:
        """Return whether a question that reads a damaged vector file names it."""
        model_id = file.parent.name.removeprefix("model=")
        with connect(layout.store, read_only=True) as connection:
            try:
                found = vectors_of(connection, model_id)
            except Undefined as undefined:
                return FOUND if str(file) in str(undefined) else SILENT
        return HARMLESS if np.array_equal(found, self.vectors[model_id]) else SILENT

    def _store(self, layout: Layout) -> str:
        """Return whether damage of the store is noticed on use, and mended by `rebuild`."""
        found = HARMLESS
        try:
            finish_interrupted_loads(layout, quiet)
            found = self._compared(layout)
        except StoreBroken:
            found = FOUND
        except duckdb.Error as error:
            found = FOUND if isinstance(explain_error(layout.store, error), StoreBroken) else SILENT
        rebuild(layout, quiet)
        return SILENT if self._compared(layout) == SILENT else found

    def _beside(self, layout: Layout, file: Path) -> str:
        """Return whether `rebuild` reports damage beside the store by the file's name."""
        try:
            rebuild(layout, quiet)
            made = read_materialized(layout.dataset("soak"))
            assert made is not None
            check_materialized(made)
        except ERRORS as error:
            return (
                FOUND if file.name in str(error) and not isinstance(error, duckdb.Error) else SILENT
            )
        return self._compared(layout)

    def _compared(self, layout: Layout) -> str:
        return HARMLESS if rows(layout) == self.expected else SILENT


def trials(root: Path, count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, outcome and place of so many flips."""
    flips = Flips(root, seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        yield kind, *flips.trial(kind)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.ingest.flips", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for kind, outcome, where in trials(Path(folder), options.flips, options.seed):
            found[kind, outcome] += 1
            if outcome == SILENT:
                print(f"silent: {where}")
    for kind in KINDS:
        print(
            f"{kind}: "
            + ", ".join(f"{n} {outcome}" for (k, outcome), n in sorted(found.items()) if k == kind)
        )
    return 1 if any(outcome == SILENT for _, outcome in found) else 0


if __name__ == "__main__":
    sys.exit(main())
