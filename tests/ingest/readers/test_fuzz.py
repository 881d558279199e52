"""Mutated files of every format, in a process of their own, as a file may end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILES = 1300  # about 5 s of one core; more: python -m tests.ingest.readers.fuzz


def test_no_mutated_file_is_a_traceback_or_takes_too_much(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.ingest.readers.fuzz",
        "--files",
        str(FILES),
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, (
        done.stdout[-3000:] + done.stderr[-3000:] + str(list(tmp_path.iterdir()))
    )
    assert f"{FILES} files: " in done.stdout
