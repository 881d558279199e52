"""Alignments that other questions have found, while finds are kept."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

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

    One with a null or an interval also answers those who ask for none.
    """

    def __init__(self, finds: Finds, options: Mapping[str, Hashable]) -> None:
        """Take where they are kept.

        Args:
            finds: What is kept.
            options: All that decides an alignment but the metric and the models; `permutations`
                and `subsamples` are among them.
        """
        self._finds = finds
        self._options = options

    def get(self, metric: str, a: Side, b: Side) -> Alignment | None:
        """Return an alignment, if it is kept.

        Args:
            metric: The metric.
            a: The first model.
            b: The second model.
        """
        found: Alignment | None = self._finds.get((metric, a, b, _key(self._options)))
        if found is not None and not self._options["permutations"]:
            found = replace(found, null_mean=None, null_std=None, p_value=None, calibrated=None)
        if found is not None and not self._options["subsamples"]:
            found = replace(found, low=None, high=None)
        return found

    def put(self, metric: str, a: Side, b: Side, found: Alignment) -> None:
        """Keep an alignment.

        Args:
            metric: The metric.
            a: The first model.
            b: The second model.
            found: Their alignment.
        """
        fewer = ["permutations"]
        if found.low is not None or found.value is None:  # else a warning says there is no interval
            fewer.append("subsamples")
        for count in range(len(fewer) + 1):
            for left_out in combinations(fewer, count):
                options = {**self._options, **dict.fromkeys(left_out, 0)}
                self._finds.put((metric, a, b, _key(options)), found, _BYTES)


def _key(options: Mapping[str, Hashable]) -> Hashable:
    return tuple(sorted(options.items()))
