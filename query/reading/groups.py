"""Systems in groups of which the members are too much alike to be told from each other's labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import nearest_name
from query.reading.energy_labels import read_label_sets
from query.reading.properties import Described
from query.reading.selection import OF_DATASET

CONTENT, FORMULA, SCAFFOLD, FAMILY = "content", "formula", "scaffold", "family"
WORD = 3  # residues that a word of a sequence has
SHARED = 0.3  # of the words of the shorter sequence, from which on two are of one family
BLOCK = 512  # sequences that are compared with all at once

_VALUES = f"""
    SELECT system_id, any_value(value) FROM labels
    WHERE {OF_DATASET} AND property = $property GROUP BY ALL
"""


def read_groups(
    connection: duckdb.DuckDBPyConnection, described: Described, name: str
) -> NDArray[np.int64]:
    """Return the group of each system, (n,), numbered from 0; −1 for those without.

    Args:
        connection: A store.
        described: The systems.
        name: 'content': systems that are the same. 'formula': the formula, of crystals the reduced
            one. 'scaffold': the Bemis–Murcko scaffold (J. Med. Chem. 39, 2887 (1996)) of the
            SMILES; a molecule without rings is a group of its own. Any label: equal values.
            'family', if no label has this name: sequences that share SHARED of the shorter one's
            words of WORD residues, directly or by way of others.

    Raises:
        ValueError: The dataset has no such label, or RDKit is missing.
    """
    if name == CONTENT:
        keys: Sequence[Hashable | None] = [system["content_hash"] for system in described.systems]
    elif name == FORMULA:
        keys = [_formula(system) for system in described.systems]
    elif name == SCAFFOLD:
        keys = [_scaffold(system["smiles"]) for system in described.systems]
    else:
        known = {each.name for each in read_label_sets(connection, described.selection)}
        if name == FAMILY and name not in known:
            return _families([system["sequence"] for system in described.systems])
        if name not in known:
            choices = [CONTENT, FORMULA, SCAFFOLD, FAMILY, *sorted(known)]
            near = nearest_name(name, choices) or f", expected one of: {', '.join(choices)}"
            raise ValueError(f"unknown groups '{name}'{near}")
        chosen: dict[str, Any] = described.selection.parameters() | {"property": name}
        values = dict(connection.execute(_VALUES, chosen).fetchall())
        keys = [values.get(system["system_id"]) for system in described.systems]
    numbers: dict[Hashable, int] = {}
    return np.array(
        [-1 if key is None else numbers.setdefault(key, len(numbers)) for key in keys],
        dtype=np.int64,
    )


def _formula(system: dict[str, Any]) -> Hashable | None:
    if not system["numbers"]:
        found: str | None = system["formula"]
        return found
    counts = Counter(system["numbers"])
    least = math.gcd(*counts.values()) if system["is_periodic"] else 1
    return tuple(sorted((z, n // least) for z, n in counts.items()))


def _scaffold(smiles: str | None) -> str | None:
    if smiles is None:
        return None
    try:  # slow to import, and no part of what asking a store needs
        from rdkit.Chem import MolFromSmiles
        from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles
    except ImportError as error:
        raise ValueError(
            "groups = 'scaffold' needs RDKit: `pip install 'matterzoo[ingest]'`"
        ) from error
    molecule = MolFromSmiles(smiles)
    if molecule is None:
        return None
    return MurckoScaffoldSmiles(mol=molecule) or smiles


def _families(sequences: Sequence[str | None]) -> NDArray[np.int64]:
    """Return single-linkage clusters of sequences by the words that they share, (n,)."""
    from scipy.sparse import coo_array, csr_array  # slow to import, and rarely needed
    from scipy.sparse.csgraph import connected_components

    found = np.full(len(sequences), -1, dtype=np.int64)
    known = [i for i, sequence in enumerate(sequences) if sequence]
    words = [_words(sequences[i] or "") for i in known]
    numbers = {word: i for i, word in enumerate(sorted(set().union(*words)))}
    columns = [numbers[word] for some in words for word in some]
    ends = np.cumsum([0, *(len(some) for some in words)])
    table = csr_array(
        (np.ones(len(columns), dtype=np.int32), columns, ends), shape=(len(words), len(numbers))
    )
    sizes = np.diff(ends)
    near: list[NDArray[np.int64]] = []
    for start in range(0, len(words), BLOCK):
        shared = coo_array(table[start : start + BLOCK] @ table.T)
        rows, others = shared.row + start, shared.col
        alike = shared.data >= SHARED * np.minimum(sizes[rows], sizes[others])
        near.append(np.stack([rows[alike], others[alike]]))
    if known:
        rows, others = np.hstack(near)
        graph = coo_array((np.ones(len(rows)), (rows, others)), shape=(len(known), len(known)))
        found[known] = connected_components(graph, directed=False)[1]
    return found


def _words(sequence: str) -> set[str]:
    if len(sequence) < WORD:
        return {sequence}
    return {sequence[i : i + WORD] for i in range(len(sequence) - WORD + 1)}
