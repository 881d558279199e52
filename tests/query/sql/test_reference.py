"""What is said of functions: in the README, in the shell's help, and in DuckDB's catalog."""

from __future__ import annotations

import inspect

import duckdb
import pytest

from query.sql.macros import comments, signatures
from query.sql.reference import README, describe, with_section
from query.tables import find_table_functions
from query.tables.shared.declare import REQUIRED

FUNCTIONS = find_table_functions()


def test_the_readme_lists_all_functions() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_section(text) == text, "run `python -m query.sql.reference` and commit the README"


def test_a_text_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines '<!-- functions"):
        with_section("nothing")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_columns_are_those_that_are_declared(con: duckdb.DuckDBPyConnection, name: str) -> None:
    required = {
        "model": "'base'",
        "model_a": "'base'",
        "model_b": "'near'",
        "dataset": "'crystals'",
    }
    given = required | {"system_id": "'crystals/001'", "property": "'energy'"}
    function = FUNCTIONS[name]
    arguments = ", ".join(
        f"{parameter.name} := {given[parameter.name]}"
        if parameter.default is not REQUIRED
        else given[parameter.name]
        for parameter in function.parameters
        if parameter.default is REQUIRED or parameter.name == "dataset"
    )
    described = con.sql(f"DESCRIBE FROM {name}({arguments})").fetchall()
    declared = [(column.name, column.type) for column in function.columns]
    # DuckDB quotes names within a struct that are words of SQL, too.
    assert [(name, kind.replace('"', "")) for name, kind, *_ in described] == declared


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_those_of_the_function_that_answers(name: str) -> None:
    function = FUNCTIONS[name]
    if function.answer is None:
        return
    own = {each.argument or each.name for each in function.parameters if not each.is_option}
    options = {"options"} if function.takes_options else set()
    assert own | options | {"connection"} == set(inspect.signature(function.answer).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_in_python_are_those_of_sql(name: str) -> None:
    function = FUNCTIONS[name]
    if function.answer is None:
        return
    arguments = inspect.signature(function.answer).parameters
    for each in function.parameters:
        if not each.is_option:
            default = arguments[each.argument or each.name].default
            missing = default is inspect.Parameter.empty
            assert missing if each.default is REQUIRED else default == each.default


@pytest.mark.parametrize("name", FUNCTIONS)
def test_everything_is_explained(name: str) -> None:
    text = describe(name)
    assert text.startswith(f"{signatures()[name]}\n    {comments()[name]}\n")
    for each in (*FUNCTIONS[name].parameters, *FUNCTIONS[name].columns):
        assert f"    {each.name} " in text
        assert each.about and not each.about.endswith(".")
