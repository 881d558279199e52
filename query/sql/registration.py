"""The one bridge between SQL and Python: every function that a query can call is registered here.

Layer 1: an aggregate such as cknna(a, b) is a macro that collects a group's rows in a list, over an Arrow function that
maps lists to values, in the precision of the rows: FLOAT[] as float32, DOUBLE[] and all other numbers as float64.
Layers 2 and 3 are table macros (macros.sql) over functions that read the store themselves.
"""

from __future__ import annotations

import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints
from weakref import WeakValueDictionary

import duckdb
from duckdb.func import FunctionNullHandling, PythonUDFType

from query.metrics import MEASURES, METRICS, Measure, Metric
from query.reading.neighbor_cache import NeighborCache
from query.reading.training import macros as training_macros
from query.sql import aggregates
from query.sql.interrupt import interruptible
from query.sql.memory import modest
from query.sql.progress import Progress
from query.statements import literal
from query.tables import alignment_curve as curve
from query.tables import convergence, dimensions, energies, kinship, questions
from query.tables import nearest_systems as systems
from query.tables import pairs as alignment
from query.tables import system_map as maps
from query.tables.options import HOW, How, whole
from schemas.errors import StoreError

MACROS = Path(__file__).with_name("macros.sql")
SIGNATURE = re.compile(
    r"^CREATE OR REPLACE TEMP MACRO (?!__)(\w+)\((.*?)\) AS\s", re.DOTALL | re.MULTILINE
)
SQL_TYPES: dict[Any, str] = {
    str: "VARCHAR",
    str | None: "VARCHAR",
    int
    | None: "VARCHAR",  # so that 2.5 is refused by name: DuckDB would round it, or show how functions are made
    bool | None: "BOOLEAN",
    questions.Names: "VARCHAR[]",
    curve.Numbers: "VARCHAR[]",
    How: HOW,
}
CALLER = (
    "STRUCT(number BIGINT, search_path VARCHAR, hiding VARCHAR[])"  # what the macro __caller gives
)
HAS_STORE = "SELECT 1 FROM models, datasets, embeddings LIMIT 0"
NO_STORE = "this connection has no store: make it with query.connect(), or query.register() it"

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
    """Give a connection to a store the SQL functions. A cursor of it needs its own call: macros are its own.

    Raises StoreError where the connection has no store.
    """
    _require_store(connection)
    number = next(_numbers)
    _connections[number] = connection
    connection.execute(f"SET VARIABLE matterzoo_connection = {number}")
    with _registering:
        known = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions()"
        ).fetchall()
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
    passed = ", ".join(
        name if name in options else "NULL" for name in ("k", "estimator", "normalize")
    )
    yield (
        f"CREATE OR REPLACE TEMP MACRO {metric.name}(a, b{declared}) AS "
        # DuckDB fills the lists of one aggregation in one order, as its own PIVOT relies on.
        f"__{metric.name}({_collected('a')}, {_collected('b')}, {_checked(metric.name, passed)})"
    )
    how = "differently (0 is alike)" if metric.lower_is_closer else "alike"
    direction = "" if metric.symmetric else ", from a to b"
    about = f"Aggregate over rows of two vectors: how {how} a and b place the systems{direction}"
    yield f"COMMENT ON MACRO {metric.name} IS '{about}'"


def _measure_aggregate(measure: Measure) -> Iterator[str]:
    """The measure as an aggregate macro, and what `.help` says of it."""
    neighbors = "" if measure.k is None else f", k := {measure.k}"
    passed = f"{'k' if neighbors else 'NULL'}, method, normalize"
    yield (
        f"CREATE OR REPLACE TEMP MACRO {measure.name}"
        f"(a, method := '{measure.methods[0]}'{neighbors}, normalize := 'none') AS "
        f"__{measure.name}({_collected('a')}, {_checked(measure.name, passed)})"
    )
    yield f"COMMENT ON MACRO {measure.name} IS 'Aggregate over rows of one vector: {measure.about}'"


def _collected(a: str) -> str:
    """SQL for a group's vectors in a list, packed, and how many bytes each of their numbers has."""
    is_float = (
        f"typeof({a}) LIKE 'FLOAT[%'"  # known when DuckDB plans: it runs one of the two branches
    )
    packed = f"CASE WHEN {is_float} THEN __pack({a}::FLOAT[]) ELSE __pack_double({a}::DOUBLE[]) END"
    return f"list({packed}), any_value(CASE WHEN {is_float} THEN 4 ELSE 8 END)"


