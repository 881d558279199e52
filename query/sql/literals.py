"""Values of Python as SQL spells them."""

from __future__ import annotations

from typing import Any


def literal(value: Any) -> str:
    """Return a value as SQL spells it.

    Args:
        value: Text, a number, a truth or None; several values become one text, 'a,b', as on a
            command line.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return literal(",".join(map(str, value)))
