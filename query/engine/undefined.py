"""The exception for a value that does not exist."""

from zoo.errors import MatterzooError


class Undefined(MatterzooError):
    """The value does not exist for these vectors.

    The message is the reason: one clause, fit for the column `reason` of a result.
    """
