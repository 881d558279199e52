"""A family for tests: what a system's SMILES says, its encoder does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zoo.places import ROOT
from zoo.verify.embedding import read_rows
from zoo.worker.job import Job
from zoo.worker.sealed import write_sealed
from zoo.worker.tables import SYSTEMS

# Of the family that needs numpy and pyarrow alone: with all that the tests have, a worker takes
# twice as long to start. `make test` builds it.
LEAN_PYTHON = ROOT / ".envs" / "controls" / "bin" / "python"
FULL_PYTHON = Path(sys.executable)
PYTHON = LEAN_PYTHON if LEAN_PYTHON.exists() else FULL_PYTHON


# This encoder does what a system's SMILES says, and adds a line to encoded.txt for each system.
TOY = """
import errno, resource, socket, time
from pathlib import Path
import numpy as np
from zoo.encoder import Encoder, NotApplicable

FOLDER = Path(__file__).parent
DEEDS = {
    "nan": [1.0, float("nan")],
    "zero": [0.0, 0.0],
    "short": [1.0],
    "huge": [1e300, 1.0],
    "matrix": [[1.0, 2.0]],
    "nodes": [[1.0, 2.0], [3.0, 2.0]],
    "alike": [[1.0, 2.0], [1.0, 2.000001]],
}

ENERGIES = {"undefined": float("nan"), "boundless": float("-inf"), "zero": 0.5}

class FamilyEncoder(Encoder):
    def __init__(self, model, **options):
        super().__init__(model, **options)
        if model["options"].get("broken"):
            raise OSError("no\\n  such   weights")
        if model["options"].get("slow"):
            (FOLDER / "loading").touch()
            time.sleep(60)

    def prepare(self, system):
        if system.smiles == "unreadable":
            raise ValueError("cannot read\\nthis")
        if system.smiles == "unsuitable":
            raise NotApplicable("it does not suit")
        return system

    def size(self, system):
        return len(system.numbers) if system.numbers is not None else 1

    def encode(self, systems, representations):
        words = [s.smiles for s in systems]
        if "guilty" in words:
            raise KeyError("guilty")
        if "late" in words:
            raise NotApplicable("seen too late")
        if "full" in words:
            raise OSError(errno.ENOSPC, "No space left on device", "/scratch/neighbors")
        if "crowded" in words:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
            try:
                open(FOLDER / "notes.txt")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        if "network" in words:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        if sum(map(self.size, systems)) > self.model["options"].get("memory", 1e9):
            raise MemoryError("no room")
        if "wait" in words:
            (FOLDER / "waiting").touch()
        while "wait" in words and not (FOLDER / "go").exists():
            time.sleep(0.01)
        with open(FOLDER / "encoded.txt", "a") as log:
            log.writelines(f"{s.system_id}\\n" for s in systems)
        (FOLDER / "asked.txt").write_text(" ".join(representations))
        vectors = [self.vector(s) for s in systems]
        if "lost" in words:
            vectors.pop()
        energies = [ENERGIES.get(s.smiles, -2.5) for s in systems if s.smiles != "uncounted"]
        found = {name: vectors for name in representations}
        return found if "silent" in words else found | {"energy": energies}

    def vector(self, system):
        if system.smiles in DEEDS:
            return np.array(DEEDS[system.smiles])
        return np.array([1.0, 0.0 if system.positions is None else system.positions.sum()])
"""


POTENTIAL = {"reference": "made up", "note": None}


def model_card(**changes: Any) -> dict[str, Any]:
    card = {
        "id": "toy-1",
        "input": "any",
        "elements": None,
        "max_atoms": None,
        "weights": {"source": "none", "files": []},
        "representation": [
            {"name": "first", "level": "system", "dimension": 2},
            {"name": "second", "level": "system", "dimension": 2},
            {"name": "nodes", "level": "node", "dimension": 2},
        ],
        "compute": {"batch": 100},
        "tolerance": {"batch": 1e-5, "float16": {"batch": 1e-2}, "bfloat16": None},
        "options": {},
    }
    return card | changes


@dataclass
class Toy:
    """A job folder, a family folder and an out folder of one test."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def write(
        self, systems: Sequence[dict[str, Any]], card: dict[str, Any] | None = None, **job: Any
    ) -> Toy:
        for name in ("job", "toy"):
            (self.folder / name).mkdir(exist_ok=True)
        rows = [
            dict.fromkeys(SYSTEMS.names) | {"content_hash": f"hash of {s['system_id']}"} | s
            for s in systems
        ]
        table = pa.Table.from_pylist(rows, schema=SYSTEMS)
        pq.write_table(table, self.folder / "job" / "systems.parquet", row_group_size=512)
        content = Job(
            run_id="run-1",
            model_id="toy-1",
            model=card or model_card(),
            representations=("first", "second"),
            card_hash="c",
        )
        write_sealed(self.folder / "job" / "job.json", content.to_json() | job)
        (self.folder / "toy" / "encoder.py").write_text(TOY)
        return self

    def start(
        self,
        *options: str,
        shorter: str = "",
        path: str = "",
        jobs: bool = True,
        python: Path = PYTHON,
    ) -> subprocess.Popen[str]:
        """Start the worker, with shorter waits where a test cannot wait.

        Without jobs, standard input is to give them.
        """
        program = (
            f"import sys; from zoo.worker import __main__, run, signals; {shorter}; "
            "sys.exit(__main__.main())"
            if shorter
            else ""
        )
        start = ["-c", program] if shorter else ["-m", "zoo.worker"]
        folders = [str(self.folder / "job"), str(self.out)] if jobs else []
        folders += ["--family", str(self.folder / "toy")]
        return subprocess.Popen(
            [python, *start, *folders, *options],
            env=os.environ | {"PYTHONPATH": f"{path}:{ROOT}", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, code: int = 0, **more: Any) -> list[dict[str, Any]]:
        """Run the worker to its end, with nothing on standard input; its events."""
        with self.start(*options, **more) as process:
            errors = process.communicate(timeout=60)[1]
        assert process.returncode == code, errors
        return events(errors)

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """What the worker wrote, if it is done, or else what its shards hold so far."""
        if (self.out / "run.json").exists():
            return read_rows(self.out)
        return [row for shard in self.shards() for row in pq.read_table(shard).to_pylist()]

    def shards(self) -> list[Path]:
        return sorted(self.out.glob("shard-*.parquet"))

    def reasons(self, representation: str = "first") -> dict[str, tuple[str, str | None]]:
        return {
            r["system_id"]: (r["status"], r["reason"])
            for r in self.rows()
            if r["representation"] == representation
        }

    def encoded(self) -> list[str]:
        return (self.folder / "toy" / "encoded.txt").read_text().splitlines()

    def record(self) -> dict[str, Any]:
        return json.loads((self.out / "run.json").read_text())


def events(errors: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in errors.splitlines() if line.startswith("{")]


def atoms(name: str, numbers: Sequence[int], **rest: Any) -> dict[str, Any]:
    positions = [[float(i), 0.5, 0.25] for i in range(len(numbers))]
    return {"system_id": name, "numbers": list(numbers), "positions": positions} | rest


def smiles_system(word: str) -> dict[str, Any]:
    return {"system_id": word, "smiles": word}


def many(n: int = 1500, blocked: int = 1200) -> list[dict[str, Any]]:
    """n systems of 1 to 7 atoms, one of which makes the encoder wait for a sign."""
    systems = [atoms(f"s{i:04d}", [1 + i % 50] * (1 + i % 7)) for i in range(n)]
    systems[blocked]["smiles"] = "wait"
    return systems


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
