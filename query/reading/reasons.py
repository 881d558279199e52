"""The SQL macro that finds reasons of one kind, so that they can be counted."""

from __future__ import annotations

from collections.abc import Iterator

_QUOTED = "'''[^'']*'''"  # what a reason quotes: a name, a string of the system
_NUMBER = r"'\d+([.,]\d+)*'"


def macros() -> Iterator[str]:
    """Yield the statements that create the SQL macro reason_kind."""
    quotes = f"regexp_replace(reason, {_QUOTED}, '…', 'g')"
    yield (
        "CREATE OR REPLACE TEMP MACRO reason_kind(reason, numbers := true) AS "
        f"if(numbers, regexp_replace({quotes}, {_NUMBER}, '…', 'g'), {quotes})"
    )
    about = (
        "A reason without what it quotes and counts, so that GROUP BY finds those of one kind; "
        "numbers := false keeps its numbers"
    )
    yield f"COMMENT ON MACRO reason_kind IS '{about}'"
