"""Programs that run with the Python of a family's local environment."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from zoo.cards.family import Family
from zoo.places import worker_imports
from zoo.variables import worker_variables
from zoo.verify.errors import VerificationError

# Runs the worker of a family on a job's folder until it has written its output folder.
Start = Callable[[Family, Path, Path], object]


def environment_variables() -> dict[str, str]:
    """Return the environment variables of a process in a family's environment."""
    return worker_variables() | {"PYTHONPATH": str(worker_imports()), "HF_HUB_OFFLINE": "1"}


def worker_start(python: Path, weights: Path | None = None) -> Start:
    """Return what starts a worker with a Python of this machine.

    Args:
        python: The Python of the family's environment.
        weights: The folder of the model's weights; None if it has no files of its own.

    Raises:
        VerificationError: What is returned raises it if the worker fails.
    """

    def start(family: Family, job: Path, out: Path) -> None:
        command = [str(python), "-P", "-m", "zoo.worker", str(job), str(out)]
        command += ["--family", str(family.path.resolve())]
        command += [] if weights is None else ["--weights", str(weights)]
        # Packages such as torch_geometric leave files where temporary ones are.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            done = subprocess.run(
                command,
                cwd=job,
                env=environment_variables() | {"TMPDIR": temporary},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise VerificationError(f"the worker failed:\n{done.stderr}")

    return start
