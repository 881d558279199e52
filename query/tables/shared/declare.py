"""What a table function is: its row, its parameters, its sentence, and what answers it.

A file of `query/tables/` declares one function as `TABLE_FUNCTION`. The type that SQL returns, the
macro, the help of the shell and the table in `query/README.md` are made from this declaration.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union, get_args, get_origin, get_type_hints

from query.tables.shared.numbers import read_whole, read_wholes

_SQL_TYPES = {str: "VARCHAR", float: "DOUBLE", int: "BIGINT", bool: "BOOLEAN"}
# DuckDB would round 2.5 or, where it cannot, show how functions are made. As text, the number is
# refused by its name.
_PASSED_AS = {"BIGINT": "VARCHAR", "BIGINT[]": "VARCHAR[]"}


@dataclass(frozen=True)
class _Required:
    """The default of a parameter that has none."""


REQUIRED = _Required()


@dataclass(frozen=True)
class Parameter:
    """A parameter of a table function.

    Attributes:
        name: Its name in SQL.
        type: Its SQL type.
        default: Its value where SQL gives none or NULL; REQUIRED if it has to be given.
        about: What it is, a clause.
        is_option: Whether it is a field of `Options`.
        least: The smallest number allowed; None if there is none.
        argument: Its name in Python, if that differs from the one in SQL.
    """

    name: str
    type: str
    default: Any
    about: str
    is_option: bool = False
    least: int | None = None
    argument: str | None = None

    @property
    def quoted(self) -> str:
        """The name as a declaration takes it; some words, such as `by`, are SQL's own there."""
        return f'"{self.name}"'

    @property
    def passed_as(self) -> str:
        """The SQL type in which the macro hands it to Python."""
        return _PASSED_AS.get(self.type, self.type)

    def read(self, given: Any) -> Any:
        """Return the value in Python.

        Args:
            given: The value that the macro handed over; None is the default.

        Raises:
            ValueError: If a number is not whole or too small; the message names the parameter.
        """
        value = None if self.default is REQUIRED else self.default
        if given is not None:
            value = given
            if self.type == "BIGINT":
                value = read_whole(self.name, given)
            elif self.type == "BIGINT[]":
                value = read_wholes(self.name, given)
        if self.least is not None and value is not None and value < self.least:
            expected = f"at least {self.least}" if self.least else "0 or more"
            raise ValueError(f"{self.name} = {value}, expected {expected}")
        return value


@dataclass(frozen=True)
class Column:
    """A column of a table function.

    Attributes:
        name: Its name.
        type: Its SQL type.
        about: What it holds, a clause.
    """

    name: str
    type: str
    about: str


@dataclass(frozen=True)
class TableFunction:
    """A table function, called in SQL by the name of the file that declares it.

    Attributes:
        about: What it answers, a sentence without its period.
        row: A dataclass with a field per column, each `Annotated` with its type and meaning.
        parameters: Its parameters in the order in which SQL takes them.
        answer: Returns its rows. It is called with a connection and with the parameters by name,
            the options among them as one `Options`. None for a function that is SQL alone.
        sql: The query over the store that answers it, for a function that is SQL alone.
    """

    about: str
    row: type
    parameters: Sequence[Parameter]
    answer: Callable[..., Sequence[Any]] | None = None
    sql: str | None = None

    @cached_property
    def columns(self) -> list[Column]:
        """The columns in their order."""
        return columns_of(self.row)

    @property
    def meanings(self) -> dict[str, str]:
        """What each column holds, by its name."""
        return {column.name: column.about for column in self.columns}

    @property
    def struct(self) -> str:
        """The SQL type of a row."""
        return _struct_of(self.row)

    @property
    def takes_options(self) -> bool:
        """Whether any parameter is a field of `Options`."""
        return any(parameter.is_option for parameter in self.parameters)


def columns_of(row: type) -> list[Column]:
    """Return the columns that a dataclass describes.

    Args:
        row: A dataclass with `Annotated` fields.
    """
    hints = get_type_hints(row, include_extras=True)
    found = []
    for field in dataclasses.fields(row):
        kind, about = get_args(hints[field.name])
        found.append(Column(field.name, sql_type(kind), about))
    return found


def sql_type(kind: Any) -> str:
    """Return the SQL type of a Python type.

    Args:
        kind: `str`, `float`, `int`, `bool`, a dataclass of such, a list of any, or one of these or
            None.
    """
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is list:
        return f"{sql_type(get_args(kind)[0])}[]"
    return _struct_of(kind) if dataclasses.is_dataclass(kind) else _SQL_TYPES[kind]


def as_struct(row: Any) -> dict[str, Any]:
    """Return a row as DuckDB takes it, rows within it included.

    Args:
        row: An instance of a row's dataclass.
    """
    values: dict[str, Any] = vars(row)
    nested = [name for name, value in values.items() if isinstance(value, list)]
    if not nested:
        return values
    return values | {name: [_plain(value) for value in values[name]] for name in nested}


def _plain(value: Any) -> Any:
    return as_struct(value) if dataclasses.is_dataclass(value) else value


def _struct_of(row: Any) -> str:
    columns = ", ".join(f"{column.name} {column.type}" for column in columns_of(row))
    return f"STRUCT({columns})"
