"""Weights must be what the card says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.zoo.worker.toy import FULL_PYTHON, Toy, model_card
from zoo.worker.loading import others_can_change


def test_weights_must_be_what_the_card_says(toy: Toy) -> None:
    path = Path(np.__file__).with_name("version.py")
    file = {"path": "numpy/version.py", "size": path.stat().st_size, "sha256": "0" * 64}
    toy.write([], model_card(weights={"source": "package", "files": [file]}))
    events = toy.run(code=1, python=FULL_PYTHON)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    expected = (
        f"weights {path}: expected {size} bytes with sha256 {'0' * 64}, found {size} bytes with "
        f"{found}"
    )
    assert events[-1]["message"] == expected
    pinned = [file | {"sha256": found, "size": None}]  # the hash alone fixes every byte
    toy.write([], model_card(weights={"source": "package", "files": pinned}))
    toy.run(python=FULL_PYTHON)
    assert toy.record()["weights"] == {"numpy/version.py": found}


@pytest.mark.parametrize(
    ("exposed", "options"),
    [(None, ()), (None, ("--shared",)), ("weights", ()), ("weights/net/model.pt", ())],
)
def test_weights_that_others_can_change_are_hashed_again(
    toy: Toy, exposed: str | None, options: tuple[str, ...]
) -> None:
    """The host has hashed them, but not what may have taken their place since, of the same size."""
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
    toy.write([], model_card(weights={"source": "package", "files": [file]}))
    events = toy.run(code=1, python=FULL_PYTHON)
    assert "no/such.pt are not there; install the environment" in events[-1]["message"]
