"""How often every metric calls unrelated models alike at p ≤ 0.05, for many kinds of vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tests.bench.report import Row
from tests.query.chance import CASES, p_values

PAIRS = 500  # an exact null rejects 5 % of them, give or take 1 %
LEVEL = 0.05
LIMIT = 1 + 4 * math.sqrt(
    (1 - LEVEL) / LEVEL / PAIRS
)  # an exact null exceeds it once in 30,000 rows


def run(pairs: int = PAIRS) -> Iterator[Row]:
    """The share of pairs with p ≤ 0.05 against 5 %, for every metric that has values."""
    for family, how in CASES:
        for metric, found in p_values(family, how, pairs).items():
            if found:
                share = float(np.mean(np.array(found) <= LEVEL))
                note = "" if len(found) == pairs else f"{len(found)} of {pairs} pairs have a value"
                yield Row(
                    f"{metric}, {family}, '{how}'", 100 * share, 100 * LEVEL, "%", LIMIT, note
                )
