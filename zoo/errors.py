"""The base of every error that the project raises on purpose."""


class MatterzooError(Exception):
    """A failure with one clear message: the offending value, what was expected, what to do."""
