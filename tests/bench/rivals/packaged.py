"""Rivals from PyPI of which the pins do not fit ours, in `.envs/bench-rivals`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.runtimes import environment
from zoo.places import environments

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
NAME = "bench-rivals"


@dataclass(frozen=True)
class Timed:
    """One pair of models, by one package."""

    seconds: float
    values: list[float]
    version: str


def time_pair(rival: str, a: NDArray[np.float32], b: NDArray[np.float32]) -> Timed:
    """Return the time of one pair of models.

    rival: 'dcor' (biased distance correlation) or 'dadapy' (information imbalance in both
    directions, with all ranks).
    """
    python = build()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("a.npy", "b.npy")]
        for path, table in zip(paths, (a, b), strict=True):
            np.save(path, table)
        command = [str(python), "-P", str(HERE / "timed.py"), rival, *map(str, paths)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Timed(**json.loads(done.stdout))


def build() -> Path:
    """Return the environment's python.

    It is built, whole or not at all, if it is missing or was built from another lock.
    """
    target = environments() / NAME
    python, marker = target / "bin" / "python", target / "requirements.lock"
    if marker.exists() and marker.read_bytes() == LOCK.read_bytes():
        return python
    print(f"building {target} (about 1 GB, once)", file=sys.stderr)
    partial = environments() / f".{NAME}.partial"
    for old in (partial, target):
        shutil.rmtree(old, ignore_errors=True)
    _uv(
        "venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable, str(partial)
    )
    install = ["pip", "install", "--quiet", "--python", str(partial / "bin" / "python")]
    _uv(*install, "--no-deps", "--require-hashes", "-r", str(LOCK))
    shutil.copy(LOCK, partial / LOCK.name)
    partial.rename(target)
    return python


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", *arguments]
    subprocess.run(command, env=environment.uv_variables(), check=True)
