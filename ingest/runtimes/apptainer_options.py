"""The command line and the variables with which Apptainer starts a worker's container.

They keep to the contract of a worker's container: nothing of this machine but its jobs, its weights
(both only to read) and its outputs; no variables, no home, no privileges, no network.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from ingest.images.files.program import Program
from ingest.limits import Limits
from ingest.runtimes.container_options import MountedPlaces
from ingest.runtimes.venv import KEEP_MEMORY, OFFLINE, ONE_BLAS_THREAD, device_options
from zoo.variables import NO_SPINNING, worker_variables
from zoo.worker.job import Job

# What the image's own ENTRYPOINT is; Apptainer's `run` would have a shell evaluate it first.
WORKER = ("/env/bin/python", "-P", "-m", "zoo.worker", "--family", "/matterzoo/family")
# --containall: an own /tmp, /dev, process and IPC namespaces, and none of the site's mounts.
CONTAINED = ("--containall", "--cleanenv", "--no-home", "--no-privs")
NO_NETWORK = ("--net", "--network", "none")
# Of Apptainer's own variables: where it may write. Others, such as APPTAINER_BIND, would add to
# what a container sees.
KEPT = ("TMPDIR", "CACHEDIR", "CONFIGDIR")


def exec_command(
    program: Program, root: Path, places: MountedPlaces, scratch: Path, job: Path, *, network: bool
) -> list[str]:
    """Return the command that starts a worker, which takes jobs from its standard input.

    Args:
        program: Apptainer.
        root: The image: a file or a folder.
        places: What the container sees.
        scratch: An empty folder of this machine, which becomes /tmp: without one /tmp is a tmpfs of
            64 MB, as sites are set up.
        job: The folder of the first job, whose device is that of all.
        network: Whether it keeps this machine's network, where the site allows no other.
    """
    device = Job.read(job).device
    options, _ = device_options(job)
    command = [program.path, "exec", *CONTAINED]
    command += [] if network else NO_NETWORK
    command += ["--nv"] if device.startswith("cuda") else []
    command += ["--workdir", str(scratch), "--pwd", "/tmp"]
    for outside, inside in places.inside.items():
        command += ["--mount", mount(outside, inside, read_only=inside in places.read_only)]
    # HOME cannot be set by an option, and without one it is a folder that does not exist.
    return [*command, str(root), "env", "HOME=/tmp", *WORKER, *options]


def starter_variables(program: Program, job: Path, limits: Limits) -> dict[str, str]:
    """Return the variables of the process that starts the container.

    Args:
        program: Apptainer. It passes on only those that it is told to, by their prefix.
        job: The folder of the first job.
        limits: What the worker may use; of these, the number of threads.
    """
    ours = ("APPTAINER", "SINGULARITY")
    variables = {n: v for n, v in worker_variables().items() if not n.startswith(ours)}
    own = [f"{prefix}_{name}" for prefix in ours for name in KEPT]
    variables |= {name: os.environ[name] for name in own if name in os.environ}
    inside = _worker_variables(job, limits)
    return variables | {f"{program.prefix}ENV_{name}": value for name, value in inside.items()}


def mount(outside: Path, inside: Path, *, read_only: bool) -> str:
    """Return what --mount takes: fields separated by commas, quoted as in a CSV file.

    Args:
        outside: A folder of this machine.
        inside: Where the container sees it.
        read_only: Whether it may only be read.
    """
    fields = ["type=bind", f"source={outside}", f"destination={inside}"]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([*fields, "ro"] if read_only else fields)
    return text.getvalue()


def _worker_variables(job: Path, limits: Limits) -> dict[str, str]:
    """Return the variables of the worker: as in any container, and which GPUs Slurm has given."""
    _, visible = device_options(job)
    passed = ["CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"]
    given = {name: os.environ[name] for name in passed if name in os.environ}
    threads = {} if limits.threads is None else {"OMP_NUM_THREADS": str(limits.threads)}
    fixed = NO_SPINNING | ONE_BLAS_THREAD | KEEP_MEMORY | OFFLINE | {"LANG": "C.UTF-8"}
    return fixed | given | threads | visible
