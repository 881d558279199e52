"""The handler of the command nearest: which systems a model sees as most like one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query import connect
from query.commands.ask import one_sentence
from query.reading.selection import find_dataset, find_source, held
from query.reading.vectors import refuse_damaged
from query.sql.output import FORMATS, check_writable, show, write
from query.tables.vectors.nearest_systems import nearest_to
from zoo.command_line import call

_LABELS = """
SELECT system_id, string_agg(
    format('{} = {:.6g}{}', property, value, if(unit = '1', '', ' ' || unit)), '; '
    ORDER BY property, source
) FROM labels
WHERE system_id IN (SELECT unnest($systems)) AND source NOT IN (SELECT model_id FROM models)
GROUP BY system_id
"""

SCHEMA = pa.schema(
    [("given", pa.string()), ("given_formula", pa.string()), ("rank", pa.int64())]
    + [("system_id", pa.string()), ("formula", pa.string()), ("similarity", pa.float64())]
    + [("labels", pa.string())]
)


class Given(Protocol):
    """What a user gave, embedded; `options.embed` names a function that returns it.

    Attributes:
        systems: The ids of the systems.
        formulas: Their formulas.
        vectors: A vector each, (d,).
        refused: Why others have no vector, by their ids.
    """

    systems: Sequence[str]
    formulas: Sequence[str | None]
    vectors: Sequence[NDArray[np.float64]]
    refused: Mapping[str, str]


def nearest(options: argparse.Namespace) -> int:
    """Embed what is given, and print which systems of the store the model sees as most like it.

    Args:
        options: Model, system, dataset, k, form, out, and those of `options.embed`.

    Returns:
        The exit code: 1 if the model takes only some of what is given.

    Raises:
        MatterzooError: The store lacks the model or the dataset, or the model takes nothing.
    """
    out = Path(options.out) if options.out else None
    with one_sentence(options.store):
        if out is not None:
            check_writable(out)
        with connect(options.store, functions=False) as connection:  # before anything is embedded
            _require_vectors(connection, options.model, options.dataset)
        given: Given = call(options.embed, options)
        with connect(options.store, functions=False) as connection:
            connection.execute("SET enable_progress_bar = false")
            table = pa.Table.from_pylist(list(_rows(connection, given, options)), SCHEMA)
            relation = connection.from_arrow(table)
            form = options.form or (out.suffix.removeprefix(".").lower() if out else None)
            if form is None:
                show(relation)
            elif form in FORMATS:
                write(relation, form, out)
            else:
                raise ValueError(f"{out} does not end in .csv, .json or .parquet")
    for system, reason in given.refused.items():
        print(f"error: {system.partition('/')[2]}: {reason}", file=sys.stderr)
    return 1 if given.refused else 0


def _require_vectors(
    connection: duckdb.DuckDBPyConnection, model: str, dataset: str | None
) -> None:
    """Raise ValueError if there is nothing to compare with."""
    source = find_source(connection, model)
    where = None if dataset is None else find_dataset(connection, dataset)
    refuse_damaged(connection, [source], where)
    found = connection.execute(
        f"SELECT 1 FROM ({held(connection)}) WHERE model_id = ? AND representation = ? "
        "AND (?::VARCHAR IS NULL OR dataset = ?) LIMIT 1",
        [source.model_id, source.representation, where, where],
    ).fetchone()
    if found is None:
        raise ValueError(
            f"{source.label} has no vectors on {where or 'any dataset'}; "
            f"`matterzoo ingest {source.model_id} {where or 'DATASET'}` makes them"
        )


def _rows(
    connection: duckdb.DuckDBPyConnection, given: Given, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    source = find_source(connection, options.model)
    for system, formula, vector in zip(given.systems, given.formulas, given.vectors, strict=True):
        left_out = system if options.name else None
        found = nearest_to(connection, source, vector, options.k, options.dataset, left_out)
        names = [row.system_id for row in found]
        labels = dict(connection.execute(_LABELS, {"systems": names}).fetchall())
        for row in found:
            own = {"given": system.partition("/")[2], "given_formula": formula}
            yield own | asdict(row) | {"labels": labels.get(row.system_id)}
