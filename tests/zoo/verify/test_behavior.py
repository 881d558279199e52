"""`matterzoo check MODEL`: an encoder that misbehaves is found out, in each way that it may."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.zoo.worker.toy import PYTHON
from zoo.cards.discovery import find_model
from zoo.cards.family import Selection
from zoo.cards.scaffold import write_family
from zoo.files import file_lock
from zoo.verify.behavior import examine
from zoo.verify.dummy_weights import write_dummy_checkpoint
from zoo.verify.errors import VerificationError
from zoo.verify.golden import write_golden
from zoo.verify.records import is_current, read_records, write_record

MODELS = """
[[model]]
id = "toy"
title = "Toy"
input = "structure"
elements = "H-Zn"
default_representation = "sums"
license_weights = { name = "MIT", no_url_because = "made up", commercial = true }
compute = { parameters = 12, scales_with = "atoms", batch = 1000 }
tolerance = { batch = 1e-6, rotation = 1e-5 }
provenance = { architecture = "sums", training_sets = [], citation = "none" }

[model.weights]
source = "url"
format = "pickle"
files = [
    { path = "weights.json", url = "https://example.org/weights.json", twin = false },
    { path = "names/vocabulary.json", url = "https://example.org/vocabulary.json" },
]

[[model.representation]]
name = "sums"
layer = "two random numbers an element"
level = "node"
pooling = "mean"
channels = "invariant"
dimension = 40
"""
ENCODER = '''
import json
import numpy as np
from zoo.encoder import Encoder

class FamilyEncoder(Encoder):
    """Rows an atom: its element's numbers, and the distance to the atoms' center."""

    def __init__(self, model, **options):
        super().__init__(model, **options)
        assert json.loads((self.weights / "names" / "vocabulary.json").read_text()) == ["H", "He"]
        if self.untrained_seed is None:
            self.table = np.array(json.loads((self.weights / "weights.json").read_text()))
        else:
            self.table = np.random.default_rng(self.untrained_seed).normal(size=(30, 2))

    def prepare(self, system):
        return system

    def encode(self, items, representations):
        found = []
        for system in items:
            center = system.positions - system.positions.mean(0)
            distance = np.linalg.norm(center, axis=1, keepdims=True)
            found.append(np.hstack([self.table[system.numbers - 1], distance]))
        return {"sums": found}
'''
DUMMY = """
import json
import numpy as np

def write(folder, model, seed):
    (folder / "names").mkdir()
    (folder / "names" / "vocabulary.json").write_text('["H", "He"]')
    table = np.random.default_rng(seed + 7).normal(size=(30, 2))
    (folder / "weights.json").write_text(json.dumps(table.tolist()))
    return {"sums": 3}

