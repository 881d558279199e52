"""Kill processes that write to a store, over and over, and look whether anything is lost.

    python -m tests.ingest.soak --kills 500 [--seed 0]

Each trial begins with a copy of a small store, starts a process that loads, rebuilds or migrates, and ends it by
SIGKILL at a random moment, mostly close after a file has appeared that tells that it is at work. Then the command is
repeated, after `rebuild` where the store is said to be damaged, and every row is compared with that of a process that
was left alone. Prints one line per kind of trial. The exit code is 1 if a store did not open, or a row was lost,
doubled or wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np

from ingest.layout import Layout
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run, list_runs
from ingest.runs.import_vectors import ImportedVectors, import_vectors
from ingest.runs.load import finish_interrupted_loads, load
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.errors import StoreBroken
from schemas.migrations import FOLDER
from schemas.store import connect, update
from zoo.cards.discovery import load_models

SYSTEMS, WIDTH = 60, 8
MODELS = ("soak-a", "soak-b", "soak-c")
REBUILT = 0.3  # of the trials, in which the store is also made again and compared once more
BROKEN = 3  # exit code of a process that found a damaged store
ROWS = {
    "systems": "system_id, content_hash, positions",
    "embeddings": "system_id, model_id, representation, content_hash, run_id, vector",
    "runs": "run_id, status, sent, ok, failed",
    "labels": "*",
    "failures": "*",
    "models": "model_id, card_hash",
}
Act = Callable[[Layout], object]


def quiet(text: str) -> None:
    """What the commands say is not looked at."""


def land_one(model_id: str) -> Act:
    def act(layout: Layout) -> None:
        finish_interrupted_loads(layout, quiet)
        load(layout, run_of(layout, model_id), log=quiet)

    return act


def make_again(layout: Layout) -> None:
    rebuild(layout, quiet)


def migrate(layout: Layout) -> None:
    update(layout.store)


# Kind of trial: what the store is copied from, what is killed, and what makes the store whole after that.
KINDS: dict[str, tuple[str, Act, Act]] = {
    "first load": ("empty", land_one(MODELS[0]), land_one(MODELS[0])),
    "later load": ("one", land_one(MODELS[1]), land_one(MODELS[1])),
    "load in place of an earlier one": ("two", land_one(MODELS[0]), land_one(MODELS[0])),
    "rebuild": ("two", make_again, make_again),
    "rebuild of a damaged store": ("torn", make_again, make_again),
    "migration": ("old", migrate, migrate),
}
# What appears while a process is at work; '': a kill at any time.
WAL, NEW, NOTE, MARK = (
    "matter.duckdb.wal",
    ".*.new",
    "matter.data/runs/*/landing.json",
    ".*.migrating",
)
TRIGGERS = {kind: (WAL, NOTE, "") for kind in KINDS} | {
    "first load": (WAL, NEW, NOTE, ""),
    "rebuild": (NEW, ""),
    "rebuild of a damaged store": (NEW, ""),
    "migration": (WAL, MARK, ""),
}


def run_of(layout: Layout, model_id: str) -> Run:
    return next(run for run in list_runs(layout) if run.model_id == model_id)


def dataset(folder: Path) -> MaterializedDataset:
    """Small molecules, each another one."""

    def entries() -> list[Entry]:
        places = [np.array([[0.0, 0.0, 0.0], [0.7 + i / 1000, 0.0, 0.0]]) for i in range(SYSTEMS)]
        return [
            Entry(f"m{i}", numbers=np.array([1, 9]), positions=place)
            for i, place in enumerate(places)
        ]

    made = Dataset(
        "soak", "Soak", "made up", "CC0-1.0", ("numpy",), lambda: iter(entries()), (__file__,)
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    return materialize(made, folder)


def bring(layout: Layout, model_id: str) -> None:
    made = read_materialized(layout.dataset("soak")) or dataset(layout.dataset("soak"))
    file = layout.store.with_name(f"{model_id}.npz")
    draw = np.random.default_rng(MODELS.index(model_id))
    ids = np.array([f"m{i}" for i in range(SYSTEMS)])
    np.savez(file, system_id=ids, vector=draw.normal(size=(SYSTEMS, WIDTH)).astype(np.float32))
    import_vectors(layout, ImportedVectors(model_id, file), made)


def templates(root: Path) -> None:
    """Stores to begin with: without a load, with one, with two; torn; of the first schema."""
    for name, landed in (("empty", 0), ("one", 1), ("two", 2)):
        layout = Layout(root / name / "matter.duckdb")
        layout.store.parent.mkdir()
        for number, model_id in enumerate(MODELS[:2]):
            if number == landed:
                aside = layout.store.with_name("aside")
                (layout.store.rename(aside) if layout.store.exists() else aside.touch())
            bring(layout, model_id)
        for run in [run_of(layout, model_id) for model_id in MODELS[landed:2]]:
            (run.folder / "landed.json").unlink()
        if not landed:
            shutil.rmtree(run_of(layout, MODELS[1]).folder)
        if landed < 2:
            layout.store.unlink()
            if landed:
                layout.store.with_name("aside").rename(layout.store)
        layout.store.with_name("aside").unlink(missing_ok=True)
    shutil.copytree(root / "two", root / "torn")
    os.truncate(root / "torn" / "matter.duckdb", 300_000)
    shutil.copytree(root / "two", root / "old")
    first_schema(root / "old" / "matter.duckdb")


def first_schema(path: Path) -> None:
    """Write the rows of a store into one of the first schema."""
    new = path.with_name("new")
    path.rename(new)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL)"
        )
        connection.execute((FOLDER / "001_store.sql").read_text())
        connection.execute("INSERT INTO schema_version VALUES (1, now())")
        connection.execute(f"ATTACH '{new}' AS new (READ_ONLY)")
        tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'matter'"
        for (table,) in connection.execute(tables).fetchall():
            if table != "schema_version":
                columns = [r[0] for r in connection.execute(f"DESCRIBE matter.{table}").fetchall()]
                names = ", ".join(columns)
                todays = names.replace("licence", "license")  # renamed by the fourth schema
                connection.execute(
                    f"INSERT INTO matter.{table} ({names}) SELECT {todays} FROM new.{table}"
                )
    new.unlink()


def rows(layout: Layout) -> str:
    """sha256 over every row."""
    digest = hashlib.sha256()
    with connect(layout.store, read_only=True) as connection:
        for table, columns in ROWS.items():
            found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
            digest.update(repr(sorted(map(repr, found))).encode())
    return digest.hexdigest()


def start(act: Act, layout: Layout) -> int:
    """Do it in a process of its own, which has all modules loaded already. Returns its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act(layout)
            code = 0
        except StoreBroken:
            code = BROKEN
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return pid


