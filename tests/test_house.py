"""Limits of the house: no circle of imports, short files and functions, complete docstrings.

Which package may import which is held by test_layering.py.
"""

from __future__ import annotations

import pytest

from tests import house

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def modules() -> list[house.Module]:
    return house.modules()


@pytest.fixture(scope="module")
def functions(modules: list[house.Module]) -> list[house.Function]:
    return [function for module in modules for function in house.functions(module)]


@pytest.fixture(scope="module")
def imports(modules: list[house.Module]) -> Graph:
    return house.import_graph(modules)


def test_what_is_measured_is_there(
    modules: list[house.Module], functions: list[house.Function], imports: Graph
) -> None:
    assert len(modules) > 150
    assert len(functions) > 1000
    assert imports["matterzoo"] >= {"zoo.errors", "ingest.commands", "query.commands"}


def test_no_imports_make_a_circle(imports: Graph) -> None:
    assert house.circles(imports) == []


def test_a_folder_imports_those_before_it(imports: Graph) -> None:
    assert house.against_the_order(imports) == []


def test_every_folder_has_its_place_in_the_order(modules: list[house.Module]) -> None:
    without = [
        module.name
        for module in modules
        if module.name.split(".")[0] in house.ORDER
        and len(module.name.split(".")) > 1
        and not module.path.stem.startswith("__")
        and not house.place(module.name)
    ]
    assert without == []


def test_files_are_short(modules: list[house.Module]) -> None:
    long = {str(m.path): len(m.lines) for m in modules if len(m.lines) > house.LONGEST_FILE}
    assert long == {}


def test_files_of_families_are_short() -> None:
    found = (house.ROOT / "zoo" / "families").glob("*/*.py")
    lengths = {str(path): len(path.read_text().splitlines()) for path in found}
    assert len(lengths) > 30
    assert {path: n for path, n in lengths.items() if n > house.LONGEST_FILE} == {}


def test_functions_are_short(functions: list[house.Function]) -> None:
    assert [f.label for f in functions if f.length > house.LONGEST_FUNCTION] == []


def test_folders_hold_few_modules(modules: list[house.Module]) -> None:
    many = {f: n for f, n in house.folders(modules).items() if n > house.MOST_MODULES}
    assert many == {}


def test_public_functions_are_described(functions: list[house.Function]) -> None:
    public = [function for function in functions if house.is_public(function)]
    incomplete = [f"{f.label}: {', '.join(house.lacks(f))}" for f in public if house.lacks(f)]
    assert len(incomplete) <= 0.05 * len(public), "\n".join(incomplete)


def test_lines_are_short() -> None:
    assert house.long_lines() == []


def test_a_circle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e2"}, "e2": {"e"}}
    assert house.circles(graph) == [["a", "b", "c"], ["e", "e2"]]
