"""Kill processes that write to a store, over and over, and check whether anything is lost.

    python -m tests.ingest.soak --kills 500 [--seed 0]

Each trial begins with a copy of a small store, starts a process that imports, loads, rebuilds or
migrates, and ends it by SIGKILL at a random moment, mostly soon after a file has appeared that
shows how far the process is: a vector file is written, is moved, or is being registered. Then the
command is repeated, after `rebuild` if the store counts as damaged, and every row is compared with
that of a process that nobody killed. The program prints one line per kind of trial. The exit code
is 1 if a store did not open, or if a row was lost, doubled or wrong.
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
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.layout import Layout
from ingest.maintenance.migrate import migrate_store
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run, list_runs
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.runs.load import finish_interrupted_loads, load
from ingest.runs.vectors.files import list_files
from ingest.systems.dataset import Dataset
from ingest.systems.entry import Entry
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.errors import StoreBroken
from schemas.migrations import FOLDER
from schemas.store import connect
from zoo.cards.discovery import load_models
from zoo.worker.sealed import stamp
from zoo.worker.tables import SHARD, SHARD_OPTIONS

SYSTEMS, WIDTH = 60, 8
MODELS = ("soak-a", "soak-b", "soak-c")
REBUILT = 0.3  # share of the trials after which the store is made again and compared once more
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
    """Ignore what the commands log."""


def load_one(model_id: str) -> Act:
    def act(layout: Layout) -> None:
        finish_interrupted_loads(layout, quiet)
        load(layout, run_of(layout, model_id), log=quiet)

    return act


def make_again(layout: Layout) -> None:
    rebuild(layout, quiet)


def migrate(layout: Layout) -> None:
    migrate_store(layout, quiet)


def import_one(model_id: str) -> Act:
    def act(layout: Layout) -> None:
        finish_interrupted_loads(layout, quiet)
        import_random(layout, model_id)

    return act


# Per kind of trial: the store that is copied, what is killed, and what makes the store whole again.
KINDS: dict[str, tuple[str, Act, Act]] = {
    "first load": ("empty", load_one(MODELS[0]), load_one(MODELS[0])),
    "later load": ("one", load_one(MODELS[1]), load_one(MODELS[1])),
    "load in place of an earlier one": ("two", load_one(MODELS[0]), load_one(MODELS[0])),
    "import": ("two", import_one(MODELS[2]), import_one(MODELS[2])),
    "rebuild": ("two", make_again, make_again),
    "rebuild of a damaged store": ("torn", make_again, make_again),
    "migration": ("old", migrate, migrate),
}
# What appears while a process is at work; '' means a kill at any time.
WAL, NEW, NOTE, MARK, WRITTEN, MOVED = (
    "matter.duckdb.wal",
    ".*.new",
    "matter.data/runs/*/landing.json",
    ".*.migrating",
    "matter.data/runs/*/out/vectors-*.parquet",
    "matter.data/vectors/*/model={}/*.parquet",
)
TRIGGERS = {
    "first load": (WAL, NEW, NOTE, MOVED.format(MODELS[0]), ""),
    "later load": (WAL, NOTE, MOVED.format(MODELS[1]), ""),
    "load in place of an earlier one": (WAL, NOTE, ""),
    "import": (WAL, NOTE, WRITTEN, MOVED.format(MODELS[2]), ""),
    "rebuild": (NEW, ""),
    "rebuild of a damaged store": (NEW, ""),
    "migration": (WAL, MARK, NEW, WRITTEN, MOVED.format("*"), ""),
}


def run_of(layout: Layout, model_id: str) -> Run:
    return next(run for run in list_runs(layout) if run.model_id == model_id)


def dataset(folder: Path) -> MaterializedDataset:
    """Write small molecules, all different, as a dataset."""

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


def import_random(layout: Layout, model_id: str) -> None:
    made = read_materialized(layout.dataset("soak")) or dataset(layout.dataset("soak"))
    file = layout.store.with_name(f"{model_id}.npz")
    draw = np.random.default_rng(MODELS.index(model_id))
    ids = np.array([f"m{i}" for i in range(SYSTEMS)])
    np.savez(file, system_id=ids, vector=draw.normal(size=(SYSTEMS, WIDTH)).astype(np.float32))
    import_vectors(layout, ImportedVectors(model_id, file), made)


def templates(root: Path) -> None:
    """Stores to begin with: without a load, with one, with two; torn; of the first schema.

    They are made where trials have them: a process that finds the files of vectors elsewhere first
    writes the view again, and would mostly be killed at that.
    """
    layout = Layout(root / "trial" / "matter.duckdb")
    for name, landed in (("empty", 0), ("one", 1), ("two", 2)):
        layout.store.parent.mkdir()
        for number, model_id in enumerate(MODELS[:2]):
            if number == landed:
                aside = layout.store.with_name("aside")
                (layout.store.rename(aside) if layout.store.exists() else aside.touch())
            import_random(layout, model_id)
        for run in [run_of(layout, model_id) for model_id in MODELS[landed:2]]:
            (run.folder / "landed.json").unlink()
            for file in list_files(run):  # as the worker left it
                Path(file.path).rename(run.out / file.name)
        if not landed:
            shutil.rmtree(run_of(layout, MODELS[1]).folder)
        if landed < 2:
            layout.store.unlink()
            if landed:
                layout.store.with_name("aside").rename(layout.store)
        layout.store.with_name("aside").unlink(missing_ok=True)
        layout.store.parent.rename(root / name)
    shutil.copytree(root / "two", root / "torn")
    os.truncate(root / "torn" / "matter.duckdb", 300_000)
    shutil.copytree(root / "two", layout.store.parent)
    first_schema(layout.store)
    former_runs(layout)
    layout.store.parent.rename(root / "old")


def first_schema(path: Path) -> None:
    """Write the rows of a store into one of the first schema."""
    new = path.with_name("new")
    path.rename(new)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE schema_version "
            "(version INTEGER PRIMARY KEY, applied TIMESTAMPTZ NOT NULL)"
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


def former_runs(layout: Layout) -> None:
    """Write the runs of a store as earlier versions left them, with vectors in a shard."""
    for run in list_runs(layout):
        job, result = run.read("job/job.json"), run.read("out/run.json")
        (file,) = list_files(run)
        table, shard = pq.read_table(file.path), run.out / "shard-00000.parquet"
        columns = table.to_pydict() | {"status": ["ok"] * len(table)}
        columns |= {name: [None] * len(table) for name in ("reason", "energy")}
        metadata = {name: job[name] for name in ("run_id", "model_id", "card_hash")}
        whole = pa.table({name: columns[name] for name in SHARD.names}, schema=SHARD)
        pq.write_table(whole.replace_schema_metadata(metadata), shard, **SHARD_OPTIONS)
        former = {name: result[name] for name in result if name not in ("vectors", "outcomes")}
        run.write("out/run.json", former | {"shards": {shard.name: stamp(shard)}})
        run.outcomes.unlink()
    shutil.rmtree(layout.vectors)


def rows(layout: Layout) -> str:
    """Return the SHA-256 over every row."""
    digest = hashlib.sha256()
    with connect(layout.store, read_only=True) as connection:
        for table, columns in ROWS.items():
            found = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
            digest.update(repr(sorted(map(repr, found))).encode())
    return digest.hexdigest()


def start(act: Act, layout: Layout) -> int:
    """Act in a new process, which has all modules loaded already; return its id."""
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


def run_undisturbed(act: Act, layout: Layout) -> int:
    """Return the exit code of a process that nobody kills."""
    return os.waitstatus_to_exitcode(os.waitpid(start(act, layout), 0)[1])


def hash_rows(layout: Layout) -> str:
    """Return the hash of a store's rows, or how the process that read them ended."""
    file = layout.store.with_name("rows")
    code = run_undisturbed(lambda at: file.write_text(rows(at)), layout)
    return file.read_text() if code == 0 else f"exit code {code}"


