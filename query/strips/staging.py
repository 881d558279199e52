"""Copy vectors to a disk of the node's own, once for all processes on it.

Each process reads every model's vectors two or three times, and a shared file system has them go
through the network each time. Copies are removed by the last process that uses them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from schemas.vectors import VectorFile
from zoo.command_line import print_now
from zoo.files import LockHeldError, file_lock, is_disk_full, write_atomically

VARIABLES = ("MATTERZOO_SCRATCH", "SLURM_TMPDIR")


@contextmanager
def staged(files: Sequence[VectorFile], key: str) -> Iterator[Path | None]:
    """Have copies of files of vectors in this node's scratch folder.

    Args:
        files: The files; those in an object store are left there.
        key: What tells a question and its vectors, so that copies are never of others.

    Yields:
        The folder in which the files are as below the folder of vectors; None if no scratch folder
        is named, or it has no room: then they are read where they are.
    """
    scratch = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)
    if scratch is None or not Path(scratch).is_dir():
        yield None
        return
    folder = Path(scratch) / f"matterzoo-{os.getuid()}-{key}"
    try:
        with ExitStack() as stack:
            while not _is_used(folder, stack):
                stack.close()
            yield folder if _copy(files, folder) else None
    finally:
        with suppress(LockHeldError, OSError), file_lock(folder / ".used", wait=0):
            shutil.rmtree(folder)


def _is_used(folder: Path, stack: ExitStack) -> bool:
    """Use a folder, and return whether it is not the one that its last process has removed."""
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = stack.enter_context(file_lock(folder / ".used", shared=True))
        return os.path.samestat(os.fstat(descriptor), (folder / ".used").stat())
    except FileNotFoundError:
        return False


def _copy(files: Sequence[VectorFile], folder: Path) -> bool:
    """Copy what is not copied yet; return whether all files are there."""
    try:
        with file_lock(folder / ".copying"):
            for file in files:
                target = folder / file.file
                if file.is_local and not (target.exists() and target.stat().st_size == file.bytes):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    copy = partial(shutil.copyfile, file.path)
                    write_atomically(target, copy, durable=False)
    except OSError as error:
        if not is_disk_full(error):
            raise
        print_now(f"{folder} has no room for the vectors: they are read where they are")
        return False
    return True
