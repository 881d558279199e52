"""Leave out of a command what packages import for nothing that it does, and what takes long.

Before DuckDB binds a parameter it looks whether the value is one of pandas, and so does pyarrow
before it makes an array of a list. For that both import pandas, half a second of every command.
Others import modules of which a command needs nothing but that they are there; see `STAND_INS`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.abc import MetaPathFinder
from types import FrameType, ModuleType
from typing import Any

OURS = ("matterzoo", "zoo", "schemas", "ingest", "query")  # the top-level modules of the project
# scikit-learn would import it too, to know its tables, which we never give it.
WITHOUT_PANDAS = (*OURS, "sklearn")

# By module, what is imported of it, and never used. UMAP is given the nearest neighbors, while
# pynndescent, which would search them, compiles for 25 s at its first import. Models are exported
# by nobody here, while a sixth of torch's import is for that.
STAND_INS: dict[str, dict[str, Any]] = {
    "torch.export": {},
    "pynndescent": {"NNDescent": type("NNDescent", (), {})},
    "pynndescent.distances": {"named_distances": {}},
    "pynndescent.sparse": {"sparse_named_distances": {}},
}


def import_little() -> None:
    """Spare a process what it imports for nothing.

    This is for the process of a command alone, in which no one else imports anything.
    """
    leave_out("pandas", WITHOUT_PANDAS)
    for name in STAND_INS.keys() - sys.modules.keys():
        sys.modules[name] = ModuleType(name, "It stands in for a module: see zoo/imports.py.")
        vars(sys.modules[name]).update(STAND_INS[name])


class _LeftOut(MetaPathFinder):
    """Finds nothing, but refuses one package to some modules."""

    def __init__(self, package: str, refused: Collection[str]) -> None:
        self.package = package
        self.refused = frozenset(refused)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == self.package and _importer(sys._getframe(1)) in self.refused:
            raise ModuleNotFoundError(f"{fullname} is left out here: see zoo/imports.py")


def leave_out(package: str, refused: Collection[str]) -> None:
    """Let a package that is not imported yet look as if it were missing to some modules.

    This is for the process of a command alone: pyarrow never looks for pandas a second time.

    Args:
        package: The package, such as 'pandas'. What is imported already stays as it is.
        refused: Names of top-level modules. An import counts as theirs if the innermost Python
            function at work is of one of them; extension modules have no function of their own.
    """
    sys.meta_path.insert(0, _LeftOut(package, refused))


def _importer(frame: FrameType | None) -> str:
    """Return the top-level name of the module that imports, the import system left aside."""
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", "")).partition(".")[0]
