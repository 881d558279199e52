"""Which systems a model has vectors of, as codes that models share."""

from __future__ import annotations

from itertools import product

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.reading.selection import Selection, choose_sources, find_source
from query.reading.vectors import StoredVectors

SELECTIONS = (
    Selection("crystals"),
    Selection("crystals", tuple(f"crystals/{i:03d}" for i in range(5, 40, 3))),
    Selection("crystals", ()),
)
STORED = """
    SELECT system_id, content_hash FROM embeddings
    WHERE model_id = ? AND representation = ? AND starts_with(system_id, 'crystals/')
    ORDER BY system_id
"""


def test_equal_codes_mean_the_same_system_with_the_same_content(
    con: duckdb.DuckDBPyConnection, vectors: dict[str, NDArray[np.float32]]
) -> None:
    sources = [*choose_sources(con, None, "crystals"), find_source(con, "base#all")]
    for selection in SELECTIONS:
        keys = StoredVectors(con, selection).read_keys(sources)
        names = {}
        for source in sources:
            stored = con.execute(STORED, [source.model_id, source.representation]).fetchall()
            chosen = selection.systems
            names[source] = [row for row in stored if chosen is None or row[0] in chosen]
            assert len(keys[source]) == len(names[source])
            assert np.all(np.diff(keys[source]) > 0)  # in the order of their vectors
        for a, b in product(sources, repeat=2):
            same = [[x == y for y in names[b]] for x in names[a]]
            expected = np.array(same, bool).reshape(len(names[a]), len(names[b]))
            assert np.array_equal(keys[a][:, None] == keys[b], expected)
    whole = StoredVectors(con, SELECTIONS[0]).read_keys(sources)
    for source in sources:
        if source.model_id != "ragged":
            assert len(StoredVectors(con, SELECTIONS[0]).read(source)) == len(whole[source])


def test_a_model_without_vectors_has_no_codes(con: duckdb.DuckDBPyConnection) -> None:
    source = find_source(con, "empty")
    assert StoredVectors(con, SELECTIONS[0]).read_keys([source])[source].size == 0
    assert StoredVectors(con, SELECTIONS[0]).read_keys([]) == {}
