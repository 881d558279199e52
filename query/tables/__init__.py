"""The table functions of SQL: one file each, of the function's name.

A new table function is one more file in `models/`, `vectors/` or `records/`, with a
`TABLE_FUNCTION`; `models/models_on.py` is a short one that is SQL alone, `models/alignment.py` one
in Python. What they share lies in `shared/`, and `declare` in it says what a table function
consists of. Afterwards `python -m query.sql.reference` writes its line in `query/README.md`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from query.tables import models, records, vectors
from query.tables.shared.declare import TableFunction


@functools.cache
def find_table_functions() -> dict[str, TableFunction]:
    """Return all table functions by name, in alphabetical order.

    Raises:
        ValueError: If a file of these folders declares none.
    """
    found = {
        module.name: _declared_in(f"{package.__name__}.{module.name}")
        for package in (models, vectors, records)
        for module in pkgutil.iter_modules(package.__path__)
    }
    return dict(sorted(found.items()))


def _declared_in(name: str) -> TableFunction:
    module = importlib.import_module(name)
    found = getattr(module, "TABLE_FUNCTION", None)
    if not isinstance(found, TableFunction):
        raise ValueError(f"{module.__file__} declares no TABLE_FUNCTION")
    return found
