"""Statements of a text, found by DuckDB's own tokenizer.

`duckdb.extract_statements` is not used: in DuckDB 1.5 it returns PIVOT as three statements with
broken texts, and nothing at all of a text with a mistake in its last statement.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb


def split_statements(text: str) -> Iterator[str]:
    """Yield the statements of a text, without their semicolons.

    Args:
        text: SQL; what is not SQL at all comes back as it is.

    Yields:
        One statement at a time, with the comments around it.
    """
    begin = 0
    for end in _semicolons(text):
        yield text[begin:end]
        begin = end + 1
    if duckdb.tokenize(text[begin:]):
        yield text[begin:]


def is_complete(text: str) -> bool:
    """Return whether a text ends in a semicolon that ends a statement.

    Args:
        text: What was typed so far.
    """
    ends = _semicolons(text)
    return bool(ends) and not duckdb.tokenize(text[ends[-1] + 1 :])


def _semicolons(text: str) -> list[int]:
    """Return where statements end, in characters: not in strings, names or comments."""
    data = text.encode()
    places = [place for place, kind in duckdb.tokenize(text) if data[place : place + 1] == b";"]
    return [len(data[:place].decode()) for place in places]
