"""A worker without a job on its command line takes jobs from standard input."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo.worker.toy import Toy, atoms, events, many, model_card, smiles_system, wait_for
from zoo.worker.events import LOG_FILE, Assignment

paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
    Path
)
Start = Callable[[Toy], "Serving"]


class Serving:
    """A worker that waits for jobs of one toy family."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, toy: Toy) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(Assignment(toy.folder / "job", toy.out).to_line().decode())
        self.process.stdin.flush()

    def finish(self, toy: Toy) -> dict[str, Any]:
        """Have a job done; return its last event."""
        toy.out.mkdir(exist_ok=True)
        self.send(toy)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = events(line)
            if found and found[0]["event"] in ("finish", "error"):
                return found[0]
        return {}


@pytest.fixture
def serve() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(toy: Toy) -> Serving:
        started.append(toy.start(jobs=False))
        return Serving(started[-1])

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def second(tmp_path: Path) -> Toy:
    """Another job of the same family."""
    (tmp_path / "second").mkdir()
    return Toy(tmp_path / "second")


@given(job=paths, out=paths, weights=st.none() | paths, shared=st.booleans())
def test_an_assignment_survives_its_line(
    job: Path, out: Path, weights: Path | None, shared: bool
) -> None:
    assignment = Assignment(job, out, weights, shared)
    line = assignment.to_line()
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert Assignment.parse(line) == assignment


def test_jobs_are_done_one_after_another_and_the_family_is_imported_once(
    toy: Toy, second: Toy, serve: Start
) -> None:
    toy.write([atoms("a", [1, 8])], run_id="run-1")
    second.write([atoms("b", [1]), atoms("c", [6])], run_id="run-2")
    family = toy.folder / "toy" / "encoder.py"
    family.write_text(family.read_text() + "\nprint('imported')\n")
    worker = serve(toy)
    assert worker.finish(toy)["counts"]["ok"] == 2
    assert worker.finish(second)["counts"]["ok"] == 4
    assert [toy.record()["run_id"], second.record()["run_id"]] == ["run-1", "run-2"]
    assert {row["system_id"] for row in second.rows()} == {"b", "c"}
    logs = [(one.out / LOG_FILE).read_text() for one in (toy, second)]
    assert logs == ["imported\n", ""]


def test_each_job_gives_what_it_gives_alone(toy: Toy, second: Toy, serve: Start) -> None:
    systems = [atoms(f"s{i}", [1 + i % 9] * (1 + i % 4)) for i in range(30)]
    toy.write([smiles_system("zero")])
    second.write(systems)
    worker = serve(toy)
    worker.finish(toy)
    worker.finish(second)
    together = second.rows()
    for shard in [*second.shards(), second.out / "run.json"]:
        shard.unlink()
    second.run()
    assert second.rows() == together


def test_a_job_that_fails_ends_the_worker_with_its_reason(
    toy: Toy, second: Toy, serve: Start
) -> None:
    toy.write([atoms("a", [1])])
    second.write([], model_card(options={"broken": True}))
    worker = serve(toy)
    assert worker.finish(toy)["event"] == "finish"
    assert worker.finish(second)["message"].endswith(
        "could not be loaded: OSError: no such weights"
    )
    assert worker.process.wait(30) == 1


def test_standard_input_that_ends_during_a_job_ends_it_and_keeps_what_is_done(
    toy: Toy, second: Toy, serve: Start
) -> None:
    toy.write([atoms("a", [1])])
    second.write(many(40, 39), batch=5)
    second.out.mkdir()
    worker = serve(toy)
    worker.finish(toy)
    worker.send(second)
    encoded = toy.folder / "toy" / "encoded.txt"
    wait_for(lambda: len(encoded.read_text().splitlines()) > 11)
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    time.sleep(0.2)
    (toy.folder / "toy" / "go").touch()
    assert worker.process.wait(30) == 128 + signal.SIGTERM
    done = encoded.read_text().splitlines()[1:]
    assert {row["system_id"] for row in second.rows()} == set(done)


def test_a_worker_that_waits_ends_with_its_standard_input(toy: Toy, serve: Start) -> None:
    toy.write([atoms("a", [1])])
    worker = serve(toy)
    worker.finish(toy)
    time.sleep(1)  # it reports that a job is done, and then tidies up
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(30) == 0


def test_a_signal_ends_a_worker_that_waits_for_a_job(toy: Toy, serve: Start) -> None:
    toy.write([atoms("a", [1])])
    worker = serve(toy)
    worker.finish(toy)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) == 128 + signal.SIGTERM


@pytest.fixture
def hungry(toy: Toy, second: Toy) -> Toy:
    """Both jobs, of which the first has a model that holds 400 MB, in a circle of references."""
    family = "\nclass FamilyEncoder(FamilyEncoder):\n    def __init__(self, model, **rest):\n"
    family += "        super().__init__(model, **rest)\n        self.itself = self\n"
    family += "        self.held = [bytearray(2**16) for _ in range(model['options']['pieces'])]\n"
    toy.write([atoms("a", [1])], model_card(options={"pieces": 6400}))
    second.write([atoms("b", [1])], model_card(options={"pieces": 1}))
    file = toy.folder / "toy" / "encoder.py"
    file.write_text(file.read_text() + family)
    return toy


def test_memory_is_given_back_between_models(hungry: Toy, serve: Start) -> None:
    worker = serve(hungry)
    status = Path(f"/proc/{worker.process.pid}/status")

    def held() -> float:
        """The resident memory in MB."""
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    worker.finish(hungry)
    peak = hungry.record()["peak_memory_bytes"] / 2**20
    wait_for(lambda: held() < peak - 350)


def test_the_peak_of_a_job_is_its_own(hungry: Toy, second: Toy, serve: Start) -> None:
    worker = serve(hungry)
    worker.finish(hungry)
    worker.finish(second)
    peaks = [one.record()["peak_memory_bytes"] for one in (hungry, second)]
    assert peaks[0] - peaks[1] > 350 * 2**20
