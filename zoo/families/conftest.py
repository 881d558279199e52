"""Fixtures of the tests of all families; the tests lie in each family's folder `tests/`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conftest import ctrl_c_reaches_what_tests_start, one_thread
from zoo.cards.family import Family
from zoo.places import ROOT, environments
from zoo.verify.suite import FamilySuite

SHARED = ROOT / "tests" / "zoo" / "families"  # modules that scripts of several families import

__all__ = ["ctrl_c_reaches_what_tests_start", "one_thread", "run_inside"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-families` runs: what a family inherits, and its scripts."""
    for item in items:
        if isinstance(item, pytest.Function):
            if issubclass(item.cls or object, FamilySuite):
                item.add_marker("family")
            elif "run_inside" in item.fixturenames:
                item.add_marker("environment")


@pytest.fixture(scope="session")
def run_inside() -> Callable[[Family, str, Mapping[str, Any]], dict[str, Any]]:
    """Run a script of the family's folder `tests/` in the family's environment.

    It reads JSON from standard input and prints JSON on its last line.
    """

    def run(family: Family, script: str, content: Mapping[str, Any]) -> dict[str, Any]:
        python = environments() / family.name / "bin" / "python"
        if not python.exists():
            pytest.skip(f"needs the family's environment: matterzoo env {family.name}")
        # Models that are not bundled have no weights here.
        models = {m.id: m.for_worker() for m in family.models if m.bundled}
        given = {"folder": str(family.path), "models": models, **content}
        command = [str(python), str(family.path / "tests" / script)]
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{SHARED}",
            "HF_HUB_OFFLINE": "1",
        }
        options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
        done = subprocess.run(command, input=json.dumps(given), check=False, **options)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    return run
