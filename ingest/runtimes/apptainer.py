"""The runtime that starts a worker with Apptainer, in its family's image: for clusters.

It needs neither root nor a daemon. What a worker sees is what it sees with Docker; its memory is
the scheduler's to limit.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.images.files import program as programs
from ingest.images.files import sif as images
from ingest.images.files.program import Program
from ingest.limits import Limits
from ingest.runtimes.apptainer_options import (
    CONTAINED,
    NO_NETWORK,
    exec_command,
    starter_variables,
)
from ingest.runtimes.container_options import MountedPlaces
from ingest.runtimes.venv import ChildProcess
from ingest.runtimes.watch import Watch
from ingest.runtimes.worker import JobPlaces, Worker
from zoo.cards.family import Family
from zoo.worker.events import Assignment

KILLED = 128 + signal.SIGKILL  # the exit code if SIGKILL has ended the worker in the container


class Apptainer:
    """The runtime of Apptainer, and of Singularity."""

    name = "apptainer"
    basis = "image"
    preference = 3
    confines = False

    def unavailable(self) -> str | None:
        """Return why Apptainer cannot be used here, or None if it can."""
        return programs.unavailable()

    def lacking(self, family: Family) -> str | None:
        """Return why there is no image of the family, or None if there is or `ensure` makes one.

        Args:
            family: The family to run.
        """
        return images.why_missing(family)

    def ready(self, family: Family) -> bool:
        """Return whether an image of the family as it is now is here, as a file or unpacked.

        Args:
            family: The family of the image.
        """
        return images.find_sif(family) is not None

    def ensure(self, family: Family, log: Log) -> str | None:
        """Make the file that Apptainer starts, from an archive or from the registry.

        Args:
            family: The family to make ready.
            log: Shows progress, one line per call.

        Returns:
            The published image's `registry/name@sha256:…`, or the id of one from an archive.

        Raises:
            RunError: If there is no image, or it cannot be had.
        """
        found = images.make_sif(programs.find_program(), family, log)
        log(f"image {found.image}")
        return found.image

    @contextmanager
    def start(
        self, family: Family, jobs: Sequence[JobPlaces], limits: Limits, log: Log
    ) -> Iterator[Worker]:
        """Start a worker, as `ingest.runtimes.protocol.Runtime.start` says.

        Args:
            family: The family of the worker.
            jobs: The jobs that the worker may be given. It sees their files and no others.
            limits: Of these only the time of silence, the number of threads and the grace are kept.
            log: Shows a line if the image is unpacked, or the worker keeps a network.

        Yields:
            The worker.

        Raises:
            RunError: If there is no image, or the container cannot be started.
        """
        program, sif = programs.find_program(), images.find_sif(family)
        if sif is None:
            raise RunError(f"the image of {family.name} is not here any more")
        for places in jobs:  # a mount needs them
            places.out.mkdir(parents=True, exist_ok=True)
        unpacked = sif.root.exists() or programs.explain_unpacking() is not None
        root = images.unpack(program, sif, log) if unpacked else sif.file
        mounted, job = MountedPlaces.of(jobs), jobs[0].job
        variables = starter_variables(program, job, limits)
        network = not _gives_own_network(program, root, variables, log)
        with tempfile.TemporaryDirectory(
            prefix="matterzoo-", ignore_cleanup_errors=True
        ) as scratch:
            command = exec_command(program, root, mounted, Path(scratch), job, network=network)
            # A process group of its own: Ctrl-C reaches the host alone, which then asks it to end.
            with subprocess.Popen(
                command, env=variables, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            ) as process:  # fmt: skip
                worker = ContainedProcess(process, limits, mounted)
                try:
                    yield worker
                finally:
                    worker.kill()


RUNTIME = Apptainer()


class ContainedProcess(ChildProcess):
    """A worker that is a child process and sees other names of folders than this one does."""

    def __init__(
        self, process: subprocess.Popen[bytes], limits: Limits, mounted: MountedPlaces
    ) -> None:
        """Take over a process.

        Args:
            process: The process, with pipes for its standard input and its errors.
            limits: What it may use; of these, `silence` and `grace` are kept.
            mounted: Where the jobs lie in the container.
        """
        super().__init__(process, limits)
        self._mounted = mounted

    def assign(self, places: JobPlaces) -> Assignment:
        """Return what the worker is told of a job, with folders as the container has them.

        Args:
            places: Where the job lies on this machine.
        """
        return self._mounted.assign(places)

    def exit_code(self) -> int:
        """Wait for the end; return the exit code, or -9 if the worker inside was killed."""
        code = super().exit_code()
        return -signal.SIGKILL if code == KILLED else code

    def explain_end(self, watch: Watch) -> RunError:
        """Return the error of the container, which has closed its output.

        Args:
            watch: What was seen of the job.
        """
        error = super().explain_end(watch)
        return type(error)(self._mounted.with_local_paths(str(error)))


def _gives_own_network(
    program: Program, root: Path, variables: Mapping[str, str], log: Log
) -> bool:
    """Return whether the site lets a container have a network of its own, in which nothing is."""
    try:
        command = ["exec", *CONTAINED, *NO_NETWORK, str(root), "true"]
        program.run(command, "a container without a network", variables)
    except RunError as error:
        here, reason = socket.gethostname(), str(error).splitlines()[-1].strip()
        log(f"the worker keeps the network of {here}, since this site allows no other: {reason}")
        return False
    return True
