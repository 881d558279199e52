"""Imports point one way: ingest to zoo and schemas, query to schemas. Read by ast."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"zoo", "schemas", "ingest", "query"}
WORKER = sorted(
    path.relative_to(ROOT / "zoo").as_posix() for path in (ROOT / "zoo" / "worker").glob("*.py")
)
WORKER_MAY_IMPORT = {"zoo.encoder", "zoo.errors", "zoo.files", "zoo.worker"}
FORBIDDEN = {
    "zoo": {"ingest", "query", "schemas", "duckdb", "docker"},
    "schemas": {"ingest", "query"},
    "ingest": {"query"},
    "query": {"ingest"},
    "query/metrics": {"ingest", "schemas", "duckdb"},
}
# All of zoo that these may import: what every program needs, and nothing about models.
OF_ZOO = {
    "schemas": {"zoo.errors", "zoo.files"},
    "query": {
        *("zoo.code", "zoo.command_line", "zoo.encoder", "zoo.errors", "zoo.files"),
        *("zoo.imports", "zoo.machine", "zoo.places", "zoo.terminal", "zoo.training_sets"),
    },
}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """First names of what a file imports: 'zoo' for `from zoo.cards.schema import …`."""
    tree = ast.parse(path.read_text())
    return {name.split(".")[0] for name in imported(tree, top_level_only=top_level_only)}


def imported(tree: ast.Module, *, top_level_only: bool) -> Iterator[str]:
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            yield node.module or ""


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """As `imported`, with `zoo.files` for `from zoo import files`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "zoo":
            yield from (f"zoo.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_one_way(folder: str) -> None:
    found = sorted((ROOT / folder).rglob("*.py"))
    # A family's own tests, and what stands in for code that is published beside weights.
    apart = {"tests", "stand_in"}
    files = [path for path in found if not apart & {*path.relative_to(ROOT).parts}]
    assert files
    wrong = {
        str(f.relative_to(ROOT)): imports(f) & FORBIDDEN[folder]
        for f in files
        if imports(f) & FORBIDDEN[folder]
    }
    assert wrong == {}


@pytest.mark.parametrize("folder", OF_ZOO)
def test_what_is_shared_with_zoo_is_small(folder: str) -> None:
    found = {
        name
        for path in (ROOT / folder).rglob("*.py")
        for name in imported_modules(ast.parse(path.read_text()))
        if name.split(".")[0] == "zoo"
    }
    assert found <= OF_ZOO[folder]


@pytest.mark.parametrize("name", ["files.py", "errors.py", *WORKER])
def test_the_worker_needs_only_the_standard_library_numpy_and_pyarrow(name: str) -> None:
    path = ROOT / "zoo" / name
    allowed = {*sys.stdlib_module_names, "numpy", "pyarrow", "zoo"}
    assert imports(path, top_level_only=True) - allowed == set()
    assert imports(path) - allowed - {"torch"} == set()
    names = set(imported(ast.parse(path.read_text()), top_level_only=False))
    ours = {name for name in names if name.startswith("zoo")}
    assert {".".join(name.split(".")[:2]) for name in ours} <= WORKER_MAY_IMPORT
    # `from zoo import x` would hide which module is meant.
    assert "zoo" not in ours


def test_the_contract_needs_only_numpy() -> None:
    assert imports(ROOT / "zoo" / "encoder.py") - set(sys.stdlib_module_names) == {"numpy"}


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "zoo" / "families").glob("*/encoder.py")),
    ids=lambda path: path.parent.name,
)
def test_encoders_know_only_the_contract(path: Path) -> None:
    tree = ast.parse(path.read_text())
    ours = {name for name in imported(tree, top_level_only=False) if name.split(".")[0] in OURS}
    assert ours == {"zoo.encoder"}
