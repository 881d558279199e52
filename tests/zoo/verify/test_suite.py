"""The tests that every family can have find what its models do wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.zoo.worker.toy import PYTHON
from zoo.cards.scaffold import write_family
from zoo.places import ROOT


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """Write a family as `matterzoo new` does, with an environment that has what it needs."""
    python = tmp_path / "envs" / "toy" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    python.chmod(0o755)
    folder = write_family("toy", tmp_path / "families")
    (folder / "requirements.lock").write_text("")
    return folder


def run_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests that `matterzoo new` wrote."""
    home = folder.parents[1]
    environment = os.environ | {
        "MATTERZOO_ENVS": str(home / "envs"),
        "MATTERZOO_FAMILIES": str(folder.parent),
        "MATTERZOO_WEIGHTS": str(home / "weights"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_new_family_passes(family: Path) -> None:
    done = run_tests(family)
    assert "3 passed" in done.stdout, done.stdout
    assert "skipped" not in done.stdout


def test_a_model_that_depends_on_the_batch_fails(family: Path) -> None:
    encoder = family / "encoder.py"
    right = "count / count.sum() for count in counts"
    assert right in encoder.read_text()
    wrong = "count / len(items) for count in counts"
    encoder.write_text(encoder.read_text().replace(right, wrong))
    done = run_tests(family)
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert "batch, order and repeat" in done.stdout


def test_without_an_environment_they_are_skipped(family: Path) -> None:
    (family.parents[1] / "envs" / "toy" / "bin" / "python").unlink()
    done = run_tests(family)
    assert "3 skipped" in done.stdout, done.stdout
    assert "matterzoo env toy" in done.stdout
