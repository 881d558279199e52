"""The order in which runs were loaded, noted in their folders.

`rebuild` loads runs in the same order, so that the later of two runs over the same systems wins
again. Each load has a number. LOADING holds it while a load is under way, LOADED afterwards; if a
folder has LOADING, the load was interrupted. Runs of early versions have only a time.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.folder import LOADED, LOADING, Run


def read_number(run: Run, name: str) -> int | None:
    """Return the number of a load, or None if the note is absent, damaged or without a number.

    Args:
        run: The run that was loaded.
        name: LOADING or LOADED.
    """
    try:
        found = run.read(name).get("sequence")
    except Damaged:
        return None
    return found if isinstance(found, int) else None


def next_number(layout: Layout) -> int:
    """Return the number of the next load; no clock is involved.

    Args:
        layout: A store that this process has locked, so that no other load gets the number.
    """
    runs = [Run(folder) for folder in layout.runs.glob("*")]
    known = [read_number(run, name) for run in runs for name in (LOADED, LOADING)]
    return 1 + max((number for number in known if number is not None), default=0)


def note_loaded(run: Run) -> None:
    """Note that a run is in the store, under the number that LOADING holds.

    Args:
        run: A run that has been loaded.
    """
    number = read_number(run, LOADING)
    run.write(LOADED, {"landed": datetime.now(UTC).isoformat(), "sequence": number})
    (run.folder / "failed.json").unlink(missing_ok=True)
    (run.folder / LOADING).unlink(missing_ok=True)


def interrupted_loads(layout: Layout) -> list[Run]:
    """Return the runs whose load began and did not end, in the order in which it began.

    Args:
        layout: The store and the files beside it.
    """
    runs = [Run(note.parent) for note in layout.runs.glob(f"*/{LOADING}")]
    return sorted(runs, key=lambda run: (read_number(run, LOADING) or 0, run.run_id))
