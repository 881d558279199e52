"""The table functions of SQL: one file each, called as the function is.

A new table function is one more file here, with a `TABLE_FUNCTION`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from query.tables.shared.declare import TableFunction


@functools.cache
def find_table_functions() -> dict[str, TableFunction]:
    """Return all table functions by name, in alphabetical order.

    Raises:
        ValueError: If a file of this folder declares none.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return {name: _declared_in(name) for name in names}


def _declared_in(name: str) -> TableFunction:
    module = importlib.import_module(f"{__name__}.{name}")
    found = getattr(module, "TABLE_FUNCTION", None)
    if not isinstance(found, TableFunction):
        raise ValueError(f"{module.__file__} declares no TABLE_FUNCTION")
    return found