def reference(folder, model, system):
    table = json.loads((folder / "weights.json").read_text())
    center = system.positions - system.positions.mean(0)
    rows = [[*table[z - 1], np.sqrt((x**2).sum())] for z, x in zip(system.numbers, center)]
    return {"sums": np.mean(rows, axis=0)}
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a family with one model, of which only a dummy checkpoint can be had."""
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path))
    monkeypatch.setenv("MATTERZOO_WEIGHTS", str(tmp_path / "weights"))
    folder = write_family("toys", tmp_path)
    for name, text in (
        ("models.toml", MODELS),
        ("encoder.py", ENCODER),
        ("dummy_checkpoint.py", DUMMY),
    ):
        (folder / name).write_text(text)
    (folder / "requirements.lock").write_text("")
    return folder


def selection(model_id: str = "toy") -> Selection:
    return find_model(model_id)


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_model_that_behaves(toy: Path) -> None:
    found = examine(selection(), PYTHON)
    assert found.faults == []
    assert found.passed == [
        "finite, of the stated dimension",
        "batch, order and repeat",
        "rotation and translation",
        "the package's own result",
        "untrained twin",
    ]
    assert (found.real, found.systems, found.model) == (
        False,
        12,
        selection().model,
    )  # six systems, each twice
    assert found.record()["weights"] == "dummy"
    assert set(found.record()) > {
        "date",
        "device",
        "systems",
        "passed",
        "lock_hash",
        "encoder_hash",
        "card_hash",
    }


TABLE_AND_DISTANCE = "self.table[system.numbers - 1], distance"
LENGTH = "np.linalg.norm(center, axis=1, keepdims=True)"


@pytest.mark.parametrize(
    ("spoiled", "faults"),
    [
        (
            {
                f"{TABLE_AND_DISTANCE}]": f"{TABLE_AND_DISTANCE} + len(items) / 100]",
                LENGTH: "system.positions[:, :1]",
            },
            {
                "batch, order and repeat": "golden/.* differs by .* of its norm, 1e-06 is allowed",
                "rotation and translation": "golden/.* differs by .* of its norm, 1e-05 is allowed",
                "the package's own result": "golden/.* differs by",
            },
        ),
        (
            {
                LENGTH: f"2 * {LENGTH}",
                "np.random.default_rng(self.untrained_seed)": "np.random.default_rng(7)",
            },
            {
                "the package's own result": "golden/.* differs by",
                "untrained twin": "golden/.* is that of the trained model",
            },
        ),
    ],
    ids=["depends on what it should not", "is not the package's"],
)
def test_a_model_that_does_not(toy: Path, spoiled: dict[str, str], faults: dict[str, str]) -> None:
    for old, new in spoiled.items():
        spoil(toy / "encoder.py", old, new)
    found = examine(selection(), PYTHON)
    assert {fault.split(": ")[0] for fault in found.faults} == faults.keys()
    assert not faults.keys() & set(found.passed)
    for check, fault in faults.items():
        with pytest.raises(AssertionError, match=f"{check}: {fault}"):
            raise AssertionError("\n".join(found.faults))


def energetic(toy: Path, ours: str, theirs: str) -> list[str]:
    """Make the toy a potential: its energy and its package's. The faults that are found."""
    table = '[model.energy]\nreference = "made up for this"\n\n[[model.representation]]'
    spoil(toy / "models.toml", "[[model.representation]]", table)
    spoil(
        toy / "encoder.py",
        'return {"sums": found}',
        f'return {{"sums": found, "energy": [{ours} for s in items]}}',
    )
    spoil(
        toy / "dummy_checkpoint.py",
        "np.mean(rows, axis=0)}",
        f'np.mean(rows, axis=0), "energy": {theirs}}}',
    )
    found = examine(selection(), PYTHON)
    assert ("energy" in found.passed, "the package's own energy" in found.passed) == (
        not any(fault.startswith("energy: ") for fault in found.faults),
        not any(fault.startswith("the package's own energy: ") for fault in found.faults),
    )
    return found.faults


def test_a_potential_that_behaves(toy: Path) -> None:
    assert energetic(toy, "s.numbers.sum() + 1e-7 * len(items)", "sum(system.numbers)") == []


@pytest.mark.parametrize(
    ("ours", "theirs", "faults"),
    [
        (
            "np.nan if len(s.numbers) == 9 else s.positions[0, 0]",
            "1.0",
            [
                "energy: golden/CCO has none that is finite",
                "energy: golden/.*~rotated differs by .* of its .* eV, 1e-05 is allowed",
            ],
        ),
        (
            "len(s.numbers) * (2 * (len(s.numbers) == 9) + len(items) / 1e5)",
            "1.0",
            [
                "energy: golden/CCO differs by .* of its 18.* eV, 1e-06 is",
                "energy: golden/.* differs by .* of its [3-8] eV, 1e-06 is allowed",
            ],
        ),
        (
            "s.numbers.sum()",
            "1.001 * sum(system.numbers)",
            ["the package's own energy: golden/CCO differs by 0.001"],
        ),
    ],
    ids=["without one, or turned", "in another batch", "the package's"],
)
def test_a_potential_that_does_not(toy: Path, ours: str, theirs: str, faults: list[str]) -> None:
    found = "\n".join(energetic(toy, ours, theirs))
    for fault in faults:
        with pytest.raises(AssertionError, match=fault):
            raise AssertionError(found)


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        (
            "dummy_checkpoint.py",
            '"sums": 3',
            '"sums": 4',
            "toy gives vectors of 3 numbers in 'sums', and its card says 4",
        ),
        (
            "dummy_checkpoint.py",
            '"sums": 3',
            '"others": 3',
            r"has the representations \['others'\], expected \['sums'\]",
        ),
        (
            "dummy_checkpoint.py",
            '"weights.json").write',
            '"weight.json").write',
            "the dummy checkpoint has no file weights.json",
        ),
        (
            "dummy_checkpoint.py",
            "(folder /",
            "1 / 0\n    (folder /",
            r"(?s)dummy_checkpoint.py, write of toy, failed:.*ZeroDivision",
        ),
        ("encoder.py", "self.table[system", "np.nan * self.table[system", "numbers are not finite"),
        (
            "encoder.py",
            "if self.untrained_seed is None:",
            "if True:",
            "toy could not be loaded: FileNotFoundError",
        ),
    ],
)
def test_a_family_that_cannot_be_checked(
    toy: Path, file: str, old: str, new: str, fault: str
) -> None:
    spoil(toy / file, old, new)
    with pytest.raises(VerificationError, match=fault):
        examine(selection(), PYTHON)


