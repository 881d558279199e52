"""Ask before more is removed than a repeated command brings back at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ingest.runs.errors import RequestError


def confirm(lines: Sequence[str], would: str, yes: bool, kept: str = "Nothing was removed") -> None:
    """Show what is going to happen, and ask a user whether it may. Raises RequestError if not.

    would: what a yes does, as a sentence without its full stop. yes: the user has said so already; without a terminal
    to ask at, that is needed. kept: what a no comes to.
    """
    for line in lines:
        print(f"  {line}", flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestError(f"{would}. {kept}: add YES=1 (--yes) to confirm")
    if input(f"{would}. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RequestError(kept[0].lower() + kept[1:])
