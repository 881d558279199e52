"""Energies in the table `labels`: which there are, and which predictions are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import nearest_name
from query.reading.selection import OF_DATASET, Selection
from query.statistics.composition import Floats, count_elements

# The property of what models predict, in eV and with the model as its source.
ENERGY = "energy"
# How the names of other energies of whole systems begin, the one most like a potential's first. A
# gap is none of them.
WHOLE = (
    "total_energy",
    "internal_energy",
    "atomization_e",
    "formation_e",
    "enthalpy",
    "free_energy",
)

KNOWN = f"""
    SELECT
        property,
        source,
        source IN (SELECT model_id FROM models) AS is_model,
        list(DISTINCT unit) AS units,
        count(*) AS n
    FROM labels WHERE {OF_DATASET} GROUP BY ALL ORDER BY ALL
"""
LABELS = f"""
    SELECT system_id, formula, numbers, value, unit FROM labels JOIN systems USING (system_id)
    WHERE {OF_DATASET} AND property = $property AND source = $source
        AND isfinite(value) AND len(numbers) > 0
    ORDER BY system_id
"""


@dataclass(frozen=True)
class LabelSet:
    """A property that some systems of the dataset have, from one source.

    Attributes:
        name: The property.
        source: Who says it: a dataset, or a model that predicted it.
        is_model: Whether the source is a model.
        units: The units that occur.
        n: The number of systems that have it.
    """

    name: str
    source: str
    is_model: bool
    units: Sequence[str]
    n: int


@dataclass(frozen=True)
class Labels:
    """Total energies in eV, one per system, in order of system_id.

    Attributes:
        of: The property and its source.
        selection: The systems that were asked for.
        systems: The system_ids, (n,).
        formulas: Their formulas, n of them.
        counts: The atoms of each element, (n, elements).
        energies: The energies in eV, (n,).
    """

    of: LabelSet
    selection: Selection
    systems: NDArray[np.str_]
    formulas: Sequence[str | None]
    counts: Floats
    energies: Floats

    def where(self) -> dict[str, str]:
        """Return the columns that say where the labels are from: dataset, property, source."""
        return {
            "dataset": self.selection.dataset,
            "property": self.of.name,
            "source": self.of.source,
        }


def read_label_sets(connection: duckdb.DuckDBPyConnection, selection: Selection) -> list[LabelSet]:
    """Return the properties of some systems, by name and source.

    Args:
        connection: A store.
        selection: The systems.
    """
    return [LabelSet(*row) for row in connection.execute(KNOWN, selection.parameters()).fetchall()]


def choose_label_set(
    dataset: str, known: Sequence[LabelSet], name: str | None, source: str | None
) -> LabelSet:
    """Return the labels to compare with.

    Args:
        dataset: The dataset, for messages.
        known: The properties that its systems have.
        name: The property; None for 'energy', or without it the energy of whole systems (`WHOLE`)
            that most systems have, or without such the only property in a unit of energy.
        source: The source; None for any that is no model.

    Raises:
        ValueError: There is none, or more than one; the message names those that there are.
    """
    if source is not None and source not in {p.source for p in known}:
        raise ValueError(
            f"no labels of '{source}' on {dataset}{_near(source, [p.source for p in known])}"
        )
    if name is not None and name not in {p.name for p in known}:
        raise ValueError(f"no label '{name}' on {dataset}{_near(name, [p.name for p in known])}")
    fitting = [p for p in known if (not p.is_model if source is None else p.source == source)]
    meant = _meant(fitting) if name is None else name
    chosen = [p for p in fitting if p.name == meant] if meant else _in_units_of_energy(fitting)
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        models = ", ".join(p.source for p in known if p.is_model)
        raise ValueError(
            f"no labels of {name or 'energy'}{f' of {source!r}' if source else ''} on {dataset}"
            + (
                f"; predictions of a model can take their place: source := '…', one of: {models}"
                if models
                else ", and no model has predicted any"
            )
        )
    choices = "; ".join(f"property := '{p.name}', source := '{p.source}'" for p in chosen)
    raise ValueError(f"several labels on {dataset} are energies, choose one: {choices}")


def _in_units_of_energy(known: Sequence[LabelSet]) -> list[LabelSet]:
    return [p for p in known if set(p.units) <= set(energy_units())]


def _meant(known: Sequence[LabelSet]) -> str | None:
    """Return the property that stands for the energy if none is named; None if unclear."""
    if any(p.name == ENERGY for p in known):
        return ENERGY
    whole = [p for p in _in_units_of_energy(known) if p.name.startswith(WHOLE)]
    order = {
        p.name: [p.name.startswith(beginning) for beginning in WHOLE].index(True) for p in whole
    }
    return min(whole, key=lambda p: (-p.n, order[p.name], p.name)).name if whole else None


def _near(name: str, known: Sequence[str]) -> str:
    names = sorted(set(known))
    return nearest_name(name, names) or f", which has: {', '.join(names) or 'none'}"


def read_labels(
    connection: duckdb.DuckDBPyConnection, selection: Selection, of: LabelSet
) -> Labels:
    """Return the labels of systems with atoms that are finite numbers.

    Args:
        connection: A store.
        selection: The systems.
        of: The property and its source.

    Raises:
        ValueError: A unit is none of energy.
    """
    known = energy_units()
    for unit in of.units:
        if unit not in known:
            raise ValueError(
                f"'{of.name}' of '{of.source}' is in '{unit}', "
                f"expected a unit of energy: {', '.join(known)}"
            )
    chosen = {"property": of.name, "source": of.source}
    table = connection.execute(LABELS, selection.parameters() | chosen).to_arrow_table()
    scale = np.array([known[unit] for unit in table.column("unit").to_pylist()])
    return Labels(
        of,
        selection,
        systems=np.array(table.column("system_id").to_pylist(), dtype=np.str_),
        formulas=table.column("formula").to_pylist(),
        counts=count_elements(table.column("numbers").to_pylist()),
        energies=table.column("value").to_numpy() * scale,
    )


def energy_units() -> dict[str, float]:
    """Return the units of energy that labels may be in, and how many eV each is.

    The constants are those of CODATA as SciPy has them.
    """
    from scipy import constants  # slow to import, and other questions need not wait for it

    hartree = constants.physical_constants["Hartree energy in eV"][0]
    mole = constants.e * constants.N_A
    molar = {"kJ/mol": 1e3 / mole, "kcal/mol": 1e3 * constants.calorie / mole}
    return {"eV": 1.0, "meV": 1e-3, "Ha": hartree, "Hartree": hartree, "hartree": hartree, **molar}
