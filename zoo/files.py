"""Files that appear whole or not at all, and locks between processes.

The project's only atomic write and file lock; of the standard library alone, for the worker, too.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import MatterzooError

FOREVER = float("inf")  # seconds to wait for a lock, unless the caller sets a limit
OLD_SECONDS = 24 * 3600.0
POLL_SECONDS = 0.05  # between two tries of a lock that is waited for with a limit
# `.NAME.PID-NUMBER-HOST.tmp` beside NAME, once without HOST: a file or folder that is not finished.
LEFTOVER = re.compile(r"\..+\.(?P<pid>\d+)(-\d+)?(-(?P<host>\w[\w-]*))?\.tmp")
_HOST = re.sub(r"\W", "_", socket.gethostname())
_numbers = itertools.count()  # threads of one process write the same file, each under its own name


class LockHeldError(MatterzooError):
    """Another process, which `holder` names in words, holds the lock of `path`."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is locked by {holder}; wait until it is done, or end it")
        self.path, self.holder = path, holder


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error means that a disk, or the user's quota of it, is full.

    Args:
        error: Any exception.
    """
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def fsync(path: Path) -> None:
    """Return once the content of a file, or the entries of a folder, would survive a power loss.

    Args:
        path: An existing file or folder.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(
    path: Path, content: str | bytes | Callable[[Path], object], *, durable: bool = True
) -> None:
    """Write a file whole or not at all; one of that name is replaced.

    The content goes to a temporary file beside `path`, which is renamed once it is on the disk. A
    process that is killed leaves the temporary file; see `remove_leftovers`.

    Args:
        path: The file. Its folder must exist.
        content: Text (written as UTF-8), bytes, or a function that writes to the path it is given.
        durable: Whether the file must also survive a power loss. False suits caches.

    Raises:
        OSError: The folder cannot be written or the disk is full. The old file stays.
    """
    temporary = _temporary_name(path)
    try:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        if durable:
            fsync(temporary)
        temporary.replace(path)
        if durable:
            fsync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def rename_durably(source: Path, target: Path) -> None:
    """Give a finished file its name, so that a power loss leaves the old file or the new one.

    Args:
        source: A finished file, or a folder whose files have been synced.
        target: The new path, in the same file system. A file of that name is replaced.

    Raises:
        OSError: The rename fails; `target` stays as it was.
    """
    fsync(source)
    source.replace(target)
    fsync(target.parent)


def move_unless_exists(source: Path, target: Path) -> bool:
    """Give a finished file a name that another process may take meanwhile.

    Args:
        source: A finished file.
        target: The new path, in the same file system.

    Returns:
        False if there is a file of that name already; then both stay. Where there are no hard
        links, that is not noticed, and the file is replaced.
    """
    fsync(source)
    try:
        os.link(source, target)
        source.unlink()
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        source.rename(target)
    fsync(target.parent)
    return True


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """Write a folder whole or not at all; one of that name is replaced.

    What killed processes have left of the same folder is removed first. The block calls `fsync` for
    files that must survive a power loss, since a folder may have thousands that need not.

    Args:
        folder: The folder. The folder above it is made where it is missing.

    Yields:
        A new empty folder to fill. It becomes `folder` if the block ends without an error.

    Raises:
        OSError: The folder cannot be written or the disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.name)
    temporary = _temporary_name(folder)
    temporary.mkdir()
    try:
        with file_lock(temporary / ".lock"):
            new = temporary / "new"
            new.mkdir()
            yield new
            fsync(new)
            if folder.exists():
                folder.rename(temporary / "old")
            new.rename(folder)
            fsync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed processes have left half written in a folder.

    A file is left over if the process that its name names has ended, or after a day if that is
    another host's; a folder is if its lock is free.

    Args:
        folder: Where files or folders are written atomically.
        name: The file or folder that was to be written; by default any.

    Raises:
        OSError: A leftover cannot be removed.
    """
    for path in folder.glob(f".{name}.*.tmp"):
        if not (found := LEFTOVER.fullmatch(path.name)):
            continue
        lock = path / ".lock"
        if lock.exists():
            with suppress(LockHeldError, FileNotFoundError), file_lock(lock, wait=0):
                shutil.rmtree(path)
        elif not path.is_dir() and not _is_written(path, int(found["pid"]), found["host"]):
            path.unlink(missing_ok=True)


@contextmanager
def file_lock(
    path: Path,
    *,
    shared: bool = False,
    wait: float = FOREVER,
    on_wait: Callable[[str], object] = lambda holder: None,
) -> Iterator[int]:
    """Hold a lock between processes. It ends with the block or the process, however that ends.

    The file stays: to remove it would give two processes the lock.

    Args:
        path: The file to lock, made where it is missing; or an existing folder.
        shared: Whether several processes may hold the lock at once; then to read the file will do.
        wait: Seconds to wait while others hold it; 0 gives up at once.
        on_wait: Called once, before waiting, with who holds the lock: 'process 123 (command)'.

    Yields:
        The descriptor of the open file. A child that inherits it holds the lock, too.

    Raises:
        LockHeldError: Others still hold the lock after `wait` seconds.
        OSError: The file cannot be made or locked.
    """
    read_only = path.is_dir() or (shared and path.exists() and not os.access(path, os.W_OK))
    descriptor = os.open(path, os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(descriptor, path, shared, wait, on_wait)
        if not read_only:
            _note_holder(descriptor, "" if shared else f"{os.getpid()} {socket.gethostname()}")
        yield descriptor
    finally:
        os.close(descriptor)


def describe_process(pid: str, program: str = "python") -> str:
    """Return 'process 123 (COMMAND)' for a process of this machine.

    Args:
        pid: Its number.
        program: What stands for the command where this machine does not tell it.
    """
    ask = ["ps", "-o", "args=", "-p", pid]
    try:
        command = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        command = ""
    return f"process {pid} ({command[:120] or program})"


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}-{_HOST}.tmp")


def _acquire(
    descriptor: int, path: Path, shared: bool, wait: float, on_wait: Callable[[str], object]
) -> None:
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if _try_lock(descriptor, mode):
        return
    end = time.monotonic() + wait
    if wait > 0:
        on_wait(_read_holder(descriptor))
    if wait == FOREVER and threading.current_thread() is threading.main_thread():
        fcntl.flock(descriptor, mode)  # other threads cannot be interrupted in it
        return
    while not _try_lock(descriptor, mode):
        if time.monotonic() >= end:
            raise LockHeldError(path, _read_holder(descriptor))
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _note_holder(descriptor: int, holder: str) -> None:
    with suppress(OSError):  # a full disk keeps nobody from holding a lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)


def _read_holder(descriptor: int) -> str:
    """Return who noted itself as the holder: it may have ended, and a shared lock names nobody."""
    try:
        pid, host = os.pread(descriptor, 1000, 0).decode().split()
    except (OSError, ValueError):
        return "another process"
    return describe_process(pid) if host == socket.gethostname() else f"process {pid} on {host}"


def _is_written(path: Path, pid: int, host: str | None) -> bool:
    try:
        if host not in (None, _HOST):
            return time.time() - path.stat().st_mtime < OLD_SECONDS
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # another user's process
    return True
