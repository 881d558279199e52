"""A run is recorded, goes on after a kill, or ends with one message."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.zoo.worker.kills import SYSTEMS
from tests.zoo.worker.toy import (
    FULL_PYTHON,
    POTENTIAL,
    ROOT,
    Toy,
    atoms,
    events,
    many,
    model_card,
    smiles_system,
    wait_for,
)
from zoo.worker.sealed import stamp

# The files that a worker leaves of two representations.
FINISHED = {
    "vectors-00000.parquet",
    "vectors-00001.parquet",
    "outcomes.parquet",
    "run.json",
    ".lock",
}

FIVE = {"name": "first", "level": "system", "dimension": 5}


def test_events_and_record(toy: Toy) -> None:
    events = toy.write([atoms("a", [1, 8])]).run(python=FULL_PYTHON)
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
    assert set(record["seconds"]) == {"load", "survey", "prepare", "encode", "merge", "total"}
    assert record["versions"]["numpy"] == np.__version__
    assert 10**7 < record["peak_memory_bytes"] < 10**10
    assert record["started"] < record["finished"]
    assert record["device_name"]


@pytest.mark.parametrize(
    ("systems", "changes", "message"),
    [
        (
            [smiles_system("lost")],
            {},
            r"encode\(\) returned 0 vectors of 'first' for 1 systems: a fault of the family's "
            "encoder",
        ),
        (
            [smiles_system("silent")],
            {"model": model_card(energy=POTENTIAL)},
            r"encode\(\) returned energies of shape \(0,\) for 1 systems: a fault of the family's "
            "encoder",
        ),
        (
            [smiles_system("good"), smiles_system("uncounted")],
            {"model": model_card(energy=POTENTIAL)},
            r"encode\(\) returned energies of shape \(1,\) for 2 systems: a fault of the family's "
            "encoder",
        ),
        (
            [smiles_system("good"), smiles_system("better")],
            {"model": model_card(representation=[FIVE]), "representations": ["first"]},
            r"toy-1 gives vectors of 2 numbers in 'first', and its card says 5: correct `dime",
        ),
        ([], {"device": "cuda"}, r"device 'cuda' was asked for, but"),
        ([], {"device": "gpu"}, r"device 'gpu' is not one of cpu, cuda, cuda:0"),
        ([], {"job_version": 2}, r"job_version is 2, this worker reads 1"),
        (
            [],
            {"model": model_card(dtypes=["float32", "float64"]), "dtype": "bfloat16"},
            r"toy-1 computes in float32 or float64, not in 'bfloat16'; use --dtype float32",
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


def test_no_systems_is_a_finished_run(toy: Toy) -> None:
    toy.write([]).run()
    assert toy.record()["counts"] == {"sent": 0, "ok": 0, "failed": 0, "not_applicable": 0}
    assert toy.shards() == []


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


def test_a_second_worker_waits_for_the_first(toy: Toy) -> None:
    toy.write([smiles_system("a"), smiles_system("wait")], batch=1)
    encoded = toy.folder / "toy" / "encoded.txt"
    with toy.start() as first:
        wait_for(lambda: encoded.exists())
        message = toy.run(code=1, shorter="run.LOCK_SECONDS = 0.3")[-1]["message"]
        expected = (
            f"another worker writes to {toy.out} and is still at work after 0 s; wait for it, "
            "or end it"
        )
        assert message == expected
        with toy.start() as second:
            time.sleep(1)
            assert second.poll() is None
            (toy.folder / "toy" / "go").touch()
            assert first.communicate(timeout=30) and first.returncode == 0
            second_events = events(second.communicate(timeout=30)[1])
    assert second.returncode == 0
    assert second_events[0] == {"event": "start", "sent": 4, "done": 4}
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


def test_a_finished_run_has_nothing_left_to_do(toy: Toy) -> None:
    toy.write([atoms("a", [1])]).run()
    before = toy.record()
    events = toy.run()
    assert events[0] == {"event": "start", "sent": 2, "done": 2}
    assert events[-1] == {"event": "finish", "counts": before["counts"]}
    assert toy.encoded() == ["a"]
    assert toy.record() == before


def test_a_finished_run_is_not_taken_for_another(toy: Toy) -> None:
    toy.write([atoms("a", [1])]).run()
    events = toy.write([atoms("a", [1])], run_id="run-2").run(code=1)
    assert "run.json is of run 'run-1', not 'run-2'" in events[-1]["message"]


def test_a_finished_run_leaves_vectors_and_outcomes(toy: Toy) -> None:
    toy.write([smiles_system("guilty"), atoms("b", [1, 8]), atoms("a", [1])]).run()
    record = toy.record()
    assert {path.name for path in toy.out.iterdir()} == FINISHED
    assert record["outcomes"] == stamp(toy.out / "outcomes.parquet")
    assert [(e["file"], e["representation"], e["rows"]) for e in record["vectors"]] == [
        ("vectors-00000.parquet", "first", 2),
        ("vectors-00001.parquet", "second", 2),
    ]
    assert [(r["system_id"], r["status"], r["vector"]) for r in toy.rows()] == 2 * [
        ("a", "ok", [1.0, 0.75]),
        ("b", "ok", [1.0, 2.5]),
        ("guilty", "failed", None),
    ]


def test_a_worker_killed_at_any_change_of_a_file_loses_and_doubles_nothing(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.zoo.worker.kills", tmp_path], cwd=ROOT, check=True)
    toys = [Toy(folder) for folder in tmp_path.iterdir()]
    # three shards with their notes, vectors, outcomes, record; shards and notes removed
    assert len(toys) > 12
    for toy in toys:
        assert Counter((r["system_id"], r["representation"]) for r in toy.rows()) == {
            (s["system_id"], name): 1 for s in SYSTEMS for name in ("first", "second")
        }
        assert toy.record()["counts"] == {"sent": 18, "ok": 16, "failed": 2, "not_applicable": 0}
        assert {path.name for path in toy.out.iterdir()} == FINISHED
