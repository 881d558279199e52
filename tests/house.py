"""Print measures of the house: how large, how deep, how well described the product's code is.

    python -m tests.house [FOLDER …]     only the faults of these folders, one per line

`tests/test_house.py` holds the limits.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("zoo", "schemas", "ingest", "query")
LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 40  # lines of its body without its docstring
MOST_MODULES = 15  # side by side in a folder, families aside
COLUMNS = 100
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# A folder, or a file of the package itself, may import those in the lines before it.
ORDER = {
    "zoo": [
        "places code errors files machine imports terminal command_line encoder variables",
        "training_sets",
        "worker",
        "cards",
        "weights",
        "verify",
        "description",
        "commands",
    ],
    "ingest": [
        "integrity users layout failures callbacks limits processes",
        "systems",
        "readers",
        "sources",
        "images",
        "runtimes",
        "runs",
        "executors",
        "share",
        "maintenance",
        "commands",
    ],
    "query": [
        "statistics",
        "engine",
        "metrics",
        "reading",
        "tables",
        "strips",
        "sql",
        "statements",
        "processes",
        "structures",
        "figures",
        "assets",
        "report",
        "site",
        "shell",
        "serve",
        "commands",
    ],
}


@dataclass(frozen=True)
class Module:
    """One file of the product: its path, its dotted name, its lines and its syntax tree."""

    path: Path
    name: str
    lines: list[str]
    tree: ast.Module


@dataclass(frozen=True)
class Function:
    """One function of the product, and the class that it is a method of."""

    module: Module
    owner: ast.ClassDef | None
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def label(self) -> str:
        owner = f"{self.owner.name}." if self.owner else ""
        return f"{self.module.path}:{self.node.lineno} {owner}{self.node.name}"

    @property
    def length(self) -> int:
        """Lines of the body without its docstring."""
        body = self.node.body
        if ast.get_docstring(self.node) is not None:
            body = body[1:]
        return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def modules() -> list[Module]:
    """Return every Python file of the product; families' encoders and tests are not among them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    kept = [p for p in paths if p.parts[0] in (*PACKAGES, "matterzoo.py")]
    return [_read(path) for path in sorted(kept) if "families" not in path.parts]


def _read(path: Path) -> Module:
    text = (ROOT / path).read_text()
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return Module(path, name, text.splitlines(), ast.parse(text))


def functions(module: Module) -> Iterator[Function]:
    """Yield the functions and methods of a module; functions inside functions belong to those."""
    for node in module.tree.body:
        if isinstance(node, FUNCTIONS):
            yield Function(module, None, node)
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, FUNCTIONS):
                    yield Function(module, node, inner)


def is_public(function: Function) -> bool:
    """Return whether a function is for other modules: none of its names has an underscore."""
    names = [function.node.name, *([function.owner.name] if function.owner else [])]
    return not any(name.startswith("_") for name in (*names, *function.module.name.split(".")))


def lacks(function: Function) -> list[str]:
    """Return what a public function's docstring does not say; nothing if it is complete."""
    node = function.node
    text = ast.get_docstring(node)
    if not text:
        return ["docstring"]
    first = text.splitlines()[0]
    if any(
        _name(decorator) in ("property", "cached_property", "overload")
        for decorator in node.decorator_list
    ):
        return [] if first.endswith((".", "?", ":")) else ["a period"]
    missing = [] if first.endswith((".", "?", ":")) else ["a period"]
    missing += [
        f"parameter {name}" for name in _parameters(function) if not _says(text, "Args", name)
    ]
    nothing = ("None", "Iterator[None]", "NoReturn")  # a context manager may yield nothing
    returns = node.returns is not None and ast.unparse(node.returns) not in nothing
    said = re.search(r"^(Returns|Yields):", text, re.MULTILINE) or re.match(
        r"(Return|Yield)s? ", first
    )
    missing += ["Returns"] if returns and not said else []
    raises = any(isinstance(inner, ast.Raise) and inner.exc is not None for inner in ast.walk(node))
    missing += ["Raises"] if raises and not re.search(r"^Raises:", text, re.MULTILINE) else []
    return missing


def _parameters(function: Function) -> list[str]:
    arguments = function.node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    static = any(_name(d) == "staticmethod" for d in function.node.decorator_list)
    if function.owner is not None and not static:
        named = named[1:]
    return [argument.arg for argument in named if not argument.arg.startswith("_")]


