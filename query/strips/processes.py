"""Find a matrix with several processes of this machine, of which this one is the first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from query.strips.loading import load_strips
from query.strips.working import work_on_strips


def find_here(store: str | Path, key: str, processes: int = 1) -> int:
    """Find all strips and keep the matrix.

    A process that dies leaves its strips to the others, and this one finds what is left.

    Args:
        store: The path of the store.
        key: The question's key.
        processes: How many processes share the threads of this one.

    Returns:
        The number of rows of the matrix.

    Raises:
        StripsError: The vectors have changed meanwhile.
    """
    usual = torch.get_num_threads()
    threads = max(1, usual // processes)
    words = [sys.executable, "-m", "matterzoo", "matrix-work", key, "--store", str(store)]
    words += ["--tasks", str(processes), "--threads", str(threads), "--tied"]
    others = [  # which end with this one, however it ends
        subprocess.Popen([*words, "--task", str(task)], stdin=subprocess.PIPE)
        for task in range(1, processes)
    ]
    try:
        work_on_strips(store, key, 0, processes, threads)
        for other in others:
            other.wait()
    finally:
        for other in others:
            with other:  # which closes its standard input, and waits
                if other.poll() is None:
                    other.terminate()
        torch.set_num_threads(usual)
    return load_strips(store, key)
