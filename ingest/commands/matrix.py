"""The part of the command matrix that says where its strips are found."""

from __future__ import annotations

import argparse

from zoo.command_line import UsageError, named, positive, switches

SCHEDULER = ("partition", "account", "time", "sbatch")
OF_RAY = ("address", "cpus")


def add_where_of_matrix(sub: argparse.ArgumentParser) -> None:
    """Add the options that say where strips are found.

    Args:
        sub: The parser of `matrix`.
    """
    about = "where strips are found: local, on this machine (default), slurm or ray"
    sub.add_argument("--on", default="local", choices=["local", "slurm", "ray"], help=about)
    about = "how many processes on this machine, or tasks on a cluster (default: 1)"
    sub.add_argument("--nodes", type=positive, default=1, help=about)
    sub.add_argument("--partition", type=named, help="on slurm: the partition of the jobs")
    sub.add_argument("--account", type=named, help="on slurm: whom the jobs are charged to")
    about = "on slurm: how long a task may take, such as 30m, 4h, 2d or 1-12:00:00"
    sub.add_argument("--time", type=named, help=about)
    about = "on slurm: further options of sbatch, such as --sbatch='--cpus-per-task=16'"
    sub.add_argument("--sbatch", help=about)
    about = "on ray: host:port or auto; local: one for this command (default: RAY_ADDRESS or local)"
    sub.add_argument("--address", type=named, help=about)
    sub.add_argument(
        "--cpus", type=positive, help="on ray: how many cores a task takes (default: 1)"
    )
    sub.set_defaults(elsewhere="ingest.commands.matrix:choose")


def choose(options: argparse.Namespace) -> OnSlurm | OnRay | None:
    """Return where strips are found; None for this machine.

    Args:
        options: What the parser returned.

    Raises:
        UsageError: An option is for another place.
    """
    for on, names in (("slurm", SCHEDULER), ("ray", OF_RAY)):
        surplus = switches(options, names)
        if surplus and options.on != on:
            raise UsageError(f"--{surplus[0]} is for --on {on}, not {options.on}: leave it out")
    if options.on == "local":
        return None
    return OnSlurm(options) if options.on == "slurm" else OnRay(options)


class OnSlurm:
    """Has strips found by jobs of Slurm."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Check the options, before anything is read.

        Args:
            options: What the parser returned.

        Raises:
            RequestError: An option is not what it has to be.
        """
        from ingest.executors.protocol import Where
        from ingest.executors.slurm.script import check_options
        from ingest.runs.request import Settings

        self._options, self._device = options, options.device or "cpu"
        self._where = Where(options.on, **{name: vars(options)[name] for name in SCHEDULER})
        check_options(self._where, Settings(device=self._device))

    def find(self, key: str, command: str) -> None:
        """Submit what finds a matrix and puts it together.

        Args:
            key: The matrix, whose question is written.
            command: The command that asks for the same again.
        """
        from ingest.executors.slurm.strips import StripJobs, submit_strips
        from ingest.layout import Layout

        jobs = StripJobs(Layout.find(self._options.store), key)
        submit_strips(jobs, self._options.nodes, self._where, self._device, command)


class OnRay:
    """Has strips found by tasks of Ray."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Check the options, before anything is read.

        Args:
            options: What the parser returned.

        Raises:
            RequestError: An option is not what it has to be.
            RayError: Ray is not installed.
        """
        from ingest.executors.protocol import Where
        from ingest.executors.ray.engine import require_ray
        from ingest.executors.ray.executor import RayExecutor
        from ingest.runs.request import Settings

        require_ray()
        self._options, self._device = options, options.device or "cpu"
        where = Where(options.on, address=options.address)
        RayExecutor.check(where, Settings(device=self._device, cpus=options.cpus))

    def find(self, key: str, command: str) -> float:
        """Have strips found until none is missing.

        Args:
            key: The matrix, whose question is written.
            command: The command that asks for the same again.

        Returns:
            The seconds to wait for files that are seen late.

        Raises:
            RayError: Ray cannot be started or reached, or was lost.
        """
        from ingest.executors.ray.strips import find_on_ray
        from ingest.executors.shared.late import file_wait
        from ingest.layout import Layout

        layout, options = Layout.find(self._options.store), self._options
        logs = layout.strips / key / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        takes = {"num_cpus": options.cpus or 1} | (
            {"num_gpus": 1} if self._device == "cuda" else {}
        )
        words = ["matrix-work", key, "--store", str(layout.store), "--tied"]
        words += ["--tasks", str(options.nodes), "--threads", str(max(1, int(takes["num_cpus"])))]
        find_on_ray(options.address, takes, words, options.nodes, logs)
        return file_wait()
