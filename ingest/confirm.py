"""Ask before more is removed than a repeated command brings back at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ingest.plan import PlanError


def confirm(lines: Sequence[str], question: str, yes: bool) -> None:
    """Show what is going to happen, and ask a user whether it may. Raises PlanError if not.

    yes: the user has said so already. Without a terminal to ask at, that is needed.
    """
    for line in lines:
        print(f"  {line}", flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise PlanError(f"{question} There is no terminal to answer at, so nothing is changed; YES=1 (--yes) says yes")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise PlanError("nothing is changed")