def kill(act: Act, layout: Layout, chance: random.Random, trigger: str, seconds: float) -> bool:
    """Start a process and kill it soon after the trigger; return whether it was still at work."""
    pid = start(act, layout)
    end = time.monotonic() + 4 * seconds
    while trigger and not any(layout.store.parent.glob(trigger)) and time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)  # else this would take half of the cores from it
    time.sleep(chance.uniform(0, seconds / 4 if trigger else seconds))
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


class Soak:
    """Trials in a folder, and their outcomes."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.chance = root, random.Random(seed)
        self.found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.expected: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        if run_undisturbed(lambda layout: templates(root), Layout(root / "none")):
            raise SystemExit("the stores that trials begin with could not be made")
        for kind, (_, act, _) in KINDS.items():
            layout = self._copy(kind)
            began = time.monotonic()
            if run_undisturbed(act, layout):
                raise SystemExit(f"{kind} fails even if nobody kills it")
            self.seconds[kind] = time.monotonic() - began
            self.expected[kind] = hash_rows(layout)

    def _copy(self, kind: str) -> Layout:
        shutil.rmtree(self.root / "trial", ignore_errors=True)
        shutil.copytree(self.root / KINDS[kind][0], self.root / "trial")
        return Layout(self.root / "trial" / "matter.duckdb")

    def trial(self, kind: str) -> bool:
        """Kill once, mend, compare; return whether anything was killed."""
        layout, (_, act, mend), count = self._copy(kind), KINDS[kind], self.found[kind]
        if not kill(
            act, layout, self.chance, self.chance.choice(TRIGGERS[kind]), self.seconds[kind]
        ):
            return False
        count["kills"] += 1
        code = run_undisturbed(mend, layout)
        if code == BROKEN:
            count["rebuilt"] += 1
            code = run_undisturbed(make_again, layout) or run_undisturbed(mend, layout)
        count["did not open"] += code != 0
        if code == 0:
            count["rows wrong"] += hash_rows(layout) != self.expected[kind]
            if self.chance.random() < REBUILT:
                wrong = (
                    run_undisturbed(make_again, layout) or hash_rows(layout) != self.expected[kind]
                )
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
    load_models()  # once, not in every process
    # DuckDB imports pandas, if it is there, for lists among the parameters of a statement.
    if importlib.util.find_spec("pandas"):
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
