"""The worker: every system is accounted for, whatever an encoder does, and a run that died continues."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.encoder import Encoder, NotApplicable, System
from zoo.worker.batching import WINDOW, Batcher, Clock
from zoo.worker.errors import is_out_of_memory
from zoo.worker.job import Job, JobSystems
from zoo.worker.loading import others_can_change
from zoo.worker.pooling import to_vector
from zoo.worker.sealed import write_sealed
from zoo.worker.shards import Counts, Shards
from zoo.worker.signals import Signals
from zoo.worker.tables import SHARD, SYSTEMS

ROOT = Path(__file__).resolve().parents[3]
# What a system's SMILES says, this encoder does. Every system that it encodes is a line of encoded.txt.
TOY = """
import errno, socket, time
from pathlib import Path
import numpy as np
from zoo.encoder import Encoder, NotApplicable

FOLDER = Path(__file__).parent
DEEDS = {
    "nan": [1.0, float("nan")], "zero": [0.0, 0.0], "short": [1.0], "huge": [1e300, 1.0], "matrix": [[1.0, 2.0]],
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
        said = [s.smiles for s in systems]
        if "guilty" in said:
            raise KeyError("guilty")
        if "late" in said:
            raise NotApplicable("seen too late")
        if "full" in said:
            raise OSError(errno.ENOSPC, "No space left on device", "/scratch/neighbors")
        if "network" in said:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        if sum(map(self.size, systems)) > self.model["options"].get("memory", 1e9):
            raise MemoryError("no room")
        while "wait" in said and not (FOLDER / "go").exists():
            time.sleep(0.01)
        with open(FOLDER / "encoded.txt", "a") as log:
            log.writelines(f"{s.system_id}\\n" for s in systems)
        vectors = [self.vector(s) for s in systems]
        if "lost" in said:
            vectors.pop()
        energies = [ENERGIES.get(s.smiles, -2.5) for s in systems if s.smiles != "uncounted"]
        found = {name: vectors for name in representations}
        return found if "silent" in said else found | {"energy": energies}

    def vector(self, system):
        if system.smiles in DEEDS:
            return np.array(DEEDS[system.smiles])
        return np.array([1.0, 0.0 if system.positions is None else system.positions.sum()])
"""


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

    def start(self, *options: str, sooner: str = "", path: str = "") -> subprocess.Popen[str]:
        """Start the worker. sooner: constants of it that a test cannot wait for."""
        program = (
            f"import sys; from zoo.worker import __main__, run, signals; {sooner}; "
            "sys.exit(__main__.main())"
            if sooner
            else ""
        )
        start = ["-c", program] if sooner else ["-m", "zoo.worker"]
        folders = [str(self.folder / "job"), str(self.out), "--family", str(self.folder / "toy")]
        return subprocess.Popen(
            [sys.executable, *start, *folders, *options],
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

    def rows(self) -> list[dict[str, Any]]:
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


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def atoms(name: str, numbers: Sequence[int], **rest: Any) -> dict[str, Any]:
    positions = [[float(i), 0.5, 0.25] for i in range(len(numbers))]
    return {"system_id": name, "numbers": list(numbers), "positions": positions} | rest


def said(word: str) -> dict[str, Any]:
    return {"system_id": word, "smiles": word}


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_every_system_has_an_outcome_in_every_representation(toy: Toy) -> None:
    words = [
        "good",
        "guilty",
        "nan",
        "zero",
        "short",
        "huge",
        "matrix",
        "unreadable",
        "unsuitable",
        "late",
        "network",
    ]
    events = toy.write([said(w) for w in words]).run()
    assert (
        toy.reasons()
        == toy.reasons("second")
        == {
            "good": ("ok", None),
            "guilty": ("failed", "KeyError: 'guilty'"),
            "nan": ("failed", "1 of the vector's 2 numbers are not finite"),
            "zero": ("failed", "the vector is all zeros"),
            "short": ("failed", "the encoder returned an array of shape (1,), expected (2,)"),
            "huge": ("failed", "1 of the vector's 2 numbers are not finite"),
            "matrix": ("failed", "the encoder returned an array of shape (1, 2), expected (2,)"),
            "unreadable": ("failed", "ValueError: cannot read this"),
            "unsuitable": ("not_applicable", "it does not suit"),
            "late": ("not_applicable", "seen too late"),
            "network": (
                "failed",
                "ConnectionRefusedError: a run has no network, but something tried to reach '192.0.2.1'",
            ),
        }
    )
    counts = {"sent": 22, "ok": 2, "failed": 16, "not_applicable": 4}
    assert events[-1] == {"event": "finish", "counts": counts}
    assert toy.record()["counts"] == counts


def test_events_and_record(toy: Toy) -> None:
    events = toy.write([atoms("a", [1, 8])]).run()
    assert events[0] == {"event": "start", "sent": 2, "done": 0}
    assert events[1] == {
        "event": "progress",
        "done": 2,
        "sent": 2,
        "ok": 2,
        "failed": 0,
        "not_applicable": 0,
    }
    record = toy.record()
    assert {
        k: record[k] for k in ("run_id", "model_id", "status", "device", "dtype", "driver")
    } == {
        "run_id": "run-1",
        "model_id": "toy-1",
        "status": "ok",
        "device": "cpu",
        "dtype": "float32",
        "driver": None,
    }
    assert set(record["seconds"]) == {"load", "survey", "prepare", "encode", "total"}
    assert record["versions"]["numpy"] == np.__version__
    assert 10**7 < record["peak_memory_bytes"] < 10**10
    assert record["started"] < record["finished"]
    assert record["device_name"]


def test_shard_has_the_contract_s_columns_and_metadata(toy: Toy) -> None:
    toy.write([atoms("a", [1, 8]), said("guilty")]).run()
    [path] = toy.shards()
    table = pq.read_table(path)
    assert table.schema.equals(SHARD)
    assert {k.decode(): v.decode() for k, v in table.schema.metadata.items()} == {
        "run_id": "run-1",
        "model_id": "toy-1",
        "card_hash": "c",
        "window": "0",
    }
    assert table.column("vector").to_pylist() == [[1.0, 2.5], [1.0, 2.5], None, None]
    assert set(table.column("content_hash").to_pylist()) == {"hash of a", "hash of guilty"}


POTENTIAL = {"reference": "made up", "note": None}


def test_energies_come_along_where_the_card_promises_them(toy: Toy) -> None:
    words = ["good", "undefined", "boundless", "zero", "guilty", "unsuitable"]
    events = toy.write([said(word) for word in words], model_card(energy=POTENTIAL)).run()
    found = {(r["system_id"], r["representation"]): (r["status"], r["energy"]) for r in toy.rows()}
    assert {name: found[name, "first"] for name in words} == {
        "good": ("ok", -2.5),
        "undefined": ("ok", None),
        "boundless": ("ok", None),
        "zero": ("failed", 0.5),
        "guilty": ("failed", None),
        "unsuitable": ("not_applicable", None),
    }
    assert all(found[name, "first"] == found[name, "second"] for name in words)
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert warnings == ["2 energies are not finite and are left out; the vectors stay"]


def test_energies_that_no_card_promises_are_left_out(toy: Toy) -> None:
    toy.write([said("good"), said("undefined")]).run()
    assert {row["energy"] for row in toy.rows()} == {None}


def test_the_card_s_limits_are_enforced_before_the_encoder(toy: Toy) -> None:
    card = model_card(input="structure", elements=[1, 8], max_atoms=3)
    systems = [
        atoms("water", [1, 1, 8]),
        atoms("salt", [11, 17]),
        atoms("large", [1] * 4),
        said("smiles"),
        atoms("empty", []),
        {"system_id": "flat", "numbers": [1]},
        atoms("nan", [1], positions=[[0.0, float("nan"), float("inf")]]),
        atoms("cell", [1], cell=[[1.0, 0, 0], [0, 1, 0], [0, 0, float("nan")]]),
        atoms("odd", [1, 1], positions=[[0.0, 0.0, 0.0]]),
        atoms("dummy", [0]),
    ]
    toy.write(systems, card).run()
    assert toy.reasons() == {
        "water": ("ok", None),
        "salt": ("not_applicable", "the model does not know Na, Cl"),
        "large": ("not_applicable", "4 atoms; the model takes at most 3"),
        "smiles": ("not_applicable", "has no numbers, and the model's input is structure"),
        "empty": ("not_applicable", "has no numbers, and the model's input is structure"),
        "flat": ("not_applicable", "has no positions, and the model's input is structure"),
        "nan": ("failed", "positions has 2 numbers that are not finite"),
        "cell": ("failed", "cell has 1 numbers that are not finite"),
        "odd": ("failed", "2 atomic numbers but 1 positions"),
        "dummy": ("not_applicable", "the model does not know atomic number 0"),
    }
    assert toy.encoded() == ["water"]


def test_a_cell_without_volume_fails_where_the_card_says_so(toy: Toy) -> None:
    slab = np.diag([1.0, 1.0, 0.0]).tolist()
    systems = [
        atoms("molecule", [1]),
        atoms("open", [1], cell=slab, pbc=[True, True, False]),
        atoms("flat", [1], cell=slab, pbc=[True, True, True]),
        atoms("without", [1], pbc=[True, False, False]),
    ]
    expected = "the structure is periodic, but its cell {} spans no volume"
    toy.write(systems, model_card(needs_lattice_vectors=True)).run()
    assert toy.reasons() == {
        "molecule": ("ok", None),
        "open": ("ok", None),
        "flat": ("failed", expected.format(slab)),
        "without": ("failed", expected.format(np.zeros((3, 3)).tolist())),
    }


def test_a_cell_without_volume_is_left_to_other_encoders(toy: Toy) -> None:
    toy.write([atoms("flat", [1], pbc=[True, True, True])], model_card()).run()
    assert toy.reasons() == {"flat": ("ok", None)}


def test_out_of_memory_halves_the_budget_and_fails_only_what_never_fits(toy: Toy) -> None:
    systems = [atoms(f"s{i}", [1] * 4) for i in range(20)] + [atoms("giant", [1] * 50)]
    events = toy.write(systems, model_card(options={"memory": 20})).run()
    failed = {name: why for name, why in toy.reasons().items() if why[0] != "ok"}
    assert failed == {"giant": ("failed", "MemoryError: no room")}
    budgets = [e["message"] for e in events if e["event"] == "warning"]
    assert budgets[0] == "out of memory; the batch budget is now 40"


@pytest.mark.parametrize(
    ("systems", "changes", "message"),
    [
        (
            [said("lost")],
            {},
            r"encode\(\) returned 0 vectors of 'first' for 1 systems: a fault of the family's encoder",
        ),
        (
            [said("silent")],
            {"model": model_card(energy=POTENTIAL)},
            r"encode\(\) returned energies of shape \(0,\) for 1 systems: a fault of the family's encoder",
        ),
        (
            [said("good"), said("uncounted")],
            {"model": model_card(energy=POTENTIAL)},
            r"encode\(\) returned energies of shape \(1,\) for 2 systems: a fault of the family's encoder",
        ),
        ([], {"device": "cuda"}, r"device 'cuda' was asked for, but"),
        ([], {"device": "gpu"}, r"device 'gpu' is not one of cpu, cuda, cuda:0"),
        ([], {"job_version": 2}, r"job_version is 2, this worker reads 1"),
        (
            [],
            {"model": model_card(dtypes=["float32", "float64"]), "dtype": "bfloat16"},
            r"toy-1 computes in float32 or float64, not in 'bfloat16'; use DTYPE=float32",
        ),
        (
            [],
            {"representations": ["third"]},
            r"toy-1 has no representation 'third'; it has first, second, nodes",
        ),
        (
            [],
            {"model": model_card(options={"broken": True})},
            r"toy-1 could not be loaded: OSError: no such weights",
        ),
    ],
)
def test_fatal(
    toy: Toy, systems: list[dict[str, Any]], changes: dict[str, Any], message: str
) -> None:
    if changes.get("device") == "cuda" and Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a GPU")
    events = toy.write(systems, **changes).run(code=1)
    assert events[-1]["event"] == "error"
    assert re.search(message, events[-1]["message"])
    assert not (toy.out / "run.json").exists()


def test_peak_memory_is_its_own_and_not_that_of_who_started_it() -> None:
    ballast = np.ones(100_000_000)
    said = subprocess.run(
        [sys.executable, "-c", "from zoo.worker.device import peak_memory; print(peak_memory())"],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 10**7 < int(said.stdout) < ballast.nbytes


def test_weights_must_be_what_the_card_says(toy: Toy) -> None:
    path = Path(np.__file__).with_name("version.py")
    file = {"path": "numpy/version.py", "size": path.stat().st_size, "sha256": "0" * 64}
    events = toy.write([], model_card(weights={"source": "package", "files": [file]})).run(code=1)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    expected = f"weights {path}: expected {size} bytes with sha256 {'0' * 64}, found {size} bytes with {found}"
    assert events[-1]["message"] == expected
    toy.write(
        [], model_card(weights={"source": "package", "files": [file | {"sha256": found}]})
    ).run()
    assert toy.record()["weights"] == {"numpy/version.py": found}


@pytest.mark.parametrize(
    ("exposed", "options"),
    [(None, ()), (None, ("--shared",)), ("weights", ()), ("weights/net/model.pt", ())],
)
def test_weights_that_others_can_change_are_hashed_again(
    toy: Toy, exposed: str | None, options: tuple[str, ...]
) -> None:
    """The host has hashed them, but not what may have been put in their place since, of the same size."""
    path = toy.folder / "weights" / "net" / "model.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"changed")
    for place in (path, *path.parents[:2]):
        place.chmod(0o755)
    if exposed is not None:
        (toy.folder / exposed).chmod(0o777)
    sha256 = hashlib.sha256(b"written").hexdigest()
    file = {"path": "model.pt", "size": 7, "sha256": sha256, "twin": True}
    toy.write([], model_card(weights={"source": "hub", "files": [file]}))
    given = ("--weights", str(path.parent), *options)
    if exposed is None and not options:
        toy.run(*given)
        assert toy.record()["weights"] == {"model.pt": sha256}  # what the host says
        return
    events = toy.run(*given, code=1)
    found = hashlib.sha256(b"changed").hexdigest()
    assert (
        events[-1]["message"]
        == f"weights {path}: expected 7 bytes with sha256 {sha256}, found 7 bytes with {found}"
    )


def test_what_others_can_change(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "a" / "file"
    path.parent.mkdir(mode=0o755)
    path.touch(0o644)
    assert not others_can_change(path)
    path.parent.chmod(0o775)
    assert others_can_change(path)  # a member of the group
    path.parent.chmod(0o1777)
    assert not others_can_change(path)  # sticky, as /tmp is
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not others_can_change(link)
    path.chmod(0o666)
    assert others_can_change(path) and others_can_change(link)


def test_missing_weights_are_named(toy: Toy) -> None:
    file = {"path": "no/such.pt", "size": 1, "sha256": "0" * 64}
    events = toy.write([], model_card(weights={"source": "package", "files": [file]})).run(code=1)
    assert "no/such.pt are not there; install the environment" in events[-1]["message"]


def test_no_systems_is_a_finished_run(toy: Toy) -> None:
    toy.write([]).run()
    assert toy.record()["counts"] == {"sent": 0, "ok": 0, "failed": 0, "not_applicable": 0}
    assert toy.shards() == []


def many(n: int = 1500, blocked: int = 1200) -> list[dict[str, Any]]:
    """n systems of 1 to 7 atoms, one of which makes the encoder wait for a sign."""
    systems = [atoms(f"s{i:04d}", [1 + i % 50] * (1 + i % 7)) for i in range(n)]
    systems[blocked]["smiles"] = "wait"
    return systems


def test_a_killed_run_continues_and_does_nothing_twice(toy: Toy) -> None:
    toy.write(many(), batch=50)
    with toy.start() as process:
        wait_for(lambda: toy.shards())
        process.kill()
    assert not (toy.out / "run.json").exists()
    kept = {row["system_id"] for row in toy.rows()}
    assert len(kept) == 1024
    (toy.out / ".shard-00001.parquet.tmp").write_bytes(b"half")
    (toy.folder / "toy" / "go").touch()
    events = toy.run()
    assert events[0] == {"event": "start", "sent": 3000, "done": 2048}
    times = Counter(toy.encoded())
    assert {times[name] for name in kept} == {1}
    assert sorted(r["system_id"] for r in toy.rows()) == sorted(
        [s["system_id"] for s in many()] * 2
    )
    assert toy.record()["counts"] == {"sent": 3000, "ok": 3000, "failed": 0, "not_applicable": 0}
    assert [p.name for p in toy.out.iterdir() if p.name.startswith(".")] == [".lock"]


def test_a_terminated_run_keeps_what_it_has(toy: Toy) -> None:
    toy.write(many(40, 39), batch=5)
    encoded = toy.folder / "toy" / "encoded.txt"
    with toy.start() as process:
        wait_for(lambda: encoded.exists() and len(toy.encoded()) > 10)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        (toy.folder / "toy" / "go").touch()
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM
    last = json.loads(errors.splitlines()[-1])
    assert (
        last["message"]
        == "stopped by SIGTERM; finished shards are kept, and the same run continues from them"
    )
    assert {row["system_id"] for row in toy.rows()} == set(toy.encoded())
    toy.run()
    assert set(Counter(toy.encoded()).values()) == {1}
    assert toy.record()["counts"]["ok"] == 80


def test_a_signal_ends_a_worker_that_loads(toy: Toy) -> None:
    toy.write([said("a")], model_card(options={"slow": True}))
    with toy.start() as process:
        wait_for((toy.folder / "toy" / "loading").exists)
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert events(errors)[-1]["message"].startswith("stopped by SIGTERM; finished shards are kept")


def test_a_tied_worker_ends_with_its_standard_input(toy: Toy) -> None:
    toy.write(many(40, 39), batch=5)
    encoded = toy.folder / "toy" / "encoded.txt"
    with toy.start("--tied") as process:
        wait_for(lambda: encoded.exists() and len(toy.encoded()) > 10)
        assert process.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        time.sleep(0.2)
        (toy.folder / "toy" / "go").touch()
        assert process.wait(30) == 128 + signal.SIGTERM
    assert {row["system_id"] for row in toy.rows()} == set(toy.encoded())


def test_a_tied_worker_that_hangs_ends_too(toy: Toy) -> None:
    toy.write([said("wait")])
    with toy.start("--tied", sooner="signals.ORPHAN_SECONDS = 0.5") as process:
        assert (
            process.stderr is not None
            and "start" in process.stderr.readline() + process.stderr.readline()
        )
        time.sleep(0.5)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == -signal.SIGKILL


def test_a_second_worker_waits_for_the_first(toy: Toy) -> None:
    toy.write([said("a"), said("wait")], batch=1)
    encoded = toy.folder / "toy" / "encoded.txt"
    with toy.start() as first:
        wait_for(lambda: encoded.exists())
        message = toy.run(code=1, sooner="run.LOCK_SECONDS = 0.3")[-1]["message"]
        expected = f"another worker writes to {toy.out} and is still at work after 0 s; wait for it, or end it"
        assert message == expected
        with toy.start() as second:
            time.sleep(1)
            assert second.poll() is None
            (toy.folder / "toy" / "go").touch()
            assert first.communicate(timeout=30) and first.returncode == 0
            said_second = events(second.communicate(timeout=30)[1])
    assert second.returncode == 0
    assert said_second[0] == {"event": "start", "sent": 4, "done": 4}
    assert sorted(toy.encoded()) == ["a", "wait"]


def test_a_full_disk_ends_the_run_and_keeps_what_is_there(
    toy: Toy, small_disk: Path, fill: Callable[[Path, int], Path]
) -> None:
    toy.write(many(), batch=50)
    toy.out.symlink_to(small_disk)
    with toy.start() as process:
        wait_for(lambda: toy.shards())
        filler = fill(small_disk, 4096)
        (toy.folder / "toy" / "go").touch()
        errors = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    message = events(errors)[-1]["message"]
    assert re.search(
        rf"no space left .*No space left on device.* on the disk of {toy.out}, then repeat; ",
        message,
    )
    assert {path.name for path in small_disk.iterdir()} == {
        "shard-00000.parquet",
        "shards.json",
        "filler",
        ".lock",
    }
    kept = {row["system_id"] for row in toy.rows()}
    filler.unlink()
    assert toy.run()[0]["done"] == 2048
    assert toy.record()["counts"]["ok"] == 3000
    assert {Counter(toy.encoded())[name] for name in kept} == {1}


def test_a_full_disk_is_never_the_fault_of_a_system(toy: Toy) -> None:
    message = toy.write([said("a"), said("full")], batch=1).run(code=1)[-1]["message"]
    assert "on the disk of /scratch/neighbors, then repeat" in message
    assert [row["system_id"] for row in toy.rows()] == ["a", "a"]


def test_of_a_distribution_that_is_there_twice_the_one_that_is_imported_counts(toy: Toy) -> None:
    for folder, name, version in (("first", "two_of_it", "2.0"), ("second", "Two.of-it", "1.0")):
        about = toy.folder / folder / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    toy.write([]).run(path=f"{toy.folder / 'first'}:{toy.folder / 'second'}")
    found = {
        name: version
        for name, version in toy.record()["versions"].items()
        if name.lower().startswith("two")
    }
    assert found == {"two_of_it": "2.0"}


def test_a_device_goes_by_the_name_that_it_has_here(toy: Toy) -> None:
    toy.write([said("a")], device="cuda:GPU-1-2").run("--device", "cpu")
    assert toy.record()["device"] == "cuda:GPU-1-2"
    message = toy.run("--device", "cuda:99", code=1)[-1]["message"]
    assert message.startswith("device 'cuda:GPU-1-2' was asked for, but torch ")


@pytest.mark.skipif(
    torch.version.cuda is not None, reason="needs a build of torch for the CPU only"
)
def test_a_build_of_torch_without_cuda_says_so(toy: Toy) -> None:
    message = toy.write([], device="cuda").run(code=1)[-1]["message"]
    assert (
        f"'cuda' was asked for, but torch {torch.__version__} is a build for the CPU only; make the"
        in message
    )


def test_a_finished_run_has_nothing_left_to_do(toy: Toy) -> None:
    toy.write([atoms("a", [1])]).run()
    assert toy.run()[0] == {"event": "start", "sent": 2, "done": 2}
    assert toy.encoded() == ["a"]


def test_shards_of_another_run_are_refused(toy: Toy) -> None:
    toy.write([atoms("a", [1])]).run()
    events = toy.write([atoms("a", [1])], run_id="run-2").run(code=1)
    assert "is of run 'run-1', not 'run-2'" in events[-1]["message"]


def test_batches_make_no_difference(tmp_path: Path) -> None:
    found = []
    for batch in (1, 7, 1000):
        folder = tmp_path / str(batch)
        folder.mkdir()
        toy = Toy(folder).write([*many(60, 3), said("guilty")], batch=batch)
        (folder / "toy" / "go").touch()
        toy.run()
        found.append(sorted(toy.rows(), key=lambda r: (r["system_id"], r["representation"])))
    assert found[0] == found[1] == found[2]


def test_a_shard_holds_at_most_a_window(toy: Toy) -> None:
    toy.write([said(f"s{i}") for i in range(2 * WINDOW + 1)]).run()
    assert [pq.read_metadata(p).num_rows // 2 for p in toy.shards()] == [
        WINDOW,
        WINDOW,
        1,
    ]


def test_systems_survive_the_file(toy: Toy) -> None:
    toy.write(
        [
            atoms(
                "full",
                [1, 8],
                cell=np.eye(3).tolist(),
                pbc=[True, False, True],
                charge=-1,
                spin=2,
                smiles="O",
            ),
            {
                "system_id": "protein",
                "sequence": "AC",
                "backbone": np.arange(24.0).reshape(2, 4, 3).tolist(),
            },
        ]
    )
    full, protein = JobSystems(toy.folder / "job" / "systems.parquet", None)
    assert full.numbers.dtype == np.int64 and full.numbers.tolist() == [1, 8]
    assert full.positions.shape == (2, 3) and full.positions[1].tolist() == [1.0, 0.5, 0.25]
    assert full.cell.tolist() == np.eye(3).tolist() and full.pbc.tolist() == [True, False, True]
    assert (full.charge, full.spin, full.smiles, full.sequence, full.backbone) == (
        -1,
        2,
        "O",
        None,
        None,
    )
    assert protein.backbone.shape == (2, 4, 3) and protein.backbone[1, 0].tolist() == [
        12.0,
        13.0,
        14.0,
    ]
    assert protein.numbers is None and protein.cell is None and protein.sequence == "AC"


class Moody(Encoder):
    """Fails as the systems of a hypothesis example say."""

    def prepare(self, system: System) -> Any:
        if system.smiles == "P":
            raise ValueError("prepare")
        return system

    def size(self, item: Any) -> int:
        return int(item.charge)

    def encode(self, items: Sequence[Any], representations: Sequence[str]) -> dict[str, list[Any]]:
        if sum(item.charge for item in items) > self.model["options"]["memory"]:
            raise MemoryError
        for item in items:
            if item.smiles == "E":
                raise ValueError("encode")
            if item.smiles == "N":
                raise NotApplicable("no")
        vectors = [
            np.array([float(item.system_id), np.nan if item.smiles == "V" else 1]) for item in items
        ]
        return {name: vectors for name in representations} | {
            "energy": [float(item.system_id) for item in items]
        }


@pytest.fixture(scope="module")
def unstopped() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield Signals()
    for number, handler in before.items():
        signal.signal(number, handler)


moods = st.lists(st.tuples(st.sampled_from("OOOPENV"), st.integers(1, 9)), max_size=30)


@settings(deadline=None)  # it waits for the disk
@given(moods=moods, budget=st.integers(1, 40), memory=st.integers(1, 40))
def test_each_system_gets_its_own_outcome_whatever_shares_its_batch(
    moods: list[tuple[str, int]],
    budget: int,
    memory: int,
    unstopped: Signals,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    systems = [
        {"system_id": str(i), "smiles": mood, "charge": size}
        for i, (mood, size) in enumerate(moods)
    ]
    toy = Toy(tmp_path_factory.mktemp("moody"))
    toy.write(systems, model_card(options={"memory": memory}, energy=POTENTIAL), batch=budget)
    job = Job.read(toy.folder / "job")
    encoder = Moody(job.model, device="cpu", dtype="float32", untrained_seed=None)
    shards = Shards(toy.out, job, Counts(sent=2 * len(systems)))
    systems_sent = JobSystems(toy.folder / "job" / "systems.parquet", job.sent)
    Batcher(job, encoder, shards, Clock(), unstopped).run(systems_sent)
    assert shards.counts.done == shards.counts.sent
    expected = {
        str(i): "failed"
        if mood in "PV" or size > memory or mood == "E"
        else {"O": "ok", "N": "not_applicable"}[mood]
        for i, (mood, size) in enumerate(moods)
    }
    assert {name: status for name, (status, _) in toy.reasons().items()} == expected
    ok = [row for row in toy.rows() if row["status"] == "ok"]
    assert all(row["vector"][0] == row["energy"] == float(row["system_id"]) for row in ok)


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=20),
    st.randoms(),
)
def test_pooling_does_not_depend_on_the_order_of_nodes(
    nodes: list[list[float]], random: Any
) -> None:
    shuffled = random.sample(nodes, len(nodes))
    mean = np.mean(nodes, axis=0)
    if not mean.astype(np.float32).any():
        with pytest.raises(ValueError, match="all zeros"):
            to_vector(nodes, "node", 3)
        return
    for order in (nodes, shuffled):
        np.testing.assert_allclose(to_vector(order, "node", 3), mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 4), (2, 3, 1), ()])
def test_node_vectors_of_another_shape_are_failures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(n_nodes, 3\)"):
        to_vector(np.ones(shape), "node", 3)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), True),
        (RuntimeError("CUDA out of memory. Tried"), True),
        (RuntimeError("mat1 and mat2"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognized(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
