"""The wheels that images are built from where a build has no network.

`FOLDER/FAMILY` holds the packages of a family's lock; `FOLDER/torch-VERSION` holds uv, and torch
with all that it requires, for every family with that version of torch.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from ingest.callbacks import Log
from ingest.failures import RunError
from zoo import places
from zoo.cards.family import Family

BUILD_TOOLS = ("setuptools", "wheel")  # for the few packages that publish no wheel
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # Docker's, macOS's names -> those of wheels
NEWEST_GLIBC = 36  # the minor version of glibc in Debian 12, which the default base image is
OLDEST_GLIBC = 17  # that of manylinux2014, which has a tag of its own, as those before it have
EXCERPT = 8  # lines of pip's output that an error shows


def family_wheels(family: Family) -> Path:
    """Return the folder of the wheels of a family's lock.

    Args:
        family: The family of the image.
    """
    return places.wheels() / family.name


def shared_wheels(family: Family) -> Path:
    """Return the folder of the wheels of uv, and of torch and all that it requires.

    Args:
        family: A family; those with the same version of torch share the folder.
    """
    return places.wheels() / (family.torch or "no-torch").replace("==", "-")


def uv_requirement() -> str:
    """Return the requirement of the uv that is installed here, such as `uv==0.13.9`.

    Images are built with the uv that builds local environments.
    """
    return f"uv=={metadata.version('uv')}"


def fetch_wheels(
    family: Family, log: Log, *, python: str = "3.11", machine: str | None = None
) -> None:
    """Download everything that an image of the family is built from.

    Each file of the lock is checked against its hash.

    Args:
        family: The family of the image.
        log: Shows progress, one line per download.
        python: The minor version of the base image's Python.
        machine: The processor of the image, as Docker or a wheel names it; None takes that of this
            machine.

    Raises:
        RunError: If pip fails; what it has downloaded is kept.
    """
    target = _target(python, machine or platform.machine())
    binary = ["--only-binary=:all:"]
    own, shared = family_wheels(family), shared_wheels(family)
    lock = ["--no-deps", "--require-hashes", "-r", str(family.lock)]
    common = [*binary, uv_requirement(), *filter(None, [family.torch])]
    for folder, what, packages in (
        (own, "the lock", lock),
        (own, "build tools", [*binary, *BUILD_TOOLS]),
        (shared, family.torch or "uv", common),
    ):
        log(f"{family.name}: downloading {what} -> {folder}")
        _pip("download", ["--dest", str(folder), *target, *packages])
    if family.sources:
        log(f"{family.name}: building {', '.join(family.sources)} -> {own}")
        # pip takes an address of the kind `git+file:///…` only without the name before it.
        addresses = [source.partition("@")[2] for source in family.sources]
        _pip("wheel", ["--no-deps", "-w", str(own), *addresses])


def _target(python: str, machine: str) -> list[str]:
    """Return pip's options for the image's Python and processor, whatever this machine's are."""
    arch = MACHINES.get(machine.lower(), machine)
    tags = [f"manylinux_2_{minor}_{arch}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    tags += [f"{name}_{arch}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
    options = ["--python-version", python, "--implementation", "cp"]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        options += ["--abi", abi]
    for tag in (*tags, "any"):
        options += ["--platform", tag]
    return options


def _pip(command: str, arguments: list[str]) -> None:
    start = [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*start, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        output = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-EXCERPT:])
        raise RunError(
            f"the wheels could not be downloaded; pip's output ends with:\n{output}\n"
            "Check the network (or the mirror that PIP_INDEX_URL names) and the free disk, then "
            "repeat; what is there already is kept"
        )
