"""Every system is accounted for, whatever an encoder does."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zoo.worker.toy import (
    POTENTIAL,
    Toy,
    atoms,
    many,
    model_card,
    smiles_system,
)
from zoo.encoder import Encoder, NotApplicable, System
from zoo.worker.batching import Batcher, Clock
from zoo.worker.job import Job, JobSystems
from zoo.worker.shards import Counts, Shards
from zoo.worker.signals import Signals


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
    events = toy.write([smiles_system(w) for w in words]).run()
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
                "ConnectionRefusedError: a run has no network, but something tried to reach "
                "'192.0.2.1'",
            ),
        }
    )
    counts = {"sent": 22, "ok": 2, "failed": 16, "not_applicable": 4}
    assert events[-1] == {"event": "finish", "counts": counts}
    assert toy.record()["counts"] == counts


def test_energies_come_along_where_the_card_promises_them(toy: Toy) -> None:
    words = ["good", "undefined", "boundless", "zero", "guilty", "unsuitable"]
    events = toy.write([smiles_system(word) for word in words], model_card(energy=POTENTIAL)).run()
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
    toy.write([smiles_system("good"), smiles_system("undefined")]).run()
    assert {row["energy"] for row in toy.rows()} == {None}


def test_out_of_memory_halves_the_budget_and_fails_only_what_never_fits(toy: Toy) -> None:
    systems = [atoms(f"s{i}", [1] * 4) for i in range(20)] + [atoms("giant", [1] * 50)]
    events = toy.write(systems, model_card(options={"memory": 20})).run()
    failed = {name: why for name, why in toy.reasons().items() if why[0] != "ok"}
    assert failed == {"giant": ("failed", "MemoryError: no room")}
    budgets = [e["message"] for e in events if e["event"] == "warning"]
    assert budgets[0] == "out of memory; the batch budget is now 40"


@pytest.mark.parametrize(
    "word, said",
    [
        ("full", "on the disk of /scratch/neighbors, then repeat"),
        ("crowded", "the machine fails, and no system does: OSError: [Errno 24] Too many open"),
    ],
)
def test_what_the_machine_lacks_is_never_the_fault_of_a_system(
    word: str, said: str, toy: Toy
) -> None:
    systems = [smiles_system("a"), smiles_system(word)]
    message = toy.write(systems, batch=1).run(code=1)[-1]["message"]
    assert said in message
    assert [row["system_id"] for row in toy.rows()] == ["a", "a"]


def test_batches_make_no_difference(tmp_path: Path) -> None:
    found = []
    for batch in (1, 7, 1000):
        folder = tmp_path / str(batch)
        folder.mkdir()
        toy = Toy(folder).write([*many(60, 3), smiles_system("guilty")], batch=batch)
        (folder / "toy" / "go").touch()
        toy.run()
        found.append(sorted(toy.rows(), key=lambda r: (r["system_id"], r["representation"])))
    assert found[0] == found[1] == found[2]


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
