"""node_alignment(model_a, model_b, …): how alike two models see atoms or residues.

Nodes of one system are not independent, so that a null of freely shuffled nodes makes unrelated
models alike; `query.statistics.exchange` says which nodes change places instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import unknown_name
from query.metrics import Alignment, Comparison, align_all
from query.reading.node_vectors import Nodes, find_node_source, read_kinds, read_nodes
from query.reading.selection import Selection, Source, find_dataset
from query.statistics.exchange import NULLS, Exchange, draw_per_system
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.parameters import (
    DEVICE,
    ESTIMATOR,
    METRIC,
    MODEL_A,
    MODEL_B,
    NORMALIZE,
    ONE_DATASET,
    OPTION_SEED,
    PERMUTATIONS,
    ROWS,
    SYSTEMS,
    K,
)
from query.tables.shared.rows import Notes, Pair
from query.tables.shared.selecting import Names, select

BY = ("element", "residue", "system")
FEW = 10  # systems, below which a group has a warning
HELD_STILL = 0.5  # the share of nodes that stay in place, above which a group has a warning


@dataclass(frozen=True)
class _Value:
    """The alignment of one group of nodes."""

    dataset: Annotated[str, "the dataset whose systems the nodes are of"]
    kind: Annotated[str | None, "the element, the residue or the system; NULL for all nodes"]
    value: Annotated[float | None, "the metric; NULL where it is undefined"]
    calibrated: Annotated[float | None, "the value between chance (0) and identity (1)"]
    p_value: Annotated[float | None, "how often exchanged nodes are as much alike"]
    n: Annotated[int, "nodes that are compared"]
    n_systems: Annotated[int, "systems that they are of"]
    dropped_a: Annotated[int, "nodes of the first model that the second has no vectors of"]
    dropped_b: Annotated[int, "nodes of the second model that the first has no vectors of"]
    exchange: Annotated[str, "which nodes change places: 'system', 'within' or 'node'"]
    movable: Annotated[float | None, "the share of nodes that may change places"]
    metric: Annotated[str, "the metric"]
    estimator: Annotated[str | None, "the estimator of the metric, if it has several"]
    normalization: Annotated[str, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per node, of a metric that has them"]
    null_mean: Annotated[float | None, "the mean of the value over exchanged nodes: chance"]
    null_std: Annotated[float | None, "the standard deviation over exchanged nodes"]
    rows: Annotated[int, "nodes whose neighbors were found: n if exact"]


@dataclass(frozen=True)
class Row(Notes, _Value, Pair):
    """How alike two models see the nodes of a group."""


@dataclass(frozen=True)
class How:
    """How nodes are grouped and exchanged.

    Attributes:
        by: One of BY; None is one group of all.
        null: One of NULLS.
        per_system: How many nodes are drawn of each system; None takes all.
        options: How to compare.
    """

    by: str | None
    null: str
    per_system: int | None
    options: Options

    def __post_init__(self) -> None:
        """Raise ValueError if an option makes no sense."""
        if self.by is not None and self.by not in BY:
            raise ValueError(unknown_name("by", self.by, BY))
        if self.null not in NULLS:
            raise ValueError(unknown_name("exchange", self.null, NULLS))


def node_alignment(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None = None,
    by: str | None = None,
    exchange: str = NULLS[0],
    per_system: int | None = None,
    systems: Names = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Align what two models see of the nodes of a dataset's systems.

    Args:
        connection: A connection to a store.
        model_a: A model, or model#representation, of which the store has vectors of nodes.
        model_b: The other one.
        dataset: The dataset.
        by: 'element', 'residue' or 'system': one row for each; None is one row for all nodes.
        exchange: Which nodes change places; see `query.statistics.exchange`. Of a group that is one
            system, nodes change places within it.
        per_system: How many nodes of each system are drawn in a group, so that systems of all
            sizes can change places; None takes all.
        systems: Ids of systems; None is all.
        options: How to compare.

    Returns:
        One row per group and metric, the largest group first.

    Raises:
        ValueError: The store has no such model or dataset, or no vectors of nodes of a model, or an
            option makes no sense.
    """
    how = How(by, exchange, per_system, options or Options())
    pair = find_node_source(connection, model_a), find_node_source(connection, model_b)
    selection = select(find_dataset(connection, dataset), systems)
    nodes = read_nodes(connection, pair, selection)
    groups = _groups(connection, nodes, selection, how)
    return [
        row
        for kind, members in groups
        for row in _align(nodes, kind, members, pair, selection.dataset, how)
    ]


