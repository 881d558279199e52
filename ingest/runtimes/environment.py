"""A family's local environment: `.envs/<family>`, built from its lock and from nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.specifiers import SpecifierSet

from ingest.events import Log
from ingest.failures import RunError
from zoo.cards.family import Family
from zoo.places import ROOT

REPOSITORY = ROOT
TWINS = {  # what pip reads -> what uv reads
    "PIP_FIND_LINKS": ("UV_FIND_LINKS",),
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
}


def folder() -> Path:
    """Where the environments lie: MATTERZOO_ENVS, or .envs in the repository."""
    return Path(os.environ.get("MATTERZOO_ENVS") or REPOSITORY / ".envs").absolute()


def python_of(family: Family) -> Path:
    return folder() / family.name / "bin" / "python"


def ready(family: Family) -> bool:
    """Whether the environment is there and was built from the lock as it is now."""
    marker = folder() / family.name / "matterzoo.json"
    try:
        recorded = json.loads(marker.read_text())
    except (OSError, ValueError):
        return False
    return bool(recorded == _recipe(family)) and python_of(family).exists()


def build(family: Family, say: Log) -> None:
    """Build the environment where it is missing or stale. It appears whole or not at all; two processes may try."""
    if ready(family):
        return
    _check_python(family)
    with held(family, exclusive=True, say=say):
        if ready(family):  # the process that was waited for built it
            return
        say(f"building the environment of {family.name} (about {family.installed_mb:,} MB, once)")
        partial = folder() / f".{family.name}.partial"
        try:
            _remove(partial)
            _install(family, partial)
            (partial / "matterzoo.json").write_text(json.dumps(_recipe(family)))
            _remove(folder() / family.name)
            partial.rename(folder() / family.name)
        finally:
            _remove(partial)


def remove(family: str) -> bool:
    """Delete a family's environment. Returns whether there was one."""
    path = folder() / family
    if not path.is_dir():
        return False
    _remove(path)
    return True


@contextmanager
def held(family: Family, *, exclusive: bool, say: Log) -> Iterator[int]:
    """Hold the environment: alone to build it, shared to run in it. The lock ends with the process, however it ends."""
    folder().mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    with (folder() / f".{family.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is using the environment of {family.name}")
            fcntl.flock(lock, how)
        yield lock.fileno()


def _recipe(family: Family) -> dict[str, str | list[str] | None]:
    """What decides an environment."""
    return {"lock_hash": family.lock_hash, "torch": family.torch, "sources": list(family.sources)}


def _check_python(family: Family) -> None:
    version = platform.python_version()
    if not SpecifierSet(family.requires_python).contains(version):
        raise RunError(
            f"family {family.name} needs Python {family.requires_python}, this one is {version}; "
            "set matterzoo up with a Python that fits: remove .venv, then `make install PYTHON=python3.x`"
        )


def _install(family: Family, target: Path) -> None:
    python = str(target / "bin" / "python")
    _uv(
        family,
        [
            "venv",
            "--quiet",
            "--relocatable",
            "--no-project",
            "--python",
            sys.executable,
            str(target),
        ],
    )
    install = ["pip", "install", "--python", python]
    _uv(family, [*install, "--no-deps", "--require-hashes", "-r", str(family.lock)])
    if family.torch is not None:
        _uv(family, [*install, *_torch_build(), family.torch])
    if family.sources:
        _uv(family, [*install, "--no-deps", *family.sources])


def _torch_build() -> list[str]:
    """Which of PyTorch's builds: the machine's own (CPU without a GPU), unless a folder of wheels decides."""
    backend = os.environ.get("MATTERZOO_TORCH_BACKEND")
    if backend is None and "UV_FIND_LINKS" in _environment():
        return []
    return ["--torch-backend", backend or "auto"]


def _environment() -> dict[str, str]:
    """This process's variables; where a machine is set up for pip, uv is told the same."""
    variables = dict(os.environ)
    for pip, uv in TWINS.items():
        if variables.get(pip) and not any(variables.get(name) for name in uv):
            variables[uv[0]] = variables[pip]
    variables.pop("VIRTUAL_ENV", None)
    return variables


def _uv(family: Family, arguments: Sequence[str]) -> None:
    """Run uv. RunError tells the command, the end of what it said, and what may help."""
    command = [sys.executable, "-m", "uv", *arguments]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip().splitlines()
        raise RunError(
            f"the environment of {family.name} could not be built. {' '.join(['uv', *arguments])} said:\n"
            + "\n".join(f"  {line}" for line in said[-12:])
            + f"\nCheck the network (or the mirror that UV_DEFAULT_INDEX or PIP_INDEX_URL names) and the free disk, "
            f"then repeat; if {family.lock} itself is wrong, `make lock FAMILY={family.name}` resolves it again"
        )


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
