"""The SQL that defines what a query can call, made from metrics, measures and table functions.

An aggregate such as cknna(a, b) is a macro that collects the vectors of a group in a list, over an
Arrow function that maps lists to values. A table function is a table macro over a function that
reads the store itself. The names of these functions begin with two underscores.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

from query.metrics import MEASURES, METRICS, Measure, Metric
from query.metrics.shared.estimates import RowMeasure, RowMetric
from query.reading.reasons import macros as reason_macros
from query.reading.training import macros as training_macros
from query.sql.caller import CALLER
from query.sql.literals import literal
from query.tables import find_table_functions
from query.tables.shared.declare import REQUIRED, Parameter, TableFunction

# The tables of a store. A temporary table of such a name would hide it from statements.
STORE_TABLES = (
    "embeddings",
    "models",
    "datasets",
    "systems",
    "labels",
    "scores",
    "runs",
    "failures",
)
# Who asks, so that a function reads the store that the statement around it would read: the number
# of the connection, where it looks names up, and which of its temporary tables and views hide
# those of the store from its statements.
_CALLER = f"""
CREATE OR REPLACE TEMP MACRO __caller() AS {{
    'number': getvariable('matterzoo_connection')::BIGINT,
    'search_path': current_setting('search_path'),
    'hiding': (
        SELECT list(name ORDER BY name) FROM (
            SELECT table_name AS name FROM duckdb_tables() WHERE database_name = 'temp'
            UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = 'temp'
        ) WHERE name IN {STORE_TABLES}
    )
}}"""
# What a function answers: its rows, or the one sentence why there are none, raised here because
# an exception would bring its stack.
_ROWS = """
CREATE OR REPLACE TEMP MACRO __rows(answer) AS TABLE
    SELECT unnest(
        if(found.error IS NULL, found.rows, error(found.error)), max_depth := 2
    ) FROM (SELECT answer AS found)"""
# DuckDB plans what a macro calls when it makes the macro. These take the place of the two above
# until all table functions are made, which halves the time that that takes.
_STAND_INS = (
    f"CREATE OR REPLACE TEMP MACRO __caller() AS NULL::{CALLER}",
    "CREATE OR REPLACE TEMP MACRO __rows(answer) AS TABLE "
    "SELECT error('query.register() was interrupted; call it again'), answer",
)
_SIGNATURE = re.compile(
    r"^\s*CREATE OR REPLACE TEMP MACRO (?!__)(\w+)\((.*?)\) AS\s", re.DOTALL | re.MULTILINE
)
_COMMENT = re.compile(r"^COMMENT ON MACRO (?:TABLE )?(\w+) IS '(.*)'$", re.MULTILINE)


@functools.cache
def macros() -> Sequence[str]:
    """Return the statements that define all macros, each with its comment."""
    return [statement for statements in _all_macros() for statement in statements]


@functools.cache
def signatures() -> Mapping[str, str]:
    """Return what can be called, by name, with its arguments and their defaults."""
    found = _SIGNATURE.findall("\n".join(macros()).replace('"', ""))  # of names that SQL reserves
    return {name: f"{name}({' '.join(arguments.split())})" for name, arguments in sorted(found)}


@functools.cache
def comments() -> Mapping[str, str]:
    """Return what every function answers, by name, in alphabetical order."""
    found = _COMMENT.findall("\n".join(macros()))
    return {name: about.replace("''", "'") for name, about in sorted(found)}


def _all_macros() -> Iterator[Iterator[str]]:
    yield from (_metric_macro(metric) for metric in METRICS.values())
    yield from (_measure_macro(measure) for measure in MEASURES.values())
    yield training_macros()
    yield reason_macros()
    yield iter(_STAND_INS)
    yield from (_table_macro(*named) for named in find_table_functions().items())
    yield iter([_CALLER, _ROWS])


def _table_macro(name: str, function: TableFunction) -> Iterator[str]:
    declared = ", ".join(_declare(parameter) for parameter in function.parameters)
    if function.sql is None:
        values = ", ".join(
            f"'{parameter.name}': {parameter.quoted}::{parameter.passed_as}"
            for parameter in function.parameters
        )
        body = f"FROM __rows(__{name}(__caller(), {{{values}}}))"
    else:
        body = function.sql.strip()
    yield f"CREATE OR REPLACE TEMP MACRO {name}({declared}) AS TABLE {body}"
    yield f"COMMENT ON MACRO TABLE {name} IS {literal(function.about)}"


def _declare(parameter: Parameter) -> str:
    if parameter.default is REQUIRED:
        return parameter.quoted
    return f"{parameter.quoted} := {literal(parameter.default)}"


def _metric_macro(metric: Metric) -> Iterator[str]:
    options = {"k": str(metric.default_k)} if metric.uses_k else {}
    if metric.estimators:
        options["estimator"] = literal(metric.estimators[0])
    options["normalize"] = "'l2'"
    if isinstance(metric, RowMetric):
        options["rows"] = "NULL"
    declared = "".join(f", {name} := {default}" for name, default in options.items())
    every = ("k", "estimator", "normalize", "rows")
    passed = [name if name in options else "NULL" for name in every]
    yield (
        f"CREATE OR REPLACE TEMP MACRO {metric.name}(a, b{declared}) AS "
        # DuckDB fills the lists of one aggregation in one order, as its own PIVOT relies on.
        f"__{metric.name}({_collect('a')}, {_collect('b')}, {_check(metric.name, *passed)})"
    )
    yield f"COMMENT ON MACRO {metric.name} IS {literal(_about_metric(metric))}"


def _measure_macro(measure: Measure) -> Iterator[str]:
    neighbors = "" if measure.k is None else f", k := {measure.k}"
    drawn = ", rows := NULL" if isinstance(measure, RowMeasure) else ""
    passed = ("k" if neighbors else "NULL", "method", "normalize", "rows" if drawn else "NULL")
    yield (
        f"CREATE OR REPLACE TEMP MACRO {measure.name}"
        f"(a, method := '{measure.methods[0]}'{neighbors}, normalize := 'none'{drawn}) AS "
        f"__{measure.name}({_collect('a')}, {_check(measure.name, *passed)})"
    )
    about = f"Aggregate over rows of one vector: {measure.about}"
    yield f"COMMENT ON MACRO {measure.name} IS {literal(about)}"


def _about_metric(metric: Metric) -> str:
    how = "differently (0 is alike)" if metric.lower_is_closer else "alike"
    direction = "" if metric.symmetric else ", from a to b"
    return f"Aggregate over rows of two vectors: how {how} a and b place the systems{direction}"


def _collect(a: str) -> str:
    """Return SQL for the packed vectors of a group in a list, and how many bytes a number has."""
    # It is known when DuckDB plans: it runs one of the two branches.
    is_float = f"typeof({a}) LIKE 'FLOAT[%'"
    packed = f"CASE WHEN {is_float} THEN __pack({a}::FLOAT[]) ELSE __pack_double({a}::DOUBLE[]) END"
    return f"list({packed}), any_value(CASE WHEN {is_float} THEN 4 ELSE 8 END)"


def _check(name: str, k: str, variant: str, normalize: str, rows: str) -> str:
    """Return SQL for the options of an aggregate, which raises a sentence if they make no sense."""
    wrong = f"__wrong('{name}', {k}::VARCHAR, {variant}, {normalize}, {rows}::VARCHAR)"
    checked = f"if({wrong} IS NULL, '{name}', error({wrong}))"
    return f"{checked}, {k}::VARCHAR, {variant}, {normalize}, {rows}::VARCHAR"
