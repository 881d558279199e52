"""What can go wrong with a request or a run, apart from the worker's own failures."""

from __future__ import annotations

from zoo.errors import MatterzooError


class RequestError(MatterzooError):
    """A request that cannot be met; the message says why."""


class RunBusy(RequestError):
    """Another process is working on the same run."""


class ShardError(MatterzooError):
    """A run that is not loaded, because its shards are not what its job and its run.json say.

    Attributes:
        fault: What is wrong, without the run's name and what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, fault: str | None = None) -> None:
        """Make an error; `fault` is the message itself if not given."""
        super().__init__(message)
        self.fault = fault or message


class DatasetDamaged(ShardError):
    """A run that cannot be loaded because of its dataset; all such runs have the same message."""


class VectorsError(MatterzooError):
    """A user's file of vectors that cannot be imported; the message says what is wrong with it."""
