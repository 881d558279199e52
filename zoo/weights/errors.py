"""What can go wrong with downloads and weights."""

from __future__ import annotations

from zoo.errors import MatterzooError


class DownloadError(MatterzooError):
    """A file cannot be downloaded, or is not the file expected; the message says what to do."""


class NoNetworkError(DownloadError):
    """No server can be reached from this machine, so that nothing is known of the file."""


class MissingFileError(DownloadError):
    """The server has no such file."""


class BrokenTransferError(MatterzooError):
    """A connection broke, or a server is busy: another try may succeed.

    Attributes:
        wait: Seconds that the server asks to wait before another try.
        no_network: Whether there was no way to the server at all.
    """

    def __init__(self, reason: str, wait: float = 0.0, *, no_network: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.no_network = wait, no_network


class WeightsError(MatterzooError):
    """Weights cannot be downloaded, or are not what they should be; the message says what to do."""
