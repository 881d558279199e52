"""Where the vectors of new runs go: beside the store, or into an object store.

MATTERZOO_VECTORS=s3://bucket/prefix says it once: the store's data folder keeps it for later
commands, and the folder of each run keeps where its own files are. `local` goes back.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ingest.integrity import read_json, write_json
from ingest.runs.errors import RequestError

VARIABLE = "MATTERZOO_VECTORS"
NOTE = "vectors.json"  # in the data folder, and in that of a run: {"folder": address or null}
BESIDE = "local"  # the value that means the folder beside the store
_ADDRESS = re.compile(r"(s3|gs|gcs|r2)://[^/?*\[]+(/[^?*\[]+)*/?")


def address_of_new(data: Path) -> str | None:
    """Return where the vectors of new runs go, and keep it if it is said anew.

    Args:
        data: The store's data folder.

    Returns:
        An address without a slash at its end; None is the folder beside the store.

    Raises:
        RequestError: MATTERZOO_VECTORS is no address.
    """
    note = data / NOTE
    kept = read_json(note).get("folder") if note.exists() else None
    stated = os.environ.get(VARIABLE)
    if not stated:
        return None if kept is None else str(kept)
    if stated != BESIDE and not _ADDRESS.fullmatch(stated):
        raise RequestError(
            f"{VARIABLE} is {stated!r}; expected an address such as s3://bucket/prefix, or "
            f"{BESIDE}: beside the store"
        )
    found = None if stated == BESIDE else stated.rstrip("/")
    if found != kept:
        write_json(note, {"folder": found})
    return found
