"""The program Apptainer, or Singularity, which understands the same command line.

matterzoo itself was never run with a real one; see `UNTRIED`.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.failures import RunError
from ingest.processes import run_program

# Said by `doctor` and the documents until somebody has.
UNTRIED = "no one has run matterzoo with a real Apptainer yet"
NAMES = ("apptainer", "singularity")
# Debian has a game that is called singularity, too.
VERSION = re.compile(r"^(apptainer|singularity(?:-\w+)?) version (\S+)", re.MULTILINE)
OLDEST = (3, 9)  # of Singularity, with --mount; every Apptainer has it
PATIENCE = 20.0  # s that the program gets to tell its version, which may lie on a slow file system
EXCERPT = 8  # lines of its output that an error shows
FUSE = Path("/dev/fuse")
# What the kernel allows; Debian and Ubuntu had a second switch. 0 forbids user namespaces.
USER_NAMESPACES = (
    Path("/proc/sys/user/max_user_namespaces"),
    Path("/proc/sys/kernel/unprivileged_userns_clone"),
)


@dataclass(frozen=True)
class Program:
    """The program, as it is on this machine.

    Attributes:
        path: Where it lies.
        name: apptainer, singularity, or singularity-ce.
        version: What it says it is.
    """

    path: str
    name: str
    version: str

    @property
    def prefix(self) -> str:
        """How the names of its own environment variables begin."""
        return "APPTAINER" if self.name == "apptainer" else "SINGULARITY"

    @property
    def is_too_old(self) -> bool:
        """Whether it lacks options that a worker's container needs."""
        numbers = tuple(map(int, re.findall(r"\d+", self.version)[:2]))
        return self.name != "apptainer" and numbers < OLDEST

    def run(
        self, arguments: Sequence[str], what: str, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run it to its end.

        Args:
            arguments: Its command and options.
            what: What that does, for the error.
            variables: All of its environment variables; None are those of this process.

        Returns:
            What it wrote to standard output.

        Raises:
            RunError: It fails; the end of its output is in the message.
        """
        done = run_program([self.path, *arguments], os.environ if variables is None else variables)
        if done.returncode:
            lines = done.stderr.strip().splitlines()[-EXCERPT:]
            said = "\n".join(f"  {line}" for line in lines)
            raise RunError(
                f"{what} failed: {self.name} {arguments[0]} ended with exit code "
                f"{done.returncode}:\n{said}"
            )
        return done.stdout


def find_program() -> Program:
    """Return the program that this machine has.

    Raises:
        RunError: There is none on PATH, or it is too old.
    """
    for name in NAMES:
        path = shutil.which(name)
        found = _ask(path) if path else None
        if found is not None and found.is_too_old:
            raise RunError(
                f"{found.path} is {found.name} {found.version}; expected Apptainer, or Singularity "
                f"{OLDEST[0]}.{OLDEST[1]} or newer: `module avail` may list one"
            )
        if found is not None:
            return found
    raise RunError(
        f"neither apptainer nor singularity is on the PATH of {socket.gethostname()}; on a cluster "
        "`module load apptainer` often puts it there"
    )


def unavailable() -> str | None:
    """Return why this machine cannot start containers with it, or None if it can."""
    try:
        find_program()
    except RunError as error:
        return str(error)
    return None


def explain_unpacking() -> str | None:
    """Return why an image has to be unpacked before it is started here, or None if it has not.

    Without FUSE or user namespaces the program unpacks the whole image again in every task.
    MATTERZOO_SANDBOX=1 or 0 decides for a site.
    """
    stated = os.environ.get("MATTERZOO_SANDBOX")
    if stated:
        return None if stated == "0" else "MATTERZOO_SANDBOX is set"
    if not os.access(FUSE, os.R_OK | os.W_OK):
        return f"{FUSE} cannot be opened on {socket.gethostname()}"
    for file in USER_NAMESPACES:
        if file.exists() and file.read_text().strip() == "0":
            return f"{file} is 0 on {socket.gethostname()}"
    return None


@functools.cache
def _ask(path: str) -> Program | None:
    """Return the program at a path, or None if that is another one or does not work."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(done.stdout)
    return None if found is None else Program(path, found[1], found[2])
