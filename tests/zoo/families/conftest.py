"""Tests of a family's own numbers: a script beside them runs inside the family's environment, the test compares."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from zoo.card import ROOT, Family

ENVIRONMENTS = Path(os.environ.get("ZOO_ENVS") or ROOT.parent / ".envs")


@pytest.fixture(scope="session")
def run_inside() -> Callable[[Family, str, Mapping[str, Any]], dict[str, Any]]:
    """Run a script of this folder in the family's environment: JSON on standard input, JSON on its last line."""

    def run(family: Family, script: str, content: Mapping[str, Any]) -> dict[str, Any]:
        python = ENVIRONMENTS / family.name / "bin" / "python"
        if not python.exists():
            pytest.skip(f"needs the family's environment: make env FAMILY={family.name}")
        models = {m.id: m.for_worker() for m in family.models if m.bundled}  # others have no weights here
        given = {"folder": str(family.path), "models": models, **content}
        command = [str(python), str(Path(__file__).with_name(script))]
        environment = os.environ | {"PYTHONPATH": str(ROOT.parent), "HF_HUB_OFFLINE": "1"}
        options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
        done = subprocess.run(command, input=json.dumps(given), check=False, **options)
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    return run
