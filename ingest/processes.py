"""Run another program, and keep what it says."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from zoo.files import POLL_SECONDS


def run_program(
    command: Sequence[str], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. An interrupt of this thread ends it, and all that it has started.

    It is in a session of its own, since Ctrl-C would end it before this process knows why.

    Args:
        command: The program and its arguments.
        variables: All of its environment variables.

    Returns:
        Its exit code, and what it wrote to standard output and to standard error.

    Raises:
        OSError: The program cannot be started.
    """
    with subprocess.Popen(
        command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    outputs = process.communicate(timeout=POLL_SECONDS)
                    return subprocess.CompletedProcess(command, process.returncode, *outputs)
        except BaseException:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started, such as git
            raise
