"""Ctrl-C while a program still imports: it ends at once, without a traceback."""

from __future__ import annotations

import signal
import sys

_quiet = False


def quiet_start() -> None:
    """Let Ctrl-C end the process itself until `listen` is called; a shell then sees 130.

    It does so only if the process was started by `python -m …`. A package calls it before its slow
    imports; whoever only imports the package keeps the handler that was there.
    """
    global _quiet
    starts = sys.argv[:1] == ["-m"]  # what Python puts there while it looks for the module to run
    if starts and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _quiet = True


def listen() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, where there is something to catch it."""
    global _quiet
    if _quiet:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _quiet = False
