"""Runs a toy job again and again, each time killing the worker at a later change of a file.

    python -m tests.zoo.worker.kills FOLDER

For each n it makes FOLDER/n, kills the worker there before its n-th rename or removal of a file,
and starts it once more. It ends with the first n that is more than the worker has changes. Workers
are forks of this process, which has imported everything: else most of the time would be imports.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from tests.zoo.worker.toy import Toy, atoms, smiles_system
from zoo.worker import batching, run
from zoo.worker.__main__ import main
from zoo.worker.device import package_versions

SYSTEMS = [*(atoms(f"s{i}", [1] * (1 + i % 3)) for i in range(8)), smiles_system("guilty")]


def start(toy: Toy, kill_at: int | None = None) -> int:
    """Start a worker; return what it ended with: its exit code, or -9."""
    child = os.fork()
    if not child:
        numbers = itertools.count()

        def kill(event: str, arguments: object) -> None:
            if event in ("os.rename", "os.remove") and next(numbers) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        batching.WINDOW = 4
        folders = [str(toy.folder / "job"), str(toy.out), "--family", str(toy.folder / "toy")]
        os._exit(main(folders))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    run.LOCK_SECONDS = 5.0
    package_versions()  # which is remembered
    for n in itertools.count():
        folder = Path(sys.argv[1], str(n))
        folder.mkdir()
        toy = Toy(folder).write(SYSTEMS)
        ended = start(toy, kill_at=n)
        assert start(toy) == 0, f"no start after kill {n}"
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, f"kill {n}: {ended}"