def test_one_system_tells_nothing(toy: Path) -> None:
    spoil(toy / "models.toml", 'elements = "H-Zn"', 'elements = "H, He"')
    assert examine(selection(), PYTHON).faults == [
        "takes 0 of 19 small systems; at least 2 are needed"
    ]


def published(toy: Path, tmp_path: Path) -> None:
    """Put weights where they lie once downloaded, and pin them."""
    small = examine_dummy(tmp_path / "made")
    folder = tmp_path / "weights" / "toys" / "toy"
    folder.parent.mkdir(parents=True)
    (tmp_path / "made").rename(folder)
    pins = {str(f.url): {"sha256": f.sha256, "size": f.size} for f in small.model.weights.files}
    (toy / "weights.lock").write_text(json.dumps(pins))
    spoil(toy / "models.toml", "dimension = 40", "dimension = 3")


def examine_dummy(folder: Path) -> Selection:
    folder.mkdir()
    chosen = selection()
    return chosen.model_copy(
        update={"model": write_dummy_checkpoint(chosen.family, chosen.model, PYTHON, folder)}
    )


def test_published_weights_are_taken_where_they_are_downloaded(toy: Path, tmp_path: Path) -> None:
    published(toy, tmp_path)
    write_golden(selection().family, PYTHON)
    found = examine(selection(), PYTHON)
    assert (found.real, found.faults) == (True, [])
    assert found.passed[-1] == "golden vectors"
    assert not examine(selection(), PYTHON, dummy=True).real
    changed = "1.01 * self.table[system"
    unsteady = "np.random.default_rng().normal(1, 0.1) * self.table[system"
    itself = r"golden vectors: toy sums .*; computed again it differs from itself by {}"
    spoil(toy / "encoder.py", "self.table[system", changed)
    faults = examine(selection(), PYTHON).faults
    assert any(re.fullmatch(itself.format("0"), fault) for fault in faults)
    spoil(toy / "encoder.py", changed, unsteady)
    faults = examine(selection(), PYTHON).faults
    assert any(re.fullmatch(itself.format(r"0?\.?\d*[1-9]\d*"), fault) for fault in faults)


def test_a_record_holds_for_what_was_checked(toy: Path, tmp_path: Path) -> None:
    published(toy, tmp_path)
    found = examine(selection(), PYTHON)
    assert write_record(selection(), found.record()) == toy / "checked.lock"
    record = read_records(selection().family)["toy"]
    assert (record["weights"], record["device"], record["passed"]) == ("real", "cpu", found.passed)
    assert is_current(selection(), record)
    written = (toy / "checked.lock").read_bytes()
    write_record(selection(), found.record() | {"date": "2099-01-01"})
    assert (toy / "checked.lock").read_bytes() == written  # the same was found: nothing to commit
    spoil(toy / "models.toml", 'elements = "H-Zn"', 'elements = "H-Cu"')
    assert not is_current(selection(), record)


def test_a_twin_is_checked_by_itself_with_its_own_files(toy: Path, tmp_path: Path) -> None:
    published(toy, tmp_path)
    (tmp_path / "weights" / "toys" / "toy" / "weights.json").unlink()
    found = examine(selection("toy@untrained"), PYTHON)
    assert (found.real, found.faults) == (True, [])
    with ThreadPoolExecutor(1) as pool:
        with file_lock(toy):  # as another process does, which writes a record
            late = pool.submit(write_record, selection("toy@untrained"), found.record())
            time.sleep(0.1)
            (toy / "checked.lock").write_text(json.dumps({"toy": found.record()}))
        late.result()
    assert list(read_records(selection().family)) == ["toy", "toy@untrained"]
