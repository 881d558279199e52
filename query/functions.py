"""The one bridge between SQL and Python: every function that a query can call is registered here.

Layer 1: an aggregate such as cknna(a, b) is a macro that collects a group's rows in a list, over an Arrow function that
maps lists to values. Layers 2 and 3 are table macros (macros.sql) over functions that read the store themselves.
"""

from __future__ import annotations

import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints
from weakref import WeakValueDictionary

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from query import aggregates, alignment, convergence, curve, dimensions, energies, kinship, maps, questions, systems
from query.cache import Cache
from query.how import HOW, How
from query.interrupt import interruptible
from query.memory import modest
from query.metrics import MEASURES, METRICS, Measure, Metric
from query.progress import Progress
from query.training import macros as training_macros

MACROS = Path(__file__).with_name("macros.sql")
SIGNATURE = re.compile(r"^CREATE OR REPLACE TEMP MACRO (\w+)\((.*?)\) AS\s", re.DOTALL | re.MULTILINE)
SQL_TYPES: dict[Any, str] = {
    str: "VARCHAR",
    str | None: "VARCHAR",
    int | None: "BIGINT",
    questions.Names: "VARCHAR[]",
    curve.Numbers: "BIGINT[]",
    How: HOW,
}

# DuckDB keeps a function for the whole database, whichever connection registered it, and does not keep it alive. So
# they live in this module, are registered once a database, and find the connection that called them by its number.
_connections: WeakValueDictionary[int, duckdb.DuckDBPyConnection] = WeakValueDictionary()
_numbers = itertools.count()
_registering = threading.Lock()


class Function(NamedTuple):
    """A Python function as SQL sees it. An Arrow function maps whole columns, a native one values."""

    call: Callable[..., Any]
    arguments: tuple[str, ...]
    result: str
    arrow: bool


