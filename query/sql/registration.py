"""The one bridge between SQL and Python: all functions that a query can call are made here."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import DuckDBPyType

from query.engine.neighbors.finder import NeighborListCache
from query.metrics import MEASURES, METRICS
from query.reading.kept.lists import KeptLists
from query.reading.neighbor_cache import NeighborCache
from query.sql import aggregates
from query.sql.caller import CALLER, number_connection, reading, require_store
from query.sql.interrupt import interruptible
from query.sql.macros import macros
from query.sql.memory import limited_memory
from query.sql.progress import Progress
from query.tables import find_table_functions
from query.tables.shared.declare import TableFunction, as_struct
from query.tables.shared.options import Options

_ROWS = ("BLOB[]", "INTEGER")  # packed vectors, and how many bytes each of their numbers has
_OPTIONS = ("VARCHAR",) * 5  # name, k, estimator or method, normalization, rows

# DuckDB does not keep a function alive, and registers it for the whole database.
_registering = threading.Lock()


class _Function(NamedTuple):
    """A Python function as SQL sees it; it maps columns of Arrow to one.

    A native function would be shorter, but DuckDB looks at each value that it returns whether it is
    one of pandas, and without pandas that takes longer than most questions.
    """

    call: Callable[..., Any]
    arguments: tuple[str, ...]
    result: str
    reads_store: bool = False


def register(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Give a connection to a store the SQL functions.

    A cursor needs a call of its own, since macros belong to a connection.

    Args:
        connection: The connection.

    Returns:
        The same connection.

    Raises:
        StoreError: If it has no store.
    """
    require_store(connection)
    number_connection(connection)
    with _registering:
        # They are made in one order, so behind one that is missing, all are.
        for name in itertools.dropwhile(functools.partial(_is_known, connection), _functions()):
            _create(connection, name, _functions()[name])
    connection.execute(";\n".join(macros()))  # one by one, they take a sixth longer
    return connection


@functools.cache
def _sql_type(name: str) -> DuckDBPyType:
    return duckdb.sqltype(name)


@functools.cache
def _functions() -> Mapping[str, _Function]:
    """Return all functions by name. They are kept here, because DuckDB does not keep them alive."""
    align, measure = aggregates.align_groups, aggregates.measure_groups
    return {
        "__pack": _Function(aggregates.pack, ("FLOAT[]",), "BLOB"),
        "__pack_double": _Function(aggregates.pack, ("DOUBLE[]",), "BLOB"),
        "__wrong": _Function(aggregates.wrong_options, _OPTIONS, "VARCHAR"),
        # One name per metric, so that DuckDB's own messages name what was called.
        **{f"__{name}": _Function(align, _ROWS * 2 + _OPTIONS, "DOUBLE") for name in METRICS},
        **{f"__{name}": _Function(measure, _ROWS + _OPTIONS, "DOUBLE") for name in MEASURES},
        **{
            f"__{name}": _table_function(function)
            for name, function in find_table_functions().items()
            if function.answer is not None
        },
    }


def _table_function(function: TableFunction) -> _Function:
    """Return a table function as DuckDB calls it, with the caller and a struct of all arguments.

    A ValueError is returned, for the macro __rows to raise: DuckDB would add where in this code it
    came from.
    """

    def answer(caller: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        try:
            with (
                reading(caller) as cursor,
                limited_memory(cursor),
                Progress() as progress,
                interruptible(),
            ):
                cache = KeptLists.before(NeighborCache.beside(cursor))
                arguments = _read_arguments(function, given, progress, cache)
                rows = _answer(function)(cursor, **arguments)
                return {"error": None, "rows": [as_struct(row) for row in rows]}
        except ValueError as error:
            return {"error": str(error), "rows": None}

    def call(callers: pa.ChunkedArray, given: pa.ChunkedArray) -> pa.Array:
        asked = zip(callers.to_pylist(), given.to_pylist(), strict=True)
        return pa.array([answer(*each) for each in asked], _arrow_type(result))

    fields = ", ".join(f"{each.quoted} {each.passed_as}" for each in function.parameters)
    result = f"STRUCT(error VARCHAR, rows {function.struct}[])"
    return _Function(call, (CALLER, f"STRUCT({fields})"), result, reads_store=True)


@functools.cache
def _arrow_type(name: str) -> pa.DataType:
    with _typing().cursor() as cursor:
        nothing = cursor.execute(f"SELECT NULL::{name}").to_arrow_table()
    return nothing.schema.types[0]


@functools.cache
def _typing() -> duckdb.DuckDBPyConnection:
    """Return a connection that knows types and nothing else. To open one takes 0.05 s."""
    return duckdb.connect()


def _answer(function: TableFunction) -> Callable[..., Any]:
    assert function.answer is not None  # those that are SQL alone are not registered
    return function.answer


def _read_arguments(
    function: TableFunction,
    given: dict[str, Any],
    progress: Progress,
    cache: NeighborListCache | None,
) -> dict[str, Any]:
    """Return the arguments in Python. Raises ValueError if a number is not whole or too small."""
    arguments: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for parameter in function.parameters:
        value = parameter.read(given[parameter.name])
        if not parameter.is_option:
            arguments[parameter.argument or parameter.name] = value
        elif value is not None:
            options[parameter.name] = value
    if function.takes_options:
        arguments["options"] = Options(**options, progress=progress, cache=cache)
    return arguments


def _is_known(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Return whether the database has a function, which `duckdb_functions()` tells more slowly."""
    try:
        connection.execute(f"SELECT {name}()")
    except duckdb.CatalogException:
        return False
    except duckdb.BinderException:  # every function takes arguments
        return True
    raise AssertionError(f"{name} takes arguments, and was called without")


def _create(connection: duckdb.DuckDBPyConnection, name: str, function: _Function) -> None:
    connection.create_function(
        name,
        function.call,
        [_sql_type(argument) for argument in function.arguments],
        _sql_type(function.result),
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
        # What reads the store must run when the query does, not while DuckDB plans or explains it.
        side_effects=function.reads_store,
    )