def _groups(
    connection: duckdb.DuckDBPyConnection, nodes: Nodes, selection: Selection, how: How
) -> list[tuple[str | None, NDArray[np.int64]]]:
    """Return the kind and the nodes of each group, the largest first."""
    every = np.arange(len(nodes.systems))
    if how.by is None:
        return [(None, every)]
    if how.by == "system":
        kinds = np.array(nodes.names, dtype=object)[nodes.systems]
    else:
        kinds = read_kinds(connection, nodes, selection, how.by)
    names, codes = np.unique(kinds.astype(str), return_inverse=True)
    found = [(str(name), np.flatnonzero(codes == code)) for code, name in enumerate(names) if name]
    return sorted(found, key=lambda group: (-len(group[1]), group[0]))


def _align(
    nodes: Nodes,
    kind: str | None,
    members: NDArray[np.int64],
    pair: tuple[Source, Source],
    dataset: str,
    how: How,
) -> Iterator[Row]:
    """Yield the rows of one group, one per metric."""
    if how.per_system is not None:
        chosen = draw_per_system(nodes.systems[members], how.per_system, how.options.seed)
        members = members[chosen]
    null = "within" if how.by == "system" and how.null == "system" else how.null
    exchange = Exchange(nodes.systems[members], null)
    n_systems = len(np.unique(exchange.systems))
    movable = exchange.movable if len(members) else None
    arguments = how.options.for_pairs
    if not movable:
        arguments = arguments | {"permutations": 0}
    tables = [vectors[members] for vectors in nodes.vectors]
    names = [source.label for source in pair]
    comparison = Comparison(tables, names=names, n=len(members), **how.options.for_comparison)
    for _, _, found in align_all(
        comparison, how.options.metrics, [(0, 1)], exchange=exchange, **arguments
    ):
        yield Row(
            model_a=names[0],
            model_b=names[1],
            dataset=dataset,
            kind=kind,
            value=found.value,
            calibrated=found.calibrated,
            p_value=found.p_value,
            n=found.n,
            n_systems=n_systems,
            dropped_a=nodes.dropped[0],
            dropped_b=nodes.dropped[1],
            exchange=null,
            movable=movable,
            metric=found.metric,
            estimator=found.estimator,
            normalization=found.normalization,
            k=found.k,
            null_mean=found.null_mean,
            null_std=found.null_std,
            rows=found.n if found.rows is None else found.rows,
            warning=_warning(found, exchange, n_systems, movable),
            reason=found.reason if found.n else _why_nothing(names, dataset, how),
        )


def _warning(
    found: Alignment, exchange: Exchange, n_systems: int, movable: float | None
) -> str | None:
    """Return what weakens a value: its own warnings, few systems, few that may change places."""
    if found.value is None:
        return found.warning
    notes = [] if found.warning is None else [found.warning.replace("systems", "nodes")]
    if n_systems < FEW and exchange.null != "within":
        notes.append(f"{n_systems} systems are few")
    if exchange.null == "system" and movable is not None and movable < 1 - HELD_STILL:
        still = f"{1 - movable:.0%} of nodes are of systems of which no other has as many"
        notes.append(f"{still}: per_system := m draws m of each, exchange := 'within' asks of each")
    return "; ".join(notes) or None


def _why_nothing(names: Sequence[str], dataset: str, how: How) -> str:
    if how.per_system is not None:
        return f"no system of {dataset} has {how.per_system} such nodes"
    return f"no nodes that both {names[0]} and {names[1]} have vectors of on {dataset}"


TABLE_FUNCTION = TableFunction(
    "How alike two models see atoms or residues: all together, or by element, residue or system; "
    "chance exchanges whole systems, as nodes of one are not independent",
    Row,
    (
        MODEL_A,
        MODEL_B,
        ONE_DATASET,
        Parameter("by", "VARCHAR", None, "'element', 'residue' or 'system'; NULL is all nodes"),
        METRIC,
        K,
        Parameter(
            "exchange",
            "VARCHAR",
            NULLS[0],
            "what chance moves: 'system' (of equal size), 'within' (nodes of one), 'node' (all)",
        ),
        Parameter(
            "per_system", "BIGINT", None, "nodes drawn of each system; NULL takes all", least=1
        ),
        ESTIMATOR,
        NORMALIZE,
        PERMUTATIONS,
        OPTION_SEED,
        DEVICE,
        ROWS,
        SYSTEMS,
    ),
    node_alignment,
)