def register(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Give a connection to a store the SQL functions. A cursor of it needs its own call: macros are its own."""
    number = next(_numbers)
    _connections[number] = connection
    connection.execute(f"SET VARIABLE matterzoo_connection = {number}")
    with _registering:
        known = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
        for name, function in FUNCTIONS.items():
            if (name,) not in known:
                _create(connection, name, function)
    for statement in macros():
        connection.execute(statement)
    return connection


def macros() -> Iterator[str]:
    """The SQL that defines what can be called: an aggregate for each metric and measure, then macros.sql."""
    for metric in METRICS.values():
        yield from _aggregate(metric)
    for measure in MEASURES.values():
        yield from _measure_aggregate(measure)
    yield from training_macros()
    yield MACROS.read_text(encoding="utf-8")


def signatures() -> dict[str, str]:
    """What can be called, by name, with its arguments and their defaults."""
    found = SIGNATURE.findall("\n".join(macros()))
    return {name: f"{name}({' '.join(arguments.split())})" for name, arguments in sorted(found)}


def _aggregate(metric: Metric) -> Iterator[str]:
    """The metric as an aggregate macro, and what `.help` says of it."""
    options = {"k": str(metric.default_k)} if metric.uses_k else {}
    if metric.estimators:
        options["estimator"] = f"'{metric.estimators[0]}'"
    options["normalize"] = "'l2'"
    declared = "".join(f", {name} := {default}" for name, default in options.items())
    passed = ", ".join(name if name in options else "NULL" for name in ("k", "estimator", "normalize"))
    yield (
        f"CREATE OR REPLACE TEMP MACRO {metric.name}(a, b{declared}) AS "
        # DuckDB fills the lists of one aggregation in one order, as its own PIVOT relies on.
        f"__align(list(__pack(a::FLOAT[])), list(__pack(b::FLOAT[])), '{metric.name}', {passed})"
    )
    how = "differently (0 is alike)" if metric.lower_is_closer else "alike"
    direction = "" if metric.symmetric else ", from a to b"
    about = f"Aggregate over rows of two vectors: how {how} a and b place the systems{direction}"
    yield f"COMMENT ON MACRO {metric.name} IS '{about}'"


def _measure_aggregate(measure: Measure) -> Iterator[str]:
    """The measure as an aggregate macro, and what `.help` says of it."""
    neighbours = "" if measure.k is None else f", k := {measure.k}"
    yield (
        f"CREATE OR REPLACE TEMP MACRO {measure.name}"
        f"(a, method := '{measure.methods[0]}'{neighbours}, normalize := 'none') AS "
        f"__measure(list(__pack(a::FLOAT[])), '{measure.name}', method, {'k' if neighbours else 'NULL'}, normalize)"
    )
    yield f"COMMENT ON MACRO {measure.name} IS 'Aggregate over rows of one vector: {measure.about}'"


def _create(connection: duckdb.DuckDBPyConnection, name: str, function: Function) -> None:
    connection.create_function(
        name,
        function.call,
        [duckdb.sqltype(argument) for argument in function.arguments],
        duckdb.sqltype(function.result),
        type=PythonUDFType.ARROW if function.arrow else PythonUDFType.NATIVE,
        null_handling=FunctionNullHandling.SPECIAL,
        # What reads the store must run when the query does, not while DuckDB plans or explains it.
        side_effects=not function.arrow,
    )


def _reads_store(answer: Callable[..., list[alignment.Row]], row: str) -> Function:
    """A function of `questions` for SQL: the connection's number takes the place of the connection."""
    hints = get_type_hints(answer)
    takes = [hint for name, hint in hints.items() if name not in ("connection", "return")]

    def call(number: int | None, *arguments: Any) -> list[alignment.Row]:
        connection = _connections.get(-1 if number is None else number)
        if connection is None:
            raise ValueError("this connection has no store: make it with query.connect(), or query.register() it")
        with connection.cursor() as cursor, modest(cursor), Progress() as progress, interruptible():
            tools = {"progress": progress, "cache": Cache.beside(cursor)}
            given = [How.of(**a, **tools) if isinstance(a, dict) else a for a in arguments]
            return answer(cursor, *given)

    # DuckDB counts the parameters of what it is given.
    call.__signature__ = inspect.signature(answer)  # type: ignore[attr-defined]
    return Function(call, ("BIGINT", *(SQL_TYPES[hint] for hint in takes)), f"{row}[]", arrow=False)


FUNCTIONS = {
    "__pack": Function(aggregates.pack, ("FLOAT[]",), "BLOB", arrow=True),
    "__align": Function(
        aggregates.align_groups, ("BLOB[]", "BLOB[]", "VARCHAR", "BIGINT", "VARCHAR", "VARCHAR"), "DOUBLE", arrow=True
    ),
    "__measure": Function(
        aggregates.measure_groups, ("BLOB[]", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR"), "DOUBLE", arrow=True
    ),
    "__alignment": _reads_store(questions.alignment, alignment.ROW),
    "__alignment_curve": _reads_store(curve.alignment_curve, curve.ROW),
    "__alignment_matrix": _reads_store(questions.alignment_matrix, alignment.ROW),
    "__dimensions": _reads_store(dimensions.dimensions, dimensions.ROW),
    "__nearest_models": _reads_store(questions.nearest_models, questions.NEAREST_MODEL),
    "__nearest_systems": _reads_store(systems.nearest_systems, systems.ROW),
    "__model_tree": _reads_store(questions.model_tree, questions.TREE),
    "__energy_residuals": _reads_store(energies.energy_residuals, energies.RESIDUAL),
    "__energy_errors": _reads_store(energies.energy_errors, energies.ERROR),
    "__kinship": _reads_store(kinship.kinship, kinship.ROW),
    "__system_map": _reads_store(maps.system_map, maps.ROW),
    "__convergence": _reads_store(convergence.convergence, convergence.ROW),
}
