"""ASE's trajectories (.traj), frame by frame.

The id is the frame's `id` (or `material_id`, …) in the `info` of its atoms, or its number from 0.
Charge, multiplicity and energies are read from `info` as from extxyz; the energy of the calculator
(eV) is a label. Calculators, constraints and all else are not read. A trajectory of ASE before 2016
is a pickle, which can run any code, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ingest.readers.shared import ulm
from ingest.readers.shared.fields import (
    READ_KEYS,
    UnreadKeys,
    charge_of,
    energies_of,
    id_of,
    multiplicity_of,
)
from ingest.readers.shared.guard import parser_reason
from ingest.readers.shared.packed import unpacked
from ingest.readers.shared.reader import Reader, Record, RecordError
from ingest.readers.shared.ulm import UlmFile
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Entry, Unreadable

_TAG = "ASE-Trajectory"
_PICKLE = b"PickleTrajectory"
_FRAME_ERRORS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def records(path: Path) -> Iterator[Record | Item]:
    """Go through the frames of a trajectory.

    Args:
        path: A .traj file.

    Yields:
        One record per frame, and a remark on what is not read.

    Raises:
        DatasetError: The file is not a trajectory, or is one of pickles.
    """
    unread = UnreadKeys()
    with unpacked(path) as plain:
        _refuse_pickle(plain)
        with UlmFile(plain) as file:
            if file.tag != _TAG:
                raise DatasetError(f"{plain} is {file.tag!r:.40}; expected {_TAG!r}")
            for number in range(file.count):
                yield Record(str(number), partial(_entry, file, number, path.name, unread), "ASE")
    yield from unread.remarks()


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_PICKLE)) == _PICKLE:
            raise DatasetError(
                f"{path} is a trajectory of pickles, which could run any code: convert it with "
                "`python -m ase.io.trajectory FILE` if you trust it"
            )


def _entry(
    file: UlmFile, number: int, source: str, unread: UnreadKeys
) -> Iterator[Entry | Unreadable]:
    name = str(number)
    try:
        frame = file.frame(number)
        # What all frames share is written in the first one.
        shared = frame if "numbers." in frame or "numbers" in frame else file.frame(0)
        info = dict(frame.get("info") or {})
        name = id_of(info, number)
        energy = (frame.get("calculator.") or {}).get("energy", info.get("energy"))
        entry = Entry(
            name,
            file.array(shared, "numbers"),
            file.array(frame, "positions"),
            file.array(frame, "cell"),
            file.array(shared, "pbc"),
            charge_of(info),
            multiplicity_of(info),
            labels=energies_of({**info, "energy": energy}, source, unread),
        )
    except (RecordError, *_FRAME_ERRORS) as error:
        yield Unreadable(name, parser_reason("ASE", error))
        return
    unread.count(*_unread_keys(info, frame))
    yield entry


def _unread_keys(info: dict[str, Any], frame: dict[str, Any]) -> Iterator[str]:
    yield from (key for key in info if key not in READ_KEYS)
    results = (key.removesuffix(".") for key in frame.get("calculator.") or {})
    yield from (key for key in results if key not in ("name", "parameters", "energy"))


READER = Reader(suffixes=(".traj",), records=records, packages=(), code=(__file__, ulm.__file__))
