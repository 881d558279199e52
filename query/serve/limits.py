"""What one statement of a visitor may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of one statement.

    Attributes:
        seconds: How long it may run; then its process is ended.
        rows: How many rows are sent.
        megabytes: How large the answer may be; further rows are left out.
        letters: How long the statement may be.
        memory: What DuckDB may take for it, as DuckDB spells it. Metrics take what they need.
        patience: Seconds to wait while all readers are at other statements.
    """

    seconds: float = 60.0
    rows: int = 10_000
    megabytes: float = 16.0
    letters: int = 100_000
    memory: str = "2GB"
    patience: float = 30.0
