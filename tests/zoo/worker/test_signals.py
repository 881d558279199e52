"""A worker that is asked to end keeps what it has."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

from tests.zoo.worker.toy import (
    Toy,
    events,
    many,
    model_card,
    smiles_system,
    wait_for,
)


def test_a_terminated_run_keeps_what_it_has(toy: Toy) -> None:
    toy.write(many(40, 39), batch=5)
    encoded = toy.folder / "toy" / "encoded.txt"
    with toy.start(shorter="signals.ECHO_SECONDS = 60.0") as process:
        wait_for(lambda: encoded.exists() and len(toy.encoded()) > 10)
        for _ in range(3):  # as a cluster's scheduler does, and what Apptainer passes on
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
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


def test_a_second_signal_ends_a_worker_at_once(toy: Toy) -> None:
    toy.write([smiles_system("wait")])
    with toy.start(shorter="signals.ECHO_SECONDS = 0.1") as process:
        wait_for((toy.folder / "toy" / "waiting").exists)
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert process.returncode == -signal.SIGTERM


def test_a_signal_ends_a_worker_that_loads(toy: Toy) -> None:
    toy.write([smiles_system("a")], model_card(options={"slow": True}))
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
    toy.write([smiles_system("wait")])
    with toy.start("--tied", shorter="signals.ORPHAN_SECONDS = 0.5") as process:
        assert (
            process.stderr is not None
            and "start" in process.stderr.readline() + process.stderr.readline()
        )
        time.sleep(0.5)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == -signal.SIGKILL
