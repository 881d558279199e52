"""What jobs that are not over compute and load, so that nothing is submitted twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.runs.folder import Run


@dataclass
class Claims:
    """The chunks of live jobs, by their runs.

    Attributes:
        computing: The number of the array whose task computes a chunk.
        loading: The number of the load job that loads a chunk.
    """

    computing: dict[Run, int] = field(default_factory=dict)
    loading: dict[Run, int] = field(default_factory=dict)
