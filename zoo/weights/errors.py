"""What can go wrong with downloads and weights."""

from __future__ import annotations

from zoo.errors import MatterzooError


class DownloadError(MatterzooError):
    """A file cannot be downloaded, or is not the file expected; the message says what to do."""


class MissingFileError(DownloadError):
    """The server has no such file."""


class BrokenTransferError(MatterzooError):
    """A connection broke, or a server is busy: another try may succeed.

    Attributes:
        wait: Seconds that the server asks to wait before another try.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class WeightsError(MatterzooError):
    """Weights cannot be downloaded, or are not what they should be; the message says what to do."""