def _checked(name: str, passed: str) -> str:
    """SQL for the options of an aggregate, which raises a sentence where they make no sense."""
    k, how, normalize = passed.split(", ")
    given = f"'{name}', {k}::VARCHAR, {how}, {normalize}"
    return f"if(__wrong({given}) IS NULL, '{name}', error(__wrong({given}))), {k}::VARCHAR, {how}, {normalize}"


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
    """A function of `questions` for SQL: what the macro __caller says takes the place of the connection.

    A ValueError is returned, for the macro __rows to raise: DuckDB would add where in this code it came from.
    """
    hints = get_type_hints(answer)
    takes = {name: hint for name, hint in hints.items() if name not in ("connection", "return")}

    def call(caller: dict[str, Any], *arguments: Any) -> dict[str, Any]:
        try:
            with (
                _reading(caller) as cursor,
                modest(cursor),
                Progress() as progress,
                interruptible(),
            ):
                tools = {"progress": progress, "cache": NeighborCache.beside(cursor)}
                given = zip(takes.items(), arguments, strict=True)
                return {
                    "error": None,
                    "rows": answer(cursor, *(_given(*of, value, tools) for of, value in given)),
                }
        except ValueError as error:
            return {"error": str(error), "rows": None}

    # DuckDB counts the parameters of what it is given.
    call.__signature__ = inspect.signature(answer)  # type: ignore[attr-defined]
    result = f"STRUCT(error VARCHAR, rows {row}[])"
    return Function(
        call, (CALLER, *(SQL_TYPES[hint] for hint in takes.values())), result, arrow=False
    )


@contextmanager
def _reading(caller: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor that reads the store which the caller's statement would read. Raises ValueError where it cannot."""
    connection = _connections.get(-1 if caller["number"] is None else caller["number"])
    if connection is None:
        raise ValueError(NO_STORE)
    if caller["hiding"]:
        names = ", ".join(caller["hiding"])
        raise ValueError(
            f"temporary tables or views hide those of the store: {names}; functions read the store's only, so drop "
            "the temporary ones or give them other names"
        )
    with connection.cursor() as cursor:
        try:
            if caller["search_path"]:  # a cursor does not inherit USE
                cursor.execute(f"SET search_path = {literal(caller['search_path'])}")
            _require_store(cursor)
        except (duckdb.CatalogException, StoreError) as error:
            path = caller["search_path"] or "this connection"
            raise ValueError(
                f"{path} has no store that a function can read: USE a database that has one"
            ) from error
        yield cursor


def _require_store(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises StoreError where the tables of a store are not found by their names."""
    try:
        connection.execute(HAS_STORE)
    except duckdb.CatalogException as error:
        raise StoreError(NO_STORE) from error


def _given(name: str, hint: Any, value: Any, tools: dict[str, Any]) -> Any:
    """An argument from SQL as the function takes it. Raises ValueError on a number that is not whole."""
    if hint is How:
        return How.of(**value, **tools)
    if hint == int | None:
        return whole(name, value)
    if hint == curve.Numbers and value is not None:
        return [whole(name, number) for number in value]
    return value


ROWS = ("BLOB[]", "INTEGER")  # see _collected
OPTIONS = (
    "VARCHAR",
    "VARCHAR",
    "VARCHAR",
    "VARCHAR",
)  # name, k, estimator or method, normalization
FUNCTIONS = {
    "__pack": Function(aggregates.pack, ("FLOAT[]",), "BLOB", arrow=True),
    "__pack_double": Function(aggregates.pack, ("DOUBLE[]",), "BLOB", arrow=True),
    "__wrong": Function(aggregates.wrong_options, OPTIONS, "VARCHAR", arrow=True),
    # One name per metric, so that DuckDB's own messages name what was called.
    **{
        f"__{name}": Function(aggregates.align_groups, ROWS * 2 + OPTIONS, "DOUBLE", arrow=True)
        for name in METRICS
    },
    **{
        f"__{name}": Function(aggregates.measure_groups, ROWS + OPTIONS, "DOUBLE", arrow=True)
        for name in MEASURES
    },
    "__alignment": _reads_store(questions.alignment, alignment.ROW),
    "__alignment_curve": _reads_store(curve.alignment_curve, curve.ROW),
    "__alignment_matrix": _reads_store(questions.alignment_matrix, questions.MATRIX),
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
