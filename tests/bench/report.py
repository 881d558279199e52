"""One line of the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """ours and rival in the same unit; limit is the largest ratio the project accepts."""

    measure: str
    ours: float
    rival: float
    unit: str
    limit: float

    def __str__(self) -> str:
        ratio = self.ours / self.rival
        verdict = "" if ratio <= self.limit else "  MISSED"
        ours, rival = f"{self.ours:.2f} {self.unit}", f"{self.rival:.2f} {self.unit}"
        return f"{self.measure:<62} {ours:>10} {rival:>10} {ratio:>7.3f} {self.limit:>7.2f}{verdict}"
