"""What can go wrong while a model is verified."""

from __future__ import annotations

from zoo.errors import MatterzooError


class VerificationError(MatterzooError):
    """A model gives no vectors at all, or none for a system, so nothing can be compared."""
