"""What may go wrong between asking for vectors and having them."""

from __future__ import annotations

from zoo.errors import MatterzooError


class RunError(MatterzooError):
    """A run has no environment or image, or its worker ended before it was done."""

    exit_code = 1


class Killed(RunError):
    """The worker was killed by SIGKILL, possibly by something that guards the machine's memory."""


class OutOfMemory(Killed):
    """The worker was killed because memory ran out; a smaller batch budget may help."""


class Vanished(RunError):
    """The worker ended between two jobs; another one can do the next."""


class NoRuntime(RunError):
    """The runtime that was asked for does not exist, or this machine cannot use any."""

    exit_code = 2