def left_alone(act: Act, layout: Layout) -> int:
    """Exit code of a process that nobody kills."""
    return os.waitstatus_to_exitcode(os.waitpid(start(act, layout), 0)[1])


def looked_up(layout: Layout) -> str:
    """The sum of a store's rows, or how the process that looked ended."""
    file = layout.store.with_name("rows")
    code = left_alone(lambda at: file.write_text(rows(at)), layout)
    return file.read_text() if code == 0 else f"exit code {code}"


def kill(act: Act, layout: Layout, chance: random.Random, trigger: str, seconds: float) -> bool:
    """Start it and kill it soon after the trigger. Returns whether it was still at work."""
    pid = start(act, layout)
    end = time.monotonic() + 4 * seconds
    while trigger and not any(layout.store.parent.glob(trigger)) and time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
    time.sleep(chance.uniform(0, seconds / 4 if trigger else seconds))
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


class Soak:
    """Trials in a folder, and what came of them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.chance = root, random.Random(seed)
        self.found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.expected: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        if left_alone(lambda layout: templates(root), Layout(root / "none")):
            raise SystemExit("the stores to begin with could not be made")
        for kind, (_, act, _) in KINDS.items():
            layout = self._copy(kind)
            began = time.monotonic()
            if left_alone(act, layout):
                raise SystemExit(f"{kind} fails also where nobody kills it")
            self.seconds[kind] = time.monotonic() - began
            self.expected[kind] = looked_up(layout)

    def _copy(self, kind: str) -> Layout:
        shutil.rmtree(self.root / "trial", ignore_errors=True)
        shutil.copytree(self.root / KINDS[kind][0], self.root / "trial")
        return Layout(self.root / "trial" / "matter.duckdb")

    def trial(self, kind: str) -> bool:
        """Kill once, mend, compare. Returns whether anything was killed."""
        layout, (_, act, mend), count = self._copy(kind), KINDS[kind], self.found[kind]
        if not kill(
            act, layout, self.chance, self.chance.choice(TRIGGERS[kind]), self.seconds[kind]
        ):
            return False
        count["kills"] += 1
        code = left_alone(mend, layout)
        if code == BROKEN:
            count["rebuilt"] += 1
            code = left_alone(make_again, layout) or left_alone(mend, layout)
        count["did not open"] += code != 0
        if code == 0:
            count["rows wrong"] += looked_up(layout) != self.expected[kind]
            if self.chance.random() < REBUILT:
                wrong = left_alone(make_again, layout) or looked_up(layout) != self.expected[kind]
                count["rows wrong after rebuild"] += bool(wrong)
        count["left over"] += any(layout.data.glob("runs/*/landing.json"))
        return True


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.ingest.soak", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load_models()  # once, and not in every process
    if importlib.util.find_spec(
        "pandas"
    ):  # which DuckDB imports for lists among the parameters of a statement
        importlib.import_module("pandas")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), options.seed)
        kinds = list(KINDS)
        killed = tried = 0
        while killed < options.kills and tried < 20 * options.kills:
            killed += soak.trial(kinds[tried % len(kinds)])
            tried += 1
    faults = 0
    for kind, count in soak.found.items():
        print(f"{kind}: " + ", ".join(f"{name} {number}" for name, number in count.items()))
        faults += sum(number for name, number in count.items() if name not in ("kills", "rebuilt"))
    print(f"{killed} kills, {faults} faults")
    return 1 if faults or killed < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
