"""The local environment of a family, built from its lock and from nothing else."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.specifiers import SpecifierSet

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.processes import run_program
from ingest.runtimes.bytecode import share_bytecode
from zoo.cards.family import Family
from zoo.files import file_lock, write_folder_atomically
from zoo.places import environments

MARKER = "matterzoo.json"  # in an environment: what it was built from
EXCERPT = 12  # lines of uv's output that an error shows
UV_NAMES = {  # the variables that pip reads -> those that uv reads
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
}


def python_of(family: Family) -> Path:
    """Return the path of the Python in a family's environment, whether or not it is built.

    Args:
        family: The family of the environment.
    """
    return environments() / family.name / "bin" / "python"


def ready(family: Family) -> bool:
    """Return whether the environment is there and was built from the lock as it is now.

    Args:
        family: The family of the environment.
    """
    marker = environments() / family.name / MARKER
    try:
        recorded = json.loads(marker.read_text())
    except (OSError, ValueError):
        return False
    return bool(recorded == _ingredients(family)) and python_of(family).exists()


def build(family: Family, log: Log) -> None:
    """Build the environment if it is missing or stale.

    It appears whole or not at all. If two processes build it at once, one waits for the other.

    Args:
        family: The family of the environment.
        log: Shows progress, one line per call.

    Raises:
        CardError: If the family has no lock.
        RunError: If uv fails, as where no Python suits the family and none can be downloaded.
    """
    if ready(family):
        return
    ingredients = _ingredients(family)  # raises before anything is made if there is no lock
    with hold(family, exclusive=True, log=log):
        if ready(family):  # the process that this one waited for has built it
            return
        log(f"building the environment of {family.name} (about {family.installed_mb:,} MB, once)")
        with write_folder_atomically(environments() / family.name) as folder:
            _install(family, folder)
            share_bytecode(folder, [*_list_environments(), Path(sys.prefix)])
            (folder / MARKER).write_text(json.dumps(ingredients))


def _list_environments() -> list[Path]:
    """Return the folders of all local environments."""
    return [marker.parent for marker in environments().glob(f"*/{MARKER}")]


def remove(family: str) -> bool:
    """Delete a family's environment.

    Args:
        family: The family's name; the family itself need not exist any more.

    Returns:
        Whether there was an environment.
    """
    path = environments() / family
    if not path.is_dir():
        return False
    shutil.rmtree(path)
    return True


@contextmanager
def hold(family: Family, *, exclusive: bool, log: Log) -> Iterator[int]:
    """Hold a family's environment: alone to build it, or together with others to run in it.

    The lock ends with the block, or with the process, however it ends.

    Args:
        family: The family of the environment.
        exclusive: Whether no other process may hold it meanwhile.
        log: Shows a line if another process has to be waited for.

    Yields:
        The descriptor of the lock's file.
    """
    environments().mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for another process that is using the environment of {family.name}"
    lock = environments() / f".{family.name}.lock"
    if not exclusive and not lock.exists() and not os.access(environments(), os.W_OK):
        lock = environments() / family.name  # another user has copied it here, without its lock
    with file_lock(
        lock,
        shared=not exclusive,
        on_wait=lambda holder: log(waiting),
    ) as descriptor:
        yield descriptor


def _ingredients(family: Family) -> dict[str, str | list[str] | None]:
    """Return what decides an environment."""
    return {"lock_hash": family.lock_hash, "torch": family.torch, "sources": list(family.sources)}


def suits(family: Family, version: str | None = None) -> bool:
    """Return whether a family's environment can be made with a Python.

    Args:
        family: The family.
        version: The version, such as '3.11.7'; None for this Python's.
    """
    found = version or platform.python_version()
    return SpecifierSet(family.requires_python).contains(found)


def _make_venv(family: Family, target: Path) -> None:
    """Make an empty environment: with this Python, or with one that uv finds or downloads."""
    command = ["venv", "--quiet", "--relocatable", "--no-project", "--python"]
    if suits(family):
        _uv(family, [*command, sys.executable, str(target)])
        return
    needed, version = family.requires_python.replace(" ", ""), platform.python_version()
    remedy = (
        f"Family {family.name} needs Python {needed}, this one is {version}, and uv finds no other "
        "and can download none: install one, or use a container (--runtime docker)"
    )
    _uv(family, [*command, needed, str(target)], remedy)


def _install(family: Family, target: Path) -> None:
    _make_venv(family, target)
    install = ["pip", "install", "--python", str(target / "bin" / "python")]
    _uv(family, [*install, "--no-deps", "--require-hashes", "-r", str(family.lock)])
    if family.torch is not None:
        _uv(family, [*install, *_torch_backend(), family.torch])
    if family.sources:
        _uv(family, [*install, "--no-deps", *family.sources])


def _torch_backend() -> list[str]:
    """Return uv's option for the build of PyTorch: the one for this machine, CPU without a GPU.

    A folder of wheels decides by what is in it, unless MATTERZOO_TORCH_BACKEND names a build.
    """
    backend = os.environ.get("MATTERZOO_TORCH_BACKEND")
    if backend is None and "UV_FIND_LINKS" in uv_variables():
        return []
    return ["--torch-backend", backend or "auto"]


def uv_variables() -> dict[str, str]:
    """Return this process's variables for uv, which is told what the machine has set up for pip.

    Returns:
        The variables, with the names that uv has for pip's where it has none of its own, and
        without the environment that this process runs in.
    """
    variables = dict(os.environ)
    for pip_name, uv_names in UV_NAMES.items():
        if variables.get(pip_name) and not any(variables.get(name) for name in uv_names):
            variables[uv_names[0]] = variables[pip_name]
    variables.pop("VIRTUAL_ENV", None)
    return variables


def _uv(family: Family, arguments: Sequence[str], remedy: str = "") -> None:
    """Run uv, and raise RunError with its command, the end of its output and what may help."""
    done = run_program([sys.executable, "-m", "uv", *arguments], uv_variables())
    if done.returncode:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip().splitlines()
        output = "\n".join(f"  {line}" for line in lines[-EXCERPT:])
        failed = " ".join(["uv", *arguments])
        usual = (
            "Check the network (or the mirror that UV_DEFAULT_INDEX or PIP_INDEX_URL names) and "
            f"the free disk, then repeat; if {family.lock} itself is wrong, "
            f"`matterzoo lock {family.name}` resolves it again"
        )
        raise RunError(
            f"the environment of {family.name} could not be built. {failed} ended with:\n{output}\n"
            f"{remedy or usual}"
        )
