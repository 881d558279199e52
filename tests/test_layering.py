"""Imports point one way along the path: ingest -> zoo, schemas; query -> schemas. Read from the source by ast."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"zoo", "schemas", "ingest", "query"}
FORBIDDEN = {
    "zoo": {"ingest", "query", "schemas", "duckdb", "docker"},
    "schemas": {"ingest", "query", "zoo"},
    "ingest": {"query"},
    "query": {"ingest", "zoo"},
    "query/metrics": {"ingest", "zoo", "schemas", "duckdb"},
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


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        str(f.relative_to(ROOT)): imports(f) & FORBIDDEN[folder]
        for f in files
        if imports(f) & FORBIDDEN[folder]
    }
    assert wrong == {}


def test_the_worker_needs_only_the_standard_library_numpy_and_pyarrow() -> None:
    path = ROOT / "zoo" / "worker" / "__init__.py"
    allowed = {*sys.stdlib_module_names, "numpy", "pyarrow"}
    assert imports(path, top_level_only=True) - allowed == {"zoo"}
    assert imports(path) - allowed == {"zoo", "torch"}
    names = set(imported(ast.parse(path.read_text()), top_level_only=False))
    assert {name for name in names if name.startswith("zoo")} == {"zoo.encoder"}


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
