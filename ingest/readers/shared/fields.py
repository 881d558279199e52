"""Fields of entries: ids, charges, multiplicities and energies, by the names in use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ingest.readers.shared.reader import RecordError
from ingest.readers.shared.text import replace_bad_bytes
from ingest.systems.entry import Label, Remark

ID_KEYS = ("id", "system_id", "material_id", "mat_id", "mol_id", "uid")
# What columns of ids are called in tables, the surest first; later ones were added later, so that
# no table changes its ids.
ID_COLUMNS = (
    *ID_KEYS,
    *("name", "molecule_id", "compound_id", "chembl_id", "cid"),
    *("ids", "system_ids", "identifier", "drug_id", "cmpd_chemblid", "zinc_id", "names", "title"),
)
_CHARGE_KEYS = ("charge", "total_charge")
# All mean 2S + 1: `spin` in OMol25, `total_spin` in MACE, whose default is 1.
_SPIN_KEYS = ("spin", "total_spin", "multiplicity", "spin_multiplicity")
# Total energies in eV: ASE's own key, and the one in MACE's training files, which ASE leaves alone.
_ENERGY_KEYS = ("energy", "REF_energy")
READ_KEYS = frozenset({*ID_KEYS, *_CHARGE_KEYS, *_SPIN_KEYS, *_ENERGY_KEYS})
_MAX_NAMED = 20  # keys in one remark; training files have about ten, files of notes any number


class UnreadKeys:
    """Counts the keys that entries of a file have and no reader reads, for one remark per file."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, *keys: str) -> None:
        """Count the keys of one entry.

        Args:
            *keys: Names of fields that are not read.
        """
        self._counts.update(keys)

    def remarks(self) -> Iterator[Remark]:
        """Name all keys in one remark, the most frequent first.

        Yields:
            The remark; nothing if all keys were read.
        """
        if self._counts:
            named = self._counts.most_common(_MAX_NAMED)
            keys = ", ".join(f"{replace_bad_bytes(key)!r:.40} ({count})" for key, count in named)
            left = len(self._counts) - len(named)
            more = f" and {left} more" if left > 0 else ""
            yield Remark(f"not read, with the number of entries that have it: {keys}{more}")


def find_column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the place of the first of these names that a table has as a column.

    Args:
        columns: The names of the table's columns; 'Compound ID' is taken for compound_id.
        names: What the column may be called, in lower case, the surest first.

    Returns:
        Its place from 0, None if there is none.
    """
    plain = [re.sub(r"[\s-]+", "_", column.strip().lower()) for column in columns]
    return next((plain.index(name) for name in names if name in plain), None)


def id_of(fields: Mapping[str, Any], otherwise: object) -> str:
    """Return the id that the fields of an entry give.

    Args:
        fields: The fields of one entry.
        otherwise: The id if none of the fields is one.
    """
    given = (str(fields[key]).strip() for key in ID_KEYS if fields.get(key) is not None)
    return next((value for value in given if value), str(otherwise))


def charge_of(fields: Mapping[str, Any]) -> int | None:
    """Return the charge that the fields of an entry give.

    Args:
        fields: The fields of one entry.

    Returns:
        The charge in elementary charges, None if no field gives one.

    Raises:
        RecordError: The charge is not a whole number, or two fields contradict each other.
    """
    return _integer(fields, _CHARGE_KEYS)


def multiplicity_of(fields: Mapping[str, Any]) -> int | None:
    """Return the multiplicity that the fields of an entry give.

    Args:
        fields: The fields of one entry.

    Returns:
        2S + 1, None if no field gives it.

    Raises:
        RecordError: It is not a whole number, or two fields contradict each other.
    """
    return _integer(fields, _SPIN_KEYS)


def energies_of(fields: Mapping[str, Any], source: str, unread: UnreadKeys) -> tuple[Label, ...]:
    """Return the energies that the fields of an entry give, as labels in eV.

    Args:
        fields: The fields of one entry.
        source: Where the labels come from, such as the name of the file.
        unread: Counts energies that are not finite, as failed calculations leave them.

    Returns:
        One label per field that holds a finite energy.

    Raises:
        RecordError: A field that should hold an energy is not a number.
    """
    found = []
    for key in _ENERGY_KEYS:
        if fields.get(key) is None:
            continue
        try:
            value = float(fields[key])
        except (TypeError, ValueError):
            raise RecordError(f"{key} = {str(fields[key]):.60} is not a number") from None
        if np.isfinite(value):
            place = source if key == "energy" else f"{source}: {key}"
            found.append(Label("energy", value, "eV", place))
        else:
            unread.count(f"{key} that is not finite")
    return tuple(found)


def _integer(fields: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    found = {key: _whole(key, fields[key]) for key in keys if fields.get(key) is not None}
    if len(set(found.values())) > 1:
        stated = " and ".join(f"{key} = {value}" for key, value in found.items())
        raise RecordError(f"{stated} contradict each other")
    return next(iter(found.values()), None)


def _whole(key: str, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not np.isfinite(number) or number != round(number):
        raise RecordError(f"{key} = {str(value):.60} is not a whole number")
    return round(number)
