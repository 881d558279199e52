"""The wheels an image is built from where its build has no network: wheels/<family>, and wheels/<torch> for many."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from ingest.events import Log
from ingest.failures import RunError
from ingest.images.recipe import REPOSITORY
from zoo.cards.family import Family

BUILD_TOOLS = ("setuptools", "wheel")  # for the few packages that publish no wheel
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # Docker's, macOS's names -> those of wheels
NEWEST_GLIBC = 36  # Debian 12's, the default base


def folder() -> Path:
    """Where the wheels lie: MATTERZOO_WHEELS, or wheels in the repository."""
    return Path(os.environ.get("MATTERZOO_WHEELS") or REPOSITORY / "wheels").absolute()


def own(family: Family) -> Path:
    """Wheels of the family's lock."""
    return folder() / family.name


def shared(family: Family) -> Path:
    """Wheels of uv, and of torch and all that it asks for."""
    return folder() / (family.torch or "no-torch").replace("==", "-")


def uv() -> str:
    """'uv==0.13.9', as this project pins it; images are built with the same."""
    found = re.search(r'"(uv==[^"]+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert found is not None
    return found[1]


def fetch(family: Family, say: Log, *, python: str = "3.11", machine: str | None = None) -> None:
    """Download everything an image of the family is built from, each file of the lock checked against its hash."""
    target = _target(python, machine or platform.machine())
    for path, what, packages in (
        (own(family), "the lock", ["--no-deps", "--require-hashes", "-r", str(family.lock)]),
        (own(family), "build tools", ["--only-binary=:all:", *BUILD_TOOLS]),
        (
            shared(family),
            family.torch or "uv",
            ["--only-binary=:all:", *filter(None, (uv(), family.torch))],
        ),
    ):
        say(f"{family.name}: downloading {what} -> {path}")
        _pip(
            [
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--dest",
                str(path),
                *target,
                *packages,
            ]
        )
    if family.sources:
        say(f"{family.name}: building {', '.join(family.sources)} -> {own(family)}")
        _pip(
            [
                "wheel",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "-w",
                str(own(family)),
                *family.sources,
            ]
        )


def _target(python: str, machine: str) -> list[str]:
    """pip's options for the image's Python and processor, whatever this machine's are."""
    arch = MACHINES.get(machine.lower(), machine)
    platforms = [f"manylinux_2_{minor}_{arch}" for minor in range(NEWEST_GLIBC, 16, -1)]
    platforms += [
        f"manylinux2014_{arch}",
        f"manylinux2010_{arch}",
        f"manylinux1_{arch}",
        f"linux_{arch}",
        "any",
    ]
    abi = f"cp{python.replace('.', '')}"
    chosen = [
        "--python-version",
        python,
        "--implementation",
        "cp",
        "--abi",
        abi,
        "--abi",
        "abi3",
        "--abi",
        "none",
    ]
    return chosen + [part for name in platforms for part in ("--platform", name)]


def _pip(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-8:])
        raise RunError(
            f"the wheels could not be downloaded; pip said:\n{said}\nCheck the network (or the mirror that "
            "PIP_INDEX_URL names) and the free disk, then repeat; what is there already is kept"
        )
