"""Locks: a family's requirements.in, resolved by uv to exact versions with hashes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zoo.cards.family import SOURCE, Family
from zoo.errors import MatterzooError

CUDA_RUNTIME = re.compile(r"(nvidia|cuda)-.+|triton")  # packages that torch's CUDA build asks for


class LockError(MatterzooError):
    """The requirements cannot be resolved; the message is uv's."""


@dataclass(frozen=True)
class Block:
    """One package of a lock.

    Attributes:
        lines: Its lines: the version, the hashes, and in comments what asked for it.
    """

    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package's name."""
        return re.split(r"[=<>!~;@ \[]", self.lines[0], maxsplit=1)[0]

    @property
    def via(self) -> set[str]:
        """The names of what asked for the package."""
        comments = [line.strip(" #\n") for line in self.lines if line.lstrip().startswith("#")]
        return {name.removeprefix("via").strip() for name in comments} - {""}


def lock(family: Family, *, upgrade: bool = False) -> list[str]:
    """Resolve a family's requirements.in and write its requirements.lock.

    Versions in the old lock stay unless `upgrade` is set. torch is left out, because its build (CPU
    or CUDA) depends on the machine, and its version stands in requirements.in. So is the CUDA
    runtime that only torch asks for, and what comes from a repository at a commit. Versions in
    requirements.override count instead of those that packages ask for.

    Args:
        family: The family.
        upgrade: Whether to take the newest versions.

    Returns:
        The packages that the old lock did not hold, as 'name==version'.

    Raises:
        LockError: uv cannot resolve the requirements.
    """
    before = {block.lines[0] for block in read_blocks(family.lock)[1]}
    header, blocks = _resolve(family, upgrade=upgrade)
    kept = without_cuda_runtime(blocks)
    family.lock.write_text("".join([*header, *(line for block in kept for line in block.lines)]))
    return [
        pin.split("\\")[0].strip()
        for pin in (block.lines[0] for block in kept)
        if pin not in before
    ]


def _resolve(family: Family, *, upgrade: bool) -> tuple[list[str], list[Block]]:
    with tempfile.TemporaryDirectory() as folder:
        output, indexed = Path(folder) / family.lock.name, Path(folder) / "requirements.in"
        indexed.write_text(
            re.sub(SOURCE, "", (family.path / "requirements.in").read_text(), flags=re.MULTILINE)
        )
        if family.lock.exists():
            shutil.copy(family.lock, output)
        command = [sys.executable, "-m", "uv", "pip", "compile", "requirements.in"]
        command += ["--output-file", str(output)]
        command += ["--universal", "--python-version", oldest_python(family), "--generate-hashes"]
        command += ["--no-emit-package", "torch", "--quiet"]
        override = family.path / "requirements.override"
        if override.exists():
            shutil.copy(override, folder)  # so that the lock names no folder of this machine
            command += ["--override", override.name]
        command += ["--custom-compile-command", f"matterzoo lock {family.name}"]
        command += ["--upgrade"] if upgrade else []
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LockError(f"uv could not lock family {family.name}: {done.stderr.strip()}")
        return read_blocks(output)


def oldest_python(family: Family) -> str:
    """Return the oldest version of Python that a family's lock is resolved for, such as '3.11'.

    Args:
        family: The family.

    Raises:
        LockError: requires_python names no oldest version.
    """
    found = re.search(r">=\s*(\d+\.\d+)", family.requires_python)
    if found is None:
        raise LockError(
            f"family {family.name}: requires_python = {family.requires_python!r} names no oldest "
            "version, expected such as '>=3.11'"
        )
    return found[1]


def read_blocks(path: Path) -> tuple[list[str], list[Block]]:
    """Read a lock.

    Args:
        path: The lock. It need not exist.

    Returns:
        The comment lines that it begins with, and its packages.
    """
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    starts = [i for i, line in enumerate(lines) if re.match(r"[A-Za-z0-9]", line)] or [len(lines)]
    blocks = [
        Block(tuple(lines[start:end]))
        for start, end in pairwise([*starts, len(lines)])
        if start < end
    ]
    return lines[: starts[0]], blocks


def without_cuda_runtime(blocks: list[Block]) -> list[Block]:
    """Return the packages without those of the CUDA runtime that only torch asked for.

    Args:
        blocks: The packages of a lock.
    """
    dropped = {"torch"}
    while found := set(_droppable(blocks, dropped)) - dropped:
        dropped |= found
    return [block for block in blocks if block.name not in dropped]


def _droppable(blocks: list[Block], dropped: set[str]) -> Iterator[str]:
    """Yield the packages of the CUDA runtime that only dropped packages asked for."""
    for block in blocks:
        if CUDA_RUNTIME.fullmatch(block.name) and block.via <= dropped:
            yield block.name