def _says(text: str, section: str, name: str) -> bool:
    found = re.search(rf"^{section}:\n((?:[ \t]+.*\n?|\n)*)", text, re.MULTILINE)
    return bool(found and re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", found[1]))


def _name(decorator: ast.expr) -> str:
    return decorator.id if isinstance(decorator, ast.Name) else getattr(decorator, "attr", "")


def imports(module: Module, known: set[str]) -> set[str]:
    """Return the product's modules that a module imports, also within functions and for types."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in inner}
    return (found & known) - {module.name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return sorted(found)


def import_graph(all_modules: list[Module]) -> dict[str, set[str]]:
    """Return {module: the product's modules that it imports}."""
    known = {module.name for module in all_modules}
    return {module.name: imports(module, known) for module in all_modules}


def against_the_order(graph: dict[str, set[str]]) -> list[str]:
    """Return the imports of a folder that comes later in its package's order."""
    found = []
    for name, others in graph.items():
        for other in sorted(others):
            here, there = place(name), place(other)
            if here and there and name.split(".")[0] == other.split(".")[0] and here < there:
                found.append(f"{name} imports {other}")
    return sorted(found)


def place(name: str) -> int:
    """Return the place of a module in its package's order, from 1; 0 where it has none."""
    parts = name.split(".")
    order = ORDER.get(parts[0], [])
    return next(
        (i for i, names in enumerate(order, 1) if parts[1:2] and parts[1] in names.split()), 0
    )


def long_lines() -> list[str]:
    """Return the places of lines of Python and SQL that are longer than COLUMNS, also of tests."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.sql"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        f"{path}:{number}"
        for path in listed.stdout.splitlines()
        if (ROOT / path).exists()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if len(line) > COLUMNS and "noqa: E501" not in line
    ]


def folders(all_modules: list[Module]) -> dict[str, int]:
    """Return {folder: modules side by side in it}, `__init__.py` and `__main__.py` not counted."""
    counted: dict[str, int] = {}
    for module in all_modules:
        if not module.path.stem.startswith("__"):
            counted[str(module.path.parent)] = counted.get(str(module.path.parent), 0) + 1
    return counted


def stems(all_modules: list[Module]) -> list[str]:
    """Return the stems that several files of the product have, tests aside."""
    by_stem: dict[str, list[str]] = {}
    for module in all_modules:
        if not module.path.stem.startswith("__"):
            by_stem.setdefault(module.path.stem, []).append(str(module.path))
    return [
        f"{stem}: {', '.join(paths)}" for stem, paths in sorted(by_stem.items()) if len(paths) > 1
    ]


def faults(all_modules: list[Module]) -> list[str]:
    """Return what is over a limit, one line each, the place first."""
    graph = import_graph(all_modules)
    found = [f"{m.path}: {len(m.lines)} lines" for m in all_modules if len(m.lines) > LONGEST_FILE]
    every = [function for module in all_modules for function in functions(module)]
    found += [f"{f.label}: {f.length} lines" for f in every if f.length > LONGEST_FUNCTION]
    found += [f"{f.label} lacks {', '.join(lacks(f))}" for f in every if is_public(f) and lacks(f)]
    found += [
        f"{folder}: {n} modules" for folder, n in folders(all_modules).items() if n > MOST_MODULES
    ]
    found += [f"{', '.join(group)} import each other" for group in circles(graph)]
    return found + against_the_order(graph) + [f"{place}: a long line" for place in long_lines()]


def summary(all_modules: list[Module]) -> Iterator[str]:
    """Yield the measures of the whole, one line each."""
    every = [function for module in all_modules for function in functions(module)]
    public = [function for function in every if is_public(function)]
    complete = sum(not lacks(function) for function in public)
    graph = import_graph(all_modules)
    folder, most = max(folders(all_modules).items(), key=lambda item: item[1])
    longest = max(all_modules, key=lambda module: len(module.lines))
    yield f"files                      {len(all_modules)}"
    yield f"most modules side by side  {most} ({folder})"
    yield f"longest file               {len(longest.lines)} lines ({longest.path})"
    long = sum(len(module.lines) > LONGEST_FILE for module in all_modules)
    yield f"files over {LONGEST_FILE} lines       {long}"
    median = statistics.median(function.length for function in every)
    yield f"functions                  {len(every)}, median body {median:.0f} lines"
    long = sum(function.length > LONGEST_FUNCTION for function in every)
    yield f"functions over {LONGEST_FUNCTION} lines    {long}"
    yield f"circles of imports         {len(circles(graph))}"
    yield f"imports against the order  {len(against_the_order(graph))}"
    yield f"stems of several files     {len(stems(all_modules))}"
    share = f"{complete / len(public):.0%}"
    yield f"public functions           {len(public)}, complete docstrings {share}"
    yield f"lines over {COLUMNS} columns      {len(long_lines())}"


def main() -> int:
    """Print the measures, or the faults of the folders that are named."""
    all_modules = modules()
    if sys.argv[1:]:
        named = tuple(folder.rstrip("/") for folder in sys.argv[1:])
        dotted = tuple(name.replace("/", ".") for name in named)
        print(*(f for f in faults(all_modules) if f.startswith((*named, *dotted))), sep="\n")
    else:
        print(*summary(all_modules), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
