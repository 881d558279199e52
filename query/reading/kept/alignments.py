"""Alignments that other questions have found, while finds are kept."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from query.metrics import Alignment
from query.reading.kept.finds import Finds

_BYTES = 2**10  # of an alignment, about


@dataclass(frozen=True)
class Side:
    """A model as an alignment sees it.

    Attributes:
        label: How reasons call it.
        vectors: The fingerprint of its vectors.
        rows: A hash of which of them are compared; None for all.
    """

    label: str
    vectors: str
    rows: bytes | None


class KeptAlignments:
    """Alignments by both sides, the metric and all options.

    One with a null also answers those who ask for none.
    """

    def __init__(self, finds: Finds, options: Mapping[str, Hashable]) -> None:
        """Take where they are kept.

        Args:
            finds: What is kept.
            options: All that decides an alignment but the metric and the models; `permutations`
                is among them.
        """
        self._finds = finds
        self._options = tuple(sorted(options.items()))
        self._without_null = tuple(sorted({**options, "permutations": 0}.items()))

    def get(self, metric: str, a: Side, b: Side) -> Alignment | None:
        """Return an alignment, if it is kept.

        Args:
            metric: The metric.
            a: The first model.
            b: The second model.
        """
        found: Alignment | None = self._finds.get((metric, a, b, self._options))
        if found is None or self._options != self._without_null:
            return found
        return replace(found, null_mean=None, null_std=None, p_value=None, calibrated=None)

    def put(self, metric: str, a: Side, b: Side, found: Alignment) -> None:
        """Keep an alignment.

        Args:
            metric: The metric.
            a: The first model.
            b: The second model.
            found: Their alignment.
        """
        for options in {self._options, self._without_null}:
            self._finds.put((metric, a, b, options), found, _BYTES)
