"""What `matterzoo doctor` finds: each a sentence, with a remedy if there is something to do."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.terminal import gigabytes


@dataclass(frozen=True)
class Finding:
    """One thing that was found about this machine.

    Attributes:
        level: `ok`; `warning` if something cannot be done, or not well; `fault` if nothing can run.
        what: What was found.
        remedy: What to do about it; empty if there is nothing to do.
    """

    level: Literal["ok", "warning", "fault"]
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:7}  {self.what}" + (f"; {self.remedy}" if self.remedy else "")


def check_room(what: str, folder: Path, needed: float, remedy: str) -> Finding:
    """Compare the free disk with what is going to be needed.

    Args:
        what: What needs the room.
        folder: Where it is going to lie; the folder need not exist.
        needed: Bytes that are needed.
        remedy: What else to do if there is too little, besides freeing some.

    Returns:
        A warning if there is too little.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{what} in {folder}: {gigabytes(free)} free"
    text += f", about {gigabytes(needed)} needed" if needed else ""
    if free >= needed:
        return Finding("ok", text)
    return Finding("warning", text, f"free some; {remedy}")
